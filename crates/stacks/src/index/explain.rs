//! A match in words.

use super::search::Found;
use super::{Index, Match};
use crate::model::Slot;
use crate::trace::Trace;

/// How many frames an explanation names of each kind.
const NAMED: usize = 5;

impl<B: AsRef<[u8]>> Index<B> {
    pub(super) fn explained(&self, trace: &Trace, slots: &[Slot], found: &Found) -> Match {
        let explanation = match found.place {
            Some(place) => vec![self.place_words(place)],
            None => self.frame_words(trace, slots, found),
        };
        Match {
            incident: self.incident_name(found.incident).to_owned(),
            probability: found.probability,
            score: found.score,
            explanation,
        }
    }

    fn place_words(&self, place: u32) -> String {
        match self.token_text(place) {
            "stack overflow" => {
                "only an exhausted stack is known of one of the two; both exhaust their stack".to_owned()
            }
            text if text.starts_with("at ") || text.starts_with("in ") => {
                format!("only a source location is known of one of the two; both lie {text}")
            }
            text => {
                format!("only a source location is known of one of the two; both lie in the module {text}")
            }
        }
    }

    fn frame_words(&self, trace: &Trace, slots: &[Slot], found: &Found) -> Vec<String> {
        let pairs = self.pairs(slots, found.trace);
        let known = self.frame_names(found.trace);
        let name = |at: usize| trace.frames.get(at).map_or("", |frame| frame.key());
        let mut words = vec![format!(
            "{} of {} frames agree with {} of the known trace's {}",
            pairs.len(),
            trace.frames.len(),
            pairs.len(),
            known.len()
        )];
        for &(q, c, level) in pairs.iter().take(NAMED) {
            words.push(match level {
                0 if q == c => format!("frame {q} {} agrees", name(q)),
                0 => format!("frame {q} {} agrees with frame {c}", name(q)),
                1 => format!(
                    "frame {q} {} agrees in crate and function with {}",
                    name(q),
                    known.get(c).unwrap_or(&"")
                ),
                _ => format!(
                    "frame {q} {} agrees in its last name with {}",
                    name(q),
                    known.get(c).unwrap_or(&"")
                ),
            });
        }
        let only_query =
            (0..trace.frames.len()).filter(|at| !pairs.iter().any(|pair| pair.0 == *at)).map(name);
        list(&mut words, "only in this trace", only_query.collect());
        let only_known =
            (0..known.len()).filter(|at| !pairs.iter().any(|pair| pair.1 == *at)).map(|at| known[at]);
        list(&mut words, "only in the known trace", only_known.collect());
        if found.contained {
            words.push(
                "one of the two shows no inlined frames: what the other shows beyond it does not count"
                    .to_owned(),
            );
        }
        if found.features[8] > 0.5 {
            words.push("the innermost agreeing frames stand at the same line".to_owned());
        }
        words
    }
}

fn list(words: &mut Vec<String>, kind: &str, names: Vec<&str>) {
    if names.is_empty() {
        return;
    }
    let more = names.len().saturating_sub(NAMED);
    let named = names[..names.len().min(NAMED)].join(", ");
    words.push(if more > 0 {
        format!("{kind}: {named} and {more} more")
    } else {
        format!("{kind}: {named}")
    });
}
