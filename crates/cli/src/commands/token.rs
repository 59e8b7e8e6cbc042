//! `assay token`.

use serde_json::{Value, json};

use super::{list, text};
use crate::args::Token;
use crate::client::{Client, segment};
use crate::error::{CliError, Exit};
use crate::output::{Output, table};

pub(super) async fn run(client: &Client, command: &Token, output: &Output) -> Result<Exit, CliError> {
    match command {
        Token::New { scope, name, days } => {
            let scope: assay_access::Scope = scope.parse().map_err(|error: assay_access::ScopeError| {
                CliError::usage(error.to_string(), "--scope read or --scope write")
            })?;
            let request = json!({ "scope": scope, "name": name, "days": days });
            let answer = client.post("/api/v1/tokens", &request).await?;
            output.data(&answer, || text(&answer, "token").to_owned());
            output.say(&format!("it is shown this once, and ends {}", text(&answer, "expiresAt")));
        }
        Token::List => {
            let answer = client.get("/api/v1/tokens").await?;
            output.data(&answer, || {
                let row = |token: &Value| {
                    let state = if token["revoked"].as_bool() == Some(true) { "revoked" } else { "" };
                    let ends = text(token, "expiresAt").to_owned();
                    vec![
                        text(token, "id").to_owned(),
                        text(token, "scope").to_owned(),
                        ends,
                        text(token, "name").to_owned(),
                        state.to_owned(),
                    ]
                };
                table(&list(&answer, "tokens").iter().map(row).collect::<Vec<_>>())
            });
        }
        Token::Revoke { id } => {
            client.delete(&format!("/api/v1/tokens/{}", segment(id))).await?;
            output.data(&json!({ "revoked": id }), || format!("revoked {id}"));
        }
    }
    Ok(Exit::Yes)
}
