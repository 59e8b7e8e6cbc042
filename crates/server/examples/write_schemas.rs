//! Writes `openapi.json` and `schemas/*.schema.json` into the folder named by the first argument,
//! the repository's root.

use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = std::env::args_os().nth(1).ok_or("name the repository's root")?;
    let root = Path::new(&root);
    std::fs::create_dir_all(root.join("schemas"))?;
    for (name, schema) in assay_server::schemas() {
        write(&root.join("schemas").join(name), &schema)?;
    }
    write(&root.join("openapi.json"), &assay_server::openapi())
}

fn write(file: &Path, document: &serde_json::Value) -> Result<(), Box<dyn std::error::Error>> {
    Ok(std::fs::write(file, serde_json::to_string_pretty(document)? + "\n")?)
}
