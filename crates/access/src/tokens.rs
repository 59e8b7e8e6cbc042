//! Bearer tokens: `assay_<32 random bytes, base64url>`, stored as their SHA-256, expiring.

use assay_evidence::{Sha256, TenantId, Timestamp};
use assay_store::{Migration, Store, StoreError, query};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

use crate::principal::{Denied, Permission, Principal, Scope};

/// The longest life of a token, in days.
pub const MAX_TOKEN_DAYS: u32 = 365;

/// The tables of this room.
pub const MIGRATIONS: &[Migration] = &[Migration {
    id: "20261123T042000_access",
    statements: &["CREATE TABLE tokens (
        tenant {TEXT} NOT NULL, id {TEXT} NOT NULL, name {TEXT} NOT NULL, scope {TEXT} NOT NULL,
        hash {TEXT} NOT NULL UNIQUE, created_at BIGINT NOT NULL, expires_at BIGINT NOT NULL,
        revoked_at BIGINT, PRIMARY KEY (tenant, id))"],
}];

/// Why a token could not be made or used.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The principal may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// No such token, or it is revoked or past its time. One answer for all three.
    #[error("the token is not valid")]
    BadToken,
    /// No token of that id.
    #[error("no token `{id}` is known")]
    UnknownToken {
        /// The id.
        id: String,
    },
    /// A life that is not between 1 day and [`MAX_TOKEN_DAYS`].
    #[error("a token lives 1 to {MAX_TOKEN_DAYS} days, not {days}")]
    Life {
        /// What was asked for.
        days: u32,
    },
    /// The system gave no randomness.
    #[error("the system gave no randomness: {detail}")]
    Randomness {
        /// What it said.
        detail: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A token as it is shown once.
#[derive(Clone, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NewToken {
    /// Names it in lists.
    pub id: String,
    /// The secret.
    pub token: String,
    /// Its tenant.
    pub tenant: TenantId,
    /// What it may do.
    pub scope: Scope,
    /// When it ends.
    pub expires_at: Timestamp,
}

impl std::fmt::Debug for NewToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NewToken({}, ..)", self.id)
    }
}

/// A token without its secret.
#[derive(Clone, Debug, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokenInfo {
    /// Names it.
    pub id: String,
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub scope: Scope,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Whether it was revoked.
    pub revoked: bool,
}

/// The tokens of all tenants.
#[derive(Clone, Debug)]
pub struct Tokens {
    store: Store,
}

impl Tokens {
    /// Over `store`.
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// Makes a token that lives `days`.
    pub async fn create(
        &self,
        principal: &Principal,
        name: &str,
        scope: Scope,
        days: u32,
        now: Timestamp,
    ) -> Result<NewToken, AccessError> {
        principal.require(Permission::ManageTokens)?;
        if !(1..=MAX_TOKEN_DAYS).contains(&days) {
            return Err(AccessError::Life { days });
        }
        let mut secret = [0u8; 32];
        getrandom::fill(&mut secret).map_err(|e| AccessError::Randomness { detail: e.to_string() })?;
        let token = format!("assay_{}", URL_SAFE_NO_PAD.encode(secret));
        let hash = Sha256::of(token.as_bytes());
        let id = hash.hex()[..12].to_owned();
        let expires_at = now.plus_seconds(i64::from(days) * 86_400);
        let tenant = principal.tenant();
        let id_ref = &id;
        let written: Result<(), StoreError> = self
            .store
            .database()
            .write(|tx| async move {
                let sql = "INSERT INTO tokens (tenant, id, name, scope, hash, created_at, expires_at) \
                           VALUES ($1, $2, $3, $4, $5, $6, $7)";
                let row = query(sql).bind(tenant).bind(id_ref).bind(name).bind(scope.as_str());
                tx.execute(row.bind(hash).bind(now).bind(expires_at)).await.map(drop)
            })
            .await;
        written?;
        Ok(NewToken { id, token, tenant: tenant.clone(), scope, expires_at })
    }

    /// Whether any token is alive: a server without one listens on loopback only.
    pub async fn any(&self, now: Timestamp) -> Result<bool, AccessError> {
        let sql = "SELECT id FROM tokens WHERE revoked_at IS NULL AND expires_at > $1 LIMIT 1";
        Ok(self.store.database().first(query(sql).bind(now)).await?.is_some())
    }

    /// Who holds `token`.
    pub async fn authenticate(&self, token: &str, now: Timestamp) -> Result<Principal, AccessError> {
        let sql = "SELECT tenant, name, scope FROM tokens WHERE hash = $1 AND revoked_at IS NULL AND expires_at > $2";
        let hash = Sha256::of(token.as_bytes());
        let row = self.store.database().first(query(sql).bind(hash).bind(now)).await?;
        let row = row.ok_or(AccessError::BadToken)?;
        Ok(Principal::token(row.parse("tenant")?, row.text("name")?, row.parse("scope")?))
    }

    /// The tenant's tokens, newest first.
    pub async fn list(&self, principal: &Principal) -> Result<Vec<TokenInfo>, AccessError> {
        principal.require(Permission::ManageTokens)?;
        let sql = "SELECT id, name, scope, created_at, expires_at, revoked_at FROM tokens WHERE tenant = $1 \
                   ORDER BY created_at DESC, id LIMIT 1000";
        let rows = self.store.database().all(query(sql).bind(principal.tenant())).await?;
        let read = |row: &assay_store::Row| {
            Ok(TokenInfo {
                id: row.text("id")?,
                name: row.text("name")?,
                scope: row.parse("scope")?,
                created_at: Timestamp::from_micros(row.int("created_at")?),
                expires_at: Timestamp::from_micros(row.int("expires_at")?),
                revoked: row.opt_int("revoked_at")?.is_some(),
            })
        };
        rows.iter().map(read).collect()
    }

    /// Ends a token now.
    pub async fn revoke(&self, principal: &Principal, id: &str, now: Timestamp) -> Result<(), AccessError> {
        principal.require(Permission::ManageTokens)?;
        let tenant = principal.tenant();
        let touched: Result<u64, StoreError> = self
            .store
            .database()
            .write(|tx| async move {
                let sql =
                    "UPDATE tokens SET revoked_at = $1 WHERE tenant = $2 AND id = $3 AND revoked_at IS NULL";
                tx.execute(query(sql).bind(now).bind(tenant).bind(id)).await
            })
            .await;
        if touched? == 0 { Err(AccessError::UnknownToken { id: id.to_owned() }) } else { Ok(()) }
    }
}
