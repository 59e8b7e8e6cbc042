//! Where code begins and ends, before parts are united.

use std::borrow::Cow;

use iced_x86::{Code, Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};

use super::{CodeRange, Entry, Unit, UnitKind};
use crate::{Address, Image, Section, SectionKind, SymbolBinding, SymbolKind};

/// One contiguous range with the entries in it.
pub(super) struct Span {
    pub range: CodeRange,
    pub entries: Vec<Entry>,
}

struct Seed<'a> {
    address: u64,
    size: u64,
    name: Cow<'a, str>,
    binding: SymbolBinding,
}

/// Most names kept for one address.
const MAX_ALIASES: usize = 256;

/// Sections that hold linkage stubs and no functions.
fn is_stub_section(section: &Section) -> bool {
    matches!(section.name.as_str(), ".plt" | ".plt.sec" | ".plt.got" | ".iplt")
}

pub(super) fn spans(image: &Image<'_>) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut sections: Vec<_> =
        image.sections().iter().filter(|s| s.kind == SectionKind::Code && s.size > 0).collect();
    sections.sort_by_key(|section| section.address);
    let seeds = seeds(image);
    for section in sections.into_iter().filter(|section| !is_stub_section(section)) {
        let from = seeds.partition_point(|seed| seed.address < section.address.0);
        let to = seeds.partition_point(|seed| seed.address < section.end());
        section_spans(image, section, &seeds[from..to], &mut spans);
    }
    spans
}

fn seeds<'a>(image: &'a Image<'_>) -> Vec<Seed<'a>> {
    let is_code = |kind, size| match kind {
        SymbolKind::Function | SymbolKind::IndirectFunction => true,
        SymbolKind::Untyped => size > 0,
        _ => false,
    };
    let symbols = image.symbols().iter().filter(|symbol| is_code(symbol.kind, symbol.size));
    let mut seeds: Vec<Seed<'a>> = symbols
        .map(|symbol| Seed {
            address: symbol.address.0,
            size: symbol.size,
            name: Cow::Borrowed(&symbol.name),
            binding: symbol.binding,
        })
        .collect();
    let loader = image.loader();
    let known = [(Some(image.entry()), "_start"), (loader.init, "_init"), (loader.fini, "_fini")];
    for (address, name) in known.into_iter().filter_map(|(address, name)| Some((address?.0, name))) {
        if address != 0 && !seeds.iter().any(|seed| seed.address == address) {
            seeds.push(Seed { address, size: 0, name: Cow::Borrowed(name), binding: SymbolBinding::Local });
        }
    }
    seeds.sort_by(|a, b| (a.address, a.binding, &a.name).cmp(&(b.address, b.binding, &b.name)));
    if image.section(".symtab").is_none() {
        add_frames(image, &mut seeds);
    }
    seeds
}

/// A stripped file has no names for most of its functions, but frame descriptions of all that an unwinder
/// may meet: they become functions named by their address, unless a known one holds their start. A signal
/// trampoline's description starts before its code, which so stays a gap.
fn add_frames(image: &Image<'_>, seeds: &mut Vec<Seed<'_>>) {
    let mut found = Vec::new();
    let mut known_end = 0;
    let mut known = seeds.iter_mut().peekable();
    for fde in image.unwind().fdes().iter().filter(|fde| fde.range.start < fde.range.end && !fde.signal_frame)
    {
        let (start, size) = (fde.range.start.0, fde.range.size());
        while let Some(seed) = known.next_if(|seed| seed.address <= start) {
            if seed.address == start && seed.size == 0 {
                seed.size = size;
            }
            known_end = known_end.max(seed.address.saturating_add(seed.size.max(1)));
        }
        if start >= known_end {
            let name = Cow::Owned(format!("sub_{start:x}"));
            found.push(Seed { address: start, size, name, binding: SymbolBinding::Local });
        }
    }
    seeds.extend(found);
    seeds.sort_by_key(|seed| seed.address);
}

fn section_spans(image: &Image<'_>, section: &Section, seeds: &[Seed<'_>], spans: &mut Vec<Span>) {
    let mut open: Option<(Span, bool)> = None;
    let close = |open: Option<(Span, bool)>, limit: u64, spans: &mut Vec<Span>| {
        let Some((mut span, sized)) = open else { return };
        if !sized {
            span.range.end = Address(without_padding(image, span.range.start.0, limit));
        }
        if span.range.start < span.range.end {
            spans.push(span);
        }
    };
    for seed in seeds {
        let end = seed.address.saturating_add(seed.size).min(section.end());
        match &mut open {
            Some((span, sized)) if seed.address < span.range.end.0 || span.range.start.0 == seed.address => {
                span.range.end.0 = span.range.end.0.max(end);
                *sized |= seed.size > 0;
                add_entry(span, seed);
            }
            _ => {
                close(open.take(), seed.address, spans);
                let range = CodeRange { start: Address(seed.address), end: Address(end) };
                let mut span = Span { range, entries: Vec::new() };
                add_entry(&mut span, seed);
                open = Some((span, seed.size > 0));
            }
        }
    }
    close(open, section.end(), spans);
}

fn add_entry(span: &mut Span, seed: &Seed<'_>) {
    let name = seed.name.clone().into_owned();
    match span.entries.last_mut().filter(|entry| entry.address.0 == seed.address) {
        Some(entry) if entry.names.last() == Some(&name) || entry.names.len() >= MAX_ALIASES => {}
        Some(entry) => entry.names.push(name),
        None => span.entries.push(Entry { address: Address(seed.address), names: vec![name] }),
    }
}

/// The end of the last instruction in `start..limit` that is not padding.
fn without_padding(image: &Image<'_>, start: u64, limit: u64) -> u64 {
    let bytes = image.bytes(start, (limit - start) as usize).unwrap_or_default();
    let mut end = start;
    for instruction in Decoder::with_ip(64, bytes, start, DecoderOptions::NONE).iter() {
        let padding = matches!(instruction.mnemonic(), Mnemonic::Nop | Mnemonic::Int3);
        if !padding && instruction.code() != Code::INVALID {
            end = instruction.next_ip();
        }
    }
    end
}

/// The size of one linkage stub; `.plt.got` of older linkers has eight bytes.
const STUB_BYTES: u64 = 16;
const SHORT_STUB_BYTES: u64 = 8;

pub(super) fn stubs(image: &Image<'_>) -> Vec<Unit> {
    let mut units = Vec::new();
    for section in image.sections().iter().filter(|s| s.kind == SectionKind::Code && is_stub_section(s)) {
        let short = section.entry_size == SHORT_STUB_BYTES;
        let step = if short { SHORT_STUB_BYTES } else { STUB_BYTES };
        let mut at = section.address.0;
        while at + step <= section.end() {
            units.push(stub(image, at, step));
            at += step;
        }
    }
    units
}

fn stub(image: &Image<'_>, at: u64, size: u64) -> Unit {
    let bytes = image.bytes(at, size as usize).unwrap_or_default();
    let kind = stub_kind(Decoder::with_ip(64, bytes, at, DecoderOptions::NONE));
    let relocation = match kind {
        UnitKind::Stub { slot } => image.relocation_at(slot.0),
        _ => None,
    };
    let name = relocation.map_or_else(|| "@plt".to_owned(), |relocation| stub_name(image, relocation));
    Unit {
        name: name.clone(),
        entry: Address(at),
        entries: vec![Entry { address: Address(at), names: vec![name] }],
        ranges: vec![CodeRange { start: Address(at), end: Address(at + size) }],
        kind,
    }
}

/// Knows the forms that linkers write: `jmp *slot` (then `push n; jmp header` where binding is
/// lazy), `push n; jmp header` alone, and the header `push *got; jmp *got`. What has another form
/// is code like any other.
fn stub_kind(decoder: Decoder<'_>) -> UnitKind {
    let is_filler =
        |i: &Instruction| matches!(i.mnemonic(), Mnemonic::Nop | Mnemonic::Endbr64 | Mnemonic::Int3);
    let list: Vec<Instruction> = decoder.into_iter().filter(|i| !is_filler(i)).collect();
    let through_slot = |i: &Instruction, mnemonic: Mnemonic| {
        i.mnemonic() == mnemonic && i.op0_kind() == OpKind::Memory && i.memory_base() == Register::RIP
    };
    let is_lazy = |rest: &[Instruction]| match rest {
        [push, jump] => {
            let number = push.mnemonic() == Mnemonic::Push && push.op0_kind() != OpKind::Memory;
            number && jump.mnemonic() == Mnemonic::Jmp && jump.op0_kind() == OpKind::NearBranch64
        }
        _ => false,
    };
    match list.as_slice() {
        [jump, rest @ ..] if through_slot(jump, Mnemonic::Jmp) && (rest.is_empty() || is_lazy(rest)) => {
            UnitKind::Stub { slot: Address(jump.ip_rel_memory_address()) }
        }
        [push, jump] if through_slot(push, Mnemonic::Push) && through_slot(jump, Mnemonic::Jmp) => {
            UnitKind::StubHeader
        }
        rest if is_lazy(rest) => UnitKind::StubHeader,
        _ => UnitKind::Function,
    }
}

fn stub_name(image: &Image<'_>, relocation: &crate::Relocation) -> String {
    let symbol =
        image.dynamic_symbols().get(relocation.symbol as usize).filter(|symbol| !symbol.name.is_empty());
    match symbol {
        Some(symbol) => format!("{}@plt", symbol.name),
        None => match image.symbol_at(Address(relocation.addend as u64)) {
            Some((name, 0)) => format!("{name}@plt"),
            _ => "@plt".to_owned(),
        },
    }
}
