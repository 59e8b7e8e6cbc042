//! Verifications as JUnit XML and SARIF 2.1.0, for CI systems.

use serde_json::{Value, json};

use super::{list, text};

/// JUnit: one test case a verdict. Reproduced is a failure, unknown an error: neither may pass.
pub(super) fn junit(answer: &Value) -> String {
    let verdicts = list(answer, "verdicts");
    let unknown = list(answer, "unknown");
    let count = |wanted: &str| verdicts.iter().filter(|verdict| text(verdict, "verdict") == wanted).count();
    let seconds = answer["milliseconds"].as_f64().unwrap_or_default() / 1000.0;
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" time=\"{seconds:.6}\">\n",
        escape(&format!("assay verify {}", text(answer, "release"))),
        verdicts.len() + unknown.len(),
        count("reproduced"),
        count("inconclusive") + unknown.len(),
    );
    for verdict in verdicts {
        let body = match text(verdict, "verdict") {
            "reproduced" => format!("<failure message=\"{}\"/>", escape(text(verdict, "reason"))),
            "not_reproduced" => format!("<system-out>{}</system-out>", escape(text(verdict, "statement"))),
            _ => format!("<error message=\"{}\"/>", escape(text(verdict, "reason"))),
        };
        let seconds = verdict["milliseconds"].as_f64().unwrap_or_default() / 1000.0;
        xml.push_str(&format!(
            "    <testcase classname=\"{}\" name=\"{}\" time=\"{seconds:.6}\">{body}</testcase>\n",
            escape(text(verdict, "role")),
            escape(text(verdict, "incident")),
        ));
    }
    for incident in unknown {
        xml.push_str(&format!(
            "    <testcase classname=\"unmatched\" name=\"{}\"><error message=\"{}\"/></testcase>\n",
            escape(text(incident, "incident")),
            escape(text(incident, "reason")),
        ));
    }
    xml.push_str("  </testsuite>\n</testsuites>\n");
    xml
}

/// SARIF 2.1.0 (OASIS): one result a verdict that is not `not_reproduced`, and a pass otherwise.
pub(super) fn sarif(answer: &Value) -> Value {
    let result = |incident: &str, role: &str, kind: &str, level: &str, message: String| {
        let location = json!({ "logicalLocations": [{ "name": role, "kind": "module" }] });
        json!({
            "ruleId": incident, "kind": kind, "level": level,
            "message": { "text": message }, "locations": [location],
        })
    };
    let of_verdict = |verdict: &Value| {
        let (kind, level) = match text(verdict, "verdict") {
            "reproduced" => ("fail", "error"),
            "not_reproduced" => ("pass", "none"),
            _ => ("open", "none"),
        };
        let message = format!(
            "{} {} in {} ({}, {}); statement {}",
            text(verdict, "incident"),
            text(verdict, "verdict"),
            text(verdict, "artifact"),
            text(verdict, "mode"),
            text(verdict, "reason"),
            text(verdict, "statement"),
        );
        result(text(verdict, "incident"), text(verdict, "role"), kind, level, message)
    };
    let of_unknown = |unknown: &Value| {
        let message = format!("{} unknown: {}", text(unknown, "incident"), text(unknown, "reason"));
        result(text(unknown, "incident"), "release", "open", "none", message)
    };
    let mut results: Vec<Value> = list(answer, "verdicts").iter().map(of_verdict).collect();
    results.extend(list(answer, "unknown").iter().map(of_unknown));
    let mut rules: Vec<&str> = results.iter().map(|result| text(result, "ruleId")).collect();
    rules.sort_unstable();
    rules.dedup();
    let rules: Vec<Value> = rules.iter().map(|id| json!({ "id": id })).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "assay", "version": env!("CARGO_PKG_VERSION"), "rules": rules } },
            "properties": { "release": answer["release"], "decision": answer["decision"], "reasonCodes": answer["reasonCodes"] },
            "results": results,
        }],
    })
}

fn escape(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '&' => "&amp;".to_owned(),
            '<' => "&lt;".to_owned(),
            '>' => "&gt;".to_owned(),
            '"' => "&quot;".to_owned(),
            c if c < ' ' && !"\t\n\r".contains(c) => " ".to_owned(),
            c => c.to_string(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_is_never_a_pass() {
        let answer = json!({
            "release": "a<b", "decision": "pending", "milliseconds": 2.0,
            "verdicts": [
                { "incident": "I1", "role": "r", "verdict": "reproduced", "milliseconds": 1.0, "reason": "expected_observation" },
                { "incident": "I2", "role": "r", "verdict": "inconclusive", "milliseconds": 1.0, "reason": "not_reached" },
                { "incident": "I3", "role": "r", "verdict": "not_reproduced", "milliseconds": 1.0, "reason": "fixed_observation" },
            ],
            "unknown": [{ "incident": "I4", "reason": "no_artifact_for_role" }],
        });
        let xml = junit(&answer);
        assert!(xml.contains("tests=\"4\" failures=\"1\" errors=\"2\""), "{xml}");
        assert!(xml.contains("a&lt;b"));
        let kinds: Vec<_> = sarif(&answer)["runs"][0]["results"]
            .as_array()
            .unwrap()
            .iter()
            .map(|r| r["kind"].clone())
            .collect();
        assert_eq!(kinds, ["fail", "open", "pass", "open"]);
    }
}
