//! `assay witness record --attach-core`: a draft from what a crash left behind.

use std::path::Path;

use assay_witness::draft::{CoreError, Draft, MAX_CORE_BYTES, Missing, read_core};
use serde_json::{Value, json};

use super::{list, read_input, text};
use crate::error::{CliError, Exit};
use crate::output::{Output, table};

/// Reads a core file, or a report that a tool printed, and says what a recording still needs.
pub(super) fn run(file: &Path, incident: &str, output: &Output) -> Result<Exit, CliError> {
    let bytes = read_input(file, MAX_CORE_BYTES)?;
    let answer = match read_core(&bytes) {
        Ok(mut draft) => {
            draft.compare_with_host();
            of_core(&draft, incident)
        }
        Err(CoreError::NotElf) => of_report(&bytes, file)?,
        Err(error) => {
            let hint = "give a core file of an x86-64 Linux process, or the text that a tool printed";
            return Err(CliError::refused("draft_refused", format!("{}: {error}", file.display()), hint));
        }
    };
    output.data(&answer, || describe(&answer));
    Ok(Exit::Unknown)
}

fn of_core(draft: &Draft, incident: &str) -> Value {
    let mut answer = serde_json::to_value(draft).unwrap_or_default();
    answer["kind"] = json!("core");
    answer["next"] = json!(next(draft, incident));
    answer
}

/// The command that records it, as a shell takes it.
fn next(draft: &Draft, incident: &str) -> String {
    let incident = if incident.is_empty() { "ID" } else { incident };
    let mut words = vec!["assay".to_owned(), "witness".to_owned(), "record".to_owned()];
    words.extend(["--incident".to_owned(), quoted(incident)]);
    words.push("--".to_owned());
    match draft.command.split_first() {
        Some((_, arguments)) => {
            words.push(quoted(&draft.executable));
            words.extend(arguments.iter().map(|word| quoted(word)));
        }
        None => words.push(quoted(&draft.executable)),
    }
    words.join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=@%+,".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn of_report(bytes: &[u8], file: &Path) -> Result<Value, CliError> {
    let refuse = |detail: String| {
        let hint = "give a core file of an x86-64 Linux process, or the text that a tool printed; minidumps are not read";
        CliError::refused("draft_refused", format!("{}: {detail}", file.display()), hint)
    };
    let report = assay_stacks::parse(bytes).map_err(|error| refuse(error.to_string()))?;
    let missing = |code: &str, detail: &str| Missing { code: code.to_owned(), detail: detail.to_owned() };
    let missing = [
        missing("executable", "a report names functions, not the file: give it with --subject"),
        missing("arguments", "the command line is not in a report"),
        missing("stdin", "the standard input is not in a report: give it with --stdin"),
        missing("files", "files that were read are not in a report"),
    ];
    Ok(json!({
        "kind": "report", "format": report.format, "threads": report.threads, "missing": missing,
        "next": "assay witness record --incident ID -- CMD...",
    }))
}

fn describe(answer: &Value) -> String {
    let mut lines = Vec::new();
    if text(answer, "kind") == "core" {
        let words: Vec<&str> = list(answer, "command").iter().filter_map(Value::as_str).collect();
        lines.push(format!("command: {}", words.join(" ")));
        let address = answer["fault_address"].as_str().unwrap_or("no address");
        lines.push(format!("signal {} at {address}", answer["signal"]));
        for (at, place) in list(answer, "threads").iter().enumerate() {
            let module = place["module"].as_str().unwrap_or("?");
            lines.push(format!("  thread {at}: {module}+{}", text(place, "offset")));
        }
        let row = |module: &Value| {
            let id = module["build_id"].as_str().unwrap_or("-").to_owned();
            vec![format!("  {}", text(module, "path")), id, text(module, "here").to_owned()]
        };
        lines.push(table(&list(answer, "modules").iter().map(row).collect::<Vec<_>>()));
    }
    lines.push("missing:".to_owned());
    let row =
        |missing: &Value| vec![format!("  {}", text(missing, "code")), text(missing, "detail").to_owned()];
    lines.push(table(&list(answer, "missing").iter().map(row).collect::<Vec<_>>()));
    lines.push(format!("next: {}", text(answer, "next")));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_for_a_shell() {
        assert_eq!(quoted("a/b-c"), "a/b-c");
        assert_eq!(quoted("it's; rm"), r"'it'\''s; rm'");
        assert_eq!(quoted(""), "''");
    }
}
