//! An incident in one file: witnesses, statements with their proofs, and a script that replays them.
//!
//! The file is a tar archive and an OCI image layout at once: `bundle.json`, `replay.sh`, the layout's
//! own two files, and blobs by digest. Entries are sorted and have fixed times, so that the same state of
//! a store gives the same bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;

use assay_delta::PatchSignature;
use assay_evidence::{PublicKey, Sha256, Statement, json, predicate};
use assay_notary::InclusionProof;
use assay_witness::oci::{self, Accept, ArchiveLimits, INDEX_FILE, LAYOUT_FILE, LAYOUT_TEXT, OciError};
use assay_witness::{Capsule, MapSource};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::IncidentDefinition;
use crate::predicates::{MicroWitness, SignedPatch, StackFingerprint};
use crate::signatures::{MAX_SIGNATURE_BYTES, NoSignature};

/// The bundle's version.
pub const INCIDENT_BUNDLE_VERSION: u32 = 1;
/// The largest `bundle.json`.
pub const MAX_BUNDLE_JSON: u64 = 64 << 20;
/// Most entries of a bundle.
pub const MAX_BUNDLE_ENTRIES: usize = 50_000;
/// Most bytes of a bundle.
pub const MAX_INCIDENT_BUNDLE_BYTES: u64 = 1 << 30;
/// Most witnesses of a bundle.
pub const MAX_BUNDLE_WITNESSES: usize = 256;
const BUNDLE_FILE: &str = "bundle.json";
const SCRIPT_FILE: &str = "replay.sh";
const SIGNATURE_FILE: &str = "delta-signature.json";

/// What a bundle says of itself.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IncidentBundle {
    /// [`INCIDENT_BUNDLE_VERSION`].
    pub version: u32,
    /// The incident's definition.
    pub incident: IncidentDefinition,
    /// The definition's digest.
    pub digest: Sha256,
    /// The key that signs statements and checkpoints.
    pub public_key: String,
    /// The witnesses, by id.
    pub witnesses: Vec<BundledWitness>,
    /// The modules on the captured stacks, by path: what a symbol server is asked for.
    pub symbols: Vec<SymbolPointer>,
    /// The fingerprints of the captured stacks.
    pub fingerprints: Vec<Sha256>,
    /// What the fix looks like in machine code; none in bundles from before that was added.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub delta_signature: Option<BundledSignature>,
    /// All statements with their proofs of inclusion, by digest.
    pub statements: Vec<InclusionProof>,
}

/// The patch signature of a bundle, `delta-signature.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "type", deny_unknown_fields)]
pub enum BundledSignature {
    /// It is there.
    Present {
        /// The digest of its bytes.
        digest: Sha256,
        /// Its statement.
        statement: Sha256,
    },
    /// There is none.
    Absent {
        /// Why.
        reason: NoSignature,
    },
}

/// A witness of a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BundledWitness {
    /// Its id.
    pub witness: Sha256,
    /// The role under test.
    pub role: String,
    /// Its statement.
    pub statement: Sha256,
}

/// A module whose symbols explain a stack.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SymbolPointer {
    /// Its path inside the capsule.
    pub path: String,
    /// Its build id.
    pub debug_id: String,
}

/// Why a bundle is refused.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The archive or an image in it.
    #[error(transparent)]
    Archive(#[from] OciError),
    /// `bundle.json` does not have its form.
    #[error(transparent)]
    Json(#[from] assay_evidence::JsonError),
    /// A version of some other time.
    #[error("bundle version {found} is not {INCIDENT_BUNDLE_VERSION}")]
    Version {
        /// The version found.
        found: u32,
    },
    /// The parts do not belong together, or one is missing.
    #[error("{what}")]
    Content {
        /// What is wrong.
        what: String,
    },
    /// A signature, a proof or the key does not hold.
    #[error("{what}")]
    Trust {
        /// What does not hold.
        what: String,
    },
}

impl BundleError {
    fn content(what: impl Into<String>) -> Self {
        Self::Content { what: what.into() }
    }

    fn trust(what: impl Into<String>) -> Self {
        Self::Trust { what: what.into() }
    }

    pub(crate) fn not_found_by_its_signature() -> Self {
        Self::trust("the delta signature does not find the incident in the build that it was made of")
    }

    /// Whether what failed is trust rather than form.
    pub fn is_trust_broken(&self) -> bool {
        matches!(self, Self::Trust { .. } | Self::Archive(OciError::WrongDigest { .. }))
    }
}

/// A bundle that holds: every digest, signature and proof of it was checked.
#[derive(Clone, Debug)]
pub struct OpenedBundle {
    /// What it says.
    pub bundle: IncidentBundle,
    /// The capsules of its witnesses, in their order.
    pub capsules: Vec<Capsule>,
    /// What the statement of each witness says.
    pub stated: Vec<MicroWitness>,
    /// The bytes of the capsules.
    pub files: MapSource,
    /// The patch signature, where there is one.
    pub signature: Option<PatchSignature>,
    /// The id of the key that was believed.
    pub key: String,
}

/// The script that replays a bundle; it calls only `assay`.
fn script(bundle: &IncidentBundle) -> Vec<u8> {
    let mut text = format!(
        "#!/bin/sh\n# Imports the bundle that is named into an empty store and replays {}.\n\
         # usage: sh replay.sh BUNDLE; ASSAY names the program\nset -eu\nassay=${{ASSAY:-assay}}\n\
         ASSAY_DATA=${{ASSAY_DATA:-./replay-data}}\nexport ASSAY_DATA\n\
         \"$assay\" incident verify \"$1\"\n\"$assay\" key show >/dev/null 2>&1 || \"$assay\" key new\n\
         \"$assay\" incident import \"$1\"\n",
        bundle.incident.id
    );
    for witness in &bundle.witnesses {
        // A replay that reproduces the incident exits with 1.
        text.push_str(&format!("\"$assay\" witness replay {} || test $? -eq 1\n", witness.witness));
    }
    text.into_bytes()
}

fn capsule_documents(bundle: &IncidentBundle, capsules: &[Capsule]) -> Vec<(String, Vec<u8>)> {
    vec![
        (
            BUNDLE_FILE.to_owned(),
            json::canonical(bundle).expect("a bundle holds strings, numbers and digests"),
        ),
        (SCRIPT_FILE.to_owned(), script(bundle)),
        (LAYOUT_FILE.to_owned(), LAYOUT_TEXT.as_bytes().to_vec()),
        (INDEX_FILE.to_owned(), oci::index_of(capsules)),
    ]
}

/// Writes a bundle; the same content gives the same bytes.
///
/// # Errors
/// Bytes that cannot be read or written, or are not those of their digest.
pub fn write_bundle(
    bundle: &IncidentBundle,
    capsules: &[Capsule],
    files: &MapSource,
    signature: Option<Vec<u8>>,
    to: &mut dyn std::io::Write,
) -> Result<(), BundleError> {
    let mut documents = capsule_documents(bundle, capsules);
    documents.extend(signature.map(|bytes| (SIGNATURE_FILE.to_owned(), bytes)));
    let mut blobs = BTreeMap::new();
    for (blob, bytes) in capsules.iter().flat_map(oci::image_blobs) {
        match bytes {
            Some(bytes) => documents.push((format!("blobs/sha256/{}", blob.digest.hex()), bytes)),
            None => {
                blobs.insert(blob.digest, blob);
            }
        }
    }
    documents.sort();
    documents.dedup();
    let blobs: Vec<_> = blobs.into_values().collect();
    Ok(oci::pack_plain(&documents, &blobs, files, to)?)
}

/// Reads a bundle into `folder`, which must be empty, and checks all of it offline, against `key` if one
/// is named and the bundle's own otherwise.
///
/// # Errors
/// Whatever is malformed, missing, too much, or does not hold. What was unpacked is left in `folder`.
pub fn open_bundle(
    from: &mut dyn Read,
    folder: &Path,
    key: Option<&PublicKey>,
) -> Result<OpenedBundle, BundleError> {
    let accept = |name: &str| match name {
        BUNDLE_FILE => Some(Accept::Document(MAX_BUNDLE_JSON)),
        SIGNATURE_FILE => Some(Accept::Document(MAX_SIGNATURE_BYTES)),
        SCRIPT_FILE | LAYOUT_FILE | INDEX_FILE => Some(Accept::Document(1 << 20)),
        _ => oci::digest_of_name(name).map(Accept::Blob),
    };
    let limits = ArchiveLimits { entries: MAX_BUNDLE_ENTRIES, bytes: MAX_INCIDENT_BUNDLE_BYTES };
    let names = oci::unpack_plain(from, folder, &accept, limits)?;
    let read = |name: &str| {
        std::fs::read(folder.join(name)).map_err(|_| BundleError::content(format!("there is no {name}")))
    };
    let bundle: IncidentBundle = json::from_strict(&read(BUNDLE_FILE)?)?;
    check_head(&bundle)?;
    let capsules = capsules(&bundle, folder)?;
    for (name, bytes) in capsule_documents(&bundle, &capsules) {
        if read(&name)? != bytes {
            return Err(BundleError::content(format!("{name} is not the one of this bundle")));
        }
    }
    let files = check_blobs(&capsules, &names, folder)?;
    let signature = signature(&bundle, names.contains(SIGNATURE_FILE).then(|| read(SIGNATURE_FILE)))?;
    let (stated, key) = check_statements(&bundle, &capsules, key)?;
    Ok(OpenedBundle { bundle, capsules, stated, files, signature, key })
}

/// The signature whose digest the bundle names, and none where it names none.
fn signature(
    bundle: &IncidentBundle,
    bytes: Option<Result<Vec<u8>, BundleError>>,
) -> Result<Option<PatchSignature>, BundleError> {
    let named = match &bundle.delta_signature {
        Some(BundledSignature::Present { digest, .. }) => Some(digest),
        _ => None,
    };
    let (digest, bytes) = match (named, bytes.transpose()?) {
        (Some(digest), Some(bytes)) => (digest, bytes),
        (None, None) => return Ok(None),
        (Some(_), None) => return Err(BundleError::content(format!("there is no {SIGNATURE_FILE}"))),
        (None, Some(_)) => return Err(BundleError::content(format!("nothing speaks of {SIGNATURE_FILE}"))),
    };
    if Sha256::of(&bytes) != *digest {
        return Err(BundleError::trust(format!("{SIGNATURE_FILE} has another digest")));
    }
    let read = crate::signatures::read(&bytes).map_err(|error| BundleError::content(error.to_string()))?;
    if read.incident != bundle.incident.id {
        return Err(BundleError::content("the delta signature is of another incident"));
    }
    Ok(Some(read))
}

fn check_head(bundle: &IncidentBundle) -> Result<(), BundleError> {
    if bundle.version != INCIDENT_BUNDLE_VERSION {
        return Err(BundleError::Version { found: bundle.version });
    }
    bundle.incident.check().map_err(|error| BundleError::content(error.to_string()))?;
    if Sha256::of(&json::canonical(&bundle.incident)?) != bundle.digest {
        return Err(BundleError::trust("the incident's definition has another digest"));
    }
    if bundle.witnesses.is_empty() || bundle.witnesses.len() > MAX_BUNDLE_WITNESSES {
        return Err(BundleError::content(format!("a bundle has 1 to {MAX_BUNDLE_WITNESSES} witnesses")));
    }
    if !bundle.witnesses.is_sorted_by(|a, b| a.witness < b.witness)
        || !bundle.statements.is_sorted_by(|a, b| a.statement < b.statement)
    {
        return Err(BundleError::content("witnesses or statements are not sorted and unique"));
    }
    Ok(())
}

fn capsules(bundle: &IncidentBundle, folder: &Path) -> Result<Vec<Capsule>, BundleError> {
    let blob = |digest: &Sha256| std::fs::read(folder.join("blobs/sha256").join(digest.hex())).ok();
    let capsule = |entry: &BundledWitness| {
        let manifest = blob(&entry.witness)
            .ok_or_else(|| BundleError::content(format!("the witness {} is missing", entry.witness)))?;
        Ok(oci::capsule_of(&manifest, &blob)?)
    };
    bundle.witnesses.iter().map(capsule).collect()
}

/// Every blob that is needed is there with its size, and no other.
fn check_blobs(
    capsules: &[Capsule],
    names: &BTreeSet<String>,
    folder: &Path,
) -> Result<MapSource, BundleError> {
    let mut needed = BTreeSet::new();
    let mut files = BTreeMap::new();
    for (blob, _) in capsules.iter().flat_map(oci::image_blobs) {
        let name = format!("blobs/sha256/{}", blob.digest.hex());
        let path = folder.join(&name);
        let size = std::fs::metadata(&path).map(|metadata| metadata.len()).ok();
        if size != Some(blob.size) {
            return Err(BundleError::content(format!("{name} is missing or has another size")));
        }
        files.insert(blob.digest, path);
        needed.insert(name);
    }
    match names.iter().find(|name| name.starts_with("blobs/") && !needed.contains(*name)) {
        Some(name) => Err(BundleError::content(format!("{name} belongs to no witness"))),
        None => Ok(MapSource(files)),
    }
}

/// Every statement is signed and included, and those of the witnesses say what the bundle says.
fn check_statements(
    bundle: &IncidentBundle,
    capsules: &[Capsule],
    key: Option<&PublicKey>,
) -> Result<(Vec<MicroWitness>, String), BundleError> {
    let own: PublicKey = bundle
        .public_key
        .parse()
        .map_err(|error: assay_evidence::KeyError| BundleError::content(error.to_string()))?;
    let trusted = key.unwrap_or(&own);
    if *trusted != own {
        return Err(BundleError::trust(format!(
            "the bundle is signed by {}, not by {}",
            own.id(),
            trusted.id()
        )));
    }
    let mut statements = BTreeMap::new();
    for proof in &bundle.statements {
        let statement = proof.verify(trusted).map_err(|error| {
            BundleError::trust(format!("{}: {}", proof.statement, assay_evidence::chain(&error)))
        })?;
        statements.insert(proof.statement, statement);
    }
    let mut stated = Vec::new();
    for (entry, capsule) in bundle.witnesses.iter().zip(capsules) {
        let says =
            statements.get(&entry.statement).and_then(|statement| read(statement, predicate::MICRO_WITNESS));
        let says: MicroWitness = says.ok_or_else(|| {
            BundleError::trust(format!("nothing is stated of the witness {}", entry.witness))
        })?;
        let slot = capsule.subjects.iter().find(|slot| slot.role == entry.role);
        let artifact = slot.and_then(|slot| capsule.artifact(slot));
        let agrees = says.incident == bundle.incident.id
            && says.witness == entry.witness
            && says.role == entry.role
            && Some(says.artifact) == artifact;
        if !agrees {
            return Err(BundleError::trust(format!(
                "the statement of {} says something else",
                entry.witness
            )));
        }
        stated.push(says);
    }
    if let Some(BundledSignature::Present { digest, statement }) = &bundle.delta_signature {
        let says =
            statements.get(statement).and_then(|it| read::<SignedPatch>(it, predicate::PATCH_SIGNATURE));
        if !says.is_some_and(|says| says.signature == *digest && says.incident == bundle.incident.id) {
            return Err(BundleError::trust("nothing is stated of the delta signature"));
        }
    }
    if (symbols(statements.values()), fingerprints(statements.values()))
        != (bundle.symbols.clone(), bundle.fingerprints.clone())
    {
        return Err(BundleError::trust("the stacks are not those of the statements"));
    }
    Ok((stated, trusted.id().to_string()))
}

fn read<T: serde::de::DeserializeOwned>(statement: &Statement, kind: &str) -> Option<T> {
    (statement.predicate_type == kind).then(|| serde_json::from_value(statement.predicate.clone()).ok())?
}

/// The modules on all captured stacks, by path.
pub(crate) fn symbols<'a>(statements: impl Iterator<Item = &'a Statement>) -> Vec<SymbolPointer> {
    let stacks =
        statements.filter_map(|statement| read::<StackFingerprint>(statement, predicate::STACK_FINGERPRINT));
    let modules = stacks.flat_map(|stack| stack.frames).filter_map(|frame| frame.module);
    let pointers = modules.filter_map(|module| {
        let debug_id = module.debug_id?.0;
        Some(SymbolPointer { path: module.path, debug_id })
    });
    pointers.collect::<BTreeSet<_>>().into_iter().collect()
}

/// The fingerprints of all captured stacks.
pub(crate) fn fingerprints<'a>(statements: impl Iterator<Item = &'a Statement>) -> Vec<Sha256> {
    let stacks =
        statements.filter_map(|statement| read::<StackFingerprint>(statement, predicate::STACK_FINGERPRINT));
    stacks.map(|stack| stack.fingerprint).collect::<BTreeSet<_>>().into_iter().collect()
}
