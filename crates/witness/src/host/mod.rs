//! What this host can do, found out once.

mod class;
mod kernel;
mod refusal;

pub use class::EnvironmentClass;
pub use kernel::{Kernel, Tried};
pub use refusal::{Refusal, RefusalCode};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How closed a sandbox this host allows; part of every verdict's cache key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "type")]
pub enum Profile {
    /// Every namespace, seccomp, and Landlock where the kernel has it.
    Full,
    /// Less than that, by name: `reduced-no-namespaces` has seccomp, Landlock and no network.
    Reduced {
        /// The profile's stable name.
        name: String,
    },
}

/// The name of the profile for hosts that refuse namespaces.
pub const REDUCED_NO_NAMESPACES: &str = "reduced-no-namespaces";

/// A host that was found able to run witnesses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    profile: Profile,
    landlock: u32,
    class: EnvironmentClass,
    lacking: Option<Refusal>,
}

impl Host {
    /// Finds out what this host allows by trying it.
    ///
    /// # Errors
    /// What is missing and how to get it.
    pub fn probe() -> Result<Self, Refusal> {
        Self::probe_with(&kernel::Real)
    }

    /// The same with the kernel's answers given by `kernel`.
    ///
    /// # Errors
    /// What is missing and how to get it.
    pub fn probe_with(kernel: &dyn Kernel) -> Result<Self, Refusal> {
        let refusal::Judged { profile, landlock, lacking } = refusal::judge(kernel)?;
        let class = EnvironmentClass::of_this_machine(profile.clone());
        Ok(Self { profile, landlock, class, lacking })
    }

    /// How closed the sandbox is.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// Why the profile is not [`Profile::Full`], and the remedy.
    pub fn lacking(&self) -> Option<&Refusal> {
        self.lacking.as_ref()
    }

    /// The kernel's Landlock interface version; 0 without Landlock.
    pub fn landlock_version(&self) -> u32 {
        self.landlock
    }

    /// What goes into a verdict's cache key about this host.
    pub fn environment_class(&self) -> &EnvironmentClass {
        &self.class
    }

    pub(crate) fn has_namespaces(&self) -> bool {
        self.profile == Profile::Full
    }
}
