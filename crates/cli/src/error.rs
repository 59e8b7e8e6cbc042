//! Errors as a message, a hint and an exit code: the one place that turns one into the other.

use std::process::ExitCode;

pub(crate) use assay_evidence::chain;
use assay_server::{Category, Problem};

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Yes.
    Yes = 0,
    /// A well-founded no: deny, reproduced, no match.
    No = 1,
    /// The command line was wrong.
    Usage = 2,
    /// The input is refused.
    Refused = 3,
    /// Unknown: inconclusive, pending.
    Unknown = 4,
    /// Trust is broken: signature, proof, fork.
    Trust = 5,
    /// The environment failed.
    Environment = 10,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command did not do its work.
#[derive(Debug)]
pub(crate) struct CliError {
    pub exit: Exit,
    pub code: String,
    pub message: String,
    pub hint: Option<String>,
}

impl CliError {
    pub fn new(exit: Exit, code: &str, message: impl Into<String>, hint: &str) -> Self {
        let hint = (!hint.is_empty()).then(|| hint.to_owned());
        Self { exit, code: code.to_owned(), message: message.into(), hint }
    }

    pub fn refused(code: &str, message: impl Into<String>, hint: &str) -> Self {
        Self::new(Exit::Refused, code, message, hint)
    }

    pub fn usage(message: impl Into<String>, hint: &str) -> Self {
        Self::new(Exit::Usage, "usage", message, hint)
    }

    pub fn environment(what: &str, error: &dyn std::error::Error) -> Self {
        Self::new(Exit::Environment, "environment", format!("{what}: {}", chain(error)), "")
    }

    /// A file that the user named and that cannot be read or written.
    pub fn file(path: &std::path::Path, error: &std::io::Error) -> Self {
        let message = format!("{}: {error}", path.display());
        match error.kind() {
            std::io::ErrorKind::NotFound | std::io::ErrorKind::IsADirectory => {
                Self::refused("file_not_found", message, "name a file that exists")
            }
            std::io::ErrorKind::PermissionDenied => Self::refused("file_not_readable", message, ""),
            _ => Self::new(Exit::Environment, "file_failed", message, ""),
        }
    }
}

impl From<Problem> for CliError {
    fn from(problem: Problem) -> Self {
        let exit = match problem.category {
            Category::Input | Category::Denied => Exit::Refused,
            Category::Trust => Exit::Trust,
            Category::Environment => Exit::Environment,
        };
        Self { exit, code: problem.code, message: problem.detail, hint: problem.hint }
    }
}

impl From<assay_witness::WitnessError> for CliError {
    fn from(error: assay_witness::WitnessError) -> Self {
        use assay_witness::WitnessError as W;
        let message = chain(&error);
        match &error {
            W::Capsule(_) => Self::refused("capsule_refused", message, ""),
            W::Provenance(_) => Self::refused("provenance_refused", message, assay_server::PROVENANCE_HINT),
            W::Request { .. } => Self::refused("request_refused", message, ""),
            W::Refused(refusal) => Self::new(Exit::Environment, "host_refused", message, &refusal.remedy),
            W::WrongBytes { .. } => Self::new(Exit::Trust, "stored_bytes_differ", message, ""),
            W::File { .. } => Self::refused("file_not_readable", message, ""),
            _ => Self::new(
                Exit::Environment,
                "runner_failed",
                message,
                "`assay doctor` checks what the runner needs",
            ),
        }
    }
}

impl From<assay_witness::Refusal> for CliError {
    fn from(refusal: assay_witness::Refusal) -> Self {
        let hint = refusal.remedy.clone();
        Self::new(Exit::Environment, "host_refused", refusal.to_string(), &hint)
    }
}

impl From<assay_notary::KeyFileError> for CliError {
    fn from(error: assay_notary::KeyFileError) -> Self {
        use assay_notary::KeyFileError as K;
        let message = chain(&error);
        match error {
            K::Open { .. } => Self::refused("key_file_open", message, "chmod 600 the file"),
            K::Content { .. } => Self::refused("key_refused", message, "`assay key new` writes the form"),
            K::File { ref source, .. } if source.kind() == std::io::ErrorKind::AlreadyExists => {
                Self::refused(
                    "key_exists",
                    message,
                    "a key is never overwritten; name another file with --output",
                )
            }
            K::File { .. } => Self::refused("key_file", message, ""),
            K::Randomness { .. } => Self::new(Exit::Environment, "no_randomness", message, ""),
        }
    }
}
