//! Twenty artifacts, five hundred incidents each, and one function changed in one artifact: the time that
//! reuse takes beside the time that replaying everything takes.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::counts::Tally;
use super::inputs::{self, Class, Input};
use super::session::{self, Recording};
use crate::bench::carryover::programs::{ALL, Program};
use crate::bench::carryover::recipe::{Recipe, Workshop};
use crate::bench::{Row, median};
use crate::shell::{self, Assay, step};

/// Incidents of each artifact.
const INCIDENTS: usize = 500;
/// The same of a short run.
const FAST_INCIDENTS: usize = 25;
/// How many times less than replaying everything it may take.
const TIMES_LESS: f64 = 20.0;
/// Budgets, in milliseconds.
const CACHED_BUDGET: f64 = 1.0;
const REPLAY_BUDGET: f64 = 30.0;
/// How often the verification of what is known is asked for.
const CACHED_ROUNDS: usize = 3;

/// One product: builds of one program, which share its incidents.
struct Product {
    role: &'static str,
    class: Class,
    builds: usize,
    input: fn(usize) -> Input,
    /// Where builds differ: the text in the sources, before and after the number that differs.
    varies: (&'static str, &'static str),
}

const SETTINGS: Product = Product {
    role: "settings",
    class: Class::NativeFault,
    builds: 7,
    input: inputs::settings,
    varies: (".repeat(indent)", ".repeat(indent + {})"),
};
const MACHINE: Product = Product {
    role: "machine",
    class: Class::NativeLogic,
    builds: 7,
    input: inputs::machine,
    varies: ("value * value * value + 7", "value * value * value + 7{}"),
};
const JSON: Product = Product {
    role: "json",
    class: Class::NativeLogic,
    builds: 6,
    input: inputs::json,
    varies: ("return deepest + 1;", "return deepest + 1{};"),
};
const PRODUCTS: [&Product; 3] = [&SETTINGS, &MACHINE, &JSON];
/// The interpreted one, beside the twenty: of its incidents there are fewer, since a replay of it takes as
/// long as thirty of the others.
const ORDERS: &str = "orders";
const FEWER: usize = 10;
/// One in so many witnesses may be refused: on a loaded machine a run may be cut off.
const MOST_REFUSED: usize = 100;
/// The number of the changed build of [`SETTINGS`].
const CHANGED: usize = 99;

/// What was measured: rows of the table, and the document's own part.
pub struct Measured {
    pub rows: Vec<Row>,
    pub document: Value,
    pub tallies: Vec<(String, Tally)>,
}

pub fn run(program: PathBuf, home: &Path, fast: bool) -> Result<Measured> {
    let incidents = if fast { FAST_INCIDENTS } else { INCIDENTS };
    let folder = home.join("fleet");
    if folder.exists() {
        std::fs::remove_dir_all(&folder).context("the last bench cannot be removed")?;
    }
    std::fs::create_dir_all(&folder)?;
    let assay = Assay::of(program, folder.join("data"));
    assay.expect(0, &["key", "new"])?;
    step("building twenty artifacts");
    let artifacts = artifacts(&folder)?;
    let changed = build(&SETTINGS, CHANGED, &folder)?;
    step(&format!("recording {incidents} incidents of each product"));
    let started = std::time::Instant::now();
    let recordings = recordings(&artifacts, incidents, &folder)?;
    let (admitted, refused) = session::record_all(&assay, &recordings, &folder.join("inputs"))?;
    eprintln!("{admitted} of {} admitted, {:.0} s", recordings.len(), started.elapsed().as_secs_f64());
    let most_refused = recordings.len() / MOST_REFUSED;
    ensure!(recordings.len() - admitted <= most_refused, "witnesses were not admitted: {refused:?}");
    if let Some(refused) = refused {
        eprintln!("not admitted: {refused}");
    }
    measure(&assay, artifacts, changed, incidents)
}

fn measure(
    assay: &Assay,
    mut artifacts: Vec<(String, PathBuf)>,
    changed: PathBuf,
    incidents: usize,
) -> Result<Measured> {
    let class = |incident: &str| class_of(incident);
    let mut tallies = Vec::new();
    let mut verified = |title: &str, name: &str, baseline| -> Result<(f64, Tally)> {
        step(title);
        let (answer, seconds) = session::verify(assay, name, baseline)?;
        let mut tally = Tally::default();
        tally.add(&answer, &class);
        eprintln!(
            "{seconds:.2} s, of which verifying {:.2} s",
            answer["milliseconds"].as_f64().unwrap_or(0.0) / 1e3
        );
        tallies.push((title.to_owned(), tally.clone()));
        Ok((seconds, tally))
    };
    session::release(assay, "r0", &artifacts)?;
    let (first, first_tally) = verified("the first release", "r0", None)?;
    let place = artifacts.iter().position(|(role, _)| role == SETTINGS.role).context("no artifact")?;
    artifacts[place].1 = changed;
    session::release(assay, "r1", &artifacts)?;
    let (ours, tally) = verified("one function changed in one artifact", "r1", Some("r0"))?;
    let (mut again, mut cached) = (Vec::new(), Vec::new());
    for _ in 0..CACHED_ROUNDS {
        let (seconds, tally) = verified("the same release again", "r1", Some("r0"))?;
        again.push(seconds);
        cached.extend(tally.times("cached"));
    }
    step("replaying everything");
    let (replayed, all) = session::replay_everything(assay)?;
    // The release before had one more artifact, whose verdicts are replayed too.
    let verdicts = tally.count() as f64;
    let peer = session::as_long(&tally, replayed, all)?;
    eprintln!("{replayed} verdicts replayed in {all:.1} s, all of them as they were");
    let replays: Vec<f64> = first_tally
        .0
        .iter()
        .filter(|(class, _)| **class != Class::Interpreted)
        .filter_map(|(_, counts)| counts.times.get("replayed"))
        .flatten()
        .copied()
        .collect();
    let whole = |what: &str, ours: Option<f64>| Row::new(what, ours, "s, whole command").peer(peer);
    let rows = vec![
        whole("one function changed in one of 20 artifacts", Some(ours)).at_most(peer / TIMES_LESS),
        Row::new("  times less than replaying everything", peer / ours, "times").at_least(TIMES_LESS),
        whole("the same again, everything known", median(&again)),
        whole("the first time, nothing known", Some(first)),
        Row::new("cached verdict, median", median(&cached), "ms").at_most(CACHED_BUDGET),
        Row::new("native replay with its verdict, median", median(&replays), "ms").at_most(REPLAY_BUDGET),
    ];
    let document = json!({
        "artifacts": artifacts.len(), "incidents_each": incidents, "verdicts": verdicts,
        "replayed_in_all": replayed, "replayed_seconds": all, "changed": tally.document(), "first": first_tally.document(),
    });
    Ok(Measured { rows, document, tallies })
}

fn class_of(incident: &str) -> Class {
    let product = PRODUCTS.iter().find(|product| incident.starts_with(product.role));
    product.map_or(Class::Interpreted, |product| product.class)
}

fn artifacts(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut artifacts = Vec::new();
    for product in PRODUCTS {
        for number in 0..product.builds {
            artifacts.push((product.role.to_owned(), build(product, number, folder)?));
        }
    }
    let tree = folder.join("orders.tgz");
    let from = shell::root().join("xtask/carryover/source/orders/tree");
    shell::run(std::process::Command::new("tar").arg("-czf").arg(&tree).arg("-C").arg(from).arg("."))?;
    artifacts.push((ORDERS.to_owned(), tree));
    Ok(artifacts)
}

/// One build of a product; number 0 is the sources as they are.
fn build(product: &Product, number: usize, folder: &Path) -> Result<PathBuf> {
    let program: &Program =
        ALL.iter().find(|program| program.name == product.role).context("no such program")?;
    let mut recipe = Recipe::of(program)?;
    if product.class == Class::NativeFault {
        recipe.flags.push("-Cpanic=abort".to_owned());
    }
    if number > 0 {
        let (before, after) = product.varies;
        let after = after.replace("{}", &number.to_string());
        let source = recipe.sources.iter_mut().find(|(_, text)| text.contains(before));
        let (_, text) = source.with_context(|| format!("{} no longer holds {before}", product.role))?;
        *text = text.replace(before, &after);
    }
    let built = Workshop::new(folder, "build")?.build(&recipe)?;
    let built = built.with_context(|| format!("{} does not build", product.role))?;
    let file = folder.join("artifacts").join(number.to_string()).join(product.role);
    std::fs::create_dir_all(file.parent().unwrap_or(folder))?;
    std::fs::copy(built, &file)?;
    Ok(file)
}

fn recordings(artifacts: &[(String, PathBuf)], count: usize, folder: &Path) -> Result<Vec<Recording>> {
    let mut all = Vec::new();
    for product in PRODUCTS {
        let (_, subject) = artifacts.iter().find(|(role, _)| role == product.role).context("no artifact")?;
        all.extend((0..count).map(|number| Recording {
            incident: format!("{}-{number:04}", product.role),
            role: product.role.to_owned(),
            subject: subject.clone(),
            command: vec![subject.display().to_string()],
            environment: Vec::new(),
            input: (product.input)(number),
        }));
    }
    let tree = folder.join("orders");
    std::fs::create_dir_all(&tree)?;
    shell::run(
        std::process::Command::new("tar").arg("-xzf").arg(folder.join("orders.tgz")).arg("-C").arg(&tree),
    )?;
    let script = folder.join("orders.py");
    std::fs::write(&script, inputs::ORDERS)?;
    all.extend((0..count.div_ceil(FEWER)).map(|number| Recording {
        incident: format!("{ORDERS}-{number:04}"),
        role: ORDERS.to_owned(),
        subject: tree.clone(),
        command: vec!["/usr/bin/python3".to_owned(), "-S".to_owned(), script.display().to_string()],
        environment: vec![format!("PYTHONPATH={}", tree.display()), "PYTHONDONTWRITEBYTECODE=1".to_owned()],
        input: inputs::orders(number),
    }));
    Ok(all)
}
