//! Runs of interpreted programs, by the real observer and the real prover.

mod lab;
mod node;
mod python;
