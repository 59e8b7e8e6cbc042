//! The crate against real reports and short texts of its own.

mod formats;
mod real;
