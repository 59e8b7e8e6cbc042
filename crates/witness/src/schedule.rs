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

/// What a search chose, so that an incident shows that does not show otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Conditions {
    /// Threads by their places in the order of birth: of those that can run, always the first one listed
    /// does. A thread that is switched away from, yields or has had its share falls behind all others.
    /// Threads that are not listed come after those that are, in the order of birth. Empty: a thread runs
    /// until it waits.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub order: Vec<u32>,
    /// The real-time clock at the start, in seconds of Unix time.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub clock_start: Option<u64>,
    /// The byte with which glibc fills memory that it hands out (its complement) and takes back.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub heap_fill: Option<u8>,
    /// How many bytes further down the stack begins.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub stack_shift: u32,
}

/// Most threads in an order.
pub const MAX_ORDER: usize = 64;
/// The last second that a clock may start at: the end of the year 9999.
pub const MAX_CLOCK_START: u64 = 253_402_300_799;
/// Most bytes by which the stack is shifted.
pub const MAX_STACK_SHIFT: u32 = 64 << 10;

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(shift: &u32) -> bool {
    *shift == 0
}

impl Conditions {
    /// Whether nothing was chosen.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The first part that is out of its range.
    pub(crate) fn first_out_of_range(&self) -> Option<&'static str> {
        let listed: std::collections::BTreeSet<_> = self.order.iter().collect();
        if self.order.len() > MAX_ORDER || listed.len() != self.order.len() {
            return Some("order");
        }
        if self.clock_start.is_some_and(|start| start > MAX_CLOCK_START) {
            return Some("clockStart");
        }
        (self.stack_shift > MAX_STACK_SHIFT).then_some("stackShift")
    }

    /// The variables that bring these conditions about.
    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        let fill = self.heap_fill.map(crate::perturb::fill_variable);
        let shift = (self.stack_shift > 0).then(|| (SHIFT_VARIABLE, "x".repeat(self.stack_shift as usize)));
        fill.into_iter().chain(shift).collect()
    }
}

/// A variable of the environment lies on the stack: as long as it is, the rest lies further down.
const SHIFT_VARIABLE: &str = "WITNESS_STACK_SHIFT";

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
