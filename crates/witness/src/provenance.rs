//! Where the subjects of a capsule come from: what compiled each, and signed statements about them.

use assay_binary::{BinaryError, Module, Toolchain};
use assay_evidence::dsse::{Envelope, IN_TOTO_PAYLOAD, MAX_ENVELOPE_BYTES};
use assay_evidence::{DsseError, JsonError, Sha256, json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::capsule::{Capsule, CapsuleError};
use crate::error::WitnessError;
use crate::source::FileSource;

/// Most statements of provenance in one capsule.
pub const MAX_PROVENANCE: usize = 64;
/// The media type of a DSSE envelope.
pub const ENVELOPE_MEDIA_TYPE: &str = "application/vnd.dsse.envelope.v1+json";
/// The largest subject that is looked into, in bytes.
pub const MAX_IDENTIFIED_BYTES: u64 = 256 << 20;
/// Most toolchains named for one subject.
const MAX_TOOLCHAINS: usize = 64;
/// Longest name or version of a toolchain, in bytes.
const MAX_TOOLCHAIN_TEXT: usize = 1024;
/// Longest predicate type, in bytes.
const MAX_PREDICATE_TYPE: usize = 1024;

/// What compiled a subject, or why that is not known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "type", deny_unknown_fields)]
pub enum SubjectToolchain {
    /// The file itself tells.
    Identified {
        /// SHA-256 of the canonical JSON of `toolchains`: one name for one set of compilers.
        digest: Sha256,
        /// The toolchains that took part, that of the main part first, each with its evidence.
        toolchains: Vec<Toolchain>,
    },
    /// The file does not tell.
    Unidentified {
        /// Why.
        reason: Unidentified,
    },
}

/// Why a subject's toolchain is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unidentified {
    /// A whole directory of files.
    Tree,
    /// A script, which nothing compiled.
    Script,
    /// A file of no format of compiled code.
    NoBinary,
    /// Compiled code of a known format that cannot be read.
    Unreadable,
    /// Compiled code without any trace of its compiler.
    NoEvidence,
    /// Larger than what is looked into.
    TooLarge,
}

impl SubjectToolchain {
    /// What the bytes of a file tell.
    pub fn of(bytes: &[u8]) -> Self {
        let unknown = |reason| Self::Unidentified { reason };
        if bytes.len() as u64 > MAX_IDENTIFIED_BYTES {
            return unknown(Unidentified::TooLarge);
        }
        if bytes.starts_with(b"#!") {
            return unknown(Unidentified::Script);
        }
        match Module::parse(bytes) {
            Ok(module) if module.toolchains.is_empty() => unknown(Unidentified::NoEvidence),
            Ok(module) => Self::identified(module.toolchains),
            Err(BinaryError::UnknownFormat) => unknown(Unidentified::NoBinary),
            Err(_) => unknown(Unidentified::Unreadable),
        }
    }

    fn identified(toolchains: Vec<Toolchain>) -> Self {
        let digest = digest_of(&toolchains);
        Self::Identified { digest, toolchains }
    }

    pub(crate) fn check(&self) -> Result<(), CapsuleError> {
        let Self::Identified { digest, toolchains } = self else { return Ok(()) };
        if toolchains.is_empty() || toolchains.len() > MAX_TOOLCHAINS {
            return Err(CapsuleError::TooMuch { what: "toolchains, or none" });
        }
        let long = |text: &str| text.len() > MAX_TOOLCHAIN_TEXT || text.contains('\0');
        if toolchains.iter().any(|one| one.name.is_empty() || long(&one.name) || long(&one.version)) {
            return Err(CapsuleError::Text { what: "toolchain" });
        }
        if digest_of(toolchains) != *digest {
            return Err(CapsuleError::Toolchain { digest: *digest });
        }
        Ok(())
    }
}

fn digest_of(toolchains: &[Toolchain]) -> Sha256 {
    Sha256::of(&json::canonical(&toolchains).expect("toolchains hold strings"))
}

/// Points to a signed statement about a subject; the envelope's bytes are a layer of the capsule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Provenance {
    /// The digest of the envelope's bytes.
    pub digest: Sha256,
    /// How many they are.
    pub size: u64,
    /// [`ENVELOPE_MEDIA_TYPE`].
    pub media_type: String,
    /// What the statement says, such as `https://slsa.dev/provenance/v1`.
    pub predicate_type: String,
    /// The role of the subject that it is about.
    pub role: String,
}

/// Why a statement of provenance is refused.
#[derive(Debug, thiserror::Error)]
pub enum ProvenanceError {
    /// Not a DSSE envelope.
    #[error("it is no DSSE envelope")]
    Envelope(#[from] DsseError),
    /// An envelope around something else than an in-toto statement.
    #[error("the envelope holds `{found}`, not `{IN_TOTO_PAYLOAD}`")]
    Payload {
        /// Its payload type, shortened.
        found: String,
    },
    /// A payload that is no in-toto statement.
    #[error("the envelope holds no in-toto statement")]
    Statement(#[from] JsonError),
    /// A predicate type that is empty or too long.
    #[error("the statement's predicate type is empty or too long")]
    PredicateType,
    /// It is about something else.
    #[error("none of its subjects is a subject of the capsule ({})", .known.join(", "))]
    OtherSubject {
        /// The digests of the capsule's subjects.
        known: Vec<String>,
    },
    /// The capsule says something else of it than it says itself.
    #[error("the capsule's pointer does not fit the envelope {digest}")]
    OtherPointer {
        /// The envelope's digest.
        digest: Sha256,
    },
}

/// What is read of a statement, of any version of in-toto's.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stated {
    #[serde(rename = "_type")]
    statement_type: String,
    subject: Vec<assay_evidence::Subject>,
    predicate_type: String,
}

/// The pointer to an envelope about one of the capsule's subjects. Whether its signature holds is for whoever
/// trusts a key of its signer.
///
/// # Errors
/// [`ProvenanceError`]: no envelope, no statement, or one about something else.
pub fn point_at(envelope: &[u8], capsule: &Capsule) -> Result<Provenance, ProvenanceError> {
    let read = Envelope::parse(envelope)?;
    if read.payload_type() != IN_TOTO_PAYLOAD {
        return Err(ProvenanceError::Payload { found: read.payload_type().chars().take(100).collect() });
    }
    let stated: Stated = json::from_strict(read.payload_unverified())?;
    if !stated.statement_type.starts_with("https://in-toto.io/Statement/") {
        return Err(
            JsonError::Shape { detail: "`_type` is not that of an in-toto statement".to_owned() }.into()
        );
    }
    if stated.predicate_type.is_empty() || stated.predicate_type.len() > MAX_PREDICATE_TYPE {
        return Err(ProvenanceError::PredicateType);
    }
    let about: Vec<Sha256> = stated.subject.iter().filter_map(assay_evidence::Subject::sha256).collect();
    let is_about =
        |slot: &&crate::SubjectSlot| capsule.artifact(slot).is_some_and(|digest| about.contains(&digest));
    let slot = capsule.subjects.iter().find(is_about).ok_or_else(|| ProvenanceError::OtherSubject {
        known: capsule
            .subjects
            .iter()
            .filter_map(|slot| capsule.artifact(slot))
            .map(|it| it.to_string())
            .collect(),
    })?;
    Ok(Provenance {
        digest: Sha256::of(envelope),
        size: envelope.len() as u64,
        media_type: ENVELOPE_MEDIA_TYPE.to_owned(),
        predicate_type: stated.predicate_type,
        role: slot.role.clone(),
    })
}

/// Checks that every pointer of a capsule is what its envelope says.
///
/// # Errors
/// An envelope that cannot be read, or is not what its pointer says.
pub fn check_provenance(capsule: &Capsule, source: &dyn FileSource) -> Result<(), WitnessError> {
    for pointer in &capsule.provenance {
        let digest = pointer.digest;
        let missing = |source| WitnessError::Bytes { digest, source };
        let bytes = std::fs::read(source.path(&digest).map_err(missing)?).map_err(missing)?;
        if point_at(&bytes, capsule)? != *pointer {
            return Err(ProvenanceError::OtherPointer { digest }.into());
        }
    }
    Ok(())
}

impl Provenance {
    pub(crate) fn check_all(capsule: &Capsule) -> Result<(), CapsuleError> {
        if capsule.provenance.len() > MAX_PROVENANCE {
            return Err(CapsuleError::TooMuch { what: "statements of provenance" });
        }
        let mut previous = None;
        for pointer in &capsule.provenance {
            if previous.is_some_and(|previous| previous >= pointer.digest) {
                return Err(CapsuleError::Order { what: "provenance", near: pointer.digest.to_string() });
            }
            previous = Some(pointer.digest);
            if pointer.size > MAX_ENVELOPE_BYTES as u64 {
                return Err(CapsuleError::TooMuch { what: "bytes of an envelope" });
            }
            let known = capsule.subjects.iter().any(|slot| slot.role == pointer.role);
            let fits = pointer.media_type == ENVELOPE_MEDIA_TYPE
                && (1..=MAX_PREDICATE_TYPE).contains(&pointer.predicate_type.len());
            if !known || !fits {
                return Err(CapsuleError::Text { what: "provenance" });
            }
        }
        Ok(())
    }
}
