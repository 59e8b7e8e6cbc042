//! A draft of a witness from what a crash left behind: what is known, and what is still missing.
//!
//! Sources: the kernel's `fs/binfmt_elf.c` and `include/uapi/linux/elfcore.h` for core files, the System V
//! ABI (AMD64 supplement, 3.4.1) for the first words of a stack.

mod core;
mod memory;

use std::fs::File;
use std::path::Path;

use assay_binary::{Address, DebugId};
use schemars::JsonSchema;
use serde::Serialize;

pub use core::{CoreError, MAX_CORE_BYTES, read_core};

/// What a core file tells of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub struct Draft {
    /// The executable's path, as the kernel was given it.
    pub executable: String,
    /// The whole command line.
    pub command: Vec<String>,
    /// Names of the environment's variables; their values stay in the core.
    pub environment: Vec<String>,
    /// The signal that ended the process.
    pub signal: i32,
    /// The address that faulted, where the signal has one.
    pub fault_address: Option<Address>,
    /// Where each thread was, the one that failed first.
    pub threads: Vec<Place>,
    /// Files that were mapped executable.
    pub modules: Vec<DraftModule>,
    /// What a recording still needs.
    pub missing: Vec<Missing>,
}

/// A place in a module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub struct Place {
    /// The module's path; none outside every file.
    pub module: Option<String>,
    /// The offset from where the module begins, or the address itself.
    pub offset: Address,
}

/// A file that was mapped executable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub struct DraftModule {
    /// Its path where it ran.
    pub path: String,
    /// The build id in the core's copy of its first page.
    pub build_id: Option<DebugId>,
    /// Whether the file lies here.
    pub here: Here,
}

/// Whether a file of the crashed run lies on this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Here {
    /// The same build.
    Same,
    /// A file that names no build, or whose build the core does not tell.
    Unknown,
    /// Another build.
    Differs,
    /// Nothing.
    Absent,
}

/// Something that a recording needs and the core does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub struct Missing {
    /// A stable code: `module_absent`, `module_differs`, `arguments`, `environment_values`, `stdin`,
    /// `working_directory`, `files`.
    pub code: String,
    /// What it is about, and what to do.
    pub detail: String,
}

impl Draft {
    /// Looks for the modules on this host and lists what a recording still needs.
    pub fn compare_with_host(&mut self) {
        for module in &mut self.modules {
            module.here = here(Path::new(&module.path), module.build_id.as_ref());
        }
        self.missing = self.lacking();
    }

    fn lacking(&self) -> Vec<Missing> {
        let missing = |code: &str, detail: String| Missing { code: code.to_owned(), detail };
        let mut all = Vec::new();
        for module in &self.modules {
            let build = module.build_id.as_ref().map_or("unknown", |id| id.0.as_str());
            match module.here {
                Here::Absent => {
                    all.push(missing(
                        "module_absent",
                        format!("{} (build id {build}) is not on this host", module.path),
                    ));
                }
                Here::Differs => {
                    all.push(missing(
                        "module_differs",
                        format!("{} is another build here; {build} crashed", module.path),
                    ));
                }
                Here::Same | Here::Unknown => {}
            }
        }
        if self.command.is_empty() {
            all.push(missing("arguments", "the core's stack does not hold the command line".to_owned()));
        }
        if !self.environment.is_empty() {
            let names = self.environment.join(", ");
            all.push(missing("environment_values", format!("give those that matter with --env: {names}")));
        }
        all.push(missing("stdin", "the standard input is not in a core: give it with --stdin".to_owned()));
        all.push(missing(
            "working_directory",
            "the working directory is not in a core: give it with --working-directory".to_owned(),
        ));
        all.push(missing("files", "files that were read, not mapped, are not in a core".to_owned()));
        all
    }
}

fn here(path: &Path, wanted: Option<&DebugId>) -> Here {
    if !path.is_file() {
        return Here::Absent;
    }
    let cache = File::open(path).ok().map(object::ReadCache::new);
    let found = cache.as_ref().and_then(|cache| {
        let elf = object::read::elf::ElfFile64::<object::Endianness, _>::parse(cache).ok()?;
        let id = object::Object::build_id(&elf).ok()??;
        Some(DebugId(id.iter().map(|byte| format!("{byte:02x}")).collect()))
    });
    match (wanted, found) {
        (Some(wanted), Some(found)) if *wanted == found => Here::Same,
        (Some(_), Some(_)) => Here::Differs,
        _ => Here::Unknown,
    }
}
