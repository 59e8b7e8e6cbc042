//! Redaction: finding secrets and personal data in bytes, and putting pseudonyms in their place.
//!
//! # Design constraints
//! - Bytes in, values out; linear in the text; a regular expression only where a policy brings one, and
//!   then one that cannot run away.
//! - A number is a finding only if its own check digit, range or format says so, or a word beside it.
//! - A pseudonym is keyed, of the same length and the same classes of characters, and passes the check
//!   that its value passes: what parses the input before parses it after.
//! - A report never holds a value, only its kind, place and shape.
//! - What cannot be looked into (compressed, too large) is named, not passed over.

mod capsule;
mod check;
mod documents;
mod keys;
mod kind;
mod names;
mod national;
mod numbers;
mod policy;
mod pseudonym;
mod rewrite;
mod scan;
mod text;
mod tokens;

pub use capsule::{
    Found, MAX_INPUT_BYTES, Redacted, RedactionRecord, ScanReport, found, redact_capsule, scan_capsule,
};
pub use documents::texts;
pub use kind::Kind;
pub use policy::{
    MAX_PATTERN_BYTES, MAX_PATTERNS, MAX_POLICY_BYTES, OnFinding, Pattern, Policy, PolicyError,
};
pub use pseudonym::PseudonymKey;
pub use scan::{Finding, Scanner};
