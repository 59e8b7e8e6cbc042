//! The API's description (OpenAPI 3.1).

/// The document that is served and committed.
pub fn openapi() -> serde_json::Value {
    serde_json::json!({ "openapi": "3.1.0", "info": { "title": "Assay", "version": env!("CARGO_PKG_VERSION") }, "paths": {} })
}
