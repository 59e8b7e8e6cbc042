//! Content by digest.

use assay_access::Permission;
use assay_evidence::Sha256;
use assay_store::BlobKey;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::routing::put;
use bytes::Bytes;

use super::Raw;
use crate::app::App;
use crate::auth::Caller;
use crate::problem::Problem;

/// The largest blob, in bytes.
const MAX_BLOB_BYTES: usize = 1 << 30;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/api/v1/blobs/{digest}", put(upload).get(download).head(exists))
        .layer(DefaultBodyLimit::max(MAX_BLOB_BYTES))
}

async fn upload(
    State(app): State<App>,
    Caller(principal): Caller,
    Path(digest): Path<String>,
    Raw(body): Raw,
) -> Result<StatusCode, Problem> {
    principal.require(Permission::AddEvidence)?;
    let digest: Sha256 = digest.parse()?;
    let found = Sha256::of(&body);
    if found != digest {
        let detail = format!("the body's digest is {found}, not {digest}");
        return Err(Problem::bad_request("digest_mismatch", &detail, "upload the bytes unchanged"));
    }
    app.store().blobs().put_content(principal.tenant(), body).await?;
    Ok(StatusCode::CREATED)
}

async fn download(
    State(app): State<App>,
    Caller(principal): Caller,
    Path(digest): Path<String>,
) -> Result<Bytes, Problem> {
    principal.require(Permission::ReadEvidence)?;
    Ok(app.store().blobs().get_content(principal.tenant(), &digest.parse()?).await?)
}

async fn exists(
    State(app): State<App>,
    Caller(principal): Caller,
    Path(digest): Path<String>,
) -> Result<StatusCode, Problem> {
    principal.require(Permission::ReadEvidence)?;
    let there = app.store().blobs().exists(&BlobKey::blob(principal.tenant(), &digest.parse()?)).await?;
    Ok(if there { StatusCode::OK } else { StatusCode::NOT_FOUND })
}
