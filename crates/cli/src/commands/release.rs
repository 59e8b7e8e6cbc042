//! `assay release`.

use assay_control::{ArtifactRef, NewRelease};
use serde_json::Value;

use super::{list, role_and_path, text};
use crate::args::Release;
use crate::client::{Client, segment};
use crate::error::{CliError, Exit};
use crate::output::{Output, table};

pub(super) async fn run(client: &Client, command: &Release, output: &Output) -> Result<Exit, CliError> {
    match command {
        Release::Create { name, artifact } => {
            let mut artifacts = Vec::new();
            for given in artifact {
                let (role, path) = role_and_path(given)?;
                let file = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
                artifacts.push(ArtifactRef {
                    role,
                    digest: client.upload_artifact(&path).await?,
                    name: file,
                    size: 0,
                });
            }
            let answer =
                client.post("/api/v1/releases", &NewRelease { release: name.clone(), artifacts }).await?;
            output.data(&answer, || describe(&answer));
        }
        Release::List => {
            let mut all = Vec::new();
            let mut cursor = String::new();
            loop {
                let page =
                    client.get(&format!("/api/v1/releases?limit=200&cursor={}", segment(&cursor))).await?;
                all.extend(list(&page, "releases").iter().cloned());
                match page["nextCursor"].as_str() {
                    Some(next) => cursor = next.to_owned(),
                    None => break,
                }
            }
            let answer = serde_json::json!({ "releases": all });
            output.data(&answer, || {
                let row = |release: &Value| {
                    let artifacts = list(release, "artifacts").len();
                    vec![
                        text(release, "release").to_owned(),
                        format!("{artifacts} artifacts"),
                        text(release, "createdAt").to_owned(),
                    ]
                };
                table(&all.iter().map(row).collect::<Vec<_>>())
            });
        }
        Release::Show { name } => {
            let mut answer = client.get(&format!("/api/v1/releases/{}", segment(name))).await?;
            let decisions = client.get(&format!("/api/v1/releases/{}/decisions", segment(name))).await?;
            answer["decisions"] = decisions["decisions"].clone();
            output.data(&answer, || {
                let row = |decision: &Value| {
                    vec![
                        text(decision, "id").to_owned(),
                        text(decision, "decision").to_owned(),
                        text(decision, "evaluatedAtUtc").to_owned(),
                    ]
                };
                let decisions: Vec<_> = list(&answer, "decisions").iter().map(row).collect();
                format!("{}\n{}", describe(&answer), table(&decisions))
            });
        }
    }
    Ok(Exit::Yes)
}

fn describe(release: &Value) -> String {
    let row = |artifact: &Value| {
        vec![
            format!("  {}", text(artifact, "role")),
            text(artifact, "digest").to_owned(),
            format!("{} bytes", artifact["size"]),
        ]
    };
    let rows: Vec<_> = list(release, "artifacts").iter().map(row).collect();
    format!("{}\n{}", text(release, "release"), table(&rows))
}
