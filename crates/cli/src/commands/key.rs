//! `assay key`.

use serde_json::json;

use crate::args::{Global, Key};
use crate::client::{key_file, signing_key};
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
            let missing = || {
                CliError::refused(
                    "no_signing_key",
                    "there is no signing key",
                    "make one with `assay key new`",
                )
            };
            let key = signing_key(global)?.ok_or_else(missing)?.public();
            output.data(&json!({ "key": key.to_string(), "id": key.id() }), || key.to_string());
        }
    }
    Ok(Exit::Yes)
}
