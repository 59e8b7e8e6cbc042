//! The words that several engines share: where code lies and how a frame is named.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An address as the module's own file counts it (the ELF virtual address), before any load bias.
/// In JSON it is a text such as `0x1f00`: an address may lie beyond 2^53, which JSON numbers do not
/// keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(pub u64);

impl Serialize for Address {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digits =
            text.strip_prefix("0x").ok_or_else(|| serde::de::Error::custom("an address starts with 0x"))?;
        u64::from_str_radix(digits, 16).map(Self).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Address {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Address".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^0x[0-9a-f]{1,16}$" })
    }
}

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
