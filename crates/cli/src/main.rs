//! The `assay` program: arguments, printing, exit codes. No rule of the domain is here.

mod args;
mod client;
mod commands;
mod error;
mod output;
mod registry;

use std::process::ExitCode;

use clap::Parser as _;

use crate::args::Cli;
use crate::output::Output;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let output = Output::new(&cli.global);
    init_logging(&cli);
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return output.failure(&error::CliError::environment("the runtime did not start", &error));
        }
    };
    match runtime.block_on(commands::run(cli, &output)) {
        Ok(exit) => exit.into(),
        Err(error) => output.failure(&error),
    }
}

/// Structured logs on standard error: readable on a terminal, JSON where `ASSAY_LOG_FORMAT=json`.
fn init_logging(cli: &Cli) {
    let default = match (&cli.command, cli.global.verbose) {
        (args::Command::Serve(_), 0) | (_, 1) => "warn,assay_server=info,assay_verify=info,assay_notary=info",
        (_, 0) => "error",
        (_, _) => "info,assay_server=debug",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_env("ASSAY_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(default));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if std::env::var("ASSAY_LOG_FORMAT").is_ok_and(|format| format == "json") {
        builder.json().init();
    } else {
        builder.with_ansi(cli.global.colour()).init();
    }
}
