//! Digests, canonical JSON, DSSE envelopes, in-toto statements and key types.
//!
//! # Design constraints
//! - Bytes in, values out: no clock, no randomness, no files.
//! - A signature covers the raw bytes received; canonical JSON only derives content ids.
//! - What two readers could understand differently is refused: duplicate keys, integers beyond
//!   2^53, text that is not UTF-8, unknown envelope fields, weak keys.

mod chain;
mod digest;
pub mod dsse;
pub mod json;
mod key;
mod statement;
mod tenant;
mod timestamp;

pub use chain::chain;
pub use digest::{DigestError, Sha256, Sha256Stream};
pub use dsse::{DsseError, Envelope};
pub use json::JsonError;
pub use key::{KeyError, KeyId, PrivateKey, PublicKey};
pub use statement::{MAX_SUBJECTS, STATEMENT_TYPE, Statement, Subject, predicate};
pub use tenant::{MAX_TENANT_LENGTH, TenantError, TenantId};
pub use timestamp::{Timestamp, TimestampError};
