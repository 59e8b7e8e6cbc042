//! What the loader and other modules see of the two files.

use std::collections::BTreeMap;

use assay_binary::{
    Address, DynamicSymbol, Image, RelocationKind, SectionKind, SymbolBinding, SymbolKind, Tls,
};

use super::Reason;
use super::bindings::Bindings;
use super::simulate::{Simulation, Task};
use crate::program::Program;

const PAGE: u64 = 4096;
const SLOT: u64 = 8;
const EXECUTABLE: u32 = 1;

/// Labels that linkers put at the ends of sections: nothing is at them.
const LINKER_LABELS: [&str; 8] =
    ["__bss_start", "_edata", "edata", "_end", "end", "_etext", "etext", "__data_start"];

/// What must hold of each file for the check to mean anything.
pub(super) fn preconditions(simulation: &mut Simulation<'_, '_>) {
    for (which, program) in [("baseline", simulation.a), ("candidate", simulation.b)] {
        simulation.at(which);
        let image = &program.image;
        if !image.position_independent() {
            simulation.refuse(Reason::PositionDependent, "it is not position-independent");
        }
        if image.section(".symtab").is_none() || program.map.units().is_empty() {
            simulation.refuse(Reason::NoSymbols, "it is stripped");
        }
        if !image.unwind().is_complete() {
            simulation.refuse(Reason::UnwindDiffers, "its unwind table cannot be read");
        }
        if let Some(problem) = super::names::problem(image) {
            simulation.refuse(Reason::ExportsDiffer, problem);
        }
        let relocations = image.relocations();
        if relocations.iter().any(|r| program.is_code(r.address.0) || program.is_code(r.address.0 + SLOT - 1))
        {
            simulation.refuse(Reason::TextRelocations, "the loader writes into its code");
        }
        if relocations.windows(2).any(|pair| pair[0].address.0 + SLOT > pair[1].address.0) {
            simulation.refuse(Reason::RelocationsOverlap, "two relocations share a slot");
        }
        if let Some(bad) = relocations.iter().find(|r| !is_writable(image, r.address.0)) {
            simulation
                .refuse(Reason::RelocationsOverlap, format!("the slot at {} cannot be written", bad.address));
        }
        if let Some(section) = executable_data(program) {
            simulation.refuse(Reason::ExecutableData, format!("`{section}` can be executed"));
        }
    }
}

/// Whether a whole slot lies in memory that the loader may write to.
fn is_writable(image: &Image<'_>, slot: u64) -> bool {
    const WRITABLE: u32 = 2;
    image.segments().iter().any(|segment| {
        let end = segment.address.0.saturating_add(segment.memory_size);
        segment.flags & WRITABLE != 0 && segment.address.0 <= slot && slot.saturating_add(SLOT) <= end
    })
}

fn executable_data(program: &Program<'_>) -> Option<String> {
    let image = &program.image;
    let executable = |address: u64| {
        image.segments().iter().any(|segment| {
            segment.flags & EXECUTABLE != 0
                && (segment.address.0..segment.address.0.saturating_add(segment.memory_size))
                    .contains(&address)
        })
    };
    let loaded = |s: &&assay_binary::Section| {
        !matches!(s.kind, SectionKind::Code | SectionKind::NotLoaded) && s.size > 0
    };
    image.sections().iter().filter(loaded).find(|s| executable(s.address.0)).map(|s| s.name.clone())
}

pub(super) fn compare(simulation: &mut Simulation<'_, '_>) {
    flags(simulation);
    segments(simulation);
    thread_locals(simulation);
    imports_and_exports(simulation);
    initialisers(simulation);
    resolvers(simulation);
}

/// The section at whose start `DT_PLTGOT` points: the loader writes the second and third slot from there.
/// None where there is no such tag; none within where it points elsewhere.
fn stub_table<'i>(image: &'i Image<'_>) -> Option<Option<&'i str>> {
    let address = image.loader().plt_got?.0;
    let section = image.sections().iter().find(|section| {
        section.kind != SectionKind::NotLoaded
            && section.address.0 == address
            && section.name.starts_with(".got")
    });
    Some(section.filter(|section| section.size >= 3 * SLOT).map(|section| section.name.as_str()))
}

fn flags(simulation: &mut Simulation<'_, '_>) {
    simulation.at("the dynamic table");
    let (a, b) = (simulation.a.image.loader(), simulation.b.image.loader());
    let libraries = |l: &assay_binary::Loader| {
        (l.interpreter.clone(), l.needed.clone(), l.soname.clone(), l.rpath.clone(), l.runpath.clone())
    };
    if libraries(a) != libraries(b) {
        simulation
            .refuse(Reason::LibrariesDiffer, format!("needs {:?} where it was {:?}", b.needed, a.needed));
    }
    let flags = |l: &assay_binary::Loader| {
        (
            l.flags,
            l.flags_1,
            l.legacy_flags.clone(),
            l.unknown_tags.clone(),
            l.stack_flags,
            l.properties.clone(),
        )
    };
    let stubs = [&simulation.a.image, &simulation.b.image].map(stub_table);
    if stubs[0] != stubs[1] || stubs.contains(&Some(None)) {
        simulation
            .refuse(Reason::FlagsDiffer, "the table that the loader fills for linkage stubs lies elsewhere");
    }
    if flags(a) != flags(b) {
        simulation.refuse(Reason::FlagsDiffer, "loader flags, stack flags or processor properties");
    }
}

/// The pages of a range, as a system call counts them.
fn pages(address: u64, size: u64) -> u64 {
    (address.saturating_add(size).div_ceil(PAGE)).saturating_sub(address / PAGE)
}

/// Flags, alignment, and where it asks for it the pages in memory and in the file.
type Shape = (u32, u64, Option<[u64; 4]>);

fn shape(image: &Image<'_>, with_pages: bool) -> Vec<Shape> {
    let first = image.segments().first().map_or(0, |segment| segment.address.0 / PAGE);
    let segments = image.segments().iter().map(|segment| {
        let (start, length) = (segment.file.start as u64, segment.file.len() as u64);
        let memory = pages(segment.address.0, segment.memory_size);
        let all = [segment.address.0 / PAGE - first, memory, start / PAGE, pages(start, length)];
        (segment.flags, segment.align, with_pages.then_some(all))
    });
    segments.collect()
}

/// The kernel maps an executable before its first system call, and how many pages the loader seals
/// after relocation is no event of a run (what may be written is compared address by address). A library
/// is mapped by system calls, which show every segment.
fn segments(simulation: &mut Simulation<'_, '_>) {
    simulation.at("the segments");
    let all = |image: &Image<'_>| {
        let library = image.loader().interpreter.is_none();
        let relro = image.loader().relro.is_some();
        (library, relro, shape(image, library))
    };
    if all(&simulation.a.image) != all(&simulation.b.image) {
        simulation.refuse(Reason::SegmentsDiffer, "the loader would map or protect other pages");
    }
}

/// A run that may list the segments sees all of them.
pub(super) fn listed_segments(simulation: &mut Simulation<'_, '_>) {
    simulation.at("the segments");
    if simulation.maps_read && shape(&simulation.a.image, true) != shape(&simulation.b.image, true) {
        simulation.refuse(Reason::SegmentsDiffer, "the run may read /proc/self/maps, which lists them");
    }
}

fn thread_locals(simulation: &mut Simulation<'_, '_>) {
    simulation.at("the thread-local template");
    let shape = |tls: &Tls| (tls.file_size, tls.memory_size, tls.align, tls.address.0 % tls.align.max(1));
    match (&simulation.a.image.loader().tls, &simulation.b.image.loader().tls) {
        (None, None) => {}
        (Some(a), Some(b)) if shape(a) == shape(b) => {
            let (from, to, size) = (a.address.0, b.address.0, a.file_size);
            if size > 0 && simulation.memory.add(from, to, size) {
                simulation.push(Task::Contents(from, to, size));
            }
        }
        _ => simulation.refuse(Reason::TlsDiffers, "its size or alignment differs"),
    }
}

/// The same names, so that nothing binds elsewhere; and what other modules can reach corresponds.
fn imports_and_exports(simulation: &mut Simulation<'_, '_>) {
    simulation.at("the dynamic symbols");
    let (program_a, program_b) = (simulation.a, simulation.b);
    let versions = |program: &Program<'_>| super::names::version_counts(&program.image);
    if program_a.image.imports() != program_b.image.imports() || versions(program_a) != versions(program_b) {
        simulation.refuse(Reason::ImportsDiffer, "the imported names or versions differ");
    }
    let (bindings_a, bindings_b) = (Bindings::of(&program_a.image), Bindings::of(&program_b.image));
    if bindings_a != bindings_b || !bindings_a.is_plain() {
        simulation.refuse(Reason::ImportsDiffer, "a dynamic symbol is bound or seen otherwise");
    }
    let (exports_a, exports_b) = (exports(&program_a.image), exports(&program_b.image));
    if exports_a.keys().ne(exports_b.keys()) {
        return simulation.refuse(Reason::ExportsDiffer, "the exported names, versions or kinds differ");
    }
    // The libraries of an executable call what it exports; those of a library may keep it and compare.
    let executable = program_a.image.loader().interpreter.is_some();
    for ((key, a), b) in exports_a.iter().zip(exports_b.values()) {
        simulation.at(format!("export {}", key.0));
        if a.size != b.size && matches!(a.kind, SymbolKind::Object | SymbolKind::Tls) {
            simulation.refuse(Reason::ExportsDiffer, "its size differs");
        }
        match a.kind {
            SymbolKind::Tls if a.address != b.address => {
                simulation.refuse(Reason::TlsDiffers, "its offset differs")
            }
            SymbolKind::Tls => {}
            SymbolKind::Untyped if LINKER_LABELS.contains(&a.name.as_str()) => {}
            SymbolKind::Function if executable && program_a.is_code(a.address.0) => {
                simulation.code_reference(a.address.0, b.address.0, false);
            }
            _ => simulation.stored_address(a.address.0, b.address.0),
        }
        if a.kind == SymbolKind::IndirectFunction {
            simulation.executes(a.address.0);
        }
    }
}

type ExportKey = (String, Option<String>, SymbolKind, SymbolBinding, u8);

/// The defined dynamic symbols.
fn exports<'i>(image: &'i Image<'_>) -> BTreeMap<ExportKey, &'i DynamicSymbol> {
    let defined = image.dynamic_symbols().iter().filter(|symbol| symbol.defined && !symbol.name.is_empty());
    defined.map(|s| ((s.name.clone(), s.version.clone(), s.kind, s.binding, s.other), s)).collect()
}

fn initialisers(simulation: &mut Simulation<'_, '_>) {
    let (a, b) = (&simulation.a.image, &simulation.b.image);
    simulation.at("the entry");
    root(simulation, nonzero(a.entry()), nonzero(b.entry()));
    simulation.at("DT_INIT");
    root(simulation, a.loader().init, b.loader().init);
    simulation.at("DT_FINI");
    root(simulation, a.loader().fini, b.loader().fini);
    let arrays = [
        ("preinit_array", a.loader().preinit_array, b.loader().preinit_array),
        ("init_array", a.loader().init_array, b.loader().init_array),
        ("fini_array", a.loader().fini_array, b.loader().fini_array),
    ];
    for (name, array_a, array_b) in arrays {
        simulation.at(name);
        array(simulation, array_a, array_b);
    }
}

fn nonzero(address: Address) -> Option<Address> {
    Some(address).filter(|address| address.0 != 0)
}

fn root(simulation: &mut Simulation<'_, '_>, a: Option<Address>, b: Option<Address>) {
    match (a, b) {
        (None, None) => {}
        (Some(a), Some(b)) => simulation.code_reference(a.0, b.0, false),
        _ => simulation.refuse(Reason::InitialisersDiffer, "only one file has it"),
    }
}

/// The slots in order; each must be relocated to functions that correspond. The first function of
/// the array in A must be the first in B: `pair_units` sees to the names.
fn array(simulation: &mut Simulation<'_, '_>, a: Option<(Address, u64)>, b: Option<(Address, u64)>) {
    let ((start_a, size_a), (start_b, size_b)) = match (a, b) {
        (None, None) => return,
        (Some(a), Some(b)) => (a, b),
        _ => return simulation.refuse(Reason::InitialisersDiffer, "only one file has it"),
    };
    if size_a != size_b || size_a % SLOT != 0 {
        return simulation.refuse(Reason::InitialisersDiffer, "the number of functions differs");
    }
    let targets = |image: &Image<'_>, start: Address| {
        let slots = image.relocations_in(start.0, start.0.saturating_add(size_a));
        let relative = slots.iter().filter(|slot| slot.kind == RelocationKind::Relative);
        relative.map(|slot| slot.addend as u64).collect::<Vec<_>>()
    };
    let (in_a, in_b) = (targets(&simulation.a.image, start_a), targets(&simulation.b.image, start_b));
    if in_a.len() as u64 != size_a / SLOT || in_a.len() != in_b.len() {
        return simulation.refuse(Reason::InitialisersDiffer, "a slot holds no function of the file");
    }
    for (x, y) in in_a.into_iter().zip(in_b) {
        if !same_initialiser(simulation, x, y) {
            return simulation.refuse(Reason::InitialisersDiffer, format!("another function at {x:#x}"));
        }
        simulation.code_reference(x, y, false);
    }
}

fn same_initialiser(simulation: &Simulation<'_, '_>, a: u64, b: u64) -> bool {
    let (programs_a, programs_b) = (simulation.a, simulation.b);
    let (Some(x), Some(y)) = (programs_a.map.unit_at(a), programs_b.map.unit_at(b)) else { return false };
    let name = |program: &Program<'_>, unit: usize| {
        crate::program::stable_name(&program.map.units()[unit].name).to_owned()
    };
    name(programs_a, x) == name(programs_b, y)
}

/// The loader calls every resolver, in the order of the relocations.
fn resolvers(simulation: &mut Simulation<'_, '_>) {
    simulation.at("the resolvers of indirect functions");
    let list = |image: &Image<'_>| {
        let resolvers = image.relocations().iter().filter(|r| r.kind == RelocationKind::Irelative);
        resolvers.map(|r| r.addend as u64).collect::<Vec<_>>()
    };
    let (a, b) = (list(&simulation.a.image), list(&simulation.b.image));
    if a.len() != b.len() {
        return simulation.refuse(Reason::InitialisersDiffer, "the number of resolvers differs");
    }
    for (x, y) in a.into_iter().zip(b) {
        simulation.code_reference(x, y, false);
        simulation.executes(x);
    }
}
