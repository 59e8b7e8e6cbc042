//! Decodes a number with semantic tags.
fn main() {
    for tags in [1, 1_000_000] {
        let mut data = vec![0xc1; tags];
        data.push(7);
        match serde_cbor::from_slice::<u8>(&data) {
            Ok(number) => println!("{} tags: {}", tags, number),
            Err(error) => println!("{} tags: refused: {}", tags, error),
        }
    }
}
