//! Mutants of a tree: one small edit of one file.

use std::collections::BTreeMap;

use super::idle;
use crate::bench::carryover::Random;

/// A tree's files by path.
pub type Files = BTreeMap<String, Vec<u8>>;

pub const HARMLESS: [&str; 4] =
    ["file nobody reads", "idle: statement more", "idle: statement changed", "idle: comment"];
const KINDS: [&str; 14] = [
    "operator",
    "constant",
    "branch",
    "text",
    "name",
    "statement removed",
    "statements swapped",
    "statement twice",
    "data",
    "file added",
    "comment line",
    "blank line",
    "comment at the end of a line",
    "file nobody reads",
];

/// One edit.
pub struct Mutant {
    pub kind: &'static str,
    pub path: String,
    pub files: Files,
}

const OPERATORS: [(&str, &str); 16] = [
    (" + ", " - "),
    (" - ", " + "),
    (" * ", " + "),
    (" == ", " != "),
    (" != ", " == "),
    (" === ", " !== "),
    (" !== ", " === "),
    (" < ", " <= "),
    (" > ", " < "),
    (" >= ", " > "),
    (" <= ", " < "),
    (" and ", " or "),
    (" or ", " and "),
    (" && ", " || "),
    (" || ", " && "),
    (" += ", " -= "),
];

/// Makes a mutant; `likely` are files that the run opens. None where the edit does not fit.
pub fn make(
    original: &Files,
    likely: &[String],
    idle: &idle::IdleLines,
    random: &mut Random,
) -> Option<Mutant> {
    const OPENED_SHARE: usize = 6;
    const IDLE_SHARE: usize = 2;
    if !idle.is_empty() && random.below(IDLE_SHARE) == 0 {
        return idle::make(original, idle, random);
    }
    let kind = *random.pick(&KINDS)?;
    let all: Vec<&String> = original.keys().collect();
    let path = if random.below(OPENED_SHARE) > 0 {
        random.pick(likely)?.clone()
    } else {
        (*random.pick(&all)?).clone()
    };
    let mut files = original.clone();
    match kind {
        "file nobody reads" => {
            files.insert(format!("docs/page{}.txt", random.below(100)), b"nothing\n".to_vec());
        }
        "file added" => {
            let folder = path.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
            let names =
                ["json.py", "os.py", "fs.js", "index.json", "notes.md", "__main__.py", "enum.py", "extra.js"];
            let name = format!("{folder}{}", random.pick(&names)?);
            if files.insert(name, b"raise SystemExit(7)\n".to_vec()).is_some() {
                return None;
            }
        }
        _ => {
            let text = String::from_utf8(files.get(&path)?.clone()).ok()?;
            let edited = edit(kind, &path, &text, random)?;
            if edited == text {
                return None;
            }
            files.insert(path.clone(), edited.into_bytes());
        }
    }
    Some(Mutant { kind, path, files })
}

pub fn edit(kind: &'static str, path: &str, text: &str, random: &mut Random) -> Option<String> {
    let is_source = path.ends_with(".py") || path.ends_with(".js");
    if kind == "data" {
        return (!is_source).then(|| digit(text, random)).flatten();
    }
    if !is_source {
        return None;
    }
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let at = random.below(lines.len());
    let line = lines.get(at)?.clone();
    let indent: String = line.chars().take_while(|c| *c == ' ').collect();
    let is_python = path.ends_with(".py");
    let comment = if is_python { "# later" } else { "// later" };
    match kind {
        // Inside a text a comment is none: then the text differs, and nobody calls it harmless.
        "comment line" => lines.insert(at, format!("{indent}{comment}")),
        "blank line" => lines.insert(at, String::new()),
        "comment at the end of a line" => lines[at] = format!("{line}  {comment}"),
        "operator" => lines[at] = replaced(&line, &OPERATORS, random)?,
        "constant" => lines[at] = digit(&line, random)?,
        "branch" => lines[at] = turned(&line, is_python)?,
        "text" => lines[at] = spelled(&line, random)?,
        "name" => lines[at] = renamed(&line, random)?,
        "statement removed" => drop(lines.remove(at)),
        "statement twice" => lines.insert(at, line),
        "statements swapped" if at + 1 < lines.len() => lines.swap(at, at + 1),
        _ => return None,
    }
    Some(lines.join("\n") + "\n")
}

fn replaced(line: &str, pairs: &[(&str, &str)], random: &mut Random) -> Option<String> {
    let found: Vec<(usize, &(&str, &str))> =
        pairs.iter().flat_map(|pair| line.match_indices(pair.0).map(move |(at, _)| (at, pair))).collect();
    let (at, (from, to)) = random.pick(&found)?;
    Some(format!("{}{to}{}", &line[..*at], &line[at + from.len()..]))
}

pub fn digit(text: &str, random: &mut Random) -> Option<String> {
    let places: Vec<usize> =
        text.char_indices().filter(|(_, c)| c.is_ascii_digit()).map(|(at, _)| at).collect();
    let at = *random.pick(&places)?;
    let old = text.as_bytes()[at] - b'0';
    Some(format!("{}{}{}", &text[..at], (old + 1 + random.below(8) as u8) % 10, &text[at + 1..]))
}

fn turned(line: &str, is_python: bool) -> Option<String> {
    let start = line.find("if ")? + 3;
    if is_python {
        let end = line.rfind(':')?;
        (start < end).then(|| format!("{}not ({}){}", &line[..start], &line[start..end], &line[end..]))
    } else {
        Some(format!("{}{}", &line[..start], line[start..].replacen('(', "(!", 1)))
    }
}

/// Another letter between quotes.
fn spelled(line: &str, random: &mut Random) -> Option<String> {
    let quotes: Vec<usize> = line.match_indices(['"', '\'', '`']).map(|(at, _)| at).collect();
    let from = *random.pick(&quotes)?;
    let letter = line[from + 1..].chars().next().filter(char::is_ascii_alphabetic)?;
    let other = if letter == 'q' { 'z' } else { 'q' };
    Some(format!("{}{other}{}", &line[..=from], &line[from + 2..]))
}

/// A letter more in one name.
fn renamed(line: &str, random: &mut Random) -> Option<String> {
    let starts: Vec<usize> = line
        .char_indices()
        .filter(|(at, c)| {
            c.is_ascii_lowercase() && !line[..*at].ends_with(|b: char| b.is_ascii_alphanumeric() || b == '_')
        })
        .map(|(at, _)| at)
        .collect();
    let at = *random.pick(&starts)?;
    Some(format!("{}q{}", &line[..at], &line[at..]))
}
