//! Deltas of directories, packages and images: binary by binary.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::time::Instant;

use assay_binary::Module;
use assay_delta::Delta;
use serde_json::{Value, json};

use super::inside::{self, Found};
use super::{Kept, indexed, print};
use crate::error::{CliError, Exit};
use crate::output::Output;

/// The lists of functions whose entries are gathered over all files.
const LISTS: [&str; 6] = ["changed", "affected", "added", "removed", "moved", "renamed"];

pub(super) fn diff(kept: &Kept, a: &Path, b: &Path, output: &Output) -> Result<Exit, CliError> {
    let started = Instant::now();
    let (found_a, found_b) = (inside::binaries(a)?, inside::binaries(b)?);
    if found_a.is_empty() && found_b.is_empty() {
        let message = format!("no binary is in {} or {}", a.display(), b.display());
        return Err(CliError::refused(
            "artifact_refused",
            message,
            "name binaries, folders or packages with binaries",
        ));
    }
    let pairs = pair(&found_a, &found_b);
    let bar = output.bar("comparing", pairs.len() as u64);
    let mut package = Package::default();
    for pair in &pairs {
        package.add(kept, pair);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let document = package.document(started.elapsed().as_secs_f64() * 1000.0);
    output.data(&document, || print::package(&package.deltas, &package.files, output));
    Ok(Exit::Yes)
}

type Pair<'f> = (Option<&'f Found>, Option<&'f Found>);

/// Files of one place, versions in names aside; several of one place in their order.
fn pair<'f>(a: &'f [Found], b: &'f [Found]) -> Vec<Pair<'f>> {
    let mut places: BTreeMap<String, VecDeque<&Found>> = BTreeMap::new();
    b.iter().for_each(|found| places.entry(place(&found.path)).or_default().push_back(found));
    let mut pairs: Vec<Pair<'f>> = a
        .iter()
        .map(|found| (Some(found), places.get_mut(&place(&found.path)).and_then(VecDeque::pop_front)))
        .collect();
    pairs.extend(places.into_values().flatten().map(|found| (None, Some(found))));
    pairs
}

/// The path without the outermost package's own name and without digits, which versions are made of.
fn place(path: &str) -> String {
    let inner = path.split_once("!/").map_or(path, |(_, inner)| inner);
    match inner.strip_prefix("slice ") {
        Some(_) => inner.to_owned(),
        None => inner.chars().filter(|c| !c.is_ascii_digit()).collect(),
    }
}

/// What was found so far.
#[derive(Default)]
struct Package {
    files: Vec<Value>,
    deltas: Vec<(String, Delta)>,
    warnings: Vec<String>,
}

impl Package {
    fn add(&mut self, kept: &Kept, pair: &Pair<'_>) {
        let (status, path) = match pair {
            (Some(a), None) => ("removed", &a.path),
            (None, Some(b)) => ("added", &b.path),
            (Some(a), Some(b)) if a.bytes == b.bytes => ("identical", &b.path),
            (Some(a), Some(b)) => return self.compare(kept, a, b),
            (None, None) => return,
        };
        self.files.push(json!({ "path": path, "status": status }));
    }

    fn compare(&mut self, kept: &Kept, a: &Found, b: &Found) {
        match compared(kept, a, b) {
            Ok(delta) => {
                let functions = &delta.functions;
                let data = &delta.data;
                let changed = functions.changed.len()
                    + functions.added.len()
                    + functions.removed.len()
                    + data.changed.len()
                    + data.added.len()
                    + data.removed.len();
                let status = if changed == 0 { "unchanged" } else { "changed" };
                self.files.push(json!({
                    "path": b.path, "path_a": a.path, "status": status,
                    "unchanged": functions.unchanged, "changed": functions.changed.len(),
                    "added": functions.added.len(), "removed": functions.removed.len(),
                }));
                self.deltas.push((b.path.clone(), delta));
            }
            Err(error) => {
                self.files.push(json!({ "path": b.path, "status": "refused", "problem": error.message }));
                self.warnings.push(format!("{}: {}", b.path, error.message));
            }
        }
    }

    /// One document of the form of a single delta, each entry with its file, and the files beside it.
    fn document(&self, milliseconds: f64) -> Value {
        let unchanged: u64 = self.deltas.iter().map(|(_, delta)| delta.functions.unchanged).sum();
        let of = |part: &str, list: &str| -> Vec<Value> {
            let mut all = Vec::new();
            for (path, delta) in &self.deltas {
                let value = serde_json::to_value(delta).unwrap_or_default();
                for mut entry in value[part][list].as_array().cloned().unwrap_or_default() {
                    entry["file"] = json!(path);
                    all.push(entry);
                }
            }
            all
        };
        let mut functions = json!({ "unchanged": unchanged });
        LISTS.iter().for_each(|list| functions[*list] = json!(of("functions", list)));
        let data = json!({ "changed": of("data", "changed"), "added": of("data", "added"), "removed": of("data", "removed") });
        let mut ignored: Vec<&String> = self.deltas.iter().flat_map(|(_, delta)| &delta.ignored).collect();
        ignored.sort();
        ignored.dedup();
        let weigh = |figure: fn(&Delta) -> f64| {
            let weight =
                |delta: &Delta| (delta.functions.unchanged + delta.functions.changed.len() as u64) as f64;
            let all: f64 = self.deltas.iter().map(|(_, delta)| weight(delta)).sum();
            let sum: f64 = self.deltas.iter().map(|(_, delta)| weight(delta) * figure(delta)).sum();
            if all > 0.0 { sum / all } else { 0.0 }
        };
        json!({
            "files": self.files, "functions": functions, "data": data, "ignored": ignored,
            "delta_information": weigh(|delta| delta.delta_information),
            "delta_entropy": weigh(|delta| delta.delta_entropy),
            "warnings": self.warnings, "milliseconds": milliseconds,
        })
    }
}

fn compared(kept: &Kept, a: &Found, b: &Found) -> Result<Delta, CliError> {
    let index_a = indexed(kept, Path::new(&a.path), &a.bytes)?;
    let index_b = indexed(kept, Path::new(&b.path), &b.bytes)?;
    Ok(match (Module::parse(&a.bytes), Module::parse(&b.bytes)) {
        (Ok(module_a), Ok(module_b)) => assay_delta::diff_modules(&module_a, &module_b, &index_a, &index_b),
        _ => assay_delta::diff(&index_a, &index_b),
    })
}
