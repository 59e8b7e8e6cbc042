//! Reading an x86-64 Linux core file.

use std::collections::BTreeMap;

use assay_binary::{Address, DebugId};
use object::Endianness;
use object::elf::{FileHeader64, NT_AUXV, NT_FILE, NT_PRSTATUS, NT_SIGINFO, PF_X, PT_LOAD, PT_NOTE};
use object::read::elf::{FileHeader, NoteIterator, ProgramHeader};

use super::memory::Memory;
use super::{Draft, DraftModule, Here, Place};

/// The largest core taken.
pub const MAX_CORE_BYTES: u64 = 4 << 30;
/// Most mapped ranges of files.
const MAX_MAPPINGS: usize = 65_536;
/// Most threads.
const MAX_THREADS: usize = 65_536;
/// Most arguments or variables.
const MAX_STRINGS: u64 = 65_536;
/// Where the kernel's `elf_prstatus` keeps the current signal, and the program counter of its registers.
const CURRENT_SIGNAL: usize = 12;
const PROGRAM_COUNTER: usize = 112 + 16 * 8;
/// Where `siginfo_t` keeps the address.
const SIGNAL_ADDRESS: usize = 16;

/// Why a file is no core that can be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CoreError {
    /// Not an ELF file for x86-64.
    #[error("it is no x86-64 ELF file")]
    NotElf,
    /// An ELF file of another type.
    #[error("it is an ELF file, but no core")]
    NotACore,
    /// Notes or headers that lead nowhere.
    #[error("the core is cut off or damaged: {what}")]
    Damaged {
        /// Where.
        what: &'static str,
    },
}

type Header = FileHeader64<Endianness>;

/// A file's range in memory.
struct Mapping {
    start: u64,
    end: u64,
    offset: u64,
    path: String,
}

/// Reads what a core tells; nothing of the host is looked at.
///
/// # Errors
/// A file that is no core, or a damaged one.
pub fn read_core(data: &[u8]) -> Result<Draft, CoreError> {
    let header = Header::parse(data).map_err(|_| CoreError::NotElf)?;
    let endian = header.endian().map_err(|_| CoreError::NotElf)?;
    if header.e_machine(endian) != object::elf::EM_X86_64 {
        return Err(CoreError::NotElf);
    }
    if header.e_type(endian) != object::elf::ET_CORE {
        return Err(CoreError::NotACore);
    }
    let segments =
        header.program_headers(endian, data).map_err(|_| CoreError::Damaged { what: "program headers" })?;
    let mut draft = Draft::default();
    let (mut mappings, mut auxiliary) = (Vec::new(), Vec::new());
    let notes = segments.iter().filter(|segment| segment.p_type(endian) == PT_NOTE);
    for segment in notes {
        let mut notes: NoteIterator<'_, Header> =
            segment.notes(endian, data).ok().flatten().ok_or(CoreError::Damaged { what: "notes" })?;
        while let Some(note) = notes.next().map_err(|_| CoreError::Damaged { what: "a note" })? {
            let bytes = note.desc();
            match note.n_type(endian) {
                NT_PRSTATUS if draft.threads.len() < MAX_THREADS => note_thread(&mut draft, bytes),
                NT_SIGINFO => note_signal(&mut draft, bytes),
                NT_FILE => {
                    mappings = read_mappings(bytes).ok_or(CoreError::Damaged { what: "mapped files" })?
                }
                NT_AUXV => auxiliary = bytes.to_vec(),
                _ => {}
            }
        }
    }
    let loads = segments.iter().filter(|segment| segment.p_type(endian) == PT_LOAD);
    let executable = loads.clone().filter(|segment| segment.p_flags(endian) & PF_X == PF_X);
    let executable: Vec<u64> = executable.map(|segment| segment.p_vaddr(endian)).collect();
    let memory = Memory::new(
        loads
            .filter_map(|segment| Some((segment.p_vaddr(endian), segment.data(endian, data).ok()?)))
            .collect(),
    );
    draft.modules = modules(&mappings, &executable, &memory);
    for thread in &mut draft.threads {
        place(thread, &mappings);
    }
    read_stack(&mut draft, &auxiliary, &memory);
    Ok(draft)
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

fn note_thread(draft: &mut Draft, bytes: &[u8]) {
    let counter = word(bytes, PROGRAM_COUNTER).unwrap_or(0);
    if draft.threads.is_empty() {
        let signal =
            bytes.get(CURRENT_SIGNAL..CURRENT_SIGNAL + 2).map(|b| i32::from(b[0]) | i32::from(b[1]) << 8);
        draft.signal = signal.unwrap_or(0);
    }
    draft.threads.push(Place { module: None, offset: Address(counter) });
}

fn note_signal(draft: &mut Draft, bytes: &[u8]) {
    let has_address = matches!(draft.signal, libc::SIGSEGV | libc::SIGBUS | libc::SIGILL | libc::SIGFPE);
    draft.fault_address = word(bytes, SIGNAL_ADDRESS).filter(|_| has_address).map(Address);
}

/// `NT_FILE`: count, page size, then (start, end, page offset) for each, then the names.
fn read_mappings(bytes: &[u8]) -> Option<Vec<Mapping>> {
    let count = usize::try_from(word(bytes, 0)?).ok().filter(|count| *count <= MAX_MAPPINGS)?;
    let page = word(bytes, 8)?;
    let mut names = bytes.get(16 + count * 24..)?.split(|byte| *byte == 0);
    let read = |at: usize| -> Option<Mapping> {
        let at = 16 + at * 24;
        let path = String::from_utf8_lossy(names.next()?).into_owned();
        let offset = word(bytes, at + 16)?.checked_mul(page)?;
        Some(Mapping { start: word(bytes, at)?, end: word(bytes, at + 8)?, offset, path })
    };
    (0..count).map(read).collect()
}

/// The files of which a range is executable, each with the build id in its first page.
fn modules(mappings: &[Mapping], executable: &[u64], memory: &Memory<'_>) -> Vec<DraftModule> {
    let mut found = BTreeMap::new();
    for mapping in mappings {
        if executable.iter().any(|start| mapping.start <= *start && *start < mapping.end) {
            let first = mappings.iter().find(|first| first.path == mapping.path && first.offset == 0);
            let id = first.and_then(|first| build_id(first.start, memory));
            found.entry(mapping.path.clone()).or_insert(id);
        }
    }
    let module = |(path, build_id)| DraftModule { path, build_id, here: Here::Unknown };
    found.into_iter().map(module).collect()
}

/// The build id of the ELF file whose first page lies at an address.
fn build_id(start: u64, memory: &Memory<'_>) -> Option<DebugId> {
    let page = memory.from(start)?;
    let header = Header::parse(page).ok()?;
    let endian = header.endian().ok()?;
    let segments = header.program_headers(endian, page).ok()?;
    for segment in segments.iter().filter(|segment| segment.p_type(endian) == PT_NOTE) {
        let notes = segment.notes(endian, page).ok().flatten();
        let Some(mut notes) = notes else { continue };
        while let Ok(Some(note)) = notes.next() {
            if note.n_type(endian) == object::elf::NT_GNU_BUILD_ID && note.name() == object::elf::ELF_NOTE_GNU
            {
                return Some(DebugId(note.desc().iter().map(|byte| format!("{byte:02x}")).collect()));
            }
        }
    }
    None
}

/// From an address to a module and the offset from its beginning.
fn place(place: &mut Place, mappings: &[Mapping]) {
    let address = place.offset.0;
    let Some(mapping) = mappings.iter().find(|m| m.start <= address && address < m.end) else { return };
    let starts = mappings.iter().filter(|m| m.path == mapping.path).map(|m| m.start);
    place.offset = Address(address - starts.min().unwrap_or(mapping.start));
    place.module = Some(mapping.path.clone());
}

/// The executable, the command line and the names of the variables, from the first words of the stack: they
/// lie before the auxiliary vector, of which the core holds a copy to look for.
fn read_stack(draft: &mut Draft, auxiliary: &[u8], memory: &Memory<'_>) {
    let value = |kind: u64| {
        auxiliary.chunks_exact(16).find(|pair| word(pair, 0) == Some(kind)).and_then(|pair| word(pair, 8))
    };
    let Some(name) = value(libc::AT_EXECFN) else { return };
    draft.executable = memory.text(name).unwrap_or_default();
    let Some(vector) = memory.find(name, auxiliary) else { return };
    // Backwards: a zero, the variables, a zero, the arguments, how many they are.
    let Some((variables, before)) = pointers_before(vector - 8, memory, Ends::Zero) else { return };
    draft.environment = variables
        .iter()
        .filter_map(|at| memory.text(*at))
        .map(|text| text.split('=').next().unwrap_or_default().to_owned())
        .collect();
    let Some((arguments, _)) = pointers_before(before, memory, Ends::Count) else { return };
    draft.command = arguments.iter().filter_map(|at| memory.text(*at)).collect();
}

/// What lies before a list of pointers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ends {
    Zero,
    Count,
}

/// The pointers that end before the zero at `end`: down to another zero, or to their own number.
fn pointers_before(end: u64, memory: &Memory<'_>, ends: Ends) -> Option<(Vec<u64>, u64)> {
    let mut found = Vec::new();
    let mut at = end.checked_sub(8)?;
    for count in 0..MAX_STRINGS {
        let value = memory.word(at)?;
        if value == if ends == Ends::Count { count } else { 0 } {
            found.reverse();
            return Some((found, at));
        }
        found.push(value);
        at = at.checked_sub(8)?;
    }
    None
}
