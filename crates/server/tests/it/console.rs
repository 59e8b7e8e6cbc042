//! The pages: that they are there, that they escape, that they lead to the evidence.

use serde_json::json;

use crate::lab::Lab;

const SCRIPT: &str = "<script>alert('x')</script>";

async fn filled() -> (Lab, String, String) {
    let lab = Lab::owner().await;
    let incident = json!({
        "id": "X-1", "title": SCRIPT, "role": "other", "package": "a\"b", "source": ["javascript:alert(1)"],
        "expect": { "vulnerable": { "stdout_contains": SCRIPT } }, "facts": { "summary": SCRIPT },
    });
    assert_eq!(lab.post("/api/v1/incidents", &incident).await.status, 201);
    let verified = lab.decided("app-1.0").await;
    assert_eq!(lab.release("app-1.1").await.status, 201);
    let text = |key: &str| verified[key].as_str().unwrap().to_owned();
    (lab, text("decisionId"), text("statement"))
}

#[tokio::test]
async fn every_page_is_there_hardened_and_without_script() {
    let (lab, id, statement) = filled().await;
    let subject = assay_evidence::Sha256::of(b"app-1.0");
    for path in [
        "/".to_owned(),
        "/?after=zzz".to_owned(),
        "/releases/app-1.0".to_owned(),
        "/releases/app-1.1".to_owned(),
        format!("/decisions/{id}"),
        format!("/statements/{statement}"),
        format!("/subjects/{subject}"),
        "/incidents".to_owned(),
        "/incidents/X-1".to_owned(),
        "/log".to_owned(),
        "/session".to_owned(),
    ] {
        let page = lab.page(&path).await;
        assert_eq!(page.status, 200, "{path}: {}", page.text());
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
        let policy = page.header("content-security-policy");
        assert!(policy.starts_with("default-src 'self'; script-src 'none'"), "{policy}");
        assert_eq!(page.header("x-content-type-options"), "nosniff");
        assert_eq!(page.header("x-frame-options"), "DENY");
        assert_eq!(page.header("referrer-policy"), "no-referrer");
        let text = page.text();
        assert!(!text.contains("<script"), "{path}");
        assert!(
            !text.contains("style=\"") && !text.contains(" onclick"),
            "{path}: the policy forbids inline style"
        );
        assert!(!text.contains("href=\"javascript:"), "{path}");
        for landmark in ["<html lang=\"en\">", "<main id=\"content\"", "<nav aria-label=\"Main\">", "<h1>"] {
            assert!(text.contains(landmark), "{path}: {landmark}");
        }
        assert_eq!(text.matches("<table").count(), text.matches("<caption").count(), "{path}");
        let again = lab
            .send("GET", &path, &[("accept", "text/html"), ("if-none-match", page.header("etag"))], vec![])
            .await;
        assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
    }
    assert!(lab.page("/incidents").await.text().contains("&#60;script&#62;"));
}

#[tokio::test]
async fn evidence_is_one_link_from_the_decision() {
    let (lab, id, statement) = filled().await;
    let list = lab.page("/").await.text();
    assert!(list.contains(&format!("href=\"/decisions/{id}\"")));
    assert!(list.contains("not decided"));
    let decision = lab.page(&format!("/decisions/{id}")).await.text();
    assert!(decision.contains(&format!("href=\"/statements/{statement}\"")));
    assert!(decision.contains("href=\"/incidents/X-1\""), "the incident that nothing is known of is listed");
    let explained = lab.get(&format!("/api/v1/decisions/{id}/explanation")).await.json();
    for rule in explained["rules"].as_array().unwrap() {
        assert!(decision.contains(rule["rule"].as_str().unwrap()));
    }
    assert!(decision.contains(explained["determinismHash"].as_str().unwrap()));
    let page = lab.page(&format!("/statements/{statement}")).await.text();
    assert!(page.contains(&format!("href=\"/api/v1/log/proofs/{statement}\"")));
    let head = lab.get("/api/v1/log").await.json();
    let log = lab.page("/log").await.text();
    assert!(log.contains(head["origin"].as_str().unwrap()) && log.contains("/api/v1/log/verification"));
}

#[tokio::test]
async fn problems_are_pages_for_people_and_json_for_programs() {
    let lab = Lab::owner().await;
    for path in [
        "/nowhere",
        "/releases/none",
        "/decisions/none",
        "/statements/x",
        "/incidents/%3Cscript%3E",
        "/releases/%FF",
    ] {
        let page = lab.page(path).await;
        assert!((400..500).contains(&page.status), "{path}");
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8", "{path}");
        assert!(page.header("content-security-policy").contains("default-src 'self'"));
        assert!(!page.text().contains("<script>"), "{path}");
        let problem = lab.get(path).await;
        assert_eq!(problem.problem().0, page.status, "{path}");
    }
}

#[tokio::test]
async fn the_style_sheet_has_a_name_of_its_own_and_nothing_foreign() {
    let lab = Lab::owner().await;
    let page = lab.page("/").await.text();
    let at = page.find("/assets/assay.css?v=").unwrap();
    let url = page[at..].split('"').next().unwrap();
    let style = lab.get(url).await;
    assert_eq!((style.status, style.header("content-type")), (200, "text/css; charset=utf-8"));
    assert!(style.header("cache-control").contains("immutable"));
    assert!(!style.text().contains("url(") && !style.text().contains("@import"));
    assert!(style.text().contains("prefers-color-scheme: dark"));
}

#[tokio::test]
async fn lists_go_page_by_page() {
    let lab = Lab::owner().await;
    for n in 0..27 {
        assert_eq!(lab.release(&format!("app-{n:02}")).await.status, 201);
        let incident = json!({ "id": format!("X-{n:02}"), "role": "app" });
        assert_eq!(lab.post("/api/v1/incidents", &incident).await.status, 201);
    }
    for (first, next, last) in
        [("/", "/?after=app-24", "app-26"), ("/incidents", "/incidents?after=X-24", "X-26")]
    {
        let page = lab.page(first).await.text();
        assert!(page.contains(&format!("href=\"{next}\"")) && !page.contains(last), "{first}");
        let page = lab.page(next).await.text();
        assert!(page.contains(last) && !page.contains("rel=\"next\""), "{next}");
    }
}
