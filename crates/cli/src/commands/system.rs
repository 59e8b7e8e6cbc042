//! `assay doctor` and `assay completions`.

use assay_witness::{Host, Profile};
use clap::CommandFactory as _;
use serde_json::json;

use crate::args::Cli;
use crate::error::{CliError, Exit};
use crate::output::Output;

pub(super) fn doctor(output: &Output) -> Result<Exit, CliError> {
    let host = Host::probe()?;
    let profile = match host.profile() {
        Profile::Full => "full".to_owned(),
        Profile::Reduced { name } => name.clone(),
    };
    let document = json!({
        "runner": "ok",
        "profile": profile,
        "landlock": host.landlock_version(),
        "environment": host.environment_class(),
        "lacking": host.lacking(),
    });
    output.data(&document, || {
        let mut text =
            format!("runner     ok\nprofile    {profile}\nlandlock   version {}\n", host.landlock_version());
        if let Some(lacking) = host.lacking() {
            text.push_str(&format!("lacking    {}\nremedy     {}\n", lacking.what, lacking.remedy));
        }
        text
    });
    Ok(Exit::Yes)
}

pub(super) fn completions(shell: clap_complete::Shell) -> Result<Exit, CliError> {
    clap_complete::generate(shell, &mut Cli::command(), "assay", &mut std::io::stdout());
    Ok(Exit::Yes)
}
