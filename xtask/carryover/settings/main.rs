//! Reads settings, resolves references between them, and ends with a panic where one is missing.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::rc::Rc;

#[derive(Debug, Clone)]
enum Setting {
    Text(String),
    Number(i64),
    List(Vec<Setting>),
    Reference(String),
}

trait Source: Debug {
    fn lines(&self) -> Vec<String>;
    fn rank(&self) -> i32;
}

#[derive(Debug)]
struct Given(Vec<String>);

#[derive(Debug)]
struct Standard;

impl Source for Given {
    fn lines(&self) -> Vec<String> {
        self.0.clone()
    }
    fn rank(&self) -> i32 {
        10
    }
}

impl Source for Standard {
    fn lines(&self) -> Vec<String> {
        STANDARD.iter().map(|line| (*line).to_owned()).collect()
    }
    fn rank(&self) -> i32 {
        1
    }
}

static STANDARD: [&str; 5] = ["depth = 4", "name = standard", "sizes = [1, 2, 3]", "link = @name", "twice = [@sizes, @depth]"];
static LIMITS: [(&str, i64); 3] = [("depth", 9), ("width", 40), ("height", 25)];

#[inline(never)]
fn parse(text: &str) -> Option<Setting> {
    let text = text.trim();
    match text.as_bytes().first()? {
        b'[' => {
            let inner = text.strip_prefix('[')?.strip_suffix(']')?;
            inner.split(',').map(parse).collect::<Option<Vec<_>>>().map(Setting::List)
        }
        b'@' => Some(Setting::Reference(text[1..].to_owned())),
        b'-' | b'0'..=b'9' => text.parse().ok().map(Setting::Number),
        _ => Some(Setting::Text(text.to_owned())),
    }
}

#[derive(Default)]
struct Settings {
    all: BTreeMap<String, (i32, Rc<Setting>)>,
    refused: u32,
}

impl Settings {
    fn read(&mut self, source: &dyn Source) {
        for line in source.lines() {
            let Some((name, text)) = line.split_once('=') else {
                self.refused += 1;
                continue;
            };
            let Some(setting) = parse(text) else {
                self.refused += 2;
                continue;
            };
            let name = name.trim().to_owned();
            let known = self.all.get(&name).map_or(i32::MIN, |known| known.0);
            if source.rank() > known && within(&name, &setting) {
                self.all.insert(name, (source.rank(), Rc::new(setting)));
            }
        }
    }

    #[inline(never)]
    fn number(&self, setting: &Setting, depth: usize) -> i64 {
        assert!(depth < 8, "a circle of references");
        match setting {
            Setting::Number(number) => *number,
            Setting::Text(text) => text.len() as i64,
            Setting::List(list) => list.iter().map(|item| self.number(item, depth + 1)).sum::<i64>() * 2,
            Setting::Reference(name) => {
                let found = self.all.get(name).unwrap_or_else(|| panic!("no setting `{name}`"));
                self.number(&found.1, depth + 1)
            }
        }
    }
}

#[inline(never)]
fn within(name: &str, setting: &Setting) -> bool {
    match (LIMITS.iter().find(|(limited, _)| *limited == name), setting) {
        (Some((_, most)), Setting::Number(number)) => number <= most,
        (Some(_), _) => false,
        (None, _) => true,
    }
}

#[inline(never)]
fn unrelated_export(settings: &Settings, indent: usize) -> String {
    let mut out = String::new();
    for (name, (rank, setting)) in &settings.all {
        out.push_str(&" ".repeat(indent));
        out.push_str(&format!("{name} of rank {rank}: {setting:?}\n"));
    }
    out
}

fn main() {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let count = given.len();
    let sources: [Box<dyn Source>; 2] = [Box::new(Standard), Box::new(Given(given))];
    let mut settings = Settings::default();
    for source in &sources {
        settings.read(source.as_ref());
    }
    println!("{} settings, {} refused", settings.all.len(), settings.refused);
    if count > 9 {
        print!("{}", unrelated_export(&settings, 4));
    }
    for (name, (rank, setting)) in &settings.all {
        println!("{name} ({rank}) = {}", settings.number(setting, 0));
    }
}
