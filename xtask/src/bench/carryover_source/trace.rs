//! The event trace of an interpreted run, with what may differ between equal runs set aside.
//!
//! A source of another size is read by calls of another size and takes memory in other pieces. Calls that
//! only manage memory are left out, and so are the results of calls on a file of the subject that the runtime
//! compiles, and
//! of listings with the numbers of files that they give (a program that asks for these is not carried).
//! Everything else is compared: order, arguments, results, digests of what is written.

use std::collections::BTreeSet;

use assay_evidence::Sha256;

const MEMORY: [&str; 8] =
    ["mmap(", "munmap(", "brk(", "mremap(", "madvise(", "mprotect(", "futex(", "sched_yield("];

/// Lines that count, and their digest.
pub fn mapped(trace: &[String], root: &str) -> (Vec<String>, Sha256) {
    let mut kept = Vec::new();
    let mut sources: BTreeSet<String> = BTreeSet::new();
    for line in trace {
        let call = line.split_once(' ').map_or("", |(_, call)| call);
        if MEMORY.iter().any(|name| call.starts_with(name)) {
            continue;
        }
        // An import lists the folders that it looks into; a program that does so itself is never carried
        // where that could tell.
        if call.starts_with("getdents64(") {
            kept.push(call.split(" = ").next().unwrap_or(call).to_owned());
            continue;
        }
        let compiled =
            call.contains(root) && [".py\"", ".js\"", "package.json\""].iter().any(|end| call.contains(end));
        if call.starts_with("openat(") && compiled {
            if let Some((_, fd)) = line.rsplit_once(" = ") {
                sources.insert(fd.to_owned());
            }
            kept.push(line.clone());
            continue;
        }
        let argument = call.split_once('(').map_or("", |(_, rest)| rest);
        let fd: String = argument.chars().take_while(|c| *c != ',' && *c != ')').collect();
        if call.starts_with("close(") && sources.remove(&fd) {
            continue;
        }
        let on_source = sources.contains(&fd) && !call.starts_with("write");
        if on_source {
            continue;
        }
        // Files are numbered as they are met, in listings too.
        let end = if compiled { " size " } else { " inode " };
        let shown = line.split(end).next().unwrap_or(line);
        kept.push(shown.to_owned());
    }
    let digest = Sha256::of(kept.join("\n").as_bytes());
    (kept, digest)
}
