//! None: what `cargo xtask bench delta-calibration --fit` writes here did not hold on other projects
//! (`docs/deltas.md`).

use super::probability::Weight;

pub(super) const BASE: f64 = 0.0;
pub(super) const WEIGHTS: [Weight; 0] = [];
