//! `assay witness record --search`: which run of many shows the incident.

use assay_verify::{IncidentDefinition, shows_vulnerable};
use assay_witness::{Attempt, Coverage, Ending, Found, Host, RecordRequest, Recording};
use serde_json::{Value, json};

use super::record;
use crate::args::Record;
use crate::error::{CliError, Exit};
use crate::output::Output;

/// What is looked for: the incident's own expectation, or that of the flags.
pub(super) fn expected(
    args: &Record,
    known: Option<&IncidentDefinition>,
    role: &str,
) -> Result<IncidentDefinition, CliError> {
    let expected = match known {
        Some(definition) => definition.clone(),
        None => {
            let vulnerable = record::side(&args.expect)?;
            record::definition_of(args, role, vulnerable, &Ending::Exited { code: 0 })?
        }
    };
    if expected.expect.vulnerable.is_empty() {
        let hint = "say what shows the incident, such as --expect signal=SIGSEGV";
        return Err(CliError::usage("a search needs to know what it looks for", hint));
    }
    Ok(expected)
}

/// Searches with a bar on a terminal; the recording, if there is one, and what is said of the search.
pub(super) fn run(
    request: &RecordRequest,
    host: &Host,
    tries: u32,
    expected: &IncidentDefinition,
    output: &Output,
) -> Result<(Option<Recording>, Value), CliError> {
    let bar = output.bar("searching", tries.into());
    let mut progress = |attempt: &Attempt<'_>| {
        bar.set_position(attempt.number.into());
        bar.set_message(format!("searching: {}", attempt.knob.name()));
    };
    let shows = |report: &_| shows_vulnerable(expected, report);
    let searched =
        tokio::task::block_in_place(|| assay_witness::search(request, host, tries, &shows, &mut progress))?;
    bar.finish_and_clear();
    let said = document(searched.found.as_ref(), searched.tries, &searched.coverage);
    Ok((searched.found.map(|found| found.recording), said))
}

fn document(found: Option<&Found>, tries: u32, coverage: &Coverage) -> Value {
    let chosen = found.map(|found| {
        let capsule = &found.recording.capsule;
        json!({
            "knob": found.knob.name(),
            "seed": capsule.seed,
            "conditions": capsule.conditions,
            "switches": capsule.schedule,
        })
    });
    let depths = (1..=3).zip(coverage.schedules);
    let schedules: Vec<Value> = depths
        .map(|(depth, tries)| json!({ "depth": depth, "tries": tries, "missed_at_most": coverage.missed(depth) }))
        .collect();
    json!({
        "found": chosen,
        "tries": tries,
        "coverage": {
            "threads": coverage.threads,
            "steps": coverage.steps,
            "all_steps_counted": coverage.whole,
            "schedules": schedules,
            "directed": coverage.directed,
            "seeds": coverage.seeds,
            "clocks": coverage.clocks,
            "heap_fills": coverage.heap_fills,
            "stacks": coverage.stacks,
        },
    })
}

/// The document and the words of a search that found nothing.
pub(super) fn say_nothing_found(incident: &str, searched: Value, output: &Output) -> Exit {
    let answer = json!({ "witness": null, "incident": incident, "search": searched });
    output.data(&answer, || {
        format!("not shown in {} tries\n{}", searched["tries"], coverage_text(&searched["coverage"]))
    });
    Exit::Unknown
}

/// One line about the search, if there was one.
pub(super) fn line_before(searched: &Option<Value>) -> String {
    let Some(searched) = searched else { return String::new() };
    let found = &searched["found"];
    let knob = found["knob"].as_str().unwrap_or_default();
    let what = match knob {
        "nothing" => "without any change".to_owned(),
        "schedule" => {
            let switches = found["switches"].as_array().map_or(0, Vec::len);
            format!("by the schedule (order {}, {switches} preemptions)", found["conditions"]["order"])
        }
        "seed" => format!("by the seed {}", found["seed"]),
        other => format!("by the {} ({})", other.replace('_', " "), found["conditions"]),
    };
    format!("shown at try {} {what}\n{}\n", searched["tries"], coverage_text(&searched["coverage"]))
}

fn coverage_text(coverage: &Value) -> String {
    let tried = format!(
        "tried: {} seeds, {} clocks, {} heap fills, {} stacks",
        coverage["seeds"], coverage["clocks"], coverage["heap_fills"], coverage["stacks"]
    );
    if coverage["threads"].as_u64().unwrap_or(0) < 2 {
        return tried + ", one thread";
    }
    let mut text = format!("{tried}, {} threads, {} steps", coverage["threads"], coverage["steps"]);
    if coverage["all_steps_counted"].as_bool() != Some(true) {
        text.push_str(" counted and more beyond: schedules were drawn near events, without any promise");
    }
    text.push_str(&format!("\nschedules directed to shared memory: {}", coverage["directed"]));
    for schedule in coverage["schedules"].as_array().into_iter().flatten() {
        text.push_str(&format!("\nschedules of depth {}: {}", schedule["depth"], schedule["tries"]));
        if let Some(missed) = schedule["missed_at_most"].as_f64() {
            text.push_str(&format!(", a bug of that depth is missed with probability {missed:.4} at most"));
        }
    }
    text
}
