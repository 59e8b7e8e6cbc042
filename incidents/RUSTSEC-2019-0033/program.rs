//! Reserves room for headers.
use http::header::{HeaderMap, HeaderValue, HOST};

fn main() {
    let mut headers = HeaderMap::new();
    headers.insert(HOST, HeaderValue::from_static("a.example"));
    println!("headers: {}", headers.len());
    let reserved = std::panic::catch_unwind(move || {
        headers.reserve(usize::MAX / 2 + 2);
        headers.len()
    });
    println!("reserved: {}", reserved.is_ok());
}
