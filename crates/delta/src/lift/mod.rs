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

use assay_binary::{Address, Module};

pub(crate) use function::LiftedFunction;
pub(crate) use noise::SOURCE_POSITIONS;
pub(crate) use text::Line;
pub(crate) use values::FeatureKind;
pub use world::Target;

use function::Memory;
use world::World;

/// A named object as lifted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LiftedObject {
    pub name: String,
    pub address: u64,
    pub size: u64,
    /// TD without build noise.
    pub meaning: [u8; 16],
    pub exact: [u8; 16],
    pub references: Vec<Target>,
}

/// Everything of one module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lifted {
    pub functions: Vec<LiftedFunction>,
    pub objects: Vec<LiftedObject>,
}

/// Lifts a whole module on as many threads as the machine has processors, at most four.
pub(crate) fn lift(module: &Module<'_>) -> Lifted {
    if !module.methods.is_empty() {
        let functions =
            (0..module.methods.len() as u32).map(|number| bytecode::lift(module, number)).collect();
        return Lifted { functions, objects: Vec::new() };
    }
    let world = prepared(module);
    let count = module.functions.len();
    let functions = in_parallel(count, |memory, number| function::lift(&world, memory, number as u32));
    let objects = in_parallel(module.objects.len(), |_, number| object(&world, number));
    Lifted { functions, objects }
}

fn prepared<'m, 'data>(module: &'m Module<'data>) -> World<'m, 'data> {
    let mut world = World::new(module);
    let points: Vec<Vec<u64>> =
        in_parallel(module.functions.len(), |_, number| world.data_points(number as u32));
    world.set_points(points.into_iter().flatten());
    world
}

fn object(world: &World<'_, '_>, number: usize) -> LiftedObject {
    let symbol = &world.module.objects[number];
    let named = world.contents(symbol.address.0, symbol.size);
    LiftedObject {
        name: symbol.name.clone(),
        address: symbol.address.0,
        size: symbol.size,
        meaning: named.meaning,
        exact: named.exact,
        references: named.targets,
    }
}

const MAX_THREADS: usize = 4;
const CHUNK: usize = 256;

/// Computes `of` for `0..count` in order of the numbers.
fn in_parallel<T: Send>(count: usize, of: impl Fn(&mut Memory, usize) -> T + Sync) -> Vec<T> {
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get()).min(MAX_THREADS);
    let next = std::sync::atomic::AtomicUsize::new(0);
    let work = || {
        let mut memory = Memory::default();
        let mut done: Vec<(usize, Vec<T>)> = Vec::new();
        loop {
            let chunk = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let from = chunk * CHUNK;
            if from >= count {
                return done;
            }
            done.push((chunk, (from..count.min(from + CHUNK)).map(|n| of(&mut memory, n)).collect()));
        }
    };
    let mut chunks: Vec<(usize, Vec<T>)> = std::thread::scope(|scope| {
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
    chunks.into_iter().flat_map(|(_, values)| values).collect()
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
