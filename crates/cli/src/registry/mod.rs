//! A client of OCI registries (distribution specification 1.1), as far as capsules need one.

mod challenge;
mod reference;

use assay_evidence::Sha256;
use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, WWW_AUTHENTICATE};
use reqwest::{Method, Response, StatusCode};

use crate::error::{CliError, Exit, chain};
use challenge::Challenge;
pub(crate) use reference::Reference;

/// The media type of the manifests that are pushed and pulled.
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The largest manifest.
const MAX_MANIFEST: u64 = 16 << 20;
/// The largest answer of a token server.
const MAX_TOKEN: u64 = 1 << 20;
/// Variables that hold the user and password of a registry.
const USER: &str = "ASSAY_REGISTRY_USER";
const PASSWORD: &str = "ASSAY_REGISTRY_PASSWORD";

/// How requests prove who makes them.
#[derive(Clone)]
enum Proof {
    None,
    Basic(String, String),
    Token(String),
}

/// A repository of a registry.
pub(crate) struct Registry {
    http: reqwest::Client,
    reference: Reference,
    base: url::Url,
    proof: Proof,
}

impl Registry {
    /// Over TLS, or plain HTTP where that is asked for.
    pub fn new(reference: Reference, plain: bool) -> Result<Self, CliError> {
        let http = reqwest::Client::builder()
            .build()
            .map_err(|error| CliError::environment("the HTTP client did not start", &error))?;
        let scheme = if plain { "http" } else { "https" };
        let base = format!("{scheme}://{}/v2/{}/", reference.host, reference.repository);
        let base =
            url::Url::parse(&base).map_err(|error| CliError::usage(format!("`{base}`: {error}"), ""))?;
        Ok(Self { http, reference, base, proof: Proof::None })
    }

    fn url(&self, path: &str) -> Result<url::Url, CliError> {
        self.base.join(path).map_err(|error| CliError::usage(format!("`{path}`: {error}"), ""))
    }

    async fn once(
        &self,
        method: &Method,
        url: &url::Url,
        body: Option<&(Bytes, &'static str)>,
    ) -> Result<Response, CliError> {
        let mut request = self.http.request(method.clone(), url.clone());
        // Another host hears nothing of who we are.
        if url.host_str() == self.base.host_str()
            && url.port_or_known_default() == self.base.port_or_known_default()
        {
            request = match &self.proof {
                Proof::None => request,
                Proof::Basic(user, password) => request.basic_auth(user, Some(password)),
                Proof::Token(token) => request.bearer_auth(token),
            };
        }
        if *method == Method::GET {
            request = request.header(ACCEPT, format!("{MANIFEST}, application/octet-stream, */*;q=0.1"));
        }
        request = match body {
            Some((bytes, kind)) => request.header(CONTENT_TYPE, *kind).body(bytes.clone()),
            None if *method == Method::POST => request.header(CONTENT_LENGTH, 0),
            None => request,
        };
        request.send().await.map_err(|error| {
            let message = format!("{} did not answer: {}", self.reference.host, chain(&error));
            let hint = "is the registry there, and does it speak TLS? (--plain-http otherwise)";
            CliError::new(Exit::Environment, "registry_away", message, hint)
        })
    }

    /// Sends a request, and once more with what a 401 asks for.
    async fn send(
        &mut self,
        method: Method,
        url: &url::Url,
        body: Option<(Bytes, &'static str)>,
    ) -> Result<Response, CliError> {
        let answer = self.once(&method, url, body.as_ref()).await?;
        if answer.status() != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        let asked = answer.headers().get_all(WWW_AUTHENTICATE).iter();
        let challenge = asked.filter_map(|header| Challenge::parse(header.to_str().ok()?)).next();
        let challenge = challenge.ok_or_else(|| self.denied("it does not say how to log in"))?;
        self.proof = self.answer_to(challenge).await?;
        let again = self.once(&method, url, body.as_ref()).await?;
        if again.status() == StatusCode::UNAUTHORIZED {
            return Err(self.denied("it does not take these credentials"));
        }
        Ok(again)
    }

    fn denied(&self, what: &str) -> CliError {
        let hint = format!("set {USER} and {PASSWORD}");
        CliError::refused("registry_denied", format!("{}: {what}", self.reference.host), &hint)
    }

    async fn answer_to(&self, challenge: Challenge) -> Result<Proof, CliError> {
        let credentials = std::env::var(USER).ok().zip(std::env::var(PASSWORD).ok());
        match challenge {
            Challenge::Basic => {
                let (user, password) =
                    credentials.ok_or_else(|| self.denied("it asks for a user and a password"))?;
                Ok(Proof::Basic(user, password))
            }
            Challenge::Bearer { realm, service, scope } => {
                let mut url =
                    url::Url::parse(&realm).map_err(|_| self.denied("its token server has no address"))?;
                if url.scheme() != self.base.scheme() && url.scheme() != "https" {
                    return Err(self.denied("its token server is not reached over TLS"));
                }
                let pairs = [("service", service), ("scope", scope)];
                for (name, value) in pairs.iter().filter_map(|(name, value)| Some((name, value.as_ref()?))) {
                    url.query_pairs_mut().append_pair(name, value);
                }
                self.token(url, credentials).await.map(Proof::Token)
            }
        }
    }

    async fn token(&self, url: url::Url, credentials: Option<(String, String)>) -> Result<String, CliError> {
        let mut request = self.http.get(url);
        if let Some((user, password)) = credentials {
            request = request.basic_auth(user, Some(password));
        }
        let answer = request.send().await.map_err(|_| self.denied("its token server did not answer"))?;
        if !answer.status().is_success() {
            return Err(self.denied("its token server gives no token"));
        }
        let bytes = limited(answer, MAX_TOKEN).await?;
        let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let token = value["token"].as_str().or_else(|| value["access_token"].as_str());
        token.map(str::to_owned).ok_or_else(|| self.denied("its token server gives no token"))
    }

    fn unexpected(&self, what: &str, answer: &Response) -> CliError {
        let message = format!("{}: {what}: {}", self.reference.host, answer.status());
        match answer.status() {
            StatusCode::NOT_FOUND => {
                CliError::refused("not_in_registry", message, "check repository and tag")
            }
            StatusCode::FORBIDDEN => self.denied(&format!("{what} is forbidden")),
            _ => CliError::new(Exit::Environment, "registry_failed", message, ""),
        }
    }

    /// Uploads a blob unless the repository has it; whether it was sent.
    pub async fn push_blob(&mut self, digest: &Sha256, bytes: Bytes) -> Result<bool, CliError> {
        let there = self.send(Method::HEAD, &self.url(&format!("blobs/{digest}"))?, None).await?;
        if there.status() == StatusCode::OK {
            return Ok(false);
        }
        let started = self.send(Method::POST, &self.url("blobs/uploads/")?, None).await?;
        if started.status() != StatusCode::ACCEPTED {
            return Err(self.unexpected("an upload was not begun", &started));
        }
        let place = started.headers().get(LOCATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let mut url =
            started.url().join(place).map_err(|_| self.unexpected("an upload has no place", &started))?;
        url.query_pairs_mut().append_pair("digest", &digest.to_string());
        let done = self.send(Method::PUT, &url, Some((bytes, "application/octet-stream"))).await?;
        if done.status() != StatusCode::CREATED {
            return Err(self.unexpected("a blob was not taken", &done));
        }
        Ok(true)
    }

    /// Puts the manifest under its digest and under the reference's tag.
    pub async fn push_manifest(&mut self, bytes: Bytes) -> Result<(), CliError> {
        let digest = Sha256::of(&bytes);
        for name in [digest.to_string(), self.reference.name.clone()] {
            let url = self.url(&format!("manifests/{name}"))?;
            let done = self.send(Method::PUT, &url, Some((bytes.clone(), MANIFEST))).await?;
            if done.status() != StatusCode::CREATED {
                return Err(self.unexpected("the manifest was not taken", &done));
            }
            let header = done.headers().get("docker-content-digest").and_then(|value| value.to_str().ok());
            if header.is_some_and(|header| header != digest.to_string()) {
                let message = format!("{} keeps the manifest under another digest", self.reference.host);
                return Err(CliError::new(Exit::Trust, "registry_digest", message, ""));
            }
        }
        Ok(())
    }

    /// The manifest's bytes, checked where the reference names a digest.
    pub async fn pull_manifest(&mut self) -> Result<Bytes, CliError> {
        let url = self.url(&format!("manifests/{}", self.reference.name))?;
        let answer = self.send(Method::GET, &url, None).await?;
        if answer.status() != StatusCode::OK {
            return Err(self.unexpected("there is no manifest", &answer));
        }
        let bytes = limited(answer, MAX_MANIFEST).await?;
        match self.reference.digest {
            Some(digest) if Sha256::of(&bytes) != digest => Err(self.wrong(&digest)),
            _ => Ok(bytes),
        }
    }

    /// A blob's bytes, checked.
    pub async fn pull_blob(&mut self, digest: &Sha256, size: u64) -> Result<Bytes, CliError> {
        let answer = self.send(Method::GET, &self.url(&format!("blobs/{digest}"))?, None).await?;
        if answer.status() != StatusCode::OK {
            return Err(self.unexpected("a blob is missing", &answer));
        }
        let bytes = limited(answer, size).await?;
        if bytes.len() as u64 != size || Sha256::of(&bytes) != *digest {
            return Err(self.wrong(digest));
        }
        Ok(bytes)
    }

    fn wrong(&self, digest: &Sha256) -> CliError {
        let message = format!("{} gave other bytes than those of {digest}", self.reference.host);
        CliError::new(Exit::Trust, "registry_digest", message, "")
    }
}

/// A body of at most `most` bytes.
async fn limited(mut answer: Response, most: u64) -> Result<Bytes, CliError> {
    let mut bytes = Vec::new();
    let failed = |error: reqwest::Error| CliError::environment("the answer broke off", &error);
    while let Some(chunk) = answer.chunk().await.map_err(failed)? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() as u64 > most {
            return Err(CliError::refused(
                "registry_too_much",
                format!("the answer has more than {most} bytes"),
                "",
            ));
        }
    }
    Ok(bytes.into())
}
