//! What the runner saw of the files that a run opened: counted from outside, whoever in the process asked.

use std::collections::{BTreeMap, BTreeSet};

use super::WatchedFile;
use crate::tracer::Opening;

/// Most lines of a trace that are looked through.
pub(super) const MAX_LINES: usize = 1 << 19;
/// A line that is as long may have lost its end.
const CUT: usize = 400;

/// Calls that answer with a time, wait for one, or tell what the process uses.
const CLOCKS: [&str; 22] = [
    "clock_gettime",
    "gettimeofday",
    "time",
    "times",
    "getrusage",
    "sysinfo",
    "nanosleep",
    "clock_nanosleep",
    "clock_settime",
    "settimeofday",
    "adjtimex",
    "clock_adjtime",
    "alarm",
    "setitimer",
    "getitimer",
    "timer_create",
    "timer_settime",
    "timer_gettime",
    "timerfd_create",
    "timerfd_settime",
    "timerfd_gettime",
    "mincore",
];
/// Runtimes read these for themselves all the time: the monotonic clock, exact and coarse.
const MONOTONIC: [&str; 2] = ["1", "6"];

/// Counts what was asked about every file that was opened; nothing where not the whole trace is there.
pub(super) fn files(trace: &[String], openings: &[Opening]) -> Vec<WatchedFile> {
    if trace.len() >= MAX_LINES {
        return Vec::new();
    }
    let (stats, clocks) = (stats(trace), clocks(trace));
    let mut numbers: BTreeMap<&str, BTreeSet<u64>> = BTreeMap::new();
    for opening in openings {
        numbers.entry(&opening.path).or_default().extend(opening.number);
    }
    let file = |(path, numbers): (&str, BTreeSet<u64>)| {
        // By another name it may have been linked or renamed to it is the same file.
        let own = |opening: &&Opening| {
            opening.path == path || opening.number.is_some_and(|number| numbers.contains(&number))
        };
        let first = openings.iter().find(own).map_or(0, |opening| opening.line);
        let behind = clocks.iter().filter(|(line, _)| *line >= first);
        let names: BTreeSet<&str> = behind.map(|(_, name)| name.as_str()).collect();
        let unknown = stats.get(&None).copied().unwrap_or(0);
        let counted = numbers.iter().filter_map(|number| stats.get(&Some(*number)));
        WatchedFile {
            path: path.to_owned(),
            opens: openings.iter().filter(own).count() as u64,
            stats: unknown + counted.sum::<u64>(),
            clocks: names.into_iter().map(str::to_owned).collect(),
        }
    };
    numbers.into_iter().map(file).collect()
}

/// The call of a line, its first argument, and the rest of the line.
fn call(line: &str) -> Option<(&str, &str)> {
    let (_, call) = line.split_once(' ')?;
    let (name, rest) = call.split_once('(')?;
    Some((name, rest.split([',', ')']).next().unwrap_or_default()))
}

/// How often each file's status was answered, by its number; by none where the line is cut.
fn stats(trace: &[String]) -> BTreeMap<Option<u64>, u64> {
    let mut all = BTreeMap::new();
    for line in trace {
        let Some((name, _)) = call(line) else { continue };
        if !name.contains("stat") {
            continue;
        }
        let number = line.rsplit_once(" inode ").and_then(|(_, number)| number.parse().ok());
        let cut = line.chars().count() >= CUT;
        if cut || number.is_some() {
            *all.entry(number.filter(|_| !cut)).or_default() += 1;
        }
    }
    all
}

/// Calls that have to do with time, by how many lines stand before them.
fn clocks(trace: &[String]) -> Vec<(u64, String)> {
    let mut all = Vec::new();
    for (at, line) in trace.iter().enumerate() {
        let Some((name, first)) = call(line) else { continue };
        if CLOCKS.contains(&name) && !(name == "clock_gettime" && MONOTONIC.contains(&first)) {
            let shown = if name == "clock_gettime" { format!("{name} {first}") } else { name.to_owned() };
            all.push((at as u64, shown));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opening(line: u64, path: &str, number: u64) -> Opening {
        Opening { line, path: path.to_owned(), number: Some(number) }
    }

    #[test]
    fn a_file_is_counted_by_every_name() {
        let trace = [
            "0 clock_gettime(0,*) = 0",
            "0 newfstatat(-100,\"/p/m.py\",*,0x0) = 0 mode 100444 size 40 inode 45",
            "0 openat(-100,\"/p/m.py\",0x80000,0x0) = 3",
            "0 newfstatat(3,\"\",*,0x1000) = 0 mode 100444 size 40 inode 45",
            "0 clock_gettime(1,*) = 0",
            "0 link(\"/p/m.py\",\"/tmp/l\") = 0",
            "0 openat(-100,\"/tmp/l\",0x80000,0x0) = 3",
            "0 statx(-100,\"/tmp/l\",0x0,0xfff,*) = 0 mode 100444 size 40 inode 45",
            "0 statx(-100,\"/tmp/other inode 45\",0x0,0xfff,*) = -2",
            "0 gettimeofday(*) = 0",
        ];
        let trace: Vec<String> = trace.iter().map(|line| (*line).to_owned()).collect();
        let openings = [opening(2, "/p/m.py", 45), opening(6, "/tmp/l", 45), opening(9, "/p/n.py", 46)];
        let found = files(&trace, &openings);
        let shown: Vec<_> = found.iter().map(|file| (file.path.as_str(), file.opens, file.stats)).collect();
        assert_eq!(shown, [("/p/m.py", 2, 3), ("/p/n.py", 1, 0), ("/tmp/l", 2, 3)]);
        assert_eq!(found[0].clocks, ["gettimeofday"]);
    }

    #[test]
    fn a_line_that_is_cut_counts_for_every_file() {
        let line = format!("0 stat(\"/{}", "x".repeat(500)).chars().take(CUT).collect();
        assert_eq!(files(&[line], &[opening(0, "/p/m.py", 45)])[0].stats, 1);
    }
}
