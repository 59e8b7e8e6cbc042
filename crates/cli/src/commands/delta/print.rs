//! Deltas for a terminal.

use assay_delta::{Delta, Explanation, FunctionEntry};
use serde_json::Value;

use crate::output::{Output, milliseconds, table};

/// Most entries of one list.
const MAX_SHOWN: usize = 50;

pub(super) fn indexes(rows: &[Value]) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let cells = |row: &Value| {
        let toolchain = match &row["toolchain"] {
            Value::Null => "unknown toolchain".to_owned(),
            known => format!("{} {}", text(&known["name"]), text(&known["version"])),
        };
        let architecture = match &row["architecture"] {
            Value::String(name) => name.clone(),
            other => text(&other["other"]),
        };
        vec![
            text(&row["file"]),
            text(&row["format"]),
            architecture,
            format!("{} functions", row["functions"]),
            toolchain,
            milliseconds(row["milliseconds"].as_f64().unwrap_or_default()),
        ]
    };
    table(&rows.iter().map(cells).collect::<Vec<_>>())
}

pub(super) fn delta(delta: &Delta, output: &Output) -> String {
    let functions = &delta.functions;
    let mut text = format!("{:<10} {}\n", "unchanged", functions.unchanged);
    let lists = [
        ("changed", &functions.changed, "33"),
        ("added", &functions.added, "32"),
        ("removed", &functions.removed, "31"),
        ("renamed", &functions.renamed, "36"),
        ("affected", &functions.affected, "2"),
        ("moved", &functions.moved, "2"),
    ];
    for (kind, entries, colour) in lists {
        text.push_str(&format!("{kind:<10} {}\n", entries.len()));
        if kind != "moved" && kind != "affected" {
            text.push_str(&entry_lines(entries, output, colour));
        }
    }
    let data = &delta.data;
    for (kind, entries) in [("changed", &data.changed), ("added", &data.added), ("removed", &data.removed)] {
        if !entries.is_empty() {
            text.push_str(&format!("data {kind} {}\n", entries.len()));
            text.push_str(&entry_lines(entries, output, "33"));
        }
    }
    text.push_str(&format!(
        "information {:.2} bits an instruction, entropy {:.4}\nset aside: {}\n",
        delta.delta_information,
        delta.delta_entropy,
        delta.ignored.join("; ")
    ));
    text
}

fn entry_lines(entries: &[FunctionEntry], output: &Output, colour: &str) -> String {
    let mut text = String::new();
    for entry in entries.iter().take(MAX_SHOWN) {
        let place = entry.address_b.or(entry.address_a).map(|at| at.to_string()).unwrap_or_default();
        text.push_str(&format!("  {} {place}  {}\n", output.paint(colour, &entry.name), entry.why));
        if !entry.details.is_empty() {
            text.push_str(&format!("      {}\n", entry.details.join("; ")));
        }
    }
    if entries.len() > MAX_SHOWN {
        text.push_str(&format!("  and {} more\n", entries.len() - MAX_SHOWN));
    }
    text
}

/// A package: its files, then each file's delta.
pub(super) fn package(deltas: &[(String, Delta)], files: &[Value], output: &Output) -> String {
    let row = |file: &Value| {
        let figure = |key: &str| file[key].as_u64().map(|count| format!("{count} {key}")).unwrap_or_default();
        let text = |key: &str| file[key].as_str().unwrap_or_default().to_owned();
        vec![
            text("status"),
            text("path"),
            figure("changed"),
            figure("added"),
            figure("removed"),
            text("problem"),
        ]
    };
    let mut text = table(&files.iter().map(row).collect::<Vec<_>>());
    for (path, found) in deltas.iter().filter(|(_, delta)| !delta.functions.changed.is_empty()) {
        text.push_str(&format!("\n{}\n{}", output.paint("1", path), delta(found, output)));
    }
    text
}

const COLUMN: usize = 58;
/// Equal rows shown before and after a difference.
const CONTEXT: usize = 3;

pub(super) fn side_by_side(explanation: &Explanation, output: &Output) -> String {
    let rows = &explanation.rows;
    let near = |index: usize| {
        rows[index.saturating_sub(CONTEXT)..rows.len().min(index + CONTEXT + 1)].iter().any(|row| !row.same)
    };
    let mut text = format!("{}\n\n", explanation.words.join("\n"));
    let mut gap = false;
    for (index, row) in rows.iter().enumerate() {
        if !near(index) {
            gap = true;
            continue;
        }
        if std::mem::take(&mut gap) {
            text.push_str("   ...\n");
        }
        let cut = |side: &Option<String>| -> String {
            side.as_deref().unwrap_or_default().chars().take(COLUMN).collect()
        };
        let (left, right) = (format!("{:<COLUMN$}", cut(&row.a)), cut(&row.b));
        let line = match row.same {
            true => format!("   {left}   {right}"),
            false => format!(" | {} | {}", output.paint("31", &left), output.paint("32", &right)),
        };
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
