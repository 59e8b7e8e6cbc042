//! Decodes a value of MessagePack.
fn main() {
    for data in [&[0x91, 7][..], &[0xdd, 0xff, 0xff, 0xff, 0xff][..]] {
        match rmpv::decode::read_value(&mut &data[..]) {
            Ok(value) => println!("{} bytes: {}", data.len(), value),
            Err(_) => println!("{} bytes: refused", data.len()),
        }
    }
}
