//! Measures how deep a JSON document nests.
use serde::Deserialize;

#[derive(Deserialize)]
struct Nested(Vec<Nested>);

fn depth(nested: &Nested) -> usize {
    1 + nested.0.iter().map(depth).max().unwrap_or(0)
}

fn main() {
    for levels in [3, 200_000] {
        let text = "[".repeat(levels) + &"]".repeat(levels);
        match serde_json_wasm::from_str::<Nested>(&text) {
            Ok(nested) => println!("{} levels: depth {}", levels, depth(&nested)),
            Err(error) => println!("{} levels: refused: {}", levels, error),
        }
    }
}
