//! Printing: data on stdout, talk on stderr, progress on a terminal only.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::args::Global;
use crate::error::CliError;

/// Where output goes and in which form.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    json: bool,
    quiet: bool,
    colour: bool,
}

impl Output {
    pub fn new(global: &Global) -> Self {
        Self { json: global.json, quiet: global.quiet, colour: global.colour() }
    }

    /// Whether JSON was asked for.
    pub fn json(&self) -> bool {
        self.json
    }

    /// One JSON document, or the text that `human` makes.
    pub fn data<T: Serialize>(&self, value: &T, human: impl FnOnce() -> String) {
        let text = if self.json {
            serde_json::to_string_pretty(value).unwrap_or_default()
        } else {
            human().trim_end().to_owned()
        };
        self.line(&text);
    }

    /// A line on stdout. A closed pipe ends the printing, not the program.
    pub fn line(&self, text: &str) {
        let _ = writeln!(std::io::stdout(), "{text}");
    }

    /// Talk on stderr.
    pub fn say(&self, text: &str) {
        if !self.quiet && !self.json {
            let _ = writeln!(std::io::stderr(), "{text}");
        }
    }

    /// A warning on stderr, also beside a JSON document.
    pub fn warn(&self, text: &str) {
        if !self.quiet {
            let _ = writeln!(std::io::stderr(), "{} {text}", self.paint("33", "warning:"));
        }
    }

    /// A spinner on a terminal, nothing elsewhere.
    pub fn spinner(&self, text: &str) -> ProgressBar {
        if self.quiet || self.json || !std::io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::new_spinner().with_message(text.to_owned());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} [{elapsed}]") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        bar
    }

    /// A bar of `length` steps on a terminal, nothing elsewhere.
    pub fn bar(&self, text: &str, length: u64) -> ProgressBar {
        if self.quiet || self.json || !std::io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::new(length).with_message(text.to_owned());
        if let Ok(style) = ProgressStyle::with_template("{msg} [{bar:30}] {pos}/{len} [{elapsed}]") {
            bar.set_style(style);
        }
        bar
    }

    /// Text in a colour, where colours are wanted.
    pub fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    /// Prints a failure; the exit code.
    pub fn failure(&self, error: &CliError) -> ExitCode {
        if self.json {
            let document = serde_json::json!({
                "error": { "code": error.code, "message": error.message, "hint": error.hint }
            });
            self.line(&serde_json::to_string_pretty(&document).unwrap_or_default());
        }
        let mut err = std::io::stderr();
        let _ = writeln!(err, "{} {}", self.paint("31", "error:"), error.message);
        if let Some(hint) = &error.hint {
            let _ = writeln!(err, "{} {hint}", self.paint("36", "hint:"));
        }
        error.exit.into()
    }
}

/// Rows in columns, two spaces apart.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(&format!("{cell:<width$}  "));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Milliseconds as people read them.
pub(crate) fn milliseconds(value: f64) -> String {
    match value {
        value if value < 10.0 => format!("{value:.2} ms"),
        value if value < 1000.0 => format!("{value:.0} ms"),
        value => format!("{:.2} s", value / 1000.0),
    }
}
