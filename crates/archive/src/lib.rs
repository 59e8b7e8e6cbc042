//! Containers walked to the files inside: `ar` (static libraries, Debian packages), tar (npm packages, OCI
//! layers and layouts), zip (wheels, jars), each with gzip, xz or zstd around it, and one inside another.
//!
//! # Design constraints
//! - Bytes in, calls out: nothing is written anywhere, and a path is a label, never a place.
//! - Depth, number of entries, size of one entry, total output and the ratio of output to input are bounded
//!   by [`Limits`]; a bomb is an [`ArchiveError`], with what was found so far already handed out.
//! - What only looks like a container is handed out as a file, with a warning.
//! - Links, devices and folders are passed over; layers of an image are not merged.

mod ar;
mod budget;
mod error;
mod walk;
mod xz;

pub use budget::Limits;
pub use error::ArchiveError;
pub use walk::{Container, Walked, recognise, walk};
