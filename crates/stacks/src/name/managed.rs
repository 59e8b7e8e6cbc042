//! Names of Java, Python, JavaScript and Go functions.

use super::base_name;

/// `pkg.Class.method` without module prefixes, numbered lambdas and generated classes.
pub(super) fn java(name: &str) -> String {
    let name = name.rsplit('/').next().unwrap_or(name).trim();
    let name = name.split("$$Lambda").next().unwrap_or(name);
    let name = name.split("$$EnhancerBy").next().unwrap_or(name);
    let mut parts: Vec<String> = name.trim_end_matches(['$', '.']).split('.').map(java_part).collect();
    parts.retain(|part| !part.is_empty());
    parts.join(".")
}

fn java_part(part: &str) -> String {
    if let Some(rest) = part.strip_prefix("lambda$") {
        return rest.split('$').next().unwrap_or(rest).to_owned();
    }
    if part.starts_with("access$") {
        return String::new();
    }
    // Anonymous and generated classes are numbered in the order of compilation.
    let trimmed = part.trim_end_matches(|last: char| last.is_ascii_digit());
    if trimmed.ends_with('$') || trimmed.ends_with("Accessor") { trimmed.to_owned() } else { part.to_owned() }
}

/// `module.function`, the module being the file's stem.
pub(super) fn in_file(name: &str, file: Option<&str>) -> String {
    let name = name.replace("<module>", "module").replace("<lambda>", "lambda").replace(".<locals>", "");
    match file.map(stem).filter(|stem| !stem.is_empty()) {
        Some(stem) => format!("{stem}.{name}"),
        None => name,
    }
}

/// A JavaScript name, with the file's stem before it.
pub(super) fn javascript(name: &str, file: Option<&str>) -> String {
    let mut name = name.trim();
    for prefix in ["async ", "new ", "Object.", "Function.", "Module."] {
        name = name.strip_prefix(prefix).unwrap_or(name);
    }
    let name = name.split(" [as ").next().unwrap_or(name);
    in_file(if name.is_empty() { "<anonymous>" } else { name }, file)
}

fn stem(file: &str) -> &str {
    let base = base_name(file.trim_end_matches(')'));
    base.rsplit_once('.').map_or(base, |(stem, _)| stem)
}

/// `import/path.(*Type).Method` without the pointer, generic arguments and numbered closures.
pub(super) fn go(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut depth = 0_u32;
    for letter in name.chars() {
        match letter {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            '(' | ')' | '*' => {}
            _ if depth == 0 => out.push(letter),
            _ => {}
        }
    }
    let parts: Vec<&str> = out.split('.').filter(|part| !part.is_empty() && !is_go_closure(part)).collect();
    parts.join(".").trim_end_matches("-fm").to_owned()
}

fn is_go_closure(part: &str) -> bool {
    let digits = part.strip_prefix("func").or_else(|| part.strip_prefix("gowrap")).unwrap_or(part);
    digits.bytes().all(|byte| byte.is_ascii_digit()) && (part.len() > 4 || digits.len() == part.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_language() {
        assert_eq!(java("app//org.x.Foo$1.run"), "org.x.Foo$.run");
        assert_eq!(java("org.x.Foo.lambda$bar$0"), "org.x.Foo.bar");
        assert_eq!(in_file("open", Some("<embedded stdlib>/tarfile.py")), "tarfile.open");
        assert_eq!(javascript("Object.<anonymous>", Some("/a/b.js")), "b.<anonymous>");
        assert_eq!(go("a.b/pkg/fs.(*Mount).Find"), "a.b/pkg/fs.Mount.Find");
        assert_eq!(go("main.run.func1.2"), "main.run");
        assert_eq!(go("main.Map[go.shape.int].Get"), "main.Map.Get");
    }
}
