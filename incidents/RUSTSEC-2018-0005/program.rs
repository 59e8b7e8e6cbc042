//! Counts the items of a list of lists.
use serde::Deserialize;

#[derive(Deserialize)]
struct Nested(Vec<Nested>);

fn main() {
    for text in ["[[], []]", "&a [*a]"] {
        match serde_yaml::from_str::<Nested>(text) {
            Ok(nested) => println!("{}: {} items", text, nested.0.len()),
            Err(_) => println!("{}: refused", text),
        }
    }
}
