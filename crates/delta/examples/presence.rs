//! Judges patch signatures against builds whose side is known: reads lines of
//! `VULNERABLE FIXED OTHER_VULNERABLE OTHER_FIXED FUNCTION`, makes the signature of the function from the first
//! two and asks for it in the other two; prints one JSON line for each answer.
#![expect(clippy::print_stdout, reason = "its output is read by `cargo xtask bench presence`")]

use std::collections::HashMap;
use std::io::BufRead as _;

use assay_delta::{Index, presence, sign};
use serde_json::json;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let mut indexes: HashMap<String, Index> = HashMap::new();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split(' ').collect();
        let [vulnerable, fixed, other_vulnerable, other_fixed, function] = words.as_slice() else {
            return Err(format!("not five words: {line}").into());
        };
        for file in [vulnerable, fixed, other_vulnerable, other_fixed] {
            if !indexes.contains_key(*file) {
                indexes.insert((*file).to_owned(), Index::build(&std::fs::read(file)?)?);
            }
        }
        let signature = sign("judged", &indexes[*vulnerable], &indexes[*fixed], &[(*function).to_owned()]);
        let signature = match signature {
            Ok(signature) => signature,
            Err(error) => {
                println!("{}", json!({ "function": function, "error": error.to_string() }));
                continue;
            }
        };
        for (truth, file) in [("vulnerable", other_vulnerable), ("patched", other_fixed)] {
            let answer = presence(&signature, &indexes[*file])?;
            let found = answer.functions.first();
            println!(
                "{}",
                json!({
                    "function": function, "file": file, "truth": truth, "answer": answer.status,
                    "confidence": answer.confidence, "by": found.map(|found| &found.by),
                    "found_as": found.and_then(|found| found.found_as.as_ref()),
                })
            );
        }
    }
    Ok(())
}
