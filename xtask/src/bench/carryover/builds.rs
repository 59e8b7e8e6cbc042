//! Mutants of the build: other options, other places, another order.

use super::programs::Language;
use super::random::Random;
use super::recipe::Recipe;

/// A rebuild that no run should notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Harmless {
    Paths,
    BuildId,
    Alignment,
    Unrelated,
    LinkOrder,
}

type Change = fn(&mut Recipe, &mut Random);

/// One way to build otherwise.
pub struct Variation {
    pub name: &'static str,
    pub harmless: Option<Harmless>,
    apply: Change,
}

fn flag(recipe: &mut Recipe, flag: &str) {
    recipe.flags.push(flag.to_owned());
}

fn link(recipe: &mut Recipe, word: &str) {
    recipe.link.push(word.to_owned());
}

const fn plain(name: &'static str, apply: Change) -> Variation {
    Variation { name, harmless: None, apply }
}

const fn harmless(name: &'static str, kind: Harmless, apply: Change) -> Variation {
    Variation { name, harmless: Some(kind), apply }
}

fn build_id(recipe: &mut Recipe, random: &mut Random) {
    link(
        recipe,
        &format!("-Wl,--build-id=0x{:016x}{:016x}{:08x}", random.next(), random.next(), random.next() as u32),
    );
}

const BOTH: &[Variation] = &[
    harmless("build: another build id", Harmless::BuildId, build_id),
    plain("build: lazy or eager binding", |r, _| link(r, "-Wl,-z,now")),
    plain("build: hash style", |r, _| link(r, "-Wl,--hash-style=both")),
    plain("build: no relro", |r, _| link(r, "-Wl,-z,norelro")),
    plain("build: page size", |r, _| link(r, "-Wl,-z,max-page-size=65536")),
    plain("build: code beside data", |r, _| link(r, "-Wl,-z,noseparate-code")),
    plain("build: executable stack", |r, _| link(r, "-Wl,-z,execstack")),
    plain("build: no build id", |r, _| link(r, "-Wl,--build-id=none")),
    plain("build: sections collected", |r, _| link(r, "-Wl,--gc-sections")),
    plain("build: linker optimises", |r, _| link(r, "-Wl,-O2")),
];

const NATIVE: &[Variation] = &[
    harmless("build: another folder", Harmless::Paths, |r, random| {
        r.place = format!("place{}/of/another/length", random.below(4));
    }),
    harmless("build: another folder, with DWARF", Harmless::Paths, |r, random| {
        r.place = format!("deep{}/below", random.below(4));
        flag(r, "-g");
    }),
    harmless("build: functions aligned", Harmless::Alignment, |r, random| {
        flag(r, ["-falign-functions=64", "-falign-functions=32", "-falign-functions=128"][random.below(3)]);
    }),
    plain("build: -O0", |r, _| flag(r, "-O0")),
    plain("build: -O1", |r, _| flag(r, "-O1")),
    plain("build: -O3", |r, _| flag(r, "-O3")),
    plain("build: -Os", |r, _| flag(r, "-Os")),
    plain("build: loops aligned", |r, _| flag(r, "-falign-loops=64")),
    plain("build: function sections", |r, _| flag(r, "-ffunction-sections")),
    plain("build: data sections", |r, _| flag(r, "-fdata-sections")),
    plain("build: no inlining", |r, _| flag(r, "-fno-inline")),
    plain("build: frame pointers", |r, _| flag(r, "-fno-omit-frame-pointer")),
    plain("build: no PLT", |r, _| flag(r, "-fno-plt")),
    plain("build: branch protection", |r, _| flag(r, "-fcf-protection=full")),
    plain("build: stack protector", |r, _| flag(r, "-fstack-protector-all")),
    plain("build: no builtins", |r, _| flag(r, "-fno-builtin")),
    plain("build: position-dependent", |r, _| {
        flag(r, "-fno-pie");
        link(r, "-no-pie");
    }),
    plain("build: newer CPU", |r, _| flag(r, "-march=x86-64-v2")),
    plain("build: sections sorted", |r, _| link(r, "-Wl,--sort-section=alignment")),
    plain("build: exported symbols", |r, _| link(r, "-rdynamic")),
    plain("build: not interposed", |r, _| link(r, "-Wl,-Bsymbolic")),
];

const GCC: &[Variation] = &[
    plain("build: order of functions", |r, _| flag(r, "-fno-toplevel-reorder")),
    plain("build: linked by LLD", |r, _| link(r, "-fuse-ld=lld")),
    plain("build: linked by gold", |r, _| link(r, "-fuse-ld=gold")),
    plain("build: folded by LLD", |r, _| {
        flag(r, "-ffunction-sections");
        link(r, "-fuse-ld=lld");
        link(r, "-Wl,--icf=all");
    }),
    plain("build: folded by gold", |r, _| {
        flag(r, "-ffunction-sections");
        link(r, "-fuse-ld=gold");
        link(r, "-Wl,--icf=safe");
    }),
    plain("build: shuffled by LLD", |r, random| {
        flag(r, "-ffunction-sections");
        flag(r, "-fdata-sections");
        link(r, "-fuse-ld=lld");
        link(r, &format!("-Wl,--shuffle-sections=*={}", 1 + random.below(1000)));
    }),
    plain("build: link-time optimisation", |r, _| flag(r, "-flto")),
];

const LLD: &[Variation] = &[
    plain("build: not folded", |r, _| link(r, "-Wl,--icf=none")),
    plain("build: folded", |r, _| {
        flag(r, "-ffunction-sections");
        link(r, "-Wl,--icf=all");
    }),
    plain("build: shuffled", |r, random| {
        flag(r, "-ffunction-sections");
        link(r, &format!("-Wl,--shuffle-sections=*={}", 1 + random.below(1000)));
    }),
    plain("build: initialisers reversed", |r, _| link(r, "-Wl,--shuffle-sections=.init_array=-1")),
];

const RUST: &[Variation] = &[
    harmless("build: another folder", Harmless::Paths, |r, random| {
        r.place = format!("place{}/of/another/length", random.below(4));
    }),
    plain("build: -O0", |r, _| flag(r, "-Copt-level=0")),
    plain("build: -O3", |r, _| flag(r, "-Copt-level=3")),
    plain("build: units of code", |r, _| flag(r, "-Ccodegen-units=4")),
    plain("build: overflow checks", |r, _| flag(r, "-Coverflow-checks=on")),
    plain("build: panics abort", |r, _| flag(r, "-Cpanic=abort")),
    plain("build: no relocation", |r, _| flag(r, "-Crelocation-model=static")),
];

/// What can be built otherwise.
pub fn variations(language: Language, files: usize) -> Vec<&'static Variation> {
    let mut all: Vec<&Variation> = BOTH.iter().collect();
    all.extend(match language {
        Language::Rust => RUST,
        _ => NATIVE,
    });
    all.extend(match language {
        Language::C | Language::Cxx => GCC,
        Language::ClangC | Language::ClangCxx => LLD,
        Language::Rust => &[],
    });
    if files > 1 {
        all.push(&LINK_ORDER);
    }
    all
}

/// The objects in another order.
pub const LINK_ORDER: Variation = harmless("build: link order", Harmless::LinkOrder, |r, random| {
    let before: Vec<String> = r.sources.iter().map(|source| source.0.clone()).collect();
    while r.sources.iter().map(|source| &source.0).eq(&before) {
        random.shuffle(&mut r.sources);
    }
});

impl Variation {
    pub fn apply(&self, recipe: &mut Recipe, random: &mut Random) {
        (self.apply)(recipe, random);
    }
}
