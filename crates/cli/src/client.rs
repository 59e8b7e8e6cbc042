//! The one way to the services: the server's router, in-process over the embedded store or across
//! HTTP.

use std::path::{Path, PathBuf};

use assay_evidence::{PrivateKey, Sha256, TenantId};
use assay_server::{Access, App, Problem, router};
use assay_store::Locations;
use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tower::ServiceExt as _;

use crate::args::Global;
use crate::error::{CliError, Exit, chain};

/// The variable that may hold a signing key itself, in CI.
const KEY_VARIABLE: &str = "ASSAY_SIGNING_KEY";

/// A way to the services.
pub(crate) enum Client {
    Embedded(Box<Router>),
    Remote { base: String, token: Option<String>, http: reqwest::Client },
}

/// The data folder.
pub(crate) fn data_folder(global: &Global) -> Result<PathBuf, CliError> {
    if let Some(data) = &global.data {
        return Ok(data.clone());
    }
    let home = std::env::var_os("XDG_DATA_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".local").join("share")));
    let hint = "name a data folder with --data or ASSAY_DATA";
    home.map(|home| home.join("assay")).ok_or_else(|| CliError::usage("there is no home folder", hint))
}

/// The key file that signing uses.
pub(crate) fn key_file(global: &Global) -> Result<PathBuf, CliError> {
    match &global.key {
        Some(file) => Ok(file.clone()),
        None => Ok(data_folder(global)?.join("keys").join("signing.key")),
    }
}

/// The signing key: from the variable, from the named file, or from the data folder if it is there.
pub(crate) fn signing_key(global: &Global) -> Result<Option<PrivateKey>, CliError> {
    if let Ok(text) = std::env::var(KEY_VARIABLE) {
        let refuse = |error: assay_evidence::KeyError| {
            CliError::refused(
                "key_refused",
                format!("{KEY_VARIABLE}: {error}"),
                "it holds the content of a key file",
            )
        };
        return PrivateKey::from_secret_text(&text).map(Some).map_err(refuse);
    }
    let file = key_file(global)?;
    if global.key.is_none() && !file.exists() {
        return Ok(None);
    }
    Ok(Some(assay_notary::load_key(&file)?))
}

/// The signing key, which has to be there.
pub(crate) fn required_key(global: &Global) -> Result<PrivateKey, CliError> {
    let missing =
        || CliError::refused("no_signing_key", "there is no signing key", "make one with `assay key new`");
    signing_key(global)?.ok_or_else(missing)
}

/// Opens the embedded store.
pub(crate) async fn open_app(global: &Global, access: Access) -> Result<App, CliError> {
    let locations = Locations {
        data: data_folder(global)?,
        database: global.database.clone(),
        blobs: global.blobs.clone(),
    };
    let opened = App::open(&locations, signing_key(global)?, access).await;
    opened.map_err(|error| {
        let exit = if matches!(error, assay_store::StoreError::Address { .. }) {
            Exit::Usage
        } else {
            Exit::Environment
        };
        CliError::new(exit, "store_failed", chain(&error), "check --data, --database and --blobs")
    })
}

/// Whether there is a store already: a server, a database by its address, or the embedded one's file.
pub(crate) fn has_store(global: &Global) -> bool {
    let embedded = || data_folder(global).is_ok_and(|folder| folder.join("assay.sqlite").exists());
    global.server.is_some() || global.database.is_some() || embedded()
}

/// The tenant of the embedded store.
pub(crate) fn tenant(global: &Global) -> Result<TenantId, CliError> {
    global.tenant.parse().map_err(|error: assay_evidence::TenantError| CliError::usage(error.to_string(), ""))
}

impl Client {
    pub async fn open(global: &Global) -> Result<Self, CliError> {
        if let Some(base) = &global.server {
            let http = reqwest::Client::builder()
                .build()
                .map_err(|error| CliError::environment("the HTTP client did not start", &error))?;
            return Ok(Self::Remote {
                base: base.trim_end_matches('/').to_owned(),
                token: global.token.clone(),
                http,
            });
        }
        let app = open_app(global, Access::Owner(tenant(global)?)).await?;
        Ok(Self::Embedded(Box::new(router(app))))
    }

    async fn send(&self, method: Method, path: &str, body: Bytes) -> Result<(u16, Bytes), CliError> {
        match self {
            Self::Embedded(router) => {
                let request = Request::builder().method(method).uri(path).body(Body::from(body));
                let request = request.map_err(|error| CliError::usage(format!("`{path}`: {error}"), ""))?;
                let response = match router.as_ref().clone().oneshot(request).await {
                    Ok(response) => response,
                    Err(never) => match never {},
                };
                let status = response.status().as_u16();
                let body = response.into_body().collect().await;
                let body = body.map_err(|error| CliError::environment("the answer broke off", &error))?;
                Ok((status, body.to_bytes()))
            }
            Self::Remote { base, token, http } => {
                let mut request = http.request(method, format!("{base}{path}")).body(body);
                if let Some(token) = token {
                    request = request.bearer_auth(token);
                }
                let failed = |error: reqwest::Error| {
                    let message = format!("{base} did not answer: {}", chain(&error));
                    CliError::new(Exit::Environment, "server_away", message, "check --server")
                };
                let response = request.send().await.map_err(failed)?;
                let status = response.status().as_u16();
                Ok((status, response.bytes().await.map_err(failed)?))
            }
        }
    }

    async fn call(&self, method: Method, path: &str, body: Bytes) -> Result<Bytes, CliError> {
        let (status, body) = self.send(method, path, body).await?;
        if (200..300).contains(&status) {
            return Ok(body);
        }
        match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => Err(problem.into()),
            Err(_) => {
                let message = format!("the server answered {status} without saying why");
                Err(CliError::new(
                    Exit::Environment,
                    "server_answer",
                    message,
                    "is --server an Assay server?",
                ))
            }
        }
    }

    pub async fn get(&self, path: &str) -> Result<Value, CliError> {
        read(&self.call(Method::GET, path, Bytes::new()).await?)
    }

    pub async fn get_as<T: DeserializeOwned>(&self, path: &str) -> Result<T, CliError> {
        read(&self.call(Method::GET, path, Bytes::new()).await?)
    }

    pub async fn get_raw(&self, path: &str) -> Result<Bytes, CliError> {
        self.call(Method::GET, path, Bytes::new()).await
    }

    pub async fn post<B: Serialize>(&self, path: &str, body: &B) -> Result<Value, CliError> {
        let body = serde_json::to_vec(body).unwrap_or_default();
        read(&self.call(Method::POST, path, body.into()).await?)
    }

    pub async fn put<B: Serialize>(&self, path: &str, body: &B) -> Result<Value, CliError> {
        let body = serde_json::to_vec(body).unwrap_or_default();
        read(&self.call(Method::PUT, path, body.into()).await?)
    }

    pub async fn post_raw(&self, path: &str, body: impl Into<Bytes>) -> Result<Value, CliError> {
        read(&self.call(Method::POST, path, body.into()).await?)
    }

    pub async fn delete(&self, path: &str) -> Result<(), CliError> {
        self.call(Method::DELETE, path, Bytes::new()).await.map(drop)
    }

    /// Whether content is stored.
    pub async fn has(&self, digest: &Sha256) -> Result<bool, CliError> {
        let (status, _) = self.send(Method::HEAD, &format!("/api/v1/blobs/{digest}"), Bytes::new()).await?;
        Ok(status == 200)
    }

    /// Uploads content unless it is there.
    pub async fn upload(&self, bytes: impl Into<Bytes>) -> Result<Sha256, CliError> {
        let bytes = bytes.into();
        let digest = Sha256::of(&bytes);
        let path = format!("/api/v1/blobs/{digest}");
        let (status, _) = self.send(Method::HEAD, &path, Bytes::new()).await?;
        if status != 200 {
            self.call(Method::PUT, &path, bytes).await?;
        }
        Ok(digest)
    }

    /// Uploads an artifact: a file as it is, a directory as its canonical archive.
    pub async fn upload_artifact(&self, path: &Path) -> Result<Sha256, CliError> {
        if !path.is_dir() {
            return self.upload_file(path).await;
        }
        let mut archive = Vec::new();
        let refuse = |error: assay_witness::tree::TreeError| {
            let message = format!("{}: {}", path.display(), chain(&error));
            CliError::refused("not_a_tree", message, "a tree holds files, directories and links only")
        };
        assay_witness::tree::pack(path, &mut archive).map_err(refuse)?;
        self.upload(archive).await
    }

    /// Uploads a file; its digest.
    pub async fn upload_file(&self, file: &Path) -> Result<Sha256, CliError> {
        let bytes = std::fs::read(file).map_err(|error| CliError::file(file, &error))?;
        self.upload(bytes).await
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, CliError> {
    serde_json::from_slice(body)
        .map_err(|error| CliError::environment("the answer has another form than expected", &error))
}

/// A name as one segment of a path.
pub(crate) fn segment(text: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:+".contains(&byte);
    text.bytes()
        .map(|byte| if keep(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
