//! Where turns are taken from threads that compute while others wait.

use assay_binary::Address;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Most switches in one capsule.
pub const MAX_SWITCHES: usize = 64;

/// One switch: after this event, when this thread passes this place for the given time, another thread
/// gets its turn and virtual time goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Switch {
    /// How many events there were before it.
    pub event: u64,
    /// The thread's place in the order of birth, the first being 0.
    pub thread: u32,
    /// The instruction that is not executed before the switch.
    pub place: Place,
    /// How often the thread comes there after the event, the switch being at the last time.
    pub hits: u64,
}

/// An instruction, wherever its file is mapped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Place {
    /// The file that it lies in; none for code that the program made itself.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub file: Option<String>,
    /// The offset in the file, or else the address.
    pub offset: Address,
}
