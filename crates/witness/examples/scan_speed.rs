//! How fast the scanner reads files: `cargo run --release -p assay-witness --example scan_speed -- FILE...`
#![allow(clippy::print_stdout, reason = "an example")]

use assay_witness::redact::{Policy, Scanner};

fn main() -> std::io::Result<()> {
    let scanner = Scanner::new(Policy::default());
    for file in std::env::args().skip(1) {
        let text = std::fs::read(&file)?;
        let started = std::time::Instant::now();
        let findings = scanner.scan(&text).len();
        let seconds = started.elapsed().as_secs_f64();
        println!(
            "{file}: {} bytes, {findings} findings, {:.0} MB/s",
            text.len(),
            text.len() as f64 / 1e6 / seconds
        );
    }
    Ok(())
}
