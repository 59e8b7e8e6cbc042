//! Indexes, deltas and the catalogue of functions over HTTP, and the pages about them.

use assay_access::Scope;
use assay_evidence::{Sha256, Timestamp};
use assay_server::Access;
use assay_store::{Locations, Store, StoreError, query};
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
}

/// The only figure of that name.
async fn age(lab: &Lab) -> f64 {
    let text = lab.get("/metrics").await.text();
    let ages = text.lines().filter_map(|line| line.strip_prefix("assay_delta_index_age_seconds "));
    let ages: Vec<f64> = ages.map(|age| age.parse().unwrap()).collect();
    assert_eq!(ages.len(), 1, "{text}");
    ages[0]
}

#[tokio::test]
async fn the_age_is_of_what_waits_and_not_of_the_last_answer() {
    let lab = Lab::new(Access::Tokens).await;
    let (one, two) = (lab.token("one", Scope::Write).await, lab.token("two", Scope::Write).await);
    let (one, two) = (format!("Bearer {one}"), format!("Bearer {two}"));
    let find = |token: &str| {
        let headers = [("authorization", token.to_owned())];
        let path = format!("/api/v1/functions/{}/artifacts", meaning(1));
        let lab = &lab;
        async move {
            let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
            lab.send("GET", &path, &headers, Vec::new()).await.json()
        }
    };
    assert_eq!(find(&one).await["index_age_seconds"], 0.0);
    assert_eq!(age(&lab).await, 0.0);
    // An artifact of the first tenant waits for an hour and was given up.
    let asked_at = Timestamp::now().plus_seconds(-3600);
    let locations = Locations { data: lab.data.path().to_owned(), database: None, blobs: None };
    let store = Store::open(&locations, &[]).await.unwrap();
    let (artifact, version) = (Sha256::of(b"given up"), assay_delta::NORMALISER_VERSION);
    let waits: Result<(), StoreError> = store
        .database()
        .write(|tx| async move {
            let sql = "INSERT INTO delta_artifacts (tenant, artifact, normaliser, index_blob, summary, \
                       asked_at, indexed_at) VALUES ('one', $1, $2, '', '', $3, 0)";
            tx.execute(query(sql).bind(artifact).bind(version).bind(asked_at)).await?;
            let sql = "INSERT INTO jobs (tenant, id, kind, payload, state, attempts, max_attempts, owner, \
                       lease_until, outcome, created_at, finished_at) \
                       VALUES ('one', $1, 'delta_index', '{}', 'failed', 3, 3, '', 0, '', 0, 0)";
            let id = format!("delta-index/v{version}/{artifact}");
            tx.execute(query(sql).bind(id)).await.map(drop)
        })
        .await;
    waits.unwrap();
    let waited = find(&one).await["index_age_seconds"].as_f64().unwrap();
    assert!((3600.0..3700.0).contains(&waited), "{waited}");
    assert_eq!(find(&two).await["index_age_seconds"], 0.0, "the other tenant waits for nothing");
    let shown = age(&lab).await;
    assert!((waited..3700.0).contains(&shown), "the last answer was of the other tenant: {shown}");
}

/// Functions 0 and 1 return a number, function 2 calls one of them; all have the names.
fn calling(value: u8, callee: u8, names: [&str; 3]) -> Vec<u8> {
    let mut bytes = module(&[value, 50, 0]);
    let at = bytes.len() - 3;
    bytes[at..].copy_from_slice(&[0x10, callee, 0x0b]);
    let mut map = vec![names.len() as u8];
    for (number, name) in (0..).zip(names) {
        map.extend([number, name.len() as u8]);
        map.extend(name.as_bytes());
    }
    let mut section = b"\x04name\x01".to_vec();
    section.push(map.len() as u8);
    section.extend(map);
    bytes.extend([0, section.len() as u8]);
    bytes.extend(section);
    bytes
}

#[tokio::test]
async fn hostile_names_are_text_everywhere() {
    let lab = Lab::owner().await;
    let names = ["</title><script>0", "</title><script>1", "</code><script>2"];
    let mut artifacts = Vec::new();
    for (value, callee) in [(1, 0), (2, 1)] {
        let artifact = lab.upload(&calling(value, callee, names)).await;
        let answer = lab.post("/api/v1/deltas/indexes", &json!({ "artifact": artifact })).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        artifacts.push(artifact);
    }
    let pair = format!("a={}&b={}", artifacts[0], artifacts[1]);
    let text = lab.page(&format!("/deltas?{pair}")).await.text();
    assert!(!text.contains("<script") && !text.contains("</code><s"), "{text}");
    let escaped = "&#60;/title&#62;&#60;script&#62;0";
    assert!(text.contains(&format!("<code>{escaped}</code>")), "in a list: {text}");
    assert!(text.contains(&format!("<title>{escaped} at ")), "in the picture: {text}");
    let delta = lab.get(&format!("/api/v1/deltas?{pair}")).await.json();
    let mut listings = String::new();
    for entry in delta["functions"]["changed"].as_array().unwrap() {
        let (a, b) = (entry["address_a"].as_str().unwrap(), entry["address_b"].as_str().unwrap());
        let page = lab.page(&format!("/deltas/function?{pair}&address_a={a}&address_b={b}")).await;
        assert_eq!(page.status, 200);
        listings.push_str(&page.text());
    }
    assert!(!listings.contains("<script"), "{listings}");
    assert!(listings.contains("&#60;/title&#62;&#60;script&#62;1"), "in a listing: {listings}");
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
        (lab.get(&format!("/api/v1/functions/{unknown}/artifacts?limit=0")).await, (400, "query_refused")),
        (lab.get(&format!("/api/v1/functions/{unknown}/artifacts?limit=1001")).await, (400, "query_refused")),
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
