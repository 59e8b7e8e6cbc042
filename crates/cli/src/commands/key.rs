//! `assay key`.

use serde_json::json;

use crate::args::{Global, Key};
use crate::client::{key_file, required_key};
use crate::error::{CliError, Exit};
use crate::output::Output;

pub(super) fn run(global: &Global, command: &Key, output: &Output) -> Result<Exit, CliError> {
    match command {
        Key::New { output: file } => {
            let file = match file {
                Some(file) => file.clone(),
                None => key_file(global)?,
            };
            let key = assay_notary::new_key(&file)?.public();
            let document = json!({ "file": file, "key": key.to_string(), "id": key.id() });
            output.data(&document, || format!("{key}\nkept in {}", file.display()));
        }
        Key::Show => {
            let key = required_key(global)?.public();
            output.data(&json!({ "key": key.to_string(), "id": key.id() }), || key.to_string());
        }
    }
    Ok(Exit::Yes)
}
