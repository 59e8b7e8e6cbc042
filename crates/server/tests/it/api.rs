//! What the API answers, and how it refuses.

use assay_evidence::Sha256;
use serde_json::{Value, json};

use crate::lab::Lab;

fn nobody() -> String {
    Sha256::of(b"nobody").to_string()
}

#[tokio::test]
async fn what_is_not_there_is_named() {
    let lab = Lab::owner().await;
    let digest = nobody();
    for (path, code) in [
        ("/api/v1/releases/none".to_owned(), "unknown_release"),
        ("/api/v1/releases/none/decisions".to_owned(), "unknown_release"),
        ("/api/v1/incidents/none".to_owned(), "unknown_incident"),
        ("/api/v1/incidents/none/verdicts".to_owned(), "unknown_incident"),
        (format!("/api/v1/witnesses/{digest}"), "unknown_witness"),
        (format!("/api/v1/statements/{digest}"), "unknown_statement"),
        (format!("/api/v1/log/proofs/{digest}"), "unknown_statement"),
        ("/api/v1/decisions/none".to_owned(), "unknown_decision"),
        (format!("/api/v1/blobs/{digest}"), "blob_missing"),
        ("/api/v1/log".to_owned(), "not_found"),
        ("/api/v1/nowhere".to_owned(), "not_found"),
    ] {
        assert_eq!(lab.get(&path).await.problem(), (404, code.to_owned()), "{path}");
    }
}

#[tokio::test]
async fn malformed_requests_are_refused_by_code() {
    let lab = Lab::owner().await;
    let twice = br#"{"release":"a","release":"b","artifacts":[]}"#.to_vec();
    let answer = lab.send("POST", "/api/v1/releases", &[], twice).await;
    assert_eq!(answer.problem(), (400, "json_refused".to_owned()));
    assert!(answer.json()["hint"].as_str().unwrap().contains("duplicate keys"));
    for body in [&b"{\"release\":\"a\",\"artifacts\":[],\"extra\":1}"[..], b"\xff", b"", b"9007199254740993"]
    {
        let answer = lab.send("POST", "/api/v1/releases", &[], body.to_vec()).await;
        assert_eq!(answer.problem(), (400, "json_refused".to_owned()));
    }
    for (path, code) in [
        ("/api/v1/witnesses/x", "digest_refused"),
        ("/api/v1/statements/sha256:AB", "digest_refused"),
        ("/api/v1/releases?limit=many", "query_refused"),
        ("/api/v1/releases?limit=-1", "query_refused"),
    ] {
        assert_eq!(lab.get(path).await.problem(), (400, code.to_owned()), "{path}");
    }
    let empty = lab.post("/api/v1/releases", &json!({ "release": "a", "artifacts": [] })).await;
    assert_eq!(empty.problem(), (400, "release_refused".to_owned()));
    let incident = lab.post("/api/v1/incidents", &json!({ "id": "../x", "role": "app" })).await;
    assert_eq!(incident.problem(), (400, "incident_refused".to_owned()));
    let policy = json!({ "policy": "name = 1" });
    lab.release("app").await;
    let answer = lab.post("/api/v1/releases/app/verifications", &policy).await;
    assert_eq!(answer.problem(), (400, "policy_refused".to_owned()));
    let stack = lab.send("POST", "/api/v1/stack-matches", &[], b"no stack at all".to_vec()).await;
    assert_eq!(stack.problem(), (400, "stack_refused".to_owned()));
    let method = lab.send("PATCH", "/api/v1/releases", &[], Vec::new()).await;
    assert_eq!(method.problem(), (405, "method_not_allowed".to_owned()));
    let path = lab.get("/api/v1/releases/%FF").await;
    assert_eq!(path.problem(), (400, "request_refused".to_owned()));
}

#[tokio::test]
async fn a_body_past_its_limit_is_refused_and_one_at_it_is_read() {
    const LIMIT: usize = 64 << 20;
    let lab = Lab::owner().await;
    let answer = lab.send("POST", "/api/v1/releases", &[], vec![b' '; LIMIT + 1]).await;
    assert_eq!(answer.problem(), (413, "body_too_large".to_owned()));
    let answer = lab.send("POST", "/api/v1/releases", &[], vec![b' '; LIMIT]).await;
    assert_eq!(answer.problem(), (400, "json_refused".to_owned()));
}

#[tokio::test]
async fn bytes_are_stored_under_their_own_digest_only() {
    let lab = Lab::owner().await;
    let path = format!("/api/v1/blobs/{}", Sha256::of(b"right"));
    let answer = lab.send("PUT", &path, &[], b"wrong".to_vec()).await;
    assert_eq!(answer.problem(), (400, "digest_mismatch".to_owned()));
    assert_eq!(lab.send("HEAD", &path, &[], Vec::new()).await.status, 404);
    lab.upload(b"right").await;
    assert_eq!(lab.send("HEAD", &path, &[], Vec::new()).await.status, 200);
    assert_eq!(lab.get(&path).await.body, b"right");
}

#[tokio::test]
async fn a_release_never_changes() {
    let lab = Lab::owner().await;
    let first = lab.release("app-1.0").await.json();
    assert_eq!(lab.release("app-1.0").await.json(), first);
    let other = lab.upload(b"another build").await;
    let artifacts = json!([{ "role": "app", "digest": other }]);
    let answer = lab.post("/api/v1/releases", &json!({ "release": "app-1.0", "artifacts": artifacts })).await;
    assert_eq!(answer.problem(), (409, "release_exists".to_owned()));
    assert_eq!(lab.get("/api/v1/releases/app-1.0").await.json(), first);
    let missing = json!([{ "role": "app", "digest": nobody() }]);
    let answer = lab.post("/api/v1/releases", &json!({ "release": "app-1.1", "artifacts": missing })).await;
    assert_eq!(answer.problem(), (409, "artifact_missing".to_owned()));
    assert_eq!(lab.get("/api/v1/releases/app-1.1").await.status, 404);
}

#[tokio::test]
async fn pages_of_releases_join_without_gap_or_repeat() {
    let lab = Lab::owner().await;
    let names: Vec<String> = (0..7).map(|n| format!("app-1.{n}")).collect();
    for name in &names {
        assert_eq!(lab.release(name).await.status, 201);
    }
    for limit in [1, 2, 3, 7, 8] {
        let mut seen: Vec<String> = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = lab.get(&format!("/api/v1/releases?limit={limit}&cursor={cursor}")).await.json();
            let releases = page["releases"].as_array().unwrap();
            assert!(releases.len() <= limit && !releases.is_empty(), "a last page is never empty");
            seen.extend(releases.iter().map(|release| release["release"].as_str().unwrap().to_owned()));
            match &page["nextCursor"] {
                Value::String(next) => cursor = next.clone(),
                _ => break,
            }
        }
        assert_eq!(seen, names, "limit {limit}");
    }
}

#[tokio::test]
async fn a_decision_is_explained_and_made_again() {
    let lab = Lab::owner().await;
    let verified = lab.decided("app-1.0").await;
    assert_ne!(verified["decision"], "allow", "nothing is known of the release");
    let id = verified["decisionId"].as_str().unwrap();
    let decision = lab.get(&format!("/api/v1/decisions/{id}")).await.json();
    assert_eq!(decision["determinismHash"], verified["determinismHash"]);
    let explained = lab.get(&format!("/api/v1/decisions/{id}/explanation")).await.json();
    assert_eq!(explained["decision"], verified["decision"]);
    let again = lab.post(&format!("/api/v1/decisions/{id}/replays"), &json!({})).await.json();
    assert_eq!(again["same"], true);
    let listed = lab.get("/api/v1/releases/app-1.0/decisions").await.json();
    assert_eq!(listed["decisions"][0]["id"], id);
    let subject = decision["evidence"]["artifacts"][0]["digest"].as_str().unwrap();
    let about = lab.get(&format!("/api/v1/subjects/{subject}/statements")).await.json();
    assert_eq!(about["statements"][0]["digest"], verified["statement"]);
    let log = lab.get("/api/v1/log/verification").await.json();
    assert_eq!((&log["verified"], &log["size"]), (&json!(true), &json!(1)));
}

#[tokio::test]
async fn an_undecided_release_has_no_evidence() {
    let lab = Lab::owner().await;
    lab.release("app-1.0").await;
    let answer = lab.get("/api/v1/releases/app-1.0/evidence").await;
    assert_eq!(answer.problem(), (409, "undecided".to_owned()));
}

#[tokio::test]
async fn health_and_metrics() {
    let lab = Lab::owner().await;
    assert_eq!(lab.get("/health").await.json(), json!({ "status": "ok" }));
    lab.decided("app-1.0").await;
    lab.get("/api/v1/log").await;
    let metrics = lab.get("/metrics").await;
    assert!(metrics.header("content-type").starts_with("application/openmetrics-text"));
    let text = metrics.text();
    for line in [
        "assay_http_requests_total{route=\"/api/v1/releases\",status=\"201\"} 1",
        "assay_http_request_seconds_bucket",
        "assay_decisions_total{decision=",
        "assay_verify_seconds_count 1",
        "assay_log_size 1",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    assert!(text.ends_with("# EOF\n"));
}

#[tokio::test]
async fn other_sites_pages_reach_nothing_without_tokens() {
    let lab = Lab::owner().await;
    for host in ["localhost:7878", "127.0.0.1:7878", "[::1]:7878"] {
        assert_eq!(lab.send("GET", "/", &[("host", host)], Vec::new()).await.status, 200, "{host}");
    }
    let rebound = lab.send("GET", "/", &[("host", "evil.example:7878")], Vec::new()).await;
    assert_eq!(rebound.problem(), (403, "foreign_site".to_owned()));
    let form = lab.send("POST", "/session/end", &[("sec-fetch-site", "cross-site")], Vec::new()).await;
    assert_eq!(form.problem(), (403, "foreign_site".to_owned()));
}
