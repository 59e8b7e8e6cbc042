//! Who asks, and what they may do.

use std::str::FromStr;

use assay_evidence::TenantId;
use serde::{Deserialize, Serialize};

/// What a token was made for.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Look at everything of the tenant.
    Read,
    /// Look at everything and add to it.
    Write,
}

/// Why a text is no scope.
#[derive(Debug, thiserror::Error)]
#[error("`{text}` is not a scope (read or write)")]
pub struct ScopeError {
    /// The text.
    pub text: String,
}

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        match text {
            "read" => Ok(Self::Read),
            "write" => Ok(Self::Write),
            other => Err(ScopeError { text: other.chars().take(40).collect() }),
        }
    }
}

impl Scope {
    /// The scope's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

/// What can be asked of the services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Look at releases, incidents, decisions, statements, the log.
    ReadEvidence,
    /// Add blobs, witnesses, incidents, stacks, releases.
    AddEvidence,
    /// Run replays and decide.
    Verify,
    /// Make and revoke tokens.
    ManageTokens,
}

impl Permission {
    /// The one permission table.
    fn granted_to(self, scope: Scope) -> bool {
        match (self, scope) {
            (Self::ReadEvidence, Scope::Read | Scope::Write) => true,
            (Self::AddEvidence | Self::Verify, Scope::Write) => true,
            (Self::AddEvidence | Self::Verify, Scope::Read) => false,
            // Tokens are managed by whoever holds the data folder, never over a token.
            (Self::ManageTokens, Scope::Read | Scope::Write) => false,
        }
    }
}

/// Who asks: a tenant's token, or whoever runs the program over its own data folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    tenant: TenantId,
    name: String,
    standing: Standing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Owner,
    Token(Scope),
}

/// Why something may not be done.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{name} may not do this ({permission:?})")]
pub struct Denied {
    /// Who asked.
    pub name: String,
    /// What for.
    pub permission: Permission,
}

impl Principal {
    /// Whoever runs the program on its own data folder.
    pub fn owner(tenant: TenantId) -> Self {
        Self { tenant, name: "owner".to_owned(), standing: Standing::Owner }
    }

    pub(crate) fn token(tenant: TenantId, name: String, scope: Scope) -> Self {
        Self { tenant, name, standing: Standing::Token(scope) }
    }

    /// Whose data is meant.
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// The name that stands in records.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Says no unless the permission table says yes.
    pub fn require(&self, permission: Permission) -> Result<(), Denied> {
        let granted = match self.standing {
            Standing::Owner => true,
            Standing::Token(scope) => permission.granted_to(scope),
        };
        if granted { Ok(()) } else { Err(Denied { name: self.name.clone(), permission }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table() {
        let read = Principal::token(TenantId::local(), "r".into(), Scope::Read);
        let write = Principal::token(TenantId::local(), "w".into(), Scope::Write);
        let owner = Principal::owner(TenantId::local());
        for (permission, by_read, by_write) in [
            (Permission::ReadEvidence, true, true),
            (Permission::AddEvidence, false, true),
            (Permission::Verify, false, true),
            (Permission::ManageTokens, false, false),
        ] {
            assert_eq!(read.require(permission).is_ok(), by_read, "{permission:?}");
            assert_eq!(write.require(permission).is_ok(), by_write, "{permission:?}");
            assert!(owner.require(permission).is_ok());
        }
    }
}
