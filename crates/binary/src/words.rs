//! The words that several engines share: where code lies and how a frame is named.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An address as the module's own file counts it (the ELF virtual address), before any load bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Address(pub u64);

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// A build's own identity: the GNU build id in lower hex.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct DebugId(pub String);

/// One module of a process: the path it was loaded from (inside the capsule) and its debug identity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModuleId {
    /// Absolute path inside the capsule.
    pub path: String,
    /// The build id, where the file carries one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub debug_id: Option<DebugId>,
}

/// A function by the module that holds it and the address of its entry in that module.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct FunctionRef {
    /// The module.
    pub module: ModuleId,
    /// The entry's [`Address`] within it.
    pub offset: Address,
}

/// One frame of a captured stack, innermost first; `offset` is the instruction that was executing
/// (frame 0) or the return address (the others).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Frame {
    /// The module, or none where the address lies in no mapped file.
    pub module: Option<ModuleId>,
    /// The address within the module (or the raw address without one).
    pub offset: Address,
    /// The symbol's name as the file spells it (mangled), where known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub symbol: Option<String>,
}
