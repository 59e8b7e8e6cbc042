//! Fitted by `cargo xtask bench delta-calibration --fit`; see `probability.rs`.

use super::evidence::FIGURES;
use super::probability::Weight;

pub(super) const BASE: f64 = 4.836572;
#[rustfmt::skip]
pub(super) const WEIGHTS: [Weight; FIGURES] = [
    Weight { weight: 0.129630, least: 0.000000, most: 1.000000 }, // instructions_differ
    Weight { weight: 0.593561, least: 0.000000, most: 1.000000 }, // sketch
    Weight { weight: -0.104704, least: 0.000000, most: 7.689829 }, // size_ratio
    Weight { weight: -2.373427, least: 0.000000, most: 1.000000 }, // only_references_differ
    Weight { weight: 1.711811, least: 0.000000, most: 1.000000 }, // texts
    Weight { weight: -0.048090, least: 0.000000, most: 1.000000 }, // imports
    Weight { weight: -0.191748, least: 0.000000, most: 1.000000 }, // bounds
    Weight { weight: 0.169772, least: 0.000000, most: 9.810111 }, // instructions
    Weight { weight: 0.360222, least: 0.000000, most: 4.828314 }, // objects_changed
    Weight { weight: -2.694404, least: 0.011364, most: 0.432773 }, // instructions_differ_10
    Weight { weight: -3.001117, least: 0.043825, most: 0.663158 }, // instructions_differ_25
    Weight { weight: 0.759647, least: 0.105263, most: 0.834520 }, // instructions_differ_50
    Weight { weight: -3.018038, least: 0.214286, most: 0.904979 }, // instructions_differ_75
    Weight { weight: 0.356803, least: 0.000000, most: 0.568182 }, // small_edits
    Weight { weight: 0.459261, least: 0.026316, most: 0.832370 }, // large_edits
    Weight { weight: 12.540225, least: 0.000000, most: 0.802501 }, // sketch_25
    Weight { weight: -6.709868, least: 0.000000, most: 0.416894 }, // size_ratio_25
    Weight { weight: 1.447089, least: 0.000000, most: 0.503141 }, // size_ratio_50
    Weight { weight: -3.248787, least: 0.033336, most: 0.956732 }, // size_ratio_75
    Weight { weight: -0.744848, least: 0.000000, most: 0.681818 }, // same_size
    Weight { weight: -0.731927, least: 0.000000, most: 0.765957 }, // other_callees
    Weight { weight: -0.495674, least: 1.098612, most: 6.577861 }, // pairs
    Weight { weight: -0.081547, least: 0.004797, most: 0.999131 }, // mass
    Weight { weight: -6.231755, least: 0.026221, most: 0.592421 }, // dialect
    Weight { weight: 0.124719, least: 0.005008, most: 0.623278 }, // idioms
];
