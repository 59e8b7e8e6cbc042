//! Prints what is read from a crash text, and whether a second text finds it: `text FILE [FILE]`.
#![expect(clippy::print_stdout, reason = "an example prints")]

use assay_stacks::{Index, Item, fingerprint, normalize, parse};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files: Vec<String> = std::env::args().skip(1).collect();
    let mut items = Vec::new();
    for file in &files {
        let report = parse(&std::fs::read(file)?)?;
        let trace = normalize(&report);
        println!(
            "{file}: {:?}, overflow {}, {}",
            report.format,
            trace.overflow,
            serde_json::to_string(&fingerprint(&trace))?
        );
        items.push(Item { incident: file.clone(), trace, time: None });
    }
    if let [known, query] = &items[..] {
        let index = Index::build(std::slice::from_ref(known))?;
        println!("{}", serde_json::to_string_pretty(&index.match_trace(&query.trace, 3))?);
    }
    Ok(())
}
