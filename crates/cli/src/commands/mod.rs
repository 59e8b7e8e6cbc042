//! One file a noun.

mod delta;
mod draft;
mod evidence;
mod evidence_page;
mod gate;
mod handover;
mod incident;
mod key;
mod log;
mod minimize;
mod privacy;
mod quota;
mod record;
mod registry;
mod release;
mod search;
mod serve;
mod stack;
mod system;
mod token;
mod verify;
mod verify_reports;
mod witness;
mod witness_debug;
mod witness_diff;

use std::path::{Path, PathBuf};

use crate::args::{Cli, Command};
use crate::client::Client;
use crate::error::{CliError, Exit};
use crate::output::Output;

/// Carries out a command.
pub(crate) async fn run(cli: Cli, output: &Output) -> Result<Exit, CliError> {
    let global = &cli.global;
    match cli.command {
        Command::Serve(args) => serve::run(global, &args, output).await,
        Command::Delta(command) => delta::run(global, &command, output).await,
        Command::Key(command) => key::run(global, &command, output),
        Command::Doctor => system::doctor(output),
        Command::Completions { shell } => system::completions(shell),
        Command::Evidence(command) => evidence::run(global, &command, output).await,
        Command::Stack(command) => stack::run(global, &command, output).await,
        Command::Witness(command) => witness::run(global, &command, output).await,
        Command::Incident(command) => incident::run(&Client::open(global).await?, &command, output).await,
        Command::Release(command) => release::run(&Client::open(global).await?, &command, output).await,
        Command::Verify(args) => verify::run(&Client::open(global).await?, &args, output).await,
        Command::Gate(command) => gate::run(&Client::open(global).await?, &command, output).await,
        Command::Quota(command) => quota::run(&Client::open(global).await?, &command, output).await,
        Command::Log(command) => log::run(&Client::open(global).await?, &command, output).await,
        Command::Token(command) => token::run(&Client::open(global).await?, &command, output).await,
    }
}

/// The bytes of a file; `-` is standard input.
fn read_input(path: &Path, limit: u64) -> Result<Vec<u8>, CliError> {
    use std::io::Read as _;
    let failed = |error: std::io::Error| CliError::file(path, &error);
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().lock().take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
    } else {
        let file = std::fs::File::open(path).map_err(failed)?;
        file.take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
    }
    if bytes.len() as u64 > limit {
        let message = format!("{} has more than {limit} bytes", path.display());
        return Err(CliError::refused("file_too_large", message, ""));
    }
    Ok(bytes)
}

/// `ROLE=PATH`, or a path whose file name is the role.
fn role_and_path(text: &str) -> Result<(String, PathBuf), CliError> {
    if let Some((role, path)) = text.split_once('=')
        && !role.contains('/')
    {
        return Ok((role.to_owned(), PathBuf::from(path)));
    }
    let path = PathBuf::from(text);
    let name = path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
    let role = name.ok_or_else(|| CliError::usage(format!("`{text}` names no file"), "write ROLE=PATH"))?;
    Ok((role, path))
}

/// A text field of an answer.
fn text<'a>(value: &'a serde_json::Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// The elements of a list in an answer.
fn list<'a>(value: &'a serde_json::Value, key: &str) -> &'a [serde_json::Value] {
    value[key].as_array().map(Vec::as_slice).unwrap_or_default()
}
