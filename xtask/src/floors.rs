//! The import rule: rooms stand above what they import, and rooms on one floor do not import each
//! other. Also the fences of SQL: what must not be written outside `store`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::shell;

/// The floors of the house.
const FLOORS: &[(&str, u32)] = &[
    ("evidence", 0),
    ("archive", 0),
    ("binary", 0),
    ("symbols", 1),
    ("stacks", 1),
    ("delta", 1),
    ("witness", 1),
    ("ledger", 1),
    ("gate", 1),
    ("store", 2),
    ("notary", 3),
    ("access", 3),
    ("verify", 4),
    ("deltas", 4),
    ("control", 5),
    ("market", 5),
    ("federation", 5),
    ("server", 6),
    ("cli", 7),
];

/// Texts that mean something else on one of the databases, or get around `store::write`.
const FENCED: &[(&str, &str)] = &[
    ("QueryBuilder", "statements are literal texts with $n"),
    (".begin()", "use Database::write"),
    ("sqlx::", "only store speaks to sqlx"),
];

/// Checks imports, and the fences.
pub fn check() -> Result<()> {
    let floors: BTreeMap<&str, u32> = FLOORS.iter().copied().collect();
    let mut problems = Vec::new();
    for (room, floor) in FLOORS {
        let folder = shell::root().join("crates").join(room);
        if !folder.exists() {
            continue;
        }
        let imports = imports(&folder)?;
        for import in &imports {
            let Some(other) = floors.get(import.as_str()) else {
                problems.push(format!("{room} imports {import}, which stands on no floor"));
                continue;
            };
            if other >= floor {
                problems.push(format!("{room} (floor {floor}) imports {import} (floor {other})"));
            }
        }
        if imports.iter().any(|import| import == "store") {
            problems.extend(fences(&folder)?);
        }
    }
    if problems.is_empty() {
        return Ok(());
    }
    bail!("the house is not in order:\n  {}", problems.join("\n  "))
}

/// The rooms that a room's manifest names outside its dev-dependencies.
fn imports(folder: &Path) -> Result<Vec<String>> {
    let path = folder.join("Cargo.toml");
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let manifest: toml::Table = toml::from_str(&text).with_context(|| path.display().to_string())?;
    let dependencies = manifest.get("dependencies").and_then(toml::Value::as_table);
    let names = dependencies.into_iter().flat_map(toml::Table::keys);
    Ok(names.filter_map(|name| name.strip_prefix("assay-").map(str::to_owned)).collect())
}

fn fences(folder: &Path) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for file in sources(&folder.join("src"))? {
        let text = std::fs::read_to_string(&file)?;
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            for (word, why) in FENCED.iter().filter(|(word, _)| code.contains(word)) {
                problems.push(format!("{}:{}: `{word}`: {why}", file.display(), number + 1));
            }
        }
    }
    Ok(problems)
}

fn sources(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(sources(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_house_is_in_order() {
        check().unwrap();
    }

    #[test]
    fn every_room_stands_on_a_floor() {
        for entry in std::fs::read_dir(shell::root().join("crates")).unwrap() {
            let name = entry.unwrap().file_name().to_string_lossy().into_owned();
            // Shared by tests only, and nothing a room may depend on.
            if name != "testkit" {
                assert!(FLOORS.iter().any(|(room, _)| *room == name), "{name}");
            }
        }
    }
}
