//! From the bytes of a module to functions in one form, whatever format and architecture they came in.

mod aarch64;
mod bytecode;
mod code;
mod function;
mod hash;
mod noise;
mod positions;
mod text;
mod values;
mod world;
mod x86;

use std::collections::HashMap;
use std::ops::Range;

use assay_binary::{Address, Module};

pub(crate) use hash::NumberMap;
pub(crate) use noise::SOURCE_POSITIONS;
pub(crate) use text::Line;
pub(crate) use values::FeatureKind;
pub use world::Target;

use crate::record::{ObjectRecord, Records, UNKNOWN, put};
use function::Memory;
use world::World;

/// Lifts a whole module on as many threads as the machine has processors, at most four. Closures are not
/// computed.
pub(crate) fn lift(module: &Module<'_>) -> Records {
    if !module.methods.is_empty() {
        let mut records = Records::default();
        (0..module.methods.len() as u32).for_each(|number| bytecode::lift(module, number, &mut records));
        return records;
    }
    let world = prepared(module);
    let (functions, objects) = (module.functions.len(), module.objects.len());
    let memory = || Memory::new(&world);
    let mut parts = in_parallel(functions, memory, |memory, range| {
        let mut records = Records::default();
        range.for_each(|number| function::lift(&world, memory, number as u32, &mut records));
        records.fitted()
    });
    let memory = || ();
    parts.extend(in_parallel(objects, memory, |(), range| {
        let mut records = Records::default();
        range.for_each(|number| object(&world, number, &mut records));
        records
    }));
    drop(world);
    Records::joined(parts)
}

fn prepared<'m, 'data>(module: &'m Module<'data>) -> World<'m, 'data> {
    let mut world = World::new(module);
    let points = in_parallel(module.functions.len(), Vec::new, |points, range| {
        range.for_each(|number| world.data_points(number as u32, points));
        points.sort_unstable();
        points.dedup();
        let found = points.clone();
        points.clear();
        found
    });
    world.set_points(points);
    world
}

fn object(world: &World<'_, '_>, number: usize, records: &mut Records) {
    let symbol = &world.module.objects[number];
    let named = world.contents(symbol.address.0, symbol.size);
    let record = ObjectRecord {
        address: symbol.address.0,
        size: symbol.size,
        meaning: named.meaning,
        exact: named.exact,
        closure: UNKNOWN,
        name: records.name(&symbol.name),
        references: put(&mut records.references, named.targets),
    };
    records.objects.push(record);
}

const MAX_THREADS: usize = 4;
const CHUNK: usize = 256;

/// Computes `of` for runs of `0..count`, in their order; each thread makes a memory of its own.
fn in_parallel<M, T: Send>(
    count: usize,
    memory: impl Fn() -> M + Sync,
    of: impl Fn(&mut M, Range<usize>) -> T + Sync,
) -> Vec<T> {
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get()).min(MAX_THREADS);
    let next = std::sync::atomic::AtomicUsize::new(0);
    let work = || {
        let mut memory = memory();
        let mut done: Vec<(usize, T)> = Vec::new();
        loop {
            let chunk = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let from = chunk * CHUNK;
            if from >= count {
                return done;
            }
            done.push((chunk, of(&mut memory, from..count.min(from + CHUNK))));
        }
    };
    let mut chunks: Vec<(usize, T)> = std::thread::scope(|scope| {
        let workers: Vec<_> =
            (1..threads.min(count.div_ceil(CHUNK)).max(1)).map(|_| scope.spawn(work)).collect();
        let mut chunks = work();
        for worker in workers {
            match worker.join() {
                Ok(done) => chunks.extend(done),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        chunks
    });
    chunks.sort_unstable_by_key(|(chunk, _)| *chunk);
    chunks.into_iter().map(|(_, value)| value).collect()
}

/// A module whose functions can be listed.
pub(crate) struct Listing<'m, 'data> {
    world: World<'m, 'data>,
    names: HashMap<u64, String>,
}

impl<'m, 'data> Listing<'m, 'data> {
    /// `names` are what functions are called instead of what the file calls them, by address.
    pub fn of(module: &'m Module<'data>, names: HashMap<u64, String>) -> Self {
        Self { world: prepared(module), names }
    }

    /// The instructions of the function at `address`; none where there is no such function.
    pub fn lines(&self, address: Address) -> Vec<Line> {
        let module = self.world.module;
        if let Some(method) = module.methods.iter().find(|method| method.address == address) {
            return text::bytecode(module, method);
        }
        let Some(number) = self.world.entry_at(address.0) else { return Vec::new() };
        let noise = function::noise_of(&self.world, number);
        let mut lines = text::lines(&self.world, number, &self.names);
        for index in noise {
            if let Some(line) = lines.get_mut(index) {
                line.set_noise_aside();
            }
        }
        lines
    }
}
