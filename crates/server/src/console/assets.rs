//! The files that pages refer to, embedded, under names that change with their content.

use std::sync::LazyLock;

use assay_evidence::Sha256;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::IntoResponse;

pub(super) const STYLE_PATH: &str = "/assets/assay.css";
pub(super) const ICON_PATH: &str = "/assets/assay.svg";
const STYLE: &str = include_str!("assay.css");
const ICON: &str = include_str!("assay.svg");
const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// The style sheet's address.
pub(super) static STYLE_URL: LazyLock<String> = LazyLock::new(|| versioned(STYLE_PATH, STYLE));
/// The icon's address.
pub(super) static ICON_URL: LazyLock<String> = LazyLock::new(|| versioned(ICON_PATH, ICON));

fn versioned(path: &str, content: &str) -> String {
    format!("{path}?v={}", &Sha256::of(content.as_bytes()).hex()[..16])
}

pub(super) async fn style() -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/css; charset=utf-8"), (CACHE_CONTROL, FOR_EVER)], STYLE)
}

pub(super) async fn icon() -> impl IntoResponse {
    ([(CONTENT_TYPE, "image/svg+xml"), (CACHE_CONTROL, FOR_EVER)], ICON)
}
