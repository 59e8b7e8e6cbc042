//! `assay log`.

use serde_json::{Value, json};

use super::{list, text};
use crate::args::Log;
use crate::client::{Client, segment};
use crate::error::{CliError, Exit};
use crate::output::Output;

pub(super) async fn run(client: &Client, command: &Log, output: &Output) -> Result<Exit, CliError> {
    match command {
        Log::Verify => {
            let answer = client.get("/api/v1/log/verification").await?;
            let verified = answer["verified"].as_bool() == Some(true);
            output.data(&answer, || {
                let word = if verified { "verified" } else { "NOT verified" };
                let mut lines = format!(
                    "{word}: {} leaves, {} heads, root {}\n",
                    answer["size"],
                    answer["heads"],
                    text(&answer, "root")
                );
                for problem in list(&answer, "problems").iter().filter_map(Value::as_str) {
                    lines.push_str(&format!("  {problem}\n"));
                }
                lines
            });
            Ok(if verified { Exit::Yes } else { Exit::Trust })
        }
        Log::Prove { digest } => {
            let answer = client.get(&format!("/api/v1/log/proofs/{}", segment(digest))).await?;
            output.data(&answer, || text(&answer, "tlogProof").to_owned());
            Ok(Exit::Yes)
        }
        Log::Head => {
            let answer = match client.get("/api/v1/log").await {
                Err(error) if error.code == "not_found" => json!({ "size": 0, "root": "", "verified": true }),
                other => other?,
            };
            output.data(&answer, || answer["checkpoint"].as_str().unwrap_or("the log is empty").to_owned());
            Ok(Exit::Yes)
        }
    }
}
