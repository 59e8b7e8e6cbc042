//! What of this machine a program can observe although it is traced.

use assay_evidence::Sha256;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Profile;

/// The part of the environment that goes into a verdict's cache key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentClass {
    /// The CPU's vendor as CPUID spells it.
    pub cpu_vendor: String,
    /// Family, model and stepping as CPUID gives them.
    pub cpu_signature: u32,
    /// The digest of CPUID's feature and cache leaves, `AT_HWCAP`, `AT_HWCAP2` and XCR0.
    pub cpu_features: Sha256,
    /// [`crate::RUNNER_VERSION`].
    pub runner_version: String,
    /// The sandbox's profile.
    pub profile: Profile,
}

/// CPUID leaves with features, cache sizes and state sizes, each with the subleaves looked at.
const LEAVES: [(u32, u32); 9] = [
    (0, 1),
    (2, 1),
    (4, 5),
    (7, 2),
    (0xd, 2),
    (0x8000_0001, 1),
    (0x8000_0005, 1),
    (0x8000_0006, 1),
    (0x8000_001d, 5),
];
/// Leaf 1 holds in EBX the number of the CPU that was asked; only its signature and features are taken.
const SIGNATURE_LEAF: u32 = 1;
/// OSXSAVE and the state of the operating system are part of the features on purpose.
const OSXSAVE: u32 = 1 << 27;
/// Leaf 4 and its AMD twin hold the number of CPUs that share a cache above these bits.
const CACHE_TYPE_MASK: u32 = 0x3fff;

impl EnvironmentClass {
    pub(super) fn of_this_machine(profile: Profile) -> Self {
        let basic = std::arch::x86_64::__cpuid(0);
        let vendor: Vec<u8> =
            [basic.ebx, basic.edx, basic.ecx].iter().flat_map(|word| word.to_le_bytes()).collect();
        let one = std::arch::x86_64::__cpuid(SIGNATURE_LEAF);
        let mut features = Sha256::stream();
        let mut add = |word: u32| features.update(&word.to_le_bytes());
        add(one.ecx);
        add(one.edx);
        for (leaf, subleaves) in LEAVES {
            let highest = std::arch::x86_64::__cpuid(leaf & 0x8000_0000).eax;
            for subleaf in 0..subleaves {
                if leaf > highest {
                    continue;
                }
                let found = std::arch::x86_64::__cpuid_count(leaf, subleaf);
                let is_cache = leaf == 4 || leaf == 0x8000_001d;
                add(if is_cache { found.eax & CACHE_TYPE_MASK } else { found.eax });
                add(found.ebx);
                add(found.ecx);
                add(found.edx);
            }
        }
        for (kind, value) in crate::sys::cpu::auxiliary() {
            add(kind);
            add(value as u32);
            add((value >> 32) as u32);
        }
        if one.ecx & OSXSAVE != 0 {
            let enabled = crate::sys::cpu::enabled_state();
            add(enabled as u32);
            add((enabled >> 32) as u32);
        }
        Self {
            cpu_vendor: String::from_utf8_lossy(&vendor).into_owned(),
            cpu_signature: one.eax,
            cpu_features: features.finish(),
            runner_version: crate::RUNNER_VERSION.to_owned(),
            profile,
        }
    }
}
