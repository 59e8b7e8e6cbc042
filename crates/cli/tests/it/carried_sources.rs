//! A verdict of an interpreted program holds for another tree where only what did not run differs.

use std::path::Path;

use crate::{Bench, text};

const PYTHON: &str = "\"\"\"A shop.\"\"\"\n\n\ndef total(prices):\n    return sum(prices) + FIXED\n\n\ndef discount(price):\n    # Nobody asks for one.\n    return price * 2\n";
const SCRIPT: &str = "'use strict';\n\nfunction total(prices) {\n  return prices.reduce((sum, one) => sum + one, FIXED);\n}\n\nfunction discount(price) {\n  return price * 2;\n}\n\nmodule.exports = { total, discount };\n";

struct Program {
    interpreter: &'static str,
    file: &'static str,
    source: &'static str,
    main: String,
    longer: (&'static str, &'static str),
    signature: (&'static str, &'static str),
}

#[test]
fn a_verdict_about_python_holds_where_an_idle_body_differs() {
    carried(&Program {
        interpreter: "/usr/bin/python3",
        file: "shop.py",
        source: PYTHON,
        main: "import sys\nsys.path.insert(0, 'PLACE')\nimport shop\nprint(shop.total([5, 6]))\n".to_owned(),
        longer: (
            "    return price * 2\n",
            "    if price > 10:\n        return price - 1\n    return price\n",
        ),
        signature: ("def discount(price)", "def discount(price, share=2)"),
    });
}

#[test]
fn a_verdict_about_node_holds_where_an_idle_body_differs() {
    carried(&Program {
        interpreter: "/usr/bin/node",
        file: "shop.js",
        source: SCRIPT,
        main: "const shop = require('PLACE/shop');\nconsole.log(shop.total([5, 6]));\n".to_owned(),
        longer: ("  return price * 2;\n", "  if (price > 10) return price - 1;\n  return price;\n"),
        signature: ("discount(price)", "discount(price, share)"),
    });
}

fn carried(program: &Program) {
    if !Path::new(program.interpreter).exists() {
        println!("skipped: no {}", program.interpreter);
        return;
    }
    let bench = Bench::new();
    let fixed = program.source.replace("FIXED", "0");
    let trees = [
        ("v1", program.source.replace("FIXED", "1")),
        ("v2", fixed.clone()),
        ("v3", fixed.replace(program.longer.0, program.longer.1)),
        ("v4", fixed.replace(program.signature.0, program.signature.1)),
    ];
    for (name, source) in &trees {
        std::fs::create_dir_all(bench.path(name)).unwrap();
        std::fs::write(bench.path(name).join(program.file), source).unwrap();
    }
    let place = text(&bench.path("v1"));
    let main = bench.path("main");
    std::fs::write(&main, program.main.replace("PLACE", &place)).unwrap();
    let subject = format!("package={place}");
    let expected = ["--expect", "stdout_exact=12\n", "--expect-fixed", "stdout_exact=11\n", "--check", "3"];
    let mut words = vec!["witness", "record", "--incident", "SHOP-1", "--subject", &subject];
    words.extend(expected);
    let main = text(&main);
    words.extend(["--env", "PYTHONDONTWRITEBYTECODE=1", "--", program.interpreter, &main]);
    let recorded = bench.ok(&words);
    assert_eq!(recorded["check"]["admitted"], true, "{recorded}");
    for (name, _) in &trees {
        let artifact = format!("package={}", bench.path(name).display());
        bench.ok(&["release", "create", name, "--artifact", &artifact]);
    }
    assert_eq!(bench.call(&["verify", "v1"]).json["decision"], "deny");
    if recorded["check"]["layout_sensitive"] == true {
        // V8's own calls depend on where its heap lies: such a witness is never carried, whatever the proof says.
        bench.ok(&["verify", "v2", "--baseline", "v1"]);
        let verified = bench.ok(&["verify", "v3", "--baseline", "v2"]);
        assert_eq!(verified["verdicts"][0]["mode"], "replayed", "{verified}");
        assert!(
            verified["verdicts"][0]["not_carried"].to_string().contains("layout_sensitive"),
            "{verified}"
        );
        return;
    }
    let replayed = bench.ok(&["verify", "v2", "--baseline", "v1"]);
    assert_eq!(replayed["verdicts"][0]["mode"], "replayed", "{replayed}");
    assert!(replayed["verdicts"][0]["not_carried"].to_string().contains("source_differs"), "{replayed}");
    let carried = bench.ok(&["verify", "v3", "--baseline", "v2"]);
    assert_eq!(carried["verdicts"][0]["mode"], "carried_over", "{carried}");
    let other = bench.ok(&["verify", "v4", "--baseline", "v2"]);
    assert_eq!(other["verdicts"][0]["mode"], "replayed", "{other}");
    assert!(other["verdicts"][0]["not_carried"].to_string().contains("source_differs"), "{other}");
    // Replaying what was carried shows the same.
    let requalified = bench.ok(&["witness", "requalify"]);
    assert_eq!(requalified["changes"].as_array().map(Vec::len), Some(0), "{requalified}");
}
