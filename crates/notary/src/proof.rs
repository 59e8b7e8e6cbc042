//! A proof that another program can check: everything needed stands in it.

use assay_evidence::{Envelope, PublicKey, Sha256, Statement, TenantId};
use assay_ledger::{Checkpoint, Hash, Leaf, NoteKey, Tree, leaf_hash, verify_inclusion};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Notary, NotaryError, NotaryResult, sql};

/// One statement's inclusion in its log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InclusionProof {
    /// Digest of the envelope.
    pub statement: Sha256,
    /// The envelope's raw bytes, base64.
    pub envelope: String,
    /// The leaf's bytes, base64.
    pub leaf: String,
    /// The leaf's index.
    pub index: u64,
    /// The audit path (RFC 6962), base64 each, from the leaf upwards.
    pub path: Vec<String>,
    /// The signed checkpoint, a C2SP note.
    pub checkpoint: String,
    /// The log's verifier key, as C2SP signed-note writes it.
    pub vkey: String,
    /// The public key that signed envelope and checkpoint.
    pub public_key: String,
    /// The same proof in the form of C2SP tlog-proof.
    pub tlog_proof: String,
}

/// Why a proof is not believed.
#[derive(Debug, thiserror::Error)]
pub enum ProofProblem {
    /// A part does not have its form.
    #[error("the proof's `{field}` is broken")]
    Field {
        /// Which.
        field: &'static str,
    },
    /// The parts do not belong together.
    #[error("the proof's parts do not belong together: {detail}")]
    Mismatch {
        /// Which do not.
        detail: &'static str,
    },
    /// A signature, a checkpoint or the path does not verify.
    #[error("the proof does not verify")]
    Trust(#[from] NotaryError),
}

impl InclusionProof {
    /// Checks everything against `key` alone; the statement that is proven.
    pub fn verify(&self, key: &PublicKey) -> Result<Statement, ProofProblem> {
        let envelope = decode(&self.envelope, "envelope")?;
        let leaf_bytes = decode(&self.leaf, "leaf")?;
        if Sha256::of(&envelope) != self.statement {
            return Err(ProofProblem::Mismatch { detail: "the envelope has another digest" });
        }
        let leaf = Leaf::parse(&leaf_bytes).map_err(NotaryError::from)?;
        if leaf.envelope != self.statement {
            return Err(ProofProblem::Mismatch { detail: "the leaf names another envelope" });
        }
        let envelope = Envelope::parse(&envelope).map_err(NotaryError::from)?;
        let (payload, _) = envelope.verify(std::slice::from_ref(key)).map_err(NotaryError::from)?;
        let statement = Statement::parse(payload).map_err(NotaryError::from)?;
        let origin = self.checkpoint.lines().next().unwrap_or_default();
        let note_key = NoteKey::new(origin, key.clone()).map_err(NotaryError::from)?;
        let checkpoint =
            Checkpoint::open(self.checkpoint.as_bytes(), &note_key).map_err(NotaryError::from)?;
        let path = self.path.iter().map(|hash| read_hash(hash)).collect::<Result<Vec<Hash>, _>>()?;
        let leaf = leaf_hash(&leaf_bytes);
        verify_inclusion(self.index, checkpoint.size, &leaf, &path, &checkpoint.root)
            .map_err(NotaryError::from)?;
        if self.public_key != key.to_string() || self.vkey != note_key.vkey() {
            return Err(ProofProblem::Mismatch { detail: "the proof names another key" });
        }
        if self.tlog_proof != tlog_proof(self.index, &self.path, &self.checkpoint) {
            return Err(ProofProblem::Mismatch { detail: "the two forms of the proof differ" });
        }
        Ok(statement)
    }
}

/// The text of C2SP tlog-proof.
fn tlog_proof(index: u64, path: &[String], checkpoint: &str) -> String {
    let lines: String = path.iter().map(|hash| format!("{hash}\n")).collect();
    format!("c2sp.org/tlog-proof@v1\nindex {index}\n{lines}\n{checkpoint}")
}

fn decode(text: &str, field: &'static str) -> Result<Vec<u8>, ProofProblem> {
    STANDARD.decode(text).map_err(|_| ProofProblem::Field { field })
}

fn read_hash(text: &str) -> Result<Hash, ProofProblem> {
    decode(text, "path")?.try_into().map_err(|_| ProofProblem::Field { field: "path" })
}

impl Notary {
    /// The proof that the statement is included in the log's head.
    pub async fn prove(&self, tenant: &TenantId, digest: &Sha256) -> NotaryResult<InclusionProof> {
        let unknown = || NotaryError::UnknownStatement { digest: *digest };
        let log = self.log(tenant).await?.ok_or_else(unknown)?;
        let row = sql::statement(self.store.database(), tenant, digest).await?.ok_or_else(unknown)?;
        let excluded = || NotaryError::NotIncluded { digest: *digest };
        let head = self.head(tenant).await?.ok_or_else(excluded)?;
        let index = row.position.filter(|position| *position < head.size).ok_or_else(excluded)?;
        let mut tree = self.open_tree(tenant, head.size).await?;
        for tile in Tree::tiles_towards(index, head.size) {
            tree.add_tile(&tile, &self.load_tile(tenant, &tile).await?)?;
        }
        let path: Vec<String> =
            tree.inclusion_proof(index, head.size)?.iter().map(|hash| STANDARD.encode(hash)).collect();
        let leaf =
            sql::leaves_from(self.store.database(), tenant, index, 1).await?.pop().ok_or_else(excluded)?;
        let envelope = self.store.blobs().get_content(tenant, digest).await?;
        let checkpoint = String::from_utf8_lossy(&head.note).into_owned();
        let tlog_proof = tlog_proof(index, &path, &checkpoint);
        Ok(InclusionProof {
            statement: *digest,
            envelope: STANDARD.encode(&envelope),
            leaf: STANDARD.encode(&leaf),
            index,
            path,
            checkpoint,
            vkey: log.note_key()?.vkey(),
            public_key: log.key.to_string(),
            tlog_proof,
        })
    }
}
