//! The texts inside a file: entries of an archive, and what stands in base64 in a document.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Documents inside documents, at most this deep: an archive, its JSON, an envelope, its payload.
const MAX_DEPTH: usize = 4;
/// Most texts of one file.
const MAX_TEXTS: usize = 100_000;
/// The shortest base64 that is decoded.
const MIN_ENCODED: usize = 48;

/// Every text of a file with where it stands: the file itself, or the entries of an archive, and below
/// each what a JSON string holds in base64. Nothing is decompressed.
pub fn texts(name: &str, bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut out = Vec::new();
    if is_archive(bytes) {
        let mut archive = tar::Archive::new(bytes);
        let entries = archive.entries().into_iter().flatten().map_while(Result::ok);
        for entry in entries.take(MAX_TEXTS) {
            let (start, size) = (entry.raw_file_position() as usize, entry.size() as usize);
            let inner = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            if let Some(content) = start.checked_add(size).and_then(|end| bytes.get(start..end)) {
                document(&format!("{name}:{inner}"), content, 0, &mut out);
            }
        }
    } else {
        document(name, bytes, 0, &mut out);
    }
    out
}

/// The mark of a POSIX archive.
fn is_archive(bytes: &[u8]) -> bool {
    bytes.get(257..262) == Some(b"ustar")
}

fn document(name: &str, bytes: &[u8], depth: usize, out: &mut Vec<(String, Vec<u8>)>) {
    if out.len() >= MAX_TEXTS {
        return;
    }
    if bytes.starts_with(b"\x7fELF") {
        return;
    }
    out.push((name.to_owned(), bytes.to_vec()));
    if depth < MAX_DEPTH
        && bytes.starts_with(b"{")
        && let Ok(value) = serde_json::from_slice::<serde_json::Value>(bytes)
    {
        strings(name, &value, depth, out);
    }
}

fn strings(name: &str, value: &serde_json::Value, depth: usize, out: &mut Vec<(String, Vec<u8>)>) {
    match value {
        serde_json::Value::String(text) if text.len() >= MIN_ENCODED => {
            if let Ok(inner) = STANDARD.decode(text)
                && inner.starts_with(b"{")
            {
                document(&format!("{name} (base64)"), &inner, depth + 1, out);
            }
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| strings(name, item, depth, out)),
        serde_json::Value::Object(fields) => {
            fields.iter().for_each(|(key, field)| strings(&format!("{name}/{key}"), field, depth, out));
        }
        _ => {}
    }
}
