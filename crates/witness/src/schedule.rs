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
    /// In an order of the threads: how many of those that have fallen behind stay behind this one. None of
    /// them: it falls behind all others.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub ahead_of: u32,
}

/// What a search chose, so that an incident shows that does not show otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Conditions {
    /// Threads by their places in the order of birth: of those that can run, always the first one listed
    /// does. A thread that is switched away from falls behind all others, and so does one that yields or has
    /// had its share while another can run.
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
/// The last second that a clock may start at, in the year 2255: the clocks inside count nanoseconds in 64
/// bits, of which a run has as many again for itself.
pub const MAX_CLOCK_START: u64 = 9_000_000_000;
/// Most bytes by which the stack is shifted.
pub const MAX_STACK_SHIFT: u32 = 64 << 10;

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
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
    /// The instruction that lies there: where another one does, the place is not the recorded one, and
    /// nothing is put into the code. Older capsules do not say.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub instruction: Option<InstructionBytes>,
}

/// The bytes of one instruction; in JSON their lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstructionBytes(Vec<u8>);

impl InstructionBytes {
    /// The longest instruction of x86, in bytes.
    pub const MAX: usize = 15;

    /// These bytes, if they are as many as an instruction may have.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        (1..=Self::MAX).contains(&bytes.len()).then(|| Self(bytes.to_vec()))
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn from_hex(text: &str) -> Option<Self> {
        let digit = |digit: &u8| (*digit as char).to_digit(16).filter(|_| !digit.is_ascii_uppercase());
        let byte = |pair: &[u8]| Some((digit(pair.first()?)? << 4 | digit(pair.get(1)?)?) as u8);
        Self::new(&text.as_bytes().chunks(2).map(byte).collect::<Option<Vec<u8>>>()?)
    }
}

impl Serialize for InstructionBytes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text: String = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for InstructionBytes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::from_hex(&text).ok_or_else(|| serde::de::Error::custom("an instruction is 1 to 15 bytes"))
    }
}

impl JsonSchema for InstructionBytes {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "InstructionBytes".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^([0-9a-f]{2}){1,15}$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_of_an_older_capsule_is_read_and_an_instruction_has_one_to_fifteen_bytes() {
        let old: Place = serde_json::from_str(r#"{"file":"/a","offset":"0x10"}"#).unwrap();
        assert_eq!(old.instruction, None);
        let read = |digits: &str| {
            serde_json::from_str::<Place>(&format!(r#"{{"offset":"0x10","instruction":"{digits}"}}"#))
        };
        let place = read("48ffc0").unwrap();
        assert_eq!(place.instruction.as_ref().unwrap().bytes(), [0x48, 0xff, 0xc0]);
        assert_eq!(read(&"90".repeat(15)).unwrap().instruction.unwrap().bytes().len(), 15);
        for unfit in ["", "9", "9g", "FF", &"90".repeat(16)] {
            assert!(read(unfit).is_err(), "{unfit}");
        }
        assert!(serde_json::to_string(&place).unwrap().contains("\"48ffc0\""));
    }
}
