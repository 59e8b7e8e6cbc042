//! Deltas and proofs over programs that are built here, and hostile bytes.
mod build;
mod carry;
mod differences;
mod hostile;
