//! The catalogue of functions: which artifacts contain one.

use std::path::{Path, PathBuf};

use assay_binary::Address;
use assay_evidence::Sha256;
use serde_json::{Value, json};

use super::{Kept, artifact, report};
use crate::args::Global;
use crate::client::Client;
use crate::commands::{list, text};
use crate::error::{CliError, Exit};
use crate::output::{Output, table};

/// Indexes, stores, and enters into the catalogue.
pub(super) async fn index(
    global: &Global,
    kept: &Kept,
    files: &[PathBuf],
    output: &Output,
) -> Result<Exit, CliError> {
    let client = Client::open(global).await?;
    let (mut found, mut rows) = (Vec::new(), Vec::new());
    super::index(kept, files, output, |row, bytes| found.push((row, bytes)))?;
    for (mut row, bytes) in found {
        let artifact = client.upload(bytes).await?;
        let entered = client.post("/api/v1/deltas/indexes", &json!({ "artifact": artifact })).await?;
        row["catalogued"] = json!(true);
        row["index"] = entered["index"].clone();
        rows.push(row);
    }
    report(&rows, output)
}

/// What is looked for.
pub(super) struct Asked<'a> {
    pub function: &'a str,
    pub file: Option<&'a Path>,
    pub limit: usize,
    pub after: &'a Option<String>,
}

/// Says which artifacts contain a function; none is a well-founded no.
pub(super) async fn find(
    global: &Global,
    kept: &Kept,
    asked: &Asked<'_>,
    output: &Output,
) -> Result<Exit, CliError> {
    let function = match asked.file {
        Some(file) => meaning(kept, file, asked.function)?,
        None => asked.function.parse::<Sha256>().map_err(|error| {
            CliError::refused("digest_refused", error.to_string(), "name the file that has it with --in FILE")
        })?,
    };
    let after = asked.after.as_ref().map(|after| format!("&after={}", encoded(after))).unwrap_or_default();
    let path = format!("/api/v1/functions/{function}/artifacts?limit={}{after}", asked.limit);
    let answer = Client::open(global).await?.get(&path).await?;
    output.data(&answer, || print(&answer));
    Ok(if list(&answer, "artifacts").is_empty() { Exit::No } else { Exit::Yes })
}

/// The hash of what a function of a file means.
fn meaning(kept: &Kept, file: &Path, wanted: &str) -> Result<Sha256, CliError> {
    let (_, index) = artifact(kept, file)?;
    let address = wanted.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok());
    let is_it = |function: &assay_delta::IndexedFunction<'_>| {
        function.name() == wanted || address.is_some_and(|at| function.address() == Address(at))
    };
    let found = index.functions().find(is_it).map(|function| function.meaning());
    found.ok_or_else(|| {
        let message = format!("`{wanted}` is no function of {}", file.display());
        CliError::refused("unknown_function", message, "name it as the file spells it, or by its address")
    })
}

fn print(answer: &Value) -> String {
    let row = |place: &Value| vec![text(place, "artifact").to_owned(), text(place, "address").to_owned()];
    let rows: Vec<Vec<String>> = list(answer, "artifacts").iter().map(row).collect();
    let more = answer["next"].as_str().map(|next| format!("more with --after {next}\n")).unwrap_or_default();
    format!(
        "{} places, index age {} s\n{}{more}",
        answer["occurrences"],
        answer["index_age_seconds"],
        table(&rows)
    )
}

/// A value within a query: what somebody typed adds no other parameter.
fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::encoded;

    #[test]
    fn a_cursor_stays_one_value() {
        assert_eq!(encoded("0a-1f"), "0a-1f");
        assert_eq!(encoded("x&limit=1#+%"), "x%26limit%3D1%23%2B%25");
    }
}
