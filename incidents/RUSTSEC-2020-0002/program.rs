//! Decodes a message whose fields are all unknown.
use prost::Message;

fn decode(data: &[u8]) {
    match <() as Message>::decode(data) {
        Ok(()) => println!("{} bytes: decoded", data.len()),
        Err(error) => println!("{} bytes: refused: {}", data.len(), error),
    }
}

fn main() {
    // One group, opened and closed; then a million groups that are never closed.
    decode(&[0x0b, 0x0c]);
    decode(&vec![0x0b; 1_000_000]);
}
