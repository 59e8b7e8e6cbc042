//! A server without a socket. Every JSON answer is checked against `openapi()`.

use std::sync::LazyLock;

use assay_access::Principal;
use assay_access::Scope;
use assay_evidence::{PrivateKey, Sha256, TenantId, Timestamp};
use assay_server::{Access, App, openapi, router};
use assay_store::Locations;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, Response};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::schema;

static DOCUMENT: LazyLock<Value> = LazyLock::new(openapi);

pub struct Lab {
    pub app: App,
    router: Router,
    pub data: tempfile::TempDir,
}

pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The problem's code, its form checked.
    pub fn problem(&self) -> (u16, String) {
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.text());
        let problem = self.json();
        schema::assert_valid(&DOCUMENT, &json!({ "$ref": "#/components/schemas/Problem" }), &problem);
        assert_eq!(problem["status"], self.status);
        assert_eq!(problem["type"], "about:blank");
        (self.status, problem["code"].as_str().unwrap().to_owned())
    }
}

impl Lab {
    pub async fn new(access: Access) -> Self {
        let data = tempfile::tempdir().unwrap();
        let locations = Locations { data: data.path().to_owned(), database: None, blobs: None };
        let app = App::open(&locations, Some(PrivateKey::from_seed(&[7; 32])), access).await.unwrap();
        Self { router: router(app.clone()), app, data }
    }

    pub async fn owner() -> Self {
        Self::new(Access::Owner(TenantId::local())).await
    }

    /// A token of a tenant.
    pub async fn token(&self, tenant: &str, scope: Scope) -> String {
        let owner = Principal::owner(tenant.parse().unwrap());
        self.app.tokens().create(&owner, "test", scope, 1, Timestamp::now()).await.unwrap().token
    }

    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body)).unwrap();
        let matched = |response: Response<Body>| async move {
            let (parts, body) = response.into_parts();
            let body = body.collect().await.unwrap().to_bytes().to_vec();
            Answer { status: parts.status.as_u16(), headers: parts.headers, body }
        };
        let answer = matched(self.router.clone().oneshot(request).await.unwrap()).await;
        described(method, path, &answer);
        answer
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], Vec::new()).await
    }

    pub async fn page(&self, path: &str) -> Answer {
        self.send("GET", path, &[("accept", "text/html,application/xhtml+xml")], Vec::new()).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, &[], body.to_string().into_bytes()).await
    }

    pub async fn upload(&self, bytes: &[u8]) -> Sha256 {
        let digest = Sha256::of(bytes);
        let answer = self.send("PUT", &format!("/api/v1/blobs/{digest}"), &[], bytes.to_vec()).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        digest
    }

    /// A release of one artifact.
    pub async fn release(&self, name: &str) -> Answer {
        let digest = self.upload(name.as_bytes()).await;
        let artifacts = json!([{ "role": "app", "digest": digest, "name": "app" }]);
        self.post("/api/v1/releases", &json!({ "release": name, "artifacts": artifacts })).await
    }

    /// A release that was decided: nothing is known of it, so no witness runs. The decision.
    pub async fn decided(&self, name: &str) -> Value {
        assert_eq!(self.release(name).await.status, 201);
        let answer = self.post(&format!("/api/v1/releases/{name}/verifications"), &json!({})).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json()
    }
}

/// An answer must be one that the description names, with the body that it describes.
fn described(method: &str, path: &str, answer: &Answer) {
    let path = path.split('?').next().unwrap();
    let paths = DOCUMENT["paths"].as_object().unwrap();
    let Some(operation) = paths
        .iter()
        .filter(|(template, _)| fits(template, path))
        .find_map(|(_, item)| item.get(method.to_lowercase()))
    else {
        return;
    };
    let described = &operation["responses"][answer.status.to_string()];
    let html = answer.header("content-type").starts_with("text/html");
    if html || answer.status == 304 {
        return;
    }
    assert!(
        !described.is_null(),
        "{method} {path} answers {}, which is not described: {}",
        answer.status,
        answer.text()
    );
    if method == "HEAD" {
        return;
    }
    if answer.status >= 400 {
        let (_, code) = answer.problem();
        let codes = described["x-codes"].as_array().unwrap();
        assert!(codes.contains(&Value::from(code.as_str())), "{method} {path}: {code} is not described");
    } else if let Some(schema) = described["content"]["application/json"].get("schema") {
        schema::assert_valid(&DOCUMENT, schema, &answer.json());
    }
}

/// Whether a path is one of a template.
pub fn fits(template: &str, path: &str) -> bool {
    let (template, path): (Vec<&str>, Vec<&str>) = (template.split('/').collect(), path.split('/').collect());
    template.len() == path.len()
        && template
            .iter()
            .zip(path)
            .all(|(part, text)| part.starts_with('{') && !text.is_empty() || *part == text)
}
