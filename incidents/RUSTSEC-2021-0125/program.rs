//! Decodes a time of ASN.1.
fn main() {
    let good = b"991231235959Z";
    let bad = b"9\xc31231235959Z";
    for text in [good, bad] {
        let mut data = vec![0x17, text.len() as u8];
        data.extend(text);
        match simple_asn1::from_der(&data) {
            Ok(blocks) => println!("{} bytes: {} block", text.len(), blocks.len()),
            Err(_) => println!("{} bytes: refused", text.len()),
        }
    }
}
