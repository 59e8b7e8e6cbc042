//! Stacks of a stopped thread, by each module's own unwind tables; frame pointers where there are none.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex, PoisonError};

use assay_binary::{Address, DebugId, Frame, ModuleId};
use framehop::x86_64::{CacheX86_64, UnwindRegsX86_64, UnwinderX86_64};
use framehop::{ExplicitModuleSectionInfo, FrameAddress, Module, Unwinder};
use object::elf::{PF_X, PT_LOAD};
use object::read::elf::ProgramHeader;
use object::{Object, ObjectSection, ObjectSymbol};

use super::ModuleFile;
use super::modules::{is_file, mappings};
use crate::capsule::MAX_FILE_BYTES;
use crate::report::{INNER_FRAMES, OUTER_FRAMES};
use crate::sys::memory;
use crate::sys::ptrace::Registers;

/// Most frames walked of one stack.
const MAX_WALK: u64 = 2_000_000;
/// Stack memory is read in pieces of this size.
const WINDOW: usize = 16 * 1024;
/// Most functions kept of one module.
const MAX_SYMBOLS: usize = 1_000_000;

/// What unwinding and naming need of one file.
pub(crate) struct Image {
    pub id: ModuleId,
    pub entry: u64,
    /// Offset in the file, address and size of each executable segment: only these are asked for, and a
    /// page of the file may belong to a segment before as well.
    segments: Vec<(u64, u64, u64)>,
    text: Option<(u64, u64)>,
    eh_frame: Option<(u64, Arc<[u8]>)>,
    eh_frame_header: Option<(u64, Arc<[u8]>)>,
    /// (address, size, name), sorted.
    symbols: Vec<(u64, u64, String)>,
}

impl Image {
    /// Reads a file; whatever it lacks is left out.
    pub(crate) fn read(path: &str, data: &[u8]) -> Self {
        let mut image = Self {
            id: ModuleId { path: path.to_owned(), debug_id: None },
            entry: 0,
            segments: Vec::new(),
            text: None,
            eh_frame: None,
            eh_frame_header: None,
            symbols: Vec::new(),
        };
        let Ok(file) = object::read::elf::ElfFile64::<object::Endianness>::parse(data) else { return image };
        image.id.debug_id = file.build_id().ok().flatten().map(hex_id);
        image.entry = file.entry();
        let endian = file.endian();
        image.segments = file
            .elf_program_headers()
            .iter()
            .filter(|header| header.p_type(endian) == PT_LOAD && header.p_flags(endian) & PF_X == PF_X)
            .map(|header| (header.p_offset(endian), header.p_vaddr(endian), header.p_filesz(endian)))
            .collect();
        let section = |name: &str| file.section_by_name(name);
        let bytes = |name: &str| {
            let section = section(name)?;
            Some((section.address(), Arc::from(section.data().ok()?)))
        };
        image.text = section(".text").map(|text| (text.address(), text.size()));
        image.eh_frame = bytes(".eh_frame");
        image.eh_frame_header = bytes(".eh_frame_hdr");
        image.symbols = file
            .symbols()
            .chain(file.dynamic_symbols())
            .filter(|symbol| symbol.kind() == object::SymbolKind::Text && symbol.address() != 0)
            .filter_map(|symbol| Some((symbol.address(), symbol.size(), symbol.name().ok()?.to_owned())))
            .take(MAX_SYMBOLS)
            .collect();
        image.symbols.sort();
        image
    }

    /// The address in the file of a byte at an offset in the file.
    pub(crate) fn address_of(&self, offset: u64) -> Option<u64> {
        let segment = self.segments.iter().find(|(from, _, size)| {
            // Mappings begin at whole pages, a little before the segment's own first byte.
            *from & !0xfff <= offset && offset < from.saturating_add(*size)
        })?;
        Some(segment.1.wrapping_sub(segment.0).wrapping_add(offset))
    }

    fn symbol(&self, address: u64) -> Option<&str> {
        let next = self.symbols.partition_point(|(start, _, _)| *start <= address);
        let mut best = None;
        for (start, size, name) in self.symbols[..next].iter().rev().take(16) {
            if address < start.saturating_add(*size) {
                return Some(name);
            }
            if *size == 0 && best.is_none() {
                best = Some(name.as_str());
            }
        }
        best
    }
}

fn read_bounded(path: std::path::PathBuf) -> Option<Vec<u8>> {
    let mut data = Vec::new();
    File::open(path).ok()?.take(MAX_FILE_BYTES).read_to_end(&mut data).ok()?;
    Some(data)
}

/// The identity of a module, by the few parts of its file that say it.
pub(crate) fn module_id(path: &str, file: Option<std::path::PathBuf>) -> ModuleId {
    let build_id = || {
        let cache = object::ReadCache::new(File::open(file?).ok()?);
        let elf = object::read::elf::ElfFile64::<object::Endianness, _>::parse(&cache).ok()?;
        elf.build_id().ok().flatten().map(hex_id)
    };
    ModuleId { path: path.to_owned(), debug_id: build_id() }
}

fn hex_id(id: &[u8]) -> DebugId {
    DebugId(id.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Images by path, read once.
#[derive(Default)]
pub(crate) struct Modules(BTreeMap<String, Arc<Image>>);

impl Modules {
    pub(crate) fn image(&mut self, path: &str, file: &ModuleFile<'_>) -> Arc<Image> {
        if let Some(image) = self.0.get(path) {
            return Arc::clone(image);
        }
        let image = known_image(path, file(path));
        self.0.insert(path.to_owned(), Arc::clone(&image));
        image
    }
}

/// What tells two states of a file of the host apart: device, inode, size and both of its times.
type FileState = (u64, u64, u64, [i64; 4]);

/// Images of this process's runs, newest last: the same modules are asked for again and again.
static KNOWN: Mutex<VecDeque<(FileState, Arc<Image>)>> = Mutex::new(VecDeque::new());
/// Most images kept.
const MAX_KNOWN: usize = 8;

fn state_of(file: &File) -> Option<FileState> {
    let meta = file.metadata().ok()?;
    let times = [meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec()];
    Some((meta.dev(), meta.ino(), meta.len(), times))
}

/// The image of the file that a path inside stands for.
fn known_image(path: &str, host: Option<std::path::PathBuf>) -> Arc<Image> {
    let state = host.as_ref().and_then(|host| state_of(&File::open(host).ok()?));
    let is_it = |(known, image): &&(FileState, Arc<Image>)| Some(*known) == state && image.id.path == path;
    let known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner).iter().find(is_it).cloned();
    if let Some((_, image)) = known {
        return image;
    }
    let image = Arc::new(Image::read(path, &host.and_then(read_bounded).unwrap_or_default()));
    if let Some(state) = state {
        let mut all = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() == MAX_KNOWN {
            all.pop_front();
        }
        all.push_back((state, Arc::clone(&image)));
    }
    image
}

/// A module where it is mapped.
struct Loaded {
    start: u64,
    end: u64,
    bias: u64,
    image: Arc<Image>,
}

/// All modules of a process where they are mapped.
pub(crate) struct Space {
    modules: Vec<Loaded>,
    /// The clock's code: not the program's own, and it keeps its return address on top of the stack.
    clock: Option<std::ops::Range<u64>>,
}

impl Space {
    pub(crate) fn of(tid: i32, modules: &mut Modules, file: &ModuleFile<'_>) -> Self {
        let mut loaded: Vec<Loaded> = Vec::new();
        let all = mappings(tid);
        for mapping in all.iter().filter(|m| m.executable && is_file(&m.path)) {
            let image = modules.image(&mapping.path, file);
            let Some(address) = image.address_of(mapping.offset) else { continue };
            let bias = mapping.start.wrapping_sub(address);
            let same = |m: &&super::modules::Mapping| m.path == mapping.path;
            let start = all.iter().filter(same).map(|m| m.start).min().unwrap_or(mapping.start);
            let end = all.iter().filter(same).map(|m| m.end).max().unwrap_or(mapping.end);
            match loaded.iter_mut().find(|l| l.image.id.path == mapping.path && l.bias == bias) {
                Some(known) => known.end = known.end.max(mapping.end),
                None => loaded.push(Loaded { start, end, bias, image }),
            }
        }
        let clock = all.iter().find(|m| m.path == "[vdso]").map(|m| m.start..m.end);
        Self { modules: loaded, clock }
    }

    /// The frame at an address; return addresses are looked up one byte earlier.
    pub(crate) fn frame(&self, address: u64, lookup: u64) -> Frame {
        let found = self.modules.iter().find(|l| l.start <= lookup && lookup < l.end);
        match found {
            None => Frame { module: None, offset: Address(address), symbol: None },
            Some(l) => Frame {
                module: Some(l.image.id.clone()),
                offset: Address(address.wrapping_sub(l.bias)),
                symbol: l.image.symbol(lookup.wrapping_sub(l.bias)).map(str::to_owned),
            },
        }
    }

    /// The stack, both ends kept, and how many frames lie between them.
    pub(crate) fn stack(&self, tid: i32, registers: &Registers) -> (Vec<Frame>, u64) {
        let mut unwinder: UnwinderX86_64<Arc<[u8]>> = UnwinderX86_64::new();
        for loaded in &self.modules {
            unwinder.add_module(loaded.module());
        }
        let mut cache = CacheX86_64::<_>::new();
        let mut stack = StackReader { tid, from: 0, bytes: Vec::new() };
        let mut regs = UnwindRegsX86_64::new(registers.rip, registers.rsp, registers.rbp);
        let mut next = Some(FrameAddress::from_instruction_pointer(registers.rip));
        if self.clock.as_ref().is_some_and(|clock| clock.contains(&registers.rip))
            && let Some(caller) = stack.word(registers.rsp)
        {
            regs = UnwindRegsX86_64::new(caller, registers.rsp.wrapping_add(8), registers.rbp);
            next = FrameAddress::from_return_address(caller);
        }
        let (mut inner, mut outer, mut omitted) = (Vec::new(), VecDeque::new(), 0u64);
        let mut ordinary = HashSet::new();
        for _ in 0..MAX_WALK {
            let Some(frame) = next else { break };
            if inner.len() < INNER_FRAMES {
                inner.push(frame);
            } else {
                outer.push_back(frame);
                if outer.len() > OUTER_FRAMES {
                    outer.pop_front();
                    omitted += 1;
                }
            }
            let before = match ordinary.contains(&frame.address()) {
                true => None,
                false => interrupted(tid, frame, &regs),
            };
            next = match before {
                Some(before) => {
                    regs = before;
                    Some(FrameAddress::from_instruction_pointer(regs.ip()))
                }
                None => {
                    ordinary.insert(frame.address());
                    let mut read = |address: u64| stack.word(address).ok_or(());
                    let caller = unwinder.unwind_frame(frame, &mut regs, &mut cache, &mut read);
                    caller.ok().flatten().and_then(FrameAddress::from_return_address)
                }
            };
        }
        if inner.len() == 1
            && self.frame(registers.rip, registers.rip).module.is_none()
            && let Some(caller) =
                FrameAddress::from_return_address(memory::read_u64(tid, registers.rsp).unwrap_or(0))
        {
            // A call to nowhere: what called is on top of the stack.
            inner.push(caller);
        }
        let name = |frame: FrameAddress| self.frame(frame.address(), frame.address_for_lookup());
        (inner.into_iter().chain(outer).map(name).collect(), omitted)
    }
}

/// The registers that a signal interrupted, where a frame is the C library's return from a handler: its
/// unwind rule is an expression over the saved context, which lies at the stack pointer.
fn interrupted(tid: i32, frame: FrameAddress, regs: &UnwindRegsX86_64) -> Option<UnwindRegsX86_64> {
    /// `mov $15, %rax; syscall`, as the kernel's interface has it.
    const SIGRETURN: [u8; 9] = [0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05];
    const SAVED_RBP: u64 = 120;
    const SAVED_RSP: u64 = 160;
    const SAVED_RIP: u64 = 168;
    if !frame.is_return_address() {
        return None;
    }
    let mut code = [0; SIGRETURN.len()];
    memory::read(tid, frame.address(), &mut code).ok()?;
    let word = |offset| memory::read_u64(tid, regs.sp().wrapping_add(offset)).ok();
    if code != SIGRETURN {
        return None;
    }
    Some(UnwindRegsX86_64::new(word(SAVED_RIP)?, word(SAVED_RSP)?, word(SAVED_RBP)?))
}

impl Loaded {
    fn module(&self) -> Module<Arc<[u8]>> {
        let image = &self.image;
        let sections = ExplicitModuleSectionInfo {
            base_svma: self.start.wrapping_sub(self.bias),
            text_svma: image.text.map(|(address, size)| address..address.saturating_add(size)),
            eh_frame_svma: image
                .eh_frame
                .as_ref()
                .map(|(at, data)| *at..at.saturating_add(data.len() as u64)),
            eh_frame: image.eh_frame.as_ref().map(|(_, data)| Arc::clone(data)),
            eh_frame_hdr_svma: image
                .eh_frame_header
                .as_ref()
                .map(|(at, data)| *at..at.saturating_add(data.len() as u64)),
            eh_frame_hdr: image.eh_frame_header.as_ref().map(|(_, data)| Arc::clone(data)),
            ..Default::default()
        };
        Module::new(image.id.path.clone(), self.start..self.end, self.start, sections)
    }
}

/// Words of stack memory, read a window at a time.
struct StackReader {
    tid: i32,
    from: u64,
    bytes: Vec<u8>,
}

impl StackReader {
    fn word(&mut self, address: u64) -> Option<u64> {
        if address < self.from || address + 8 > self.from + self.bytes.len() as u64 {
            let mut window = vec![0; WINDOW];
            let got = memory::read_some(self.tid, address, &mut window).ok()?;
            window.truncate(got);
            (self.from, self.bytes) = (address, window);
        }
        let at = (address - self.from) as usize;
        let word = self.bytes.get(at..at + 8)?;
        Some(u64::from_le_bytes(word.try_into().ok()?))
    }
}
