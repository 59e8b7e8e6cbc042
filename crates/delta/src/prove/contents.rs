//! Reached memory: whether what is there is the same.

use assay_binary::{DynamicSymbol, Image, Relocation, RelocationKind};

use super::Reason;
use super::reach::{SLOT, Use};
use super::simulate::Simulation;
use crate::tables::word;

/// Imports that tell a program how its own image is laid out. `dlsym` is not among them: exports
/// correspond one to one, so what it finds corresponds; nor is what unwinding calls, since frame
/// descriptions and exception tables of executed functions are equal.
const TELLS_OF_IMAGE: [&str; 13] = [
    "_Unwind_Backtrace",
    "_Unwind_FindEnclosingFunction",
    "_dl_find_object",
    "backtrace",
    "backtrace_symbols",
    "backtrace_symbols_fd",
    "dl_iterate_phdr",
    "dladdr",
    "dladdr1",
    "dlinfo",
    "_r_debug",
    "unw_backtrace",
    "_ULx86_64_step",
];

/// Imports that read `/proc/self/maps`, which lists the segments of the image.
const READS_MAPS: [&str; 1] = ["pthread_getattr_np"];
/// A text of that path; a program that reaches one is taken to read it.
const OWN_PROCESS: &[u8] = b"/proc/self/";

/// Compares a relative lookup table: 32-bit distances from its own start, each to a constant.
pub(super) fn compare_distances(simulation: &mut Simulation<'_, '_>, a: u64, b: u64, length: u64) {
    simulation.at(format!("the relative table at {a:#x}"));
    for at in (0..length).step_by(4) {
        let words = (word(&simulation.a.image, a + at), word(&simulation.b.image, b + at));
        let (Some(x), Some(y)) = words else {
            return simulation.refuse(Reason::DataDiffers, "it is cut off");
        };
        let targets = (a.wrapping_add_signed(x), b.wrapping_add_signed(y));
        if simulation.a.pieces.at(targets.0).is_none() {
            return simulation.refuse(Reason::UnmodelledData, "a distance leads to no constant");
        }
        simulation.data_reference(targets.0, targets.1, Use::Stored);
    }
}

/// Compares memory: bytes between slots, and slots by what the loader puts there.
pub(super) fn compare(simulation: &mut Simulation<'_, '_>, a: u64, b: u64, length: u64) {
    let (image_a, image_b) = (&simulation.a.image, &simulation.b.image);
    simulation.at(match simulation.a.image.symbol_at(assay_binary::Address(a)) {
        Some((name, offset)) => format!("data at {a:#x} ({name}+{offset:#x})"),
        None => format!("data at {a:#x}"),
    });
    let slots = |image: &Image<'_>, start: u64| {
        image.relocations_in(start.saturating_sub(SLOT - 1), start.saturating_add(length)).to_vec()
    };
    let (slots_a, slots_b) = (slots(image_a, a), slots(image_b, b));
    let outside = |r: &Relocation, start: u64| {
        r.kind != RelocationKind::Copy && (r.address.0 < start || r.address.0 + SLOT > start + length)
    };
    if slots_a.iter().any(|r| outside(r, a)) || slots_b.iter().any(|r| outside(r, b)) {
        return simulation.refuse(Reason::RelocationsOverlap, "a slot cuts the edge");
    }
    let offsets =
        |slots: &[Relocation], start: u64| slots.iter().map(|r| r.address.0 - start).collect::<Vec<_>>();
    let places = offsets(&slots_a, a);
    if places != offsets(&slots_b, b) {
        return simulation.refuse(Reason::DataDiffers, "slots stand elsewhere");
    }
    if !simulation.step(length / SLOT + 1) {
        return;
    }
    let mut at = 0;
    for place in places.iter().copied().chain([length]) {
        if place < at {
            at = at.max(place + SLOT);
            continue;
        }
        let text = simulation.a.image.bytes(a + at, (place - at) as usize).unwrap_or_default();
        simulation.maps_read |= text.windows(OWN_PROCESS.len()).any(|window| window == OWN_PROCESS);
        if let Some(offset) = first_difference(simulation, a + at, b + at, place - at) {
            return simulation.refuse(Reason::DataDiffers, format!("the byte at {:#x}", a + at + offset));
        }
        at = place + SLOT;
    }
    for (slot_a, slot_b) in slots_a.iter().zip(&slots_b) {
        compare_slot(simulation, slot_a, slot_b);
    }
}

fn first_difference(simulation: &Simulation<'_, '_>, a: u64, b: u64, length: u64) -> Option<u64> {
    let (image_a, image_b) = (&simulation.a.image, &simulation.b.image);
    match (image_a.bytes(a, length as usize), image_b.bytes(b, length as usize)) {
        (Some(x), Some(y)) => x.iter().zip(y).position(|(x, y)| x != y).map(|at| at as u64),
        (None, None) if image_a.is_zeroed(a, length) && image_b.is_zeroed(b, length) => None,
        _ if length == 0 => None,
        _ => Some(0),
    }
}

fn compare_slot(simulation: &mut Simulation<'_, '_>, a: &Relocation, b: &Relocation) {
    if a.kind != b.kind {
        return simulation
            .refuse(Reason::DataDiffers, format!("the slot at {} is relocated otherwise", a.address));
    }
    let (programs_a, programs_b) = (simulation.a, simulation.b);
    let symbol_a = programs_a.image.dynamic_symbols().get(a.symbol as usize).filter(|_| a.symbol != 0);
    let symbol_b = programs_b.image.dynamic_symbols().get(b.symbol as usize).filter(|_| b.symbol != 0);
    match (a.kind, symbol_a, symbol_b) {
        (RelocationKind::Relative, ..) if is_virtual(&programs_a.image, a) => {
            simulation.code_reference(a.addend as u64, b.addend as u64, false);
        }
        (RelocationKind::Relative, ..) => simulation.stored_address(a.addend as u64, b.addend as u64),
        (RelocationKind::Irelative, ..) => simulation.code_reference(a.addend as u64, b.addend as u64, true),
        (RelocationKind::Other(kind), ..) => {
            simulation.refuse(Reason::UnmodelledRelocation, format!("kind {kind} at {}", a.address));
        }
        (RelocationKind::TlsDesc, ..) => {
            simulation.refuse(Reason::UnmodelledRelocation, format!("TLS descriptor at {}", a.address))
        }
        (_, Some(x), Some(y)) => compare_symbols(simulation, a, b, x, y),
        (_, None, None) if a.addend == b.addend => {}
        _ => simulation.refuse(Reason::ReferenceDiffers, format!("the slot at {}", a.address)),
    }
}

/// Whether the slot is one for a virtual function: what it holds is called and never looked at.
fn is_virtual(image: &Image<'_>, slot: &Relocation) -> bool {
    let code =
        image.section_at(slot.addend as u64).is_some_and(|s| s.kind == assay_binary::SectionKind::Code);
    code && image.symbol_at(slot.address).is_some_and(|(name, _)| name.starts_with("_ZTV"))
}

fn compare_symbols(
    simulation: &mut Simulation<'_, '_>,
    a: &Relocation,
    b: &Relocation,
    x: &DynamicSymbol,
    y: &DynamicSymbol,
) {
    let identity = |s: &DynamicSymbol| {
        (s.name.clone(), s.version.clone(), s.library.clone(), s.kind, s.binding, s.defined)
    };
    if identity(x) != identity(y) || a.addend != b.addend {
        let detail = format!("the slot at {} is `{}` and was `{}`", a.address, y.name, x.name);
        return simulation.refuse(Reason::ReferenceDiffers, detail);
    }
    if !x.defined && TELLS_OF_IMAGE.contains(&x.name.as_str()) && !simulation.one_file {
        return simulation.refuse(Reason::OwnImageMayBeObserved, format!("`{}` is called", x.name));
    }
    simulation.maps_read |= !x.defined && READS_MAPS.contains(&x.name.as_str());
    let is_address =
        matches!(a.kind, RelocationKind::Absolute64 | RelocationKind::GlobDat | RelocationKind::JumpSlot);
    if x.defined && is_address {
        let address = |s: &DynamicSymbol| s.address.0.wrapping_add_signed(a.addend);
        simulation.stored_address(address(x), address(y));
    }
}

impl Simulation<'_, '_> {
    /// An address that a slot holds.
    pub fn stored_address(&mut self, a: u64, b: u64) {
        match (self.a.is_code(a), self.b.is_code(b)) {
            (true, true) => self.code_reference(a, b, true),
            (false, false) => self.data_reference(a, b, Use::Stored),
            _ => self.refuse(Reason::ReferenceDiffers, format!("{a:#x} and {b:#x} are not of one kind")),
        }
    }
}
