//! One module of any format, as a delta reads it: code, data, names, and what slots hold.
//!
//! [`Image`](crate::Image) is the exact view that the runner and the carry-over proof need of an
//! x86-64 ELF file, down to what the loader does. A [`Module`] is the common view of every format and
//! architecture: less of the loader, more of the world. Addresses are the file's own virtual addresses;
//! where a format has none (object files, bytecode) the reader assigns some that do not overlap, the
//! same for the same file.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::image::recognise;
use crate::{Address, BinaryError, DebugId, SectionKind, Toolchain, bytecode, limits, native};

/// The container formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ModuleFormat {
    /// ELF (System V gABI).
    Elf,
    /// Portable Executable, or a COFF object file.
    Pe,
    /// Mach-O; a fat file is one module for each of its slices.
    MachO,
    /// WebAssembly, binary format 1.
    Wasm,
    /// A Java class file (JVMS chapter 4).
    JavaClass,
    /// A .NET assembly (ECMA-335).
    Clr,
}

/// What executes the code.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Architecture {
    /// AMD64, also called x86-64.
    X86_64,
    /// 32-bit x86.
    X86,
    /// AArch64, also called ARM64.
    Aarch64,
    /// The Java virtual machine.
    Jvm,
    /// The Common Intermediate Language.
    Cil,
    /// WebAssembly.
    Wasm,
    /// Read and identified, but its code is not lifted; named as the format names it.
    Other(String),
}

/// A run of memory and what the file says of it.
#[derive(Clone, Debug)]
pub struct Region<'data> {
    /// The section's name.
    pub name: String,
    /// What it holds.
    pub kind: SectionKind,
    /// Whether the program may write to it once it is loaded and relocated.
    pub writable: bool,
    /// Its first address.
    pub address: Address,
    /// Its size in memory, in bytes.
    pub size: u64,
    /// Its bytes in the file; memory beyond them is zero.
    pub bytes: Cow<'data, [u8]>,
}

impl Region<'_> {
    /// The first address past it.
    pub fn end(&self) -> u64 {
        self.address.0.saturating_add(self.size)
    }
}

/// How a function's place became known; the best evidence first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FunctionEvidence {
    /// A symbol with a size.
    Symbol,
    /// A subprogram of DWARF.
    Dwarf,
    /// Go's `pclntab`.
    Pclntab,
    /// An entry of `.pdata`.
    Pdata,
    /// A frame description of `.eh_frame` (or Mach-O's compact unwind).
    EhFrame,
    /// Mach-O's `LC_FUNCTION_STARTS`.
    FunctionStarts,
    /// An export.
    Export,
    /// A symbol without a size.
    UnsizedSymbol,
    /// The file's entry point or an initialiser.
    Entry,
    /// A direct call goes there.
    CallTarget,
    /// A pointer in data leads there, and no function is known to hold it.
    Pointer,
    /// The code before it came to its end and was filled up to a boundary.
    Boundary,
    /// The format itself delimits methods.
    Format,
}

/// A function of machine code: one or more ranges that run as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its names as the file spells them, best first; none in a stripped file.
    pub names: Vec<String>,
    /// Its entry, the start of the first range.
    pub address: Address,
    /// Its code as (start, size): the range of the entry first, split-off parts after it by address.
    pub ranges: Vec<(Address, u64)>,
    /// How its start is known.
    pub evidence: FunctionEvidence,
}

/// A named run of data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataSymbol {
    /// Its name as the file spells it.
    pub name: String,
    /// Its first address.
    pub address: Address,
    /// Its size in bytes.
    pub size: u64,
}

/// What another module provides.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModuleImport {
    /// Its name (`#12` for an ordinal).
    pub name: String,
    /// Its version, where the format has one.
    pub version: Option<String>,
    /// Who provides it (a library's file name, a Wasm module), where the file says so.
    pub provider: Option<String>,
}

/// What a slot refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SlotTarget {
    /// An address of this module, addend included.
    Address(u64),
    /// Something another module provides, plus an addend.
    Import(Box<ModuleImport>, i64),
    /// The same for a thread-local, a size or another relation that is no plain address; said in words.
    Other(Box<str>),
}

/// Bytes that are not what the file holds there but what a linker or loader puts there. A slot may lie
/// in data (a pointer) or, in object files and position-dependent code, inside an instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Where it lies.
    pub address: Address,
    /// Its width in bytes.
    pub width: u8,
    /// What it refers to.
    pub target: SlotTarget,
}

/// One operand of a bytecode instruction, with the constant pool already looked through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BytecodeOperand {
    /// A number: a local's index, an immediate, a count; floating point by its bits.
    Number(i64),
    /// A string constant's bytes.
    Text(Vec<u8>),
    /// A type, field, method or import by its full name and signature.
    Member(String),
    /// A method of this very module by its number in [`Module::methods`].
    Method(u32),
    /// An instruction of the same method, by its number.
    Here(u32),
}

/// One instruction of bytecode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BytecodeInstruction {
    /// The operation as its specification spells it (`invokevirtual`, `callvirt`, `i32.add`).
    pub operation: &'static str,
    /// Its operands in order; a switch has its cases as numbers and targets in turn.
    pub operands: Vec<BytecodeOperand>,
    /// Where it stands, in bytes from the start of the method's code.
    pub offset: u32,
}

/// One method of bytecode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Method {
    /// Full name with signature; a stripped Wasm function is `func[N]`.
    pub name: String,
    /// Whether the name is the file's own and not made from a number.
    pub named: bool,
    /// Where its code lies in the file.
    pub address: Address,
    /// The size of its code in bytes.
    pub size: u64,
    /// Its instructions in order.
    pub instructions: Vec<BytecodeInstruction>,
    /// Exception handlers and other facts that are part of its meaning, in words, in order; targets as
    /// instruction numbers.
    pub facts: Vec<String>,
}

/// One module as read; it borrows the file's bytes.
#[derive(Clone, Debug)]
pub struct Module<'data> {
    /// The container format.
    pub format: ModuleFormat,
    /// What executes its code.
    pub architecture: Architecture,
    /// What is special about it (`relocatable`, `ReadyToRun`, `dylib`, `driver`), for people.
    pub variant: Option<String>,
    /// The build's own identity: GNU build id, PDB GUID and age, `LC_UUID`, MVID, `build_id` section.
    pub debug_id: Option<DebugId>,
    /// The toolchains that took part, the main part's compiler first.
    pub toolchains: Vec<Toolchain>,
    /// Memory by address.
    pub regions: Vec<Region<'data>>,
    /// Functions of machine code by address.
    pub functions: Vec<Function>,
    /// Named data by address.
    pub objects: Vec<DataSymbol>,
    /// Slots by address.
    pub slots: Vec<Slot>,
    /// Linkage stubs (PLT entries, Mach-O stubs, PE import thunks) by address: start, size, what they
    /// jump to.
    pub stubs: Vec<(Address, u64, ModuleImport)>,
    /// Methods of bytecode in the file's order.
    pub methods: Vec<Method>,
    /// Executable bytes in no function and no stub that are not padding, as (start, size).
    pub gaps: Vec<(Address, u64)>,
    /// Code that two functions claim, as (start, size).
    pub overlaps: Vec<(Address, u64)>,
    /// Bytes between functions that only fill.
    pub padding: u64,
    /// What could not be read and was left out.
    pub warnings: Vec<String>,
}

impl<'data> Module<'data> {
    /// Reads one module.
    ///
    /// # Errors
    /// [`BinaryError`]: an unknown format, a container of several modules, a contradiction that leaves
    /// nothing to read, or a count past its bound. Smaller damage is a warning.
    pub fn parse(data: &'data [u8]) -> Result<Self, BinaryError> {
        BinaryError::bound("file size", data.len(), limits::MAX_FILE_BYTES)?;
        match recognise(data) {
            Some("ELF") => native::elf::read(data),
            Some("PE") => native::pe::read(data),
            Some("Mach-O") => native::macho::read(data),
            Some("a Java class") => bytecode::java::read(data),
            Some("Wasm") => bytecode::wasm::read(data),
            None if native::pe::is_object(data) => native::pe::read_object(data),
            Some(format) => Err(BinaryError::UnsupportedFormat { format }),
            None => Err(BinaryError::UnknownFormat),
        }
    }

    /// The bytes of each module of a file: the file itself, but for the slices of a universal Mach-O.
    ///
    /// # Errors
    /// [`BinaryError`] where the table of slices is damaged.
    pub fn slices(data: &'data [u8]) -> Result<Vec<&'data [u8]>, BinaryError> {
        match recognise(data) {
            Some("a universal Mach-O") => native::macho::slices(data),
            _ => Ok(vec![data]),
        }
    }

    /// Reads all modules of a file: one, but for the slices of a universal Mach-O.
    ///
    /// # Errors
    /// As [`Module::parse`], for the first module that cannot be read.
    pub fn parse_all(data: &'data [u8]) -> Result<Vec<Self>, BinaryError> {
        Self::slices(data)?.into_iter().map(Self::parse).collect()
    }

    /// The region that holds `address`.
    pub fn region_at(&self, address: u64) -> Option<&Region<'data>> {
        let after = self.regions.partition_point(|region| region.address.0 <= address);
        self.regions.get(after.checked_sub(1)?).filter(|region| address < region.end())
    }

    /// `length` bytes at `address`, where the file has them all.
    pub fn bytes(&self, address: u64, length: u64) -> Option<&[u8]> {
        let region = self.region_at(address)?;
        let from = usize::try_from(address - region.address.0).ok()?;
        region.bytes.get(from..from.checked_add(usize::try_from(length).ok()?)?)
    }

    /// The slots that start in `start..end`.
    pub fn slots_in(&self, start: u64, end: u64) -> &[Slot] {
        let from = self.slots.partition_point(|slot| slot.address.0 < start);
        let rest = &self.slots[from..];
        match rest.first() {
            Some(slot) if slot.address.0 < end => &rest[..rest.partition_point(|slot| slot.address.0 < end)],
            _ => &[],
        }
    }

    /// The slot that starts at `address`.
    pub fn slot_at(&self, address: u64) -> Option<&Slot> {
        let from = self.slots.partition_point(|slot| slot.address.0 < address);
        self.slots.get(from).filter(|slot| slot.address.0 == address)
    }

    /// The stub that holds `address`.
    pub fn stub_at(&self, address: u64) -> Option<&ModuleImport> {
        let after = self.stubs.partition_point(|(start, ..)| start.0 <= address);
        let (start, size, import) = self.stubs.get(after.checked_sub(1)?)?;
        (address - start.0 < *size).then_some(import)
    }
}
