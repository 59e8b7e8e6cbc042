//! Content by digest.

use assay_access::Permission;
use assay_evidence::Sha256;
use assay_store::BlobKey;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::routing::{get, head, put};
use bytes::Bytes;

use super::Raw;
use crate::app::App;
use crate::auth::Caller;
use crate::openapi::{Body, Method, Operation, problems};
use crate::problem::Problem;

/// The largest blob, in bytes.
const MAX_BLOB_BYTES: usize = 1 << 30;

const PATH: &str = "/api/v1/blobs/{digest}";
const OCTETS: Body = Body::Bytes("application/octet-stream");

pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        request: OCTETS,
        status: 201,
        problems: &[
            problems::BYTES,
            problems::DIGEST,
            &[(400, "digest_mismatch"), (409, "stored_bytes_differ")],
        ],
        ..Operation::new("putBlob", Method::Put, PATH, "Store content under its digest", || {
            put(upload).layer(DefaultBodyLimit::max(MAX_BLOB_BYTES))
        })
    },
    Operation {
        response: OCTETS,
        problems: &[problems::DIGEST, problems::STORED],
        ..Operation::new("getBlob", Method::Get, PATH, "Read content by its digest", || get(download))
    },
    Operation {
        problems: &[problems::DIGEST, &[(404, "blob_missing")]],
        ..Operation::new("headBlob", Method::Head, PATH, "Ask whether content is stored", || head(exists))
    },
];

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
