//! `assay quota`.

use assay_verify::Quotas;
use serde_json::Value;

use crate::args::Quota;
use crate::client::Client;
use crate::error::{CliError, Exit};
use crate::output::{Output, table};

const PATH: &str = "/api/v1/quotas";

pub(super) async fn run(client: &Client, command: &Quota, output: &Output) -> Result<Exit, CliError> {
    let answer = match *command {
        Quota::Show => client.get(PATH).await?,
        Quota::Set { capsule_bytes, witness_bytes, replays_per_hour, concurrent_replays } => {
            let quotas = Quotas { capsule_bytes, witness_bytes, replays_per_hour, concurrent_replays };
            client.put(PATH, &quotas).await?
        }
    };
    output.data(&answer, || describe(&answer));
    Ok(Exit::Yes)
}

fn describe(answer: &Value) -> String {
    let row = |name: &str, used: &str| {
        let most =
            answer["quotas"][name].as_u64().map_or_else(|| "not limited".to_owned(), |most| most.to_string());
        let used = answer[used].as_u64().map(|used| used.to_string()).unwrap_or_default();
        vec![name.to_owned(), most, used]
    };
    table(&[
        vec!["quota".to_owned(), "most".to_owned(), "used".to_owned()],
        row("capsule_bytes", ""),
        row("witness_bytes", "witness_bytes"),
        row("replays_per_hour", "replays_this_hour"),
        row("concurrent_replays", "replays_running"),
    ])
}
