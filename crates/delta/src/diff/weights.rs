//! Fitted by `cargo xtask bench delta-calibration --fit`; see `probability.rs`.

use super::probability::Weight;

pub(super) const BASE: f64 = 0.0;
pub(super) const WEIGHTS: [Weight; 0] = [];
