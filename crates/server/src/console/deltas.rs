//! What differs between two artifacts: in lists, as a picture, and one function side by side.

use askama::Template;
use assay_binary::Address;
use assay_delta::{FunctionEntry, Row};
use assay_deltas::IndexSummary;
use assay_evidence::Sha256;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use super::graph::{Picture, picture};
use super::page;
use super::view::{Digest, Shell, shown};
use crate::api::Asked;
use crate::api::deltas::FunctionPair;
use crate::app::App;
use crate::auth::Caller;
use crate::problem::Problem;

/// Entries of one list that are shown.
const MAX_SHOWN: usize = 100;
/// Rows of a listing that are shown.
const MAX_ROWS: usize = 1000;
/// Equal rows shown before and after a difference.
const CONTEXT: usize = 3;

#[derive(Deserialize)]
pub(super) struct Asks {
    a: Option<String>,
    b: Option<String>,
}

#[derive(Template)]
#[template(path = "delta-form.html")]
struct FormPage {
    shell: Shell,
}

#[derive(Template)]
#[template(path = "delta.html")]
struct DeltaPage {
    shell: Shell,
    a: SideView,
    b: SideView,
    unchanged: u64,
    counts: Vec<(&'static str, usize)>,
    information: String,
    entropy: String,
    ignored: Vec<String>,
    picture: Option<Picture>,
    lists: Vec<ListView>,
    query: String,
}

struct SideView {
    artifact: Digest,
    facts: String,
}

impl SideView {
    fn of(summary: &IndexSummary) -> Self {
        let word = |value: serde_json::Value| value.as_str().unwrap_or("other").to_owned();
        let architecture = word(serde_json::to_value(&summary.architecture).unwrap_or_default());
        let toolchain = summary.toolchains.first().map_or_else(
            || "unknown toolchain".to_owned(),
            |toolchain| format!("{} {}", toolchain.name, toolchain.version).trim().to_owned(),
        );
        let toolchain = shown(&toolchain);
        let facts = format!("{} functions · {architecture} · {toolchain}", summary.functions);
        Self { artifact: Digest::of(&summary.artifact), facts }
    }
}

struct ListView {
    title: &'static str,
    what: &'static str,
    rows: Vec<EntryView>,
    more: usize,
}

struct EntryView {
    name: String,
    place: String,
    why: String,
    /// The page that shows it side by side.
    link: Option<String>,
}

fn list(title: &'static str, what: &'static str, entries: &[FunctionEntry], query: Option<&str>) -> ListView {
    let text = |address: Option<Address>| address.map_or_else(|| "–".to_owned(), |at| at.to_string());
    let row = |entry: &FunctionEntry| EntryView {
        name: shown(&entry.name),
        place: match entry.address_a == entry.address_b {
            true => text(entry.address_a),
            false => format!("{} → {}", text(entry.address_a), text(entry.address_b)),
        },
        why: shown(&entry.why),
        link: query
            .zip(entry.address_a)
            .zip(entry.address_b)
            .map(|((query, a), b)| format!("/deltas/function?{query}&address_a={a}&address_b={b}")),
    };
    ListView {
        title,
        what,
        rows: entries.iter().take(MAX_SHOWN).map(row).collect(),
        more: entries.len().saturating_sub(MAX_SHOWN),
    }
}

pub(super) async fn show(
    State(app): State<App>,
    Caller(principal): Caller,
    Asked(asks): Asked<Asks>,
) -> Result<Response, Problem> {
    let shell = |title: &str| Shell::new(title, "deltas", &principal);
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let (Some(a), Some(b)) = (given(asks.a), given(asks.b)) else {
        return page(&FormPage { shell: shell("Deltas") });
    };
    let (a, b): (Sha256, Sha256) = (a.trim().parse()?, b.trim().parse()?);
    let sides = (app.deltas.summary(&principal, &a).await?, app.deltas.summary(&principal, &b).await?);
    let delta = app.deltas.compare(&principal, &a, &b).await?.delta;
    let graph = app.deltas.graph(&principal, &a, &b).await?;
    let (functions, data, query) = (&delta.functions, &delta.data, format!("a={a}&b={b}"));
    let link = Some(query.as_str());
    let mut lists = vec![
        list("Changed", "Their own bodies differ in meaning", &functions.changed, link),
        list("Added", "Only in the artifact after", &functions.added, None),
        list("Removed", "Only in the artifact before", &functions.removed, None),
        list("Renamed", "The same body under another name", &functions.renamed, link),
        list("Data changed", "Initial contents differ", &data.changed, None),
        list("Data added", "Only in the artifact after", &data.added, None),
        list("Data removed", "Only in the artifact before", &data.removed, None),
        list("Affected", "The same body, but it reaches something changed", &functions.affected, None),
    ];
    lists.retain(|list| !list.rows.is_empty());
    page(&DeltaPage {
        shell: shell("Delta"),
        a: SideView::of(&sides.0),
        b: SideView::of(&sides.1),
        unchanged: functions.unchanged,
        counts: vec![
            ("changed", functions.changed.len()),
            ("added", functions.added.len()),
            ("removed", functions.removed.len()),
            ("renamed", functions.renamed.len()),
            ("affected", functions.affected.len()),
            ("moved", functions.moved.len()),
        ],
        information: format!("{:.2}", delta.delta_information),
        entropy: format!("{:.4}", delta.delta_entropy),
        ignored: delta.ignored.clone(),
        picture: picture(&graph, &query),
        lists,
        query,
    })
}

#[derive(Template)]
#[template(path = "delta-function.html")]
struct FunctionPage {
    shell: Shell,
    query: String,
    back: String,
    words: Vec<String>,
    more_words: usize,
    /// What is said where there are no words.
    plain: &'static str,
    rows: Vec<RowView>,
    more_rows: usize,
}

#[derive(Debug, PartialEq)]
struct RowView {
    address_a: String,
    a: String,
    address_b: String,
    b: String,
    same: bool,
    /// Equal rows are left out before this one.
    gap: bool,
}

pub(super) async fn function(
    State(app): State<App>,
    Caller(principal): Caller,
    Asked(pair): Asked<FunctionPair>,
) -> Result<Response, Problem> {
    let ((a, address_a), (b, address_b)) = pair.read()?;
    let explanation = app.deltas.explain(&principal, (&a, address_a), (&b, address_b)).await?;
    let (rows, more_rows) = near_differences(&explanation.rows);
    page(&FunctionPage {
        shell: Shell::new("Changed function", "deltas", &principal),
        query: format!("a={a}&b={b}&address_a={address_a}&address_b={address_b}"),
        back: format!("a={a}&b={b}"),
        plain: match explanation.rows.iter().all(|row| row.same) {
            true => "The instructions are the same; what they refer to differs.",
            false => "What it calls, names and compares is the same; its instructions differ.",
        },
        words: explanation.words.iter().take(MAX_SHOWN).map(|words| shown(words)).collect(),
        more_words: explanation.words.len().saturating_sub(MAX_SHOWN),
        rows,
        more_rows,
    })
}

/// The differing rows with some equal ones around them, and how many more there are.
fn near_differences(rows: &[Row]) -> (Vec<RowView>, usize) {
    let near = |index: usize| {
        rows[index.saturating_sub(CONTEXT)..rows.len().min(index + CONTEXT + 1)].iter().any(|row| !row.same)
    };
    let mut views: Vec<RowView> = Vec::new();
    let mut last = None;
    let text = |text: &Option<String>| text.as_deref().map(shown).unwrap_or_default();
    let place = |address: Option<Address>| address.map(|address| address.to_string()).unwrap_or_default();
    let mut chosen = rows.iter().enumerate().filter(|&(index, _)| near(index));
    for (index, row) in chosen.by_ref().take(MAX_ROWS) {
        views.push(RowView {
            address_a: place(row.address_a),
            a: text(&row.a),
            address_b: place(row.address_b),
            b: text(&row.b),
            same: row.same,
            gap: index > 0 && last != Some(index - 1),
        });
        last = Some(index);
    }
    (views, chosen.count())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(same: impl Fn(usize) -> bool, count: usize) -> Vec<Row> {
        let row = |index| {
            let (a, b) = (Some(format!("a {index}")), Some(format!("b {index}")));
            let address = Some(Address(index as u64));
            Row { address_a: address, a, address_b: address, b, same: same(index) }
        };
        (0..count).map(row).collect()
    }

    #[test]
    fn three_equal_rows_around_each_difference() {
        let (views, more) = near_differences(&rows(|index| index != 10 && index != 30, 40));
        let listed: Vec<&str> = views.iter().map(|view| view.a.as_str()).collect();
        let expected: Vec<String> = (7..=13).chain(27..=33).map(|index| format!("a {index}")).collect();
        assert_eq!((listed, more), (expected.iter().map(String::as_str).collect(), 0));
        let gaps: Vec<usize> = (0..views.len()).filter(|&view| views[view].gap).collect();
        assert_eq!(gaps, [0, 7]);
    }

    #[test]
    fn a_long_listing_is_cut_and_says_so() {
        let (views, more) = near_differences(&rows(|_| false, MAX_ROWS + 5));
        assert_eq!((views.len(), more), (MAX_ROWS, 5));
    }
}
