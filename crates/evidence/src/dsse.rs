//! DSSE envelopes v1 (secure-systems-lab/dsse): the signature covers the raw payload bytes.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde::{Deserialize, Serialize};

use crate::json::{self, JsonError};
use crate::key::{KeyError, KeyId, PrivateKey, PublicKey};

/// The payload type of an in-toto statement.
pub const IN_TOTO_PAYLOAD: &str = "application/vnd.in-toto+json";
/// The most signatures that are looked at.
pub const MAX_SIGNATURES: usize = 16;
/// The largest envelope that is read, in bytes.
pub const MAX_ENVELOPE_BYTES: usize = 16 << 20;

/// Why an envelope is refused.
#[derive(Debug, thiserror::Error)]
pub enum DsseError {
    /// Not the JSON of an envelope.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A field that is not base64.
    #[error("the field `{field}` is not base64")]
    Base64 {
        /// Which.
        field: &'static str,
    },
    /// Too large, or too many signatures.
    #[error("the envelope is past a limit: {detail}")]
    Limit {
        /// Which limit.
        detail: String,
    },
    /// No signature by a trusted key is there.
    #[error("no signature by a trusted key (the envelope names {named:?})")]
    Untrusted {
        /// The key ids that the envelope names.
        named: Vec<String>,
    },
    /// A signature by a trusted key is wrong.
    #[error(transparent)]
    Signature(#[from] KeyError),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wire {
    payload_type: String,
    payload: String,
    signatures: Vec<WireSignature>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireSignature {
    #[serde(default)]
    keyid: String,
    sig: String,
}

/// An envelope as read: nothing in it is verified until [`Envelope::verify`] says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    payload_type: String,
    payload: Vec<u8>,
    signatures: Vec<(String, Vec<u8>)>,
}

impl Envelope {
    /// Signs `payload`.
    pub fn sign(payload_type: &str, payload: Vec<u8>, key: &PrivateKey) -> Self {
        let signature = key.sign(&pae(payload_type, &payload)).to_vec();
        let signatures = vec![(key.public().id().to_string(), signature)];
        Self { payload_type: payload_type.to_owned(), payload, signatures }
    }

    /// Reads an envelope; strict JSON, unknown fields refused, both base64 alphabets accepted.
    pub fn parse(bytes: &[u8]) -> Result<Self, DsseError> {
        if bytes.len() > MAX_ENVELOPE_BYTES {
            return Err(DsseError::Limit {
                detail: format!("{} bytes, at most {MAX_ENVELOPE_BYTES}", bytes.len()),
            });
        }
        let wire: Wire = json::from_strict(bytes)?;
        if wire.signatures.is_empty() || wire.signatures.len() > MAX_SIGNATURES {
            let detail = format!("{} signatures, 1 to {MAX_SIGNATURES} are read", wire.signatures.len());
            return Err(DsseError::Limit { detail });
        }
        let payload = decode(&wire.payload, "payload")?;
        let signatures = wire
            .signatures
            .into_iter()
            .map(|s| Ok((s.keyid, decode(&s.sig, "sig")?)))
            .collect::<Result<_, DsseError>>()?;
        Ok(Self { payload_type: wire.payload_type, payload, signatures })
    }

    /// The envelope's JSON.
    pub fn to_bytes(&self) -> Vec<u8> {
        let wire = Wire {
            payload_type: self.payload_type.clone(),
            payload: STANDARD.encode(&self.payload),
            signatures: self
                .signatures
                .iter()
                .map(|(keyid, sig)| WireSignature { keyid: keyid.clone(), sig: STANDARD.encode(sig) })
                .collect(),
        };
        serde_json::to_vec(&wire).expect("an envelope of strings always serialises")
    }

    /// Returns the payload and the key that signed it, if one of `trusted` did. A wrong signature
    /// under a trusted key's id is an error even if another one fits.
    pub fn verify(&self, trusted: &[PublicKey]) -> Result<(&[u8], KeyId), DsseError> {
        let message = pae(&self.payload_type, &self.payload);
        let mut signer = None;
        for key in trusted {
            let id = key.id();
            let by_id = self.signatures.iter().filter(|(named, _)| named.is_empty() || named == id.as_str());
            for (named, signature) in by_id {
                match key.verify(&message, signature) {
                    Ok(()) => signer = signer.or(Some(id.clone())),
                    Err(_) if named.is_empty() => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        let named = || self.signatures.iter().map(|(named, _)| named.clone()).collect();
        signer.map(|id| (self.payload.as_slice(), id)).ok_or_else(|| DsseError::Untrusted { named: named() })
    }

    /// The payload, unverified.
    pub fn payload_unverified(&self) -> &[u8] {
        &self.payload
    }

    /// The payload's media type.
    pub fn payload_type(&self) -> &str {
        &self.payload_type
    }
}

fn decode(text: &str, field: &'static str) -> Result<Vec<u8>, DsseError> {
    STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text)).map_err(|_| DsseError::Base64 { field })
}

/// The pre-authentication encoding: `DSSEv1 <len> <type> <len> <payload>`.
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut out = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    out.extend_from_slice(payload);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_pae_vector() {
        // secure-systems-lab/dsse, protocol.md, "Test vectors".
        let expected = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world";
        assert_eq!(pae("http://example.com/HelloWorld", b"hello world"), expected);
    }

    #[test]
    fn a_changed_payload_or_signature_is_refused() {
        let key = PrivateKey::from_seed(&[1; 32]);
        let envelope = Envelope::sign(IN_TOTO_PAYLOAD, b"{}".to_vec(), &key);
        let read = Envelope::parse(&envelope.to_bytes()).unwrap();
        assert_eq!(read.verify(&[key.public()]).unwrap().0, b"{}");
        let mut changed = read.clone();
        changed.payload = b"{ }".to_vec();
        assert!(matches!(changed.verify(&[key.public()]), Err(DsseError::Signature(_))));
        let other = PrivateKey::from_seed(&[2; 32]).public();
        assert!(matches!(read.verify(&[other]), Err(DsseError::Untrusted { .. })));
    }

    #[test]
    fn duplicate_keys_and_unknown_fields_are_refused() {
        for text in [
            r#"{"payloadType":"a","payload":"","payload":"","signatures":[{"sig":""}]}"#,
            r#"{"payloadType":"a","payload":"","signatures":[{"sig":""}],"crit":1}"#,
            r#"{"payloadType":"a","payload":"","signatures":[]}"#,
            r#"{"payloadType":"a","payload":"%","signatures":[{"sig":""}]}"#,
        ] {
            assert!(Envelope::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
