//! The recorded path of an incident: the functions that a run must reach to say anything.

use std::collections::BTreeSet;

use assay_binary::{Address, Image};
use assay_witness::RunReport;

use crate::demangle::demangle;
use crate::incident::IncidentDefinition;
use crate::observation::{decisive_fault, fault_names};

/// Names at which every program of a language begins: reaching one says nothing.
const ENTRY_POINTS: [&str; 3] = ["main", "_start", "__libc_start_main"];
/// How many functions of the innermost path are asked for.
const MAX_PATH: usize = 16;

/// The functions on the way to the incident in the recorded run, by name: the fault's frames in
/// the incident's package (in the subject where it names none), or, without a fault, the
/// package's functions that were executed. Entry points do not count: every program reaches its own.
pub(crate) fn recorded_path(
    definition: &IncidentDefinition,
    report: &RunReport,
    executed: &BTreeSet<String>,
) -> Vec<String> {
    let package = definition.package_path();
    let of_package = |name: &String| package.as_ref().is_none_or(|package| name.contains(package.as_str()));
    let names: Vec<String> = match decisive_fault(report) {
        Some(fault) => fault_names(fault),
        None if package.is_some() => executed.iter().cloned().collect(),
        None => Vec::new(),
    };
    let mut seen = BTreeSet::new();
    names
        .into_iter()
        .filter(|name| of_package(name) && executed.contains(name) && !is_entry_point(name))
        .filter(|name| seen.insert(name.clone()))
        .take(MAX_PATH)
        .collect()
}

/// The functions of an interpreted subject that the recorded run executed, as far as they are asked for.
/// What a module does when it is loaded says nothing: every import does it.
pub(crate) fn recorded_sources(executed: &BTreeSet<String>) -> Vec<String> {
    executed.iter().filter(|name| !name.ends_with(":<module>")).take(MAX_PATH).cloned().collect()
}

/// The names of executed functions of a subject.
pub(crate) fn executed_names(image: Option<&Image<'_>>, executed: &[Address]) -> BTreeSet<String> {
    let Some(image) = image else { return BTreeSet::new() };
    executed.iter().filter_map(|address| image.symbol_at(*address)).map(|(name, _)| demangle(name)).collect()
}

fn is_entry_point(name: &str) -> bool {
    ENTRY_POINTS.contains(&name.rsplit("::").next().unwrap_or(name))
}

/// Whether the run reached the recorded path, every function of it; none where there is no path.
pub(crate) fn reached(path: &[String], executed: &BTreeSet<String>) -> Option<bool> {
    (!path.is_empty()).then(|| path.iter().all(|name| executed.contains(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> BTreeSet<String> {
        list.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_usage_message_reaches_nothing() {
        let path = ["tool::parse".to_owned(), "tool::read".to_owned()];
        assert_eq!(reached(&path, &names(&["main", "tool::main", "tool::usage"])), Some(false));
        assert_eq!(reached(&path, &names(&["main", "tool::read"])), Some(false));
        assert_eq!(reached(&path, &names(&["tool::parse", "tool::read"])), Some(true));
        assert_eq!(reached(&[], &names(&["main"])), None);
    }

    #[test]
    fn entry_points() {
        for (name, expected) in
            [("main", true), ("yaml_tool::main", true), ("_start", true), ("domain", false)]
        {
            assert_eq!(is_entry_point(name), expected, "{name}");
        }
    }
}
