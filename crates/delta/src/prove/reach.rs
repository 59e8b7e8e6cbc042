//! Where an address leads: to which pieces, and which of their neighbours it may mean instead.

use assay_binary::{Image, Relocation, RelocationKind, Section};

use super::Reason;
use super::simulate::{Simulation, Task};
use crate::anonymous::{is_tail, text_at};
use crate::limits::{MAX_RELATIVE_ENTRIES, REACH_BYTES};
use crate::pieces::{Piece, PieceKind};
use crate::tables::word;

pub(super) const SLOT: u64 = 8;
/// `__tls_get_addr` is given two slots: module and offset.
const TLS_PAIR: u64 = 16;

/// Why an address was found.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// Code forms it: it may be a biased base.
    Formed,
    /// Code forms it and uses it as a base only: it may be biased, and is never compared.
    Base,
    /// Code forms it and passes it on as it is: it is of its object.
    Passed,
    /// As `Passed`, to a function that keeps and compares no addresses.
    Shown,
    /// A slot holds it: it is of its object or its end.
    Stored,
}

impl Simulation<'_, '_> {
    /// The slot of a stub or of the GOT.
    pub fn slot(&mut self, a: u64, b: u64) {
        self.access(a, b, SLOT);
    }

    /// Exactly `size` bytes are read or written.
    pub fn access(&mut self, a: u64, b: u64, size: u64) {
        let (Some(section_a), Some(section_b)) = (self.a.image.section_at(a), self.b.image.section_at(b))
        else {
            return self.refuse(Reason::UnresolvedReference, format!("no memory at {a:#x} or {b:#x}"));
        };
        if !alike(section_a, section_b) || !self.protected_alike(a, b) {
            return self.refuse(
                Reason::DataDiffers,
                format!("{a:#x} is in {}, {b:#x} in {}", section_a.name, section_b.name),
            );
        }
        // A slot that is read in part is compared as a whole.
        let touched = self.a.image.relocations_in(a.saturating_sub(SLOT - 1), a.saturating_add(size));
        let start = touched.first().map_or(a, |relocation| relocation.address.0.min(a));
        let end = touched.last().map_or(a + size, |relocation| (relocation.address.0 + SLOT).max(a + size));
        let Some(start_b) = b.checked_sub(a - start) else {
            return self.refuse(Reason::DataDiffers, format!("{b:#x} is not like {a:#x}"));
        };
        if self.memory.add(start, start_b, end - start) {
            self.push(Task::Contents(start, start_b, end - start));
        }
    }

    /// The same may be done with both: by their segments, and after relocation.
    fn protected_alike(&self, a: u64, b: u64) -> bool {
        let protection = |image: &Image<'_>, address: u64| {
            let relro = image.loader().relro.as_ref();
            let sealed =
                relro.is_some_and(|r| (r.address.0..r.address.0.saturating_add(r.size)).contains(&address));
            (image.segment_at(address).map(|segment| segment.flags), sealed)
        };
        protection(&self.a.image, a) == protection(&self.b.image, b)
    }

    /// An address of data is formed or stored.
    pub fn data_reference(&mut self, a: u64, b: u64, how: Use) {
        if self.is_clone_table_end(a, b) {
            return;
        }
        let pieces = (self.a.pieces.at(a).copied(), self.b.pieces.at(b).copied());
        let (Some(piece_a), Some(piece_b)) = pieces else { return self.outside_pieces(a, b) };
        if matches!(how, Use::Passed | Use::Shown | Use::Stored) && self.are_tails(&piece_a, &piece_b, a, b) {
            return;
        }
        if !self.piece(&piece_a, &piece_b, a, b) {
            return;
        }
        if matches!(how, Use::Formed | Use::Passed | Use::Stored) && !self.is_orderless(&piece_a) {
            self.taken.insert((piece_a.start, piece_b.start));
        }
        // The record itself, and not the end of what stands before it: the piece assumption.
        let is_record = piece_a.kind == PieceKind::Location && piece_a.start == a;
        let begins = how == Use::Stored && piece_a.kind == PieceKind::Anonymous && piece_a.start == a;
        if !is_record && !begins && !matches!(how, Use::Passed | Use::Shown) {
            self.neighbours(a, b, &piece_a, how);
        }
    }

    /// The crtstuff functions `(de)register_tm_clones` form the end of an empty section and compare
    /// it with itself; they read nothing there.
    fn is_clone_table_end(&self, a: u64, b: u64) -> bool {
        let named = |image: &Image<'_>, address| has_label(image, address, |name| name == "__TMC_END__");
        let is_own = |place: &str| {
            place.starts_with("deregister_tm_clones") || place.starts_with("register_tm_clones")
        };
        is_own(self.place()) && named(&self.a.image, a) && named(&self.b.image, b)
    }

    fn outside_pieces(&mut self, a: u64, b: u64) {
        let is_stop =
            |image: &Image<'_>, address| has_label(image, address, |name| name.starts_with("__stop_"));
        let ends =
            (self.a.pieces.at(a.wrapping_sub(1)).copied(), self.b.pieces.at(b.wrapping_sub(1)).copied());
        if let (Some(end_a), Some(end_b)) = ends
            && is_stop(&self.a.image, a)
            && is_stop(&self.b.image, b)
        {
            // The end of a registry: what the next section holds is not meant.
            self.piece(&end_a, &end_b, a - 1, b - 1);
            return;
        }
        let is_tls = |r: Option<&Relocation>| r.is_some_and(|r| r.kind == RelocationKind::DtpMod64);
        if is_tls(self.a.image.relocation_at(a)) && is_tls(self.b.image.relocation_at(b)) {
            return self.access(a, b, TLS_PAIR);
        }
        let section = self.a.image.section_at(a).map_or("no section", |section| section.name.as_str());
        let detail = format!("an address in {section} ({a:#x}) is taken");
        self.refuse(Reason::UnmodelledData, detail);
    }

    /// Makes two pieces correspond whole, `a` to `b` within them. Whether zeros at the end are the
    /// constant's own or align what follows cannot be seen, so the longer of the two is compared.
    fn piece(&mut self, piece_a: &Piece, piece_b: &Piece, a: u64, b: u64) -> bool {
        let distances = is_distances(&self.a.image, piece_a) && is_distances(&self.b.image, piece_b);
        let sections = (self.a.image.section_at(a), self.b.image.section_at(b));
        let alike = matches!(sections, (Some(x), Some(y)) if alike(x, y)) && self.protected_alike(a, b);
        let lengths = (piece_a.end - piece_a.start, piece_b.end - piece_b.start);
        let length = lengths.0.max(lengths.1);
        let same_shape = piece_a.kind == piece_b.kind
            && a - piece_a.start == b - piece_b.start
            && self.a.pieces.may_extend(piece_a, length)
            && self.b.pieces.may_extend(piece_b, length);
        if !alike || !same_shape {
            let detail = format!(
                "{a:#x} in {:?} {:#x}..{:#x} is not like {b:#x} in {:?} {:#x}..{:#x}",
                piece_a.kind, piece_a.start, piece_a.end, piece_b.kind, piece_b.start, piece_b.end
            );
            self.refuse(Reason::DataDiffers, detail);
            return false;
        }
        if piece_a.kind == PieceKind::Table {
            self.refuse(Reason::UnmodelledData, format!("{a:#x} is a jump table of another function"));
            return false;
        }
        if self.memory.add(piece_a.start, piece_b.start, length) {
            let task = if distances { Task::Distances } else { Task::Contents };
            self.push(task(piece_a.start, piece_b.start, length));
        }
        true
    }

    /// Linkers let a C string be the tail of another, so that one of the two may lie within a text where
    /// the other is a text of its own: then the strings are compared, each to its zero.
    fn are_tails(&mut self, piece_a: &Piece, piece_b: &Piece, a: u64, b: u64) -> bool {
        let images = (&self.a.image, &self.b.image);
        let constant = |image: &Image<'_>, at: u64| image.section_at(at).is_some_and(|s| s.name == ".rodata");
        let unnamed = piece_a.kind == PieceKind::Anonymous && piece_b.kind == PieceKind::Anonymous;
        if !unnamed || !constant(images.0, a) || !constant(images.1, b) || !self.a.pieces.merges_tails() {
            return false;
        }
        let lengths = (text_at(images.0, a, piece_a.end), text_at(images.1, b, piece_b.end));
        match lengths {
            (Some(x), Some(y)) if x == y && (is_tail(images.0, a) || is_tail(images.1, b)) => {
                // The same text may be compared at two places: no bytes are mapped, they are read only.
                let same = images.0.bytes(a, x as usize) == images.1.bytes(b, x as usize);
                if !same {
                    self.refuse(Reason::DataDiffers, format!("the text at {a:#x}"));
                }
                true
            }
            _ => false,
        }
    }

    /// Objects whose order no program may rely on: unnamed constants, and the compiler's own tables of
    /// C++ types.
    fn is_orderless(&self, piece: &Piece) -> bool {
        let image = &self.a.image;
        let constant = image.section_at(piece.start).is_some_and(|s| !s.writable || s.name == ".data.rel.ro");
        let unnamed = matches!(piece.kind, PieceKind::Anonymous | PieceKind::Location);
        constant && unnamed || has_label(image, piece.start, |name| name.starts_with("_ZT"))
    }

    /// Whether what stands at `at_b` could be the counterpart of a neighbour, changed or not.
    fn may_correspond(&self, neighbour: &Piece, at_b: u64) -> bool {
        match self.b.pieces.at(at_b).filter(|other| other.start == at_b) {
            Some(other) if neighbour.kind == PieceKind::Named => {
                other.kind == PieceKind::Named && self.of_one_name(neighbour.start, at_b)
            }
            Some(other) => other.kind == neighbour.kind,
            None => false,
        }
    }

    /// Whether both are the starts of objects of one name.
    fn of_one_name(&self, a: u64, b: u64) -> bool {
        let start = |pieces: &crate::pieces::Pieces, at: u64| {
            pieces.at(at).is_some_and(|piece| piece.kind == PieceKind::Named && piece.start == at)
        };
        let symbols = self.a.image.symbols();
        let from = symbols.partition_point(|symbol| symbol.address.0 < a);
        let mut names = symbols[from..].iter().take_while(|symbol| symbol.address.0 == a && symbol.size > 0);
        start(&self.a.pieces, a)
            && start(&self.b.pieces, b)
            && names.any(|symbol| has_label(&self.b.image, b, |name| name == symbol.name))
    }

    /// What `a` may belong to besides the piece it lies in.
    fn neighbours(&mut self, a: u64, b: u64, piece: &Piece, how: Use) {
        let mut found: Vec<Piece> = Vec::new();
        let meant = self.a.pieces.has_one_user(piece)
            && self.b.pieces.at(b).is_some_and(|piece| self.b.pieces.has_one_user(piece));
        if a == piece.start {
            found.extend(a.checked_sub(1).and_then(|before| self.a.pieces.at(before)));
        }
        if matches!(how, Use::Formed | Use::Base) && !meant {
            found.extend(self.a.pieces.starting_after(a, REACH_BYTES));
        }
        let named = self.of_one_name(a, b);
        for neighbour in found {
            let at_b = neighbour.start.wrapping_sub(a).wrapping_add(b);
            // Were the neighbour meant, it would stand as far from the counterpart in B; but both are
            // objects of one name, and something else stands there.
            if named && !self.may_correspond(&neighbour, at_b) {
                continue;
            }
            if matches!(neighbour.kind, PieceKind::Table | PieceKind::Padding) {
                continue;
            }
            match self.b.pieces.at(at_b).copied() {
                Some(other) => drop(self.piece(&neighbour, &other, neighbour.start, at_b)),
                None => self
                    .refuse(Reason::DataDiffers, format!("what stands beside {a:#x} is not beside {b:#x}")),
            }
        }
    }

    /// `a` may be a table of 32-bit distances from its own start to constants (LLVM's relative lookup
    /// tables): each word of its piece is followed as far as the words lead to data. LLVM builds such
    /// tables of constants only, so a word that leads to code ends a table; a first word that leads to
    /// a function's entry is refused rather than explained.
    pub fn relative_table(&mut self, a: u64, b: u64) {
        let Some(own) = self.a.pieces.at(a).copied().filter(|_| a.is_multiple_of(4)) else { return };
        for at in (0..own.end - a).step_by(4).take(MAX_RELATIVE_ENTRIES) {
            let words = (word(&self.a.image, a + at), word(&self.b.image, b.wrapping_add(at)));
            let (Some(x), Some(y)) = words else { return };
            let target = a.wrapping_add_signed(x);
            match self.a.pieces.at(target).copied() {
                Some(piece) if piece == own => {}
                Some(piece) if piece.kind == PieceKind::Table => return,
                Some(_) => self.data_reference(target, b.wrapping_add_signed(y), Use::Stored),
                None if at == 0 && self.a.is_entry(target) => {
                    let detail = format!("{a:#x} may be a table of distances to functions");
                    return self.refuse(Reason::UnresolvedIndirectJump, detail);
                }
                None => return,
            }
        }
    }
}

/// Whether a piece is one of LLVM's relative lookup tables, by the name LLVM gives them.
fn is_distances(image: &Image<'_>, piece: &Piece) -> bool {
    piece.kind == PieceKind::Named && has_label(image, piece.start, |name| name.starts_with("reltable."))
}

/// Whether a symbol of such a name stands at `address`.
fn has_label(image: &Image<'_>, address: u64, is_such: impl Fn(&str) -> bool) -> bool {
    let symbols = image.symbols();
    let from = symbols.partition_point(|symbol| symbol.address.0 < address);
    symbols[from..]
        .iter()
        .take_while(|symbol| symbol.address.0 == address)
        .any(|symbol| is_such(&symbol.name))
}

/// Two sections of one name and one nature.
fn alike(a: &Section, b: &Section) -> bool {
    a.name == b.name && a.kind == b.kind && a.writable == b.writable
}
