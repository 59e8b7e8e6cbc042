//! Where an image lies: `oci://HOST[:PORT]/REPOSITORY[:TAG][@DIGEST]`.
//!
//! Source: OCI distribution specification 1.1, "Pulling manifests".

use assay_evidence::Sha256;

/// The tag of a reference that names none.
const DEFAULT_TAG: &str = "latest";
/// The longest repository.
const MAX_REPOSITORY: usize = 255;

/// A place in a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    /// Host and port.
    pub host: String,
    /// The repository.
    pub repository: String,
    /// The tag, or a digest as text.
    pub name: String,
    /// The digest, where the reference names one.
    pub digest: Option<Sha256>,
}

impl Reference {
    /// Reads a reference; what is wrong with it otherwise.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let rest = text.strip_prefix("oci://").ok_or("it does not begin with oci://")?;
        let (host, path) = rest.split_once('/').ok_or("it names no repository")?;
        let (path, digest) = match path.split_once('@') {
            Some((path, digest)) => {
                (path, Some(digest.parse::<Sha256>().map_err(|_| "its digest is not one")?))
            }
            None => (path, None),
        };
        let (repository, tag) = path.split_once(':').unwrap_or((path, DEFAULT_TAG));
        if !is_host(host) {
            return Err("its host is not one");
        }
        if repository.len() > MAX_REPOSITORY || !repository.split('/').all(is_component) {
            return Err("its repository is not one: lower-case letters, digits and single separators");
        }
        if !is_tag(tag) {
            return Err("its tag is not one");
        }
        let name = digest.map_or_else(|| tag.to_owned(), |digest| digest.to_string());
        Ok(Self { host: host.to_owned(), repository: repository.to_owned(), name, digest })
    }
}

fn is_host(text: &str) -> bool {
    let (name, port) = text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port)));
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-';
    !name.is_empty() && name.bytes().all(plain) && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

fn is_component(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    let ends = bytes.first().is_some_and(|byte| word(*byte)) && bytes.last().is_some_and(|byte| word(*byte));
    ends && bytes.iter().all(|byte| word(*byte) || b"._-".contains(byte)) && !text.contains("..")
}

fn is_tag(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let bytes = text.as_bytes();
    (1..=128).contains(&bytes.len())
        && word(bytes[0])
        && bytes.iter().all(|byte| word(*byte) || b".-".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references() {
        let read = Reference::parse("oci://localhost:5000/team/crash-1:v1").unwrap();
        assert_eq!(
            (read.host.as_str(), read.repository.as_str(), read.name.as_str()),
            ("localhost:5000", "team/crash-1", "v1")
        );
        assert_eq!(Reference::parse("oci://r.io/a").unwrap().name, "latest");
        let digest = Sha256::of(b"x");
        assert_eq!(Reference::parse(&format!("oci://r.io/a@{digest}")).unwrap().digest, Some(digest));
        for wrong in [
            "r.io/a",
            "oci://r.io",
            "oci:///a",
            "oci://r.io/",
            "oci://r.io/A",
            "oci://r.io/a/../b",
            "oci://r.io/a//b",
            "oci://r.io:x/a",
            "oci://r.io/a:",
            "oci://r.io/a:-x",
            "oci://r.io/a@sha256:12",
            "oci://u:p@r.io/a",
            "oci://r.io/a?b",
        ] {
            assert!(Reference::parse(wrong).is_err(), "{wrong}");
        }
    }
}
