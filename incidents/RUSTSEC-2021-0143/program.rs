//! Reads the metadata of a picture.
use std::io::Cursor;

const SIGNATURE: &[u8] = b"\x89PNG\x0d\x0a\x1a\x0a";

fn read(chunks: &[u8]) {
    let data = [SIGNATURE, chunks].concat();
    let answer = exif::Reader::new().read_from_container(&mut Cursor::new(&data));
    println!("{} bytes: {}", data.len(), if answer.is_ok() { "read" } else { "refused" });
}

fn main() {
    read(b"\0\0\0\0IEND\xae\x42\x60\x82");
    // A chunk that announces more than there is.
    read(b"\0\0\xff\xffAAAA1234");
}
