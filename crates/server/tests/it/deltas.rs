//! Indexes, deltas and the catalogue of functions over HTTP, and the pages about them.

use assay_access::Scope;
use assay_evidence::Sha256;
use assay_server::Access;
use serde_json::json;

use crate::lab::Lab;

/// A WebAssembly module of functions that each return one of `values`, written by hand after the
/// specification (binary format, version 1); values are below 64.
fn module(values: &[u8]) -> Vec<u8> {
    let count = values.len() as u8;
    let mut bytes = b"\0asm\x01\0\0\0".to_vec();
    let mut section = |id: u8, body: Vec<u8>| {
        bytes.extend([id, body.len() as u8]);
        bytes.extend(body);
    };
    section(1, vec![1, 0x60, 0, 1, 0x7f]);
    section(3, [vec![count], vec![0; values.len()]].concat());
    section(10, [vec![count], values.iter().flat_map(|value| [4, 0, 0x41, *value, 0x0b]).collect()].concat());
    bytes
}

fn meaning(value: u8) -> Sha256 {
    let index = assay_delta::Index::build(&module(&[value])).unwrap();
    index.functions().next().unwrap().meaning()
}

async fn indexed(lab: &Lab, values: &[u8]) -> Sha256 {
    let artifact = lab.upload(&module(values)).await;
    let answer = lab.post("/api/v1/deltas/indexes", &json!({ "artifact": artifact })).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    // What the module itself declares counts as one more.
    assert_eq!(answer.json()["functions"], values.len() + 1);
    artifact
}

#[tokio::test]
async fn indexed_compared_and_found() {
    let lab = Lab::owner().await;
    let (a, b) = (indexed(&lab, &[1, 2, 3, 4]).await, indexed(&lab, &[1, 2, 33, 4]).await);
    let delta = lab.get(&format!("/api/v1/deltas?a={a}&b={b}")).await.json();
    let changed = delta["functions"]["changed"].as_array().unwrap();
    assert_eq!((changed.len(), &delta["functions"]["unchanged"]), (1, &json!(4)), "{delta}");
    let (at_a, at_b) = (changed[0]["address_a"].as_str().unwrap(), changed[0]["address_b"].as_str().unwrap());
    let path = format!("/api/v1/deltas/functions?a={a}&b={b}&address_a={at_a}&address_b={at_b}");
    let rows = lab.get(&path).await.json();
    assert!(rows["rows"].as_array().unwrap().iter().any(|row| row["same"] == false), "{rows}");
    let graph = lab.get(&format!("/api/v1/deltas/graph?a={a}&b={b}")).await.json();
    assert_eq!(graph["nodes"][0]["role"], "changed");
    for (value, expected) in [(1, 2), (3, 1), (33, 1), (50, 0)] {
        let found = lab.get(&format!("/api/v1/functions/{}/artifacts", meaning(value))).await.json();
        assert_eq!(found["occurrences"], expected, "{found}");
        assert_eq!(found["index_age_seconds"], 0.0);
    }
    let page = lab.get(&format!("/api/v1/functions/{}/artifacts?limit=1", meaning(1))).await.json();
    let next = page["next"].as_str().unwrap();
    let rest = lab.get(&format!("/api/v1/functions/{}/artifacts?after={next}", meaning(1))).await.json();
    assert_eq!(rest["artifacts"].as_array().unwrap().len(), 1);
    let both = [&page, &rest].map(|page| page["artifacts"][0]["artifact"].clone());
    let mut expected = [json!(a), json!(b)];
    expected.sort_by_key(|digest| digest.as_str().unwrap().to_owned());
    assert_eq!(both, expected);
    assert!(lab.get("/metrics").await.text().contains("assay_delta_index_age_seconds 0"));
}

#[tokio::test]
async fn refusals_say_why() {
    let lab = Lab::owner().await;
    let unknown = Sha256::of(b"never uploaded");
    let index = |artifact: Sha256| json!({ "artifact": artifact });
    let text = lab.upload(b"no binary").await;
    let a = indexed(&lab, &[5]).await;
    let at = "address_a=0x99&address_b=0x99";
    for (answer, expected) in [
        (lab.post("/api/v1/deltas/indexes", &index(unknown)).await, (404, "blob_missing")),
        (lab.post("/api/v1/deltas/indexes", &index(text)).await, (400, "artifact_refused")),
        (lab.get(&format!("/api/v1/deltas/indexes/{unknown}")).await, (404, "not_indexed")),
        (lab.get(&format!("/api/v1/deltas?a={a}&b={unknown}")).await, (404, "not_indexed")),
        (lab.get(&format!("/api/v1/deltas?a={a}&b=nonsense")).await, (400, "digest_refused")),
        (lab.get(&format!("/api/v1/deltas?a={a}")).await, (400, "query_refused")),
        (lab.get(&format!("/api/v1/deltas/functions?a={a}&b={a}&{at}")).await, (404, "unknown_function")),
        (lab.get(&format!("/api/v1/functions/{unknown}/artifacts?after=x")).await, (400, "cursor_refused")),
    ] {
        let (status, code) = answer.problem();
        assert_eq!((status, code.as_str()), expected);
    }
}

#[tokio::test]
async fn a_stranger_sees_neither_artifacts_nor_counts() {
    let lab = Lab::new(Access::Tokens).await;
    let (one, two) = (lab.token("one", Scope::Write).await, lab.token("two", Scope::Write).await);
    let (one, two) = (format!("Bearer {one}"), format!("Bearer {two}"));
    let bytes = module(&[7, 8]);
    let artifact = Sha256::of(&bytes);
    let (one, two) = ([("authorization", one.as_str())], [("authorization", two.as_str())]);
    assert_eq!(lab.send("PUT", &format!("/api/v1/blobs/{artifact}"), &one, bytes).await.status, 201);
    let request = json!({ "artifact": artifact }).to_string().into_bytes();
    assert_eq!(lab.send("POST", "/api/v1/deltas/indexes", &one, request.clone()).await.status, 201);
    let path = format!("/api/v1/functions/{}/artifacts", meaning(7));
    assert_eq!(lab.send("GET", &path, &one, Vec::new()).await.json()["occurrences"], 1);
    let answer = lab.send("GET", &path, &two, Vec::new()).await.json();
    assert_eq!((&answer["occurrences"], &answer["artifacts"]), (&json!(0), &json!([])));
    let answer = lab.send("POST", "/api/v1/deltas/indexes", &two, request).await;
    assert_eq!(answer.problem(), (404, "blob_missing".to_owned()));
    let path = format!("/api/v1/deltas?a={artifact}&b={artifact}");
    assert_eq!(lab.send("GET", &path, &two, Vec::new()).await.problem(), (404, "not_indexed".to_owned()));
}

#[tokio::test]
async fn the_pages_show_what_the_api_answers() {
    let lab = Lab::owner().await;
    let many: Vec<u8> = (0..23).collect();
    let other: Vec<u8> = (0..23).map(|value| if value % 2 == 0 { value } else { value + 30 }).collect();
    let (a, b) = (indexed(&lab, &many).await, indexed(&lab, &other).await);
    let text = lab.page(&format!("/deltas?a={a}&b={b}")).await.text();
    assert!(text.contains("<svg") && text.contains("Changed"), "{text}");
    assert!(!text.contains("<script") && !text.contains(" style="), "no script and no style of its own");
    let link = text.split("href=\"/deltas/function").nth(1).unwrap().split('"').next().unwrap();
    let link = format!("/deltas/function{}", link.replace("&#38;", "&").replace("&amp;", "&"));
    let page = lab.page(&link).await;
    assert_eq!(page.status, 200, "{}", page.text());
    assert!(page.text().contains("i32.const"));
    assert_eq!(lab.page("/deltas").await.status, 200);
    assert_eq!(lab.page(&format!("/deltas?a={a}&b={a}")).await.status, 200);
    assert_eq!(lab.page(&format!("/deltas?a={a}&b={}", Sha256::of(b"x"))).await.status, 404);
}
