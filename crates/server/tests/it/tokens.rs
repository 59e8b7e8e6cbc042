//! A server with tokens: who may what, and that tenants do not see each other.

use assay_access::Scope;
use assay_server::Access;
use serde_json::json;

use crate::lab::{Answer, Lab};

async fn with(lab: &Lab, token: &str, method: &str, path: &str, body: Vec<u8>) -> Answer {
    lab.send(method, path, &[("authorization", &format!("Bearer {token}"))], body).await
}

#[tokio::test]
async fn a_token_opens_what_its_scope_allows() {
    let lab = Lab::new(Access::Tokens).await;
    assert_eq!(lab.get("/api/v1/releases").await.problem(), (401, "token_missing".to_owned()));
    let wrong = with(&lab, "assay_wrong", "GET", "/api/v1/releases", Vec::new()).await;
    assert_eq!(wrong.problem(), (401, "token_refused".to_owned()));
    let read = lab.token("a", Scope::Read).await;
    assert_eq!(with(&lab, &read, "GET", "/api/v1/releases", Vec::new()).await.status, 200);
    let body = json!({ "id": "X-1", "role": "app" }).to_string().into_bytes();
    let denied = with(&lab, &read, "POST", "/api/v1/incidents", body.clone()).await;
    assert_eq!(denied.problem(), (403, "not_permitted".to_owned()));
    let write = lab.token("a", Scope::Write).await;
    assert_eq!(with(&lab, &write, "POST", "/api/v1/incidents", body).await.status, 201);
    let tokens = with(&lab, &write, "GET", "/api/v1/tokens", Vec::new()).await;
    assert_eq!(tokens.problem(), (403, "not_permitted".to_owned()));
    for path in ["/health", "/metrics", "/openapi.json", "/assets/assay.css"] {
        assert_eq!(lab.get(path).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn a_tenant_sees_nothing_of_another() {
    let lab = Lab::new(Access::Tokens).await;
    let a = lab.token("a", Scope::Write).await;
    let b = lab.token("b", Scope::Write).await;
    let artifact = assay_evidence::Sha256::of(b"app");
    let release = json!({ "release": "app-1.0", "artifacts": [{ "role": "app", "digest": artifact }] });
    let blob = format!("/api/v1/blobs/{artifact}");
    assert_eq!(with(&lab, &a, "PUT", &blob, b"app".to_vec()).await.status, 201);
    let body = release.to_string().into_bytes();
    assert_eq!(with(&lab, &a, "POST", "/api/v1/releases", body.clone()).await.status, 201);
    let incident = json!({ "id": "X-1", "role": "other", "aliases": ["CVE-1"] }).to_string().into_bytes();
    assert_eq!(with(&lab, &a, "POST", "/api/v1/incidents", incident).await.status, 201);
    let verified = with(&lab, &a, "POST", "/api/v1/releases/app-1.0/verifications", b"{}".to_vec()).await;
    let verified = verified.json();
    let (id, statement) = (verified["decisionId"].as_str().unwrap(), verified["statement"].as_str().unwrap());
    let paths = [
        "/api/v1/releases/app-1.0".to_owned(),
        "/api/v1/releases/app-1.0/decisions".to_owned(),
        "/api/v1/incidents/X-1".to_owned(),
        "/api/v1/incidents/CVE-1/verdicts".to_owned(),
        format!("/api/v1/decisions/{id}"),
        format!("/api/v1/statements/{statement}"),
        format!("/api/v1/log/proofs/{statement}"),
        "/api/v1/log".to_owned(),
        "/log/a/checkpoint".to_owned(),
        blob.clone(),
        "/releases/app-1.0".to_owned(),
        format!("/decisions/{id}"),
        format!("/statements/{statement}"),
        "/incidents/X-1".to_owned(),
    ];
    for path in &paths {
        assert_eq!(with(&lab, &a, "GET", path, Vec::new()).await.status, 200, "{path}");
        assert_eq!(with(&lab, &b, "GET", path, Vec::new()).await.status, 404, "{path}");
    }
    assert_eq!(with(&lab, &b, "HEAD", &blob, Vec::new()).await.status, 404);
    let stolen = with(&lab, &b, "POST", "/api/v1/releases", body).await;
    assert_eq!(stolen.problem(), (409, "artifact_missing".to_owned()));
    for (path, key) in [("/api/v1/releases", "releases"), ("/api/v1/incidents", "incidents")] {
        assert_eq!(with(&lab, &b, "GET", path, Vec::new()).await.json()[key], json!([]), "{path}");
    }
    let about = with(&lab, &b, "GET", &format!("/api/v1/subjects/{artifact}/statements"), Vec::new()).await;
    assert_eq!(about.json()["statements"], json!([]));
}

#[tokio::test]
async fn a_browser_signs_in_with_a_token_and_its_cookie_only_looks() {
    let lab = Lab::new(Access::Tokens).await;
    let refused = lab.page("/").await;
    assert_eq!(refused.status, 401);
    assert!(refused.text().contains("action=\"/session\""), "the page asks for a token");
    let write = lab.token("a", Scope::Write).await;
    let wrong = lab.send("POST", "/session", &[], b"token=assay_wrong".to_vec()).await;
    assert_eq!(wrong.problem(), (401, "token_refused".to_owned()));
    for form in [&b"token"[..], b"", b"token=a%00b", b"token=a\r\nSet-Cookie:x", &[b'x'; 5000]] {
        let answer = lab.send("POST", "/session", &[], form.to_vec()).await;
        assert!(matches!(answer.status, 400 | 401) && answer.header("set-cookie").is_empty());
    }
    let entered = lab.send("POST", "/session", &[], format!("token={write}").into_bytes()).await;
    assert_eq!((entered.status, entered.header("location")), (303, "/"));
    let cookie = entered.header("set-cookie");
    assert!(cookie.contains("; HttpOnly; SameSite=Strict") && cookie.contains("Path=/;"), "{cookie}");
    let pair = cookie.split(';').next().unwrap();
    let headers = [("cookie", pair), ("accept", "text/html")];
    let page = lab.send("GET", "/", &headers, Vec::new()).await;
    assert_eq!(page.status, 200);
    assert!(page.text().contains("Sign out"));
    let body = json!({ "id": "X-1", "role": "app" }).to_string().into_bytes();
    let write = lab.send("POST", "/api/v1/incidents", &[("cookie", pair)], body).await;
    assert_eq!(write.problem(), (401, "token_missing".to_owned()));
    let left = lab.send("POST", "/session/end", &headers, Vec::new()).await;
    assert!(left.header("set-cookie").starts_with("assay_session=; Path=/; Max-Age=0;"));
}
