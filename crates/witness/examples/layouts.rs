//! Prints where the event traces of a capsule archive differ between the fixed layout and another.
//!
//! `cargo run -p assay-witness --example layouts -- CAPSULE.tar`

use assay_witness::{Host, Layout, MapSource, ReplayRequest, oci, replay};

#[expect(clippy::print_stdout, clippy::unwrap_used, reason = "an example for people")]
fn main() {
    let file = std::env::args().nth(1).unwrap();
    let folder = std::env::temp_dir().join(format!("layouts-{}", std::process::id()));
    let capsule = oci::import(&mut std::fs::File::open(file).unwrap(), &folder).unwrap();
    let blobs = folder.join("blobs").join("sha256");
    let files =
        MapSource(capsule.blobs().iter().map(|blob| (blob.digest, blobs.join(blob.digest.hex()))).collect());
    let host = Host::probe().unwrap();
    let run = |layout| {
        let keep_trace = Some(1_000_000);
        let request = ReplayRequest { layout, keep_trace, ..ReplayRequest::default() };
        replay(&capsule, &files, &request, &host).unwrap()
    };
    let (fixed, moved) = (run(Layout::Fixed), run(Layout::Elsewhere(1)));
    println!("{} and {} events", fixed.events, moved.events);
    for (number, (a, b)) in fixed.trace.iter().zip(&moved.trace).enumerate() {
        if a != b {
            println!("{number}\n  {a}\n  {b}");
        }
    }
    let _ = std::fs::remove_dir_all(folder);
}
