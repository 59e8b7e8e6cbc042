//! Decodes an object in the distinguished encoding.
use asn1_der::DerObject;

fn main() {
    for data in [&[0x04, 2, 1, 2][..], &[0x04, 0x87, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff][..]] {
        match DerObject::deserialize(data.iter()) {
            Ok(object) => println!("{} bytes: {} of content", data.len(), object.value.data.len()),
            Err(_) => println!("{} bytes: refused", data.len()),
        }
    }
}
