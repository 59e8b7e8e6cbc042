//! Digests, canonical JSON, DSSE envelopes, in-toto statements and key types.
//!
//! # Design constraints
//! - Bytes in, values out: no clock, no randomness, no files.
//! - A signature covers the raw bytes received; canonical JSON only derives content ids.

mod digest;

pub use digest::{DigestError, Sha256, Sha256Stream};
