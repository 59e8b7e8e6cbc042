//! From items to the bytes of an index.

use std::collections::{BTreeMap, HashMap};

use super::format::{self, Counts, FLAG_LOCATION, FLAG_REPEATED, FLAG_STANDARD, MAX_ITEMS};
use super::{IndexError, Item};
use crate::model::NO_TOKEN;
use crate::trace::{Trace, TraceFrame};

/// How many frames, from the innermost, are also found by where they lie.
const PLACED_FRAMES: usize = 8;
/// The time of an item that has none.
pub(super) const NO_TIME: i64 = i64::MIN;

/// Where a trace lies in the source: keys by which a bare location, or the message of an exhausted
/// stack, finds it.
pub(super) fn places(trace: &Trace) -> Vec<String> {
    let mut places: Vec<String> = Vec::new();
    if trace.overflow {
        places.push("stack overflow".to_owned());
    }
    let own = trace.frames.iter().any(|frame| !frame.standard);
    for frame in trace.frames.iter().filter(|frame| !(own && frame.standard)).take(PLACED_FRAMES) {
        if frame.location {
            places.extend(frame.keys.iter().cloned());
            continue;
        }
        if let Some(file) = &frame.file {
            if let Some(line) = frame.line {
                places.push(format!("at {file}:{line}"));
            }
            places.push(format!("in {file}"));
        }
        places.extend(modules(frame));
    }
    places.sort_unstable();
    places.dedup();
    places
}

/// The modules that enclose a native function: `a::b` and `a` of `a::b::f`, but at least two components
/// of what is itself a path.
fn modules(frame: &TraceFrame) -> Vec<String> {
    let key = frame.key();
    let mut out = Vec::new();
    let mut end = key.len();
    while let Some(at) = key[..end].rfind("::") {
        end = at;
        out.push(key[..end].to_owned());
        if out.len() == 4 {
            break;
        }
    }
    out
}

/// The keys of a frame, one for each level.
pub(super) fn levels(frame: &TraceFrame) -> [Option<&str>; 3] {
    let key = |at: usize| frame.keys.get(at).map(String::as_str);
    // A frame without a path agrees with the last component of one that has it.
    let leaf = if frame.keys.len() == 1 { key(0) } else { key(2) };
    if frame.location { [key(0), None, None] } else { [key(0), key(1), leaf] }
}

pub(super) fn bytes(items: &[Item]) -> Result<Vec<u8>, IndexError> {
    let too_large = || IndexError::TooLarge { items: items.len() };
    if items.len() > MAX_ITEMS {
        return Err(too_large());
    }
    let placed: Vec<Vec<String>> = items.iter().map(|item| places(&item.trace)).collect();
    let mut numbers_of: HashMap<&str, usize> = HashMap::new();
    let mut postings: Vec<(&str, Vec<u32>)> = Vec::new();
    let mut incidents: BTreeMap<&str, u32> = BTreeMap::new();
    for (number, item) in (0_u32..).zip(items) {
        incidents.entry(&item.incident).or_default();
        let keys = item.trace.frames.iter().flat_map(levels).flatten();
        for key in keys.chain(placed[number as usize].iter().map(String::as_str)) {
            let at = *numbers_of.entry(key).or_insert_with(|| {
                postings.push((key, Vec::new()));
                postings.len() - 1
            });
            let list = &mut postings[at].1;
            if list.last() != Some(&number) {
                list.push(number);
            }
        }
    }
    drop(numbers_of);
    postings.sort_unstable_by_key(|(key, _)| *key);
    let tokens: HashMap<&str, u32> = postings.iter().map(|(key, _)| *key).zip(0..).collect();
    for (number, entry) in (0..).zip(incidents.values_mut()) {
        *entry = number;
    }
    let total = |lengths: &mut dyn Iterator<Item = usize>| {
        u32::try_from(lengths.sum::<usize>()).map_err(|_| too_large())
    };
    let counts = Counts {
        traces: total(&mut std::iter::once(items.len()))?,
        tokens: total(&mut std::iter::once(tokens.len()))?,
        incidents: total(&mut std::iter::once(incidents.len()))?,
        token_bytes: total(&mut postings.iter().map(|(key, _)| key.len()))?,
        incident_bytes: total(&mut incidents.keys().map(|name| name.len()))?,
        postings: total(&mut postings.iter().map(|(_, list)| list.len()))?,
        frames: total(&mut items.iter().map(|item| item.trace.frames.len()))?,
        places: total(&mut placed.iter().map(Vec::len))?,
    };
    let mut out = Vec::new();
    counts.write(&mut out);
    texts(&mut out, postings.iter().map(|(key, _)| *key));
    texts(&mut out, incidents.keys().copied());
    numbers(&mut out, postings.iter().map(|(_, list)| rarity(items.len(), list.len()).to_bits()));
    ends(&mut out, postings.iter().map(|(_, list)| list.len()));
    numbers(&mut out, postings.iter().flat_map(|(_, list)| list).copied());
    trace_table(&mut out, items, &placed, &incidents);
    frames(&mut out, items, &tokens);
    let token = |key: &String| tokens.get(key.as_str()).copied().unwrap_or(NO_TOKEN);
    numbers(&mut out, placed.iter().flatten().map(token));
    format::seal(&mut out);
    Ok(out)
}

/// The normalised inverse document frequency: near 1 for a key of one trace, 0 for one that all hold.
fn rarity(traces: usize, holding: usize) -> f32 {
    let traces = traces as f64 + 1.0;
    ((traces / (holding as f64 + 1.0)).ln().max(0.0) / traces.ln().max(1e-9)) as f32
}

fn numbers(out: &mut Vec<u8>, numbers: impl Iterator<Item = u32>) {
    for number in numbers {
        out.extend_from_slice(&number.to_le_bytes());
    }
}

fn ends(out: &mut Vec<u8>, lengths: impl Iterator<Item = usize>) {
    let mut end = 0_usize;
    for length in lengths {
        end += length;
        // The counts were checked to fit before anything was written.
        out.extend_from_slice(&(end as u32).to_le_bytes());
    }
}

fn texts<'a>(out: &mut Vec<u8>, texts: impl Iterator<Item = &'a str> + Clone) {
    ends(out, texts.clone().map(str::len));
    for text in texts {
        out.extend_from_slice(text.as_bytes());
    }
    format::align(out);
}

fn trace_table(out: &mut Vec<u8>, items: &[Item], placed: &[Vec<String>], incidents: &BTreeMap<&str, u32>) {
    let (mut frame_end, mut place_end) = (0_u32, 0_u32);
    for (item, places) in items.iter().zip(placed) {
        frame_end += item.trace.frames.len() as u32;
        place_end += places.len() as u32;
        out.extend_from_slice(&incidents[item.incident.as_str()].to_le_bytes());
        out.extend_from_slice(&item.time.unwrap_or(NO_TIME).to_le_bytes());
        out.extend_from_slice(&frame_end.to_le_bytes());
        out.extend_from_slice(&place_end.to_le_bytes());
        out.extend_from_slice(&0_u32.to_le_bytes());
    }
}

fn frames(out: &mut Vec<u8>, items: &[Item], tokens: &HashMap<&str, u32>) {
    for frame in items.iter().flat_map(|item| &item.trace.frames) {
        let token = |key: Option<&str>| key.and_then(|key| tokens.get(key)).copied().unwrap_or(NO_TOKEN);
        let flags = u32::from(frame.standard) * FLAG_STANDARD
            + u32::from(frame.location) * FLAG_LOCATION
            + u32::from(frame.repeated) * FLAG_REPEATED;
        let [full, coarse, leaf] = levels(frame).map(token);
        numbers(out, [full, coarse, leaf, frame.line.unwrap_or(0), flags].into_iter());
    }
}
