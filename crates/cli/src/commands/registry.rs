//! `assay witness push` and `pull`.

use assay_evidence::Sha256;
use assay_verify::NewWitness;
use assay_witness::{Capsule, oci};
use bytes::Bytes;
use serde_json::json;

use super::{text, witness};
use crate::client::{Client, segment};
use crate::error::{CliError, Exit, chain};
use crate::output::Output;
use crate::registry::{Reference, Registry};

fn reference(address: &str) -> Result<Reference, CliError> {
    Reference::parse(address).map_err(|what| {
        CliError::usage(format!("`{address}`: {what}"), "write oci://HOST[:PORT]/REPOSITORY[:TAG][@DIGEST]")
    })
}

pub(super) async fn push(
    client: &Client,
    name: &str,
    address: &str,
    plain: bool,
    output: &Output,
) -> Result<Exit, CliError> {
    let reference = reference(address)?;
    if reference.digest.is_some() {
        return Err(CliError::usage("a push goes to a tag", "leave the digest out"));
    }
    let id = witness::resolve(client, name).await?;
    let answer = client.get(&format!("/api/v1/witnesses/{}", segment(&id))).await?;
    let capsule: Capsule = serde_json::from_value(answer["capsule"].clone())
        .map_err(|error| CliError::environment("the capsule cannot be read", &error))?;
    let mut registry = Registry::new(reference.clone(), plain)?;
    let blobs = oci::image_blobs(&capsule);
    let bar = output.bar("pushing", blobs.len() as u64);
    let (mut sent, mut bytes_sent, mut total) = (0u64, 0u64, 0u64);
    // The manifest comes first in the list and last to the registry: it may only name what is there.
    for (blob, document) in blobs.iter().skip(1) {
        let bytes = match document {
            Some(bytes) => Bytes::from(bytes.clone()),
            None => client.get_raw(&format!("/api/v1/blobs/{}", blob.digest)).await?,
        };
        total += blob.size;
        if registry.push_blob(&blob.digest, bytes).await? {
            sent += 1;
            bytes_sent += blob.size;
        }
        bar.inc(1);
    }
    registry.push_manifest(oci::manifest(&capsule).into()).await?;
    bar.finish_and_clear();
    let digest = oci::witness_id(&capsule);
    let document = json!({
        "witness": id,
        "reference": address,
        "digest": digest,
        "blobs": blobs.len() - 1,
        "blobs_sent": sent,
        "bytes": total,
        "bytes_sent": bytes_sent,
    });
    output.data(&document, || {
        format!(
            "oci://{}/{}@{digest}: {sent} of {} blobs sent",
            reference.host,
            reference.repository,
            blobs.len() - 1
        )
    });
    Ok(Exit::Yes)
}

pub(super) async fn pull(
    client: &Client,
    address: &str,
    incident: &str,
    plain: bool,
    output: &Output,
) -> Result<Exit, CliError> {
    let mut registry = Registry::new(reference(address)?, plain)?;
    let definition = client.get(&format!("/api/v1/incidents/{}", segment(incident))).await?;
    let manifest = registry.pull_manifest().await?;
    let refused =
        |error: oci::OciError| CliError::refused("capsule_refused", chain(&error), "is it a witness?");
    let config = oci::config_descriptor(&manifest).map_err(refused)?;
    let config_bytes = registry.pull_blob(&config.digest, config.size).await?;
    let of = |digest: &Sha256| (*digest == config.digest).then(|| config_bytes.to_vec());
    let capsule = oci::capsule_of(&manifest, &of).map_err(refused)?;
    let blobs = capsule.blobs();
    let bar = output.bar("pulling", blobs.len() as u64);
    for blob in &blobs {
        if !client.has(&blob.digest).await? {
            client.upload(registry.pull_blob(&blob.digest, blob.size).await?).await?;
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    let role = text(&definition, "role").to_owned();
    let new = NewWitness { incident: incident.to_owned(), capsule, role, origin: None };
    let answer = client.post("/api/v1/witnesses", &new).await?;
    output.data(&answer, || format!("witness {} of {incident}", text(&answer, "witness")));
    Ok(Exit::Yes)
}
