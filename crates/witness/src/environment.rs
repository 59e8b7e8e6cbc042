//! Executed instructions that tell a program about the CPU and cannot be trapped.

use std::io::Read;

use assay_binary::{Address, FunctionRef};
use iced_x86::{Decoder, DecoderOptions, Mnemonic};
use object::{Object, ObjectSegment};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::capsule::MAX_FILE_BYTES;
use crate::replay::CoveragePlan;
use crate::tracer::ModuleFile;

/// Most instructions reported.
pub const MAX_ENVIRONMENT_INSTRUCTIONS: usize = 64;
/// Longest function looked through, in bytes.
const MAX_FUNCTION: u64 = 1 << 20;

/// An instruction in an executed function whose result depends on the CPU.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentInstruction {
    /// Its mnemonic in lower case.
    pub instruction: String,
    /// Where it lies.
    pub place: FunctionRef,
}

fn name(mnemonic: Mnemonic) -> Option<&'static str> {
    Some(match mnemonic {
        Mnemonic::Cpuid => "cpuid",
        Mnemonic::Rdrand => "rdrand",
        Mnemonic::Rdseed => "rdseed",
        Mnemonic::Rdpid => "rdpid",
        Mnemonic::Xgetbv => "xgetbv",
        Mnemonic::Lsl => "lsl",
        _ => return None,
    })
}

/// Those in the executed functions of watched modules, sorted.
///
/// A function reaches to the next entry or trap of its plan and is decoded from its entry on without
/// following jumps, so data between instructions may add one that is never executed, and one that is
/// executed is missed only behind such data.
pub(crate) fn instructions(
    functions: &[FunctionRef],
    coverage: &[CoveragePlan],
    file: &ModuleFile<'_>,
) -> Vec<EnvironmentInstruction> {
    let mut found = Vec::new();
    for plan in coverage {
        let executed: Vec<&FunctionRef> = functions.iter().filter(|f| f.module.path == plan.path).collect();
        if !executed.is_empty() {
            look_through(plan, &executed, file, &mut found);
        }
    }
    found.sort();
    found.dedup();
    found.truncate(MAX_ENVIRONMENT_INSTRUCTIONS);
    found
}

fn look_through(
    plan: &CoveragePlan,
    executed: &[&FunctionRef],
    file: &ModuleFile<'_>,
    found: &mut Vec<EnvironmentInstruction>,
) {
    let mut data = Vec::new();
    let opened = file(&plan.path).and_then(|path| std::fs::File::open(path).ok());
    let read = opened.and_then(|opened| opened.take(MAX_FILE_BYTES).read_to_end(&mut data).ok());
    let Some(Ok(elf)) = read.map(|_| object::File::parse(data.as_slice())) else { return };
    let mut ends: Vec<u64> = plan.entries.iter().map(|entry| entry.0).collect();
    ends.extend(plan.traps.iter().map(|range| range.start));
    ends.sort_unstable();
    for function in executed {
        let start = function.offset.0;
        let next = ends.get(ends.partition_point(|end| *end <= start)).copied().unwrap_or(u64::MAX);
        let length = next.saturating_sub(start).min(MAX_FUNCTION);
        for (instruction, address) in in_function(&elf, start, length) {
            let place = FunctionRef { module: function.module.clone(), offset: Address(address) };
            found.push(EnvironmentInstruction { instruction: instruction.to_owned(), place });
        }
    }
}

fn in_function(elf: &object::File<'_>, start: u64, length: u64) -> Vec<(&'static str, u64)> {
    let bytes = elf.segments().find_map(|segment| {
        let at = usize::try_from(start.checked_sub(segment.address())?).ok()?;
        let rest = segment.data().ok()?.get(at..)?;
        Some(&rest[..rest.len().min(length as usize)])
    });
    let Some(bytes) = bytes else { return Vec::new() };
    let decoder = Decoder::with_ip(64, bytes, start, DecoderOptions::NONE);
    decoder.into_iter().filter_map(|i| Some((name(i.mnemonic())?, i.ip()))).collect()
}
