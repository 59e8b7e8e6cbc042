//! Measures index, diff and proof on two files: `deltadiff A B`.
#![expect(clippy::print_stdout, reason = "it is a program for the terminal")]

use std::time::Instant;

use assay_delta::{Executed, Index, diff, prove};

fn word(address: Option<assay_binary::Address>) -> String {
    address.map_or_else(|| "-".to_owned(), |address| address.to_string())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let paths: Vec<String> = std::env::args().skip(1).collect();
    let [path_a, path_b] = paths.as_slice() else { return Err("usage: deltadiff A B".into()) };
    let (a, b) = (std::fs::read(path_a)?, std::fs::read(path_b)?);
    let start = Instant::now();
    let (module_a, module_b) = (assay_binary::Module::parse(&a)?, assay_binary::Module::parse(&b)?);
    println!("both read: {:.1} ms", start.elapsed().as_secs_f64() * 1e3);
    drop((module_a, module_b));
    let start = Instant::now();
    let (index_a, index_b) = (Index::build(&a)?, Index::build(&b)?);
    println!("both indexed cold: {:.1} ms", start.elapsed().as_secs_f64() * 1e3);
    let bytes = index_a.to_bytes();
    let start = Instant::now();
    Index::from_bytes(&bytes)?;
    println!("index read: {:.1} ms, {} bytes", start.elapsed().as_secs_f64() * 1e3, bytes.len());
    let start = Instant::now();
    let delta = diff(&index_a, &index_b);
    println!("compared: {:.1} ms", start.elapsed().as_secs_f64() * 1e3);
    println!("toolchain: {:?}", index_b.toolchain());
    println!("functions: {} / {}", index_a.functions().len(), index_b.functions().len());
    let f = &delta.functions;
    let counts = [&f.changed, &f.affected, &f.added, &f.removed, &f.moved, &f.renamed].map(Vec::len);
    println!("unchanged {}, [changed, affected, added, removed, moved, renamed] {counts:?}", f.unchanged);
    println!("data: {} changed, {} added", delta.data.changed.len(), delta.data.added.len());
    println!("information {:.2} bits, entropy {:.4}", delta.delta_information, delta.delta_entropy);
    for entry in f.changed.iter().take(400) {
        println!("  {} {} {}: {}", entry.name, word(entry.address_a), word(entry.address_b), entry.why);
    }
    for (what, list) in [("added", &f.added), ("removed", &f.removed)] {
        for entry in list.iter().take(40) {
            println!("  {what} {} {} {}", entry.name, word(entry.address_a), word(entry.address_b));
        }
    }
    let start = Instant::now();
    match prove(&a, &b, Executed::All) {
        Ok(proof) => println!("all carries: {} functions, {} ranges", proof.executed.len(), proof.data.len()),
        Err(refusals) => refusals.iter().take(10).for_each(|refusal| println!("  {refusal}")),
    }
    println!("proof: {:.1} ms", start.elapsed().as_secs_f64() * 1e3);
    Ok(())
}
