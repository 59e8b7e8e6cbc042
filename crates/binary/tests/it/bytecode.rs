//! Bytecode against javap, monodis and wasm-objdump: every instruction of every method, at its offset.

use std::collections::{BTreeMap, HashMap};

use assay_binary::{BytecodeOperand, Method, Module};

use crate::fixtures::{fixture, path};
use crate::modules::run;

/// The instructions of a method as (offset, operation).
type Listing = Vec<(u32, String)>;

fn ours(methods: &[Method]) -> Vec<(String, Listing)> {
    let listing = |method: &Method| {
        method.instructions.iter().map(|i| (i.offset, i.operation.to_owned())).collect::<Listing>()
    };
    methods.iter().filter(|m| !m.instructions.is_empty()).map(|m| (m.name.clone(), listing(m))).collect()
}

/// javap names `ldc_w` and the like as we do; it prints `wide` as a suffix.
fn javap(name: &str) -> Option<Vec<Listing>> {
    let text = run("javap", &["-c", "-p"], &path(name))?;
    let mut found: Vec<Listing> = Vec::new();
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed == "Code:" {
            found.push(Vec::new());
        } else if let Some((offset, rest)) = trimmed.split_once(": ") {
            let operation = rest.split_whitespace().next().unwrap_or_default().to_owned();
            // Inside a switch the cases look like instructions, but for their operation.
            let case = operation.chars().all(|c| c.is_ascii_digit());
            if let (Ok(offset), Some(listing), false) = (offset.parse(), found.last_mut(), case) {
                listing.push((offset, operation));
            }
        }
    }
    Some(found)
}

#[test]
fn java_instructions_agree_with_javap() {
    for name in ["javac.class", "kotlin.class", "scala.class"] {
        let data = fixture(name);
        let module = Module::parse(&data).unwrap();
        let Some(theirs) = javap(name) else { return };
        let ours: Vec<Listing> = ours(&module.methods).into_iter().map(|(_, listing)| listing).collect();
        assert!(theirs.iter().map(Vec::len).sum::<usize>() > 10, "{name}");
        assert_eq!(ours, theirs, "{name}");
    }
}

/// Every class of a large jar of the machine, where there is one.
#[test]
fn every_class_of_a_library_is_read() {
    let jar = ["/usr/share/java/scala-library.jar", "/usr/share/java/kotlin-stdlib.jar"];
    let Some(data) = jar.iter().find_map(|path| std::fs::read(path).ok()) else {
        eprintln!("skipped: no library of Java classes on this machine");
        return;
    };
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(data)).unwrap();
    let (mut classes, mut instructions) = (0, 0);
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).unwrap();
        let name = entry.name().unwrap().into_owned();
        if !name.ends_with(".class") {
            continue;
        }
        let mut data = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut data).unwrap();
        let module = Module::parse(&data).unwrap();
        assert!(module.warnings.is_empty(), "{name}: {:?}", module.warnings);
        classes += 1;
        instructions += module.methods.iter().map(|method| method.instructions.len()).sum::<usize>();
    }
    println!("{classes} classes, {instructions} instructions");
    assert!(classes > 1000 && instructions > 100_000);
}

#[test]
fn java_constants_are_looked_through() {
    let data = fixture("javac.class");
    let module = Module::parse(&data).unwrap();
    let method = |start: &str| module.methods.iter().find(|m| m.name.starts_with(start)).unwrap();
    let operands = |method: &Method, operation: &str| -> Vec<BytecodeOperand> {
        let found = method.instructions.iter().filter(|i| i.operation == operation);
        found.flat_map(|i| i.operands.clone()).collect()
    };
    let parse = method("Shapes.parse");
    let call = BytecodeOperand::Member("java/lang/Integer.parseInt(Ljava/lang/String;)I".to_owned());
    assert_eq!(operands(parse, "invokestatic"), [call]);
    assert!(operands(parse, "ldc").contains(&BytecodeOperand::Text(b"parsed".to_vec())));
    assert!(parse.facts.iter().any(|fact| fact == "0..3 catch java/lang/NumberFormatException at 8"));
    // The lambda is a method of this class, by number and not by its made-up name.
    let lambda = module.methods.iter().position(|m| m.name.contains("lambda$")).unwrap() as u32;
    assert!(operands(method("Shapes.grid"), "invokedynamic").contains(&BytecodeOperand::Method(lambda)));
    // A switch leads to instructions; 17 is what case 1 returns.
    let pick = method("Shapes.pick");
    let cases = operands(pick, "tableswitch");
    let BytecodeOperand::Here(second) = cases[4] else { panic!("{cases:?}") };
    assert_eq!(cases[3], BytecodeOperand::Number(1));
    assert_eq!(pick.instructions[second as usize].operands, [BytecodeOperand::Number(17)]);
}

fn monodis(name: &str) -> Option<Vec<Listing>> {
    let text = run("monodis", &[], &path(name))?;
    let mut found: Vec<Listing> = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with("// Method begins") || line.starts_with("// method line") {
            found.push(Vec::new());
        }
        let Some((offset, rest)) = line.strip_prefix("IL_").and_then(|rest| rest.split_once(':')) else {
            continue;
        };
        let operation = rest.split_whitespace().next().unwrap_or_default().to_owned();
        if let (Ok(offset), Some(listing)) = (u32::from_str_radix(offset, 16), found.last_mut()) {
            listing.push((offset, operation));
        }
    }
    found.retain(|listing| !listing.is_empty());
    Some(found)
}

fn compare_with_monodis(name: &str, module: &Module<'_>, theirs: &[Listing]) {
    // monodis lists by type; methods are the same multiset.
    let mut left: HashMap<Listing, usize> = HashMap::new();
    // Older spellings that monodis keeps.
    let plain = |operation: String| match operation.as_str() {
        "unaligned." | "no." => operation,
        _ => operation,
    };
    for (_, listing) in ours(&module.methods) {
        *left.entry(listing).or_default() += 1;
    }
    let mut wrong = Vec::new();
    for listing in theirs {
        let listing: Listing =
            listing.iter().map(|(at, operation)| (*at, plain(operation.clone()))).collect();
        match left.get_mut(&listing) {
            Some(count) if *count > 0 => *count -= 1,
            _ => wrong.push(listing),
        }
    }
    let rest: Vec<_> = left.into_iter().filter(|(_, count)| *count > 0).take(2).collect();
    assert!(
        wrong.is_empty() && rest.is_empty(),
        "{name}: {} differ: {:?} {rest:?}",
        wrong.len(),
        wrong.first()
    );
}

#[test]
fn clr_instructions_agree_with_monodis() {
    let data = fixture("mcs.exe");
    let module = Module::parse(&data).unwrap();
    let Some(theirs) = monodis("mcs.exe") else { return };
    assert!(theirs.len() >= 6, "{}", theirs.len());
    compare_with_monodis("mcs.exe", &module, &theirs);
}

/// A real library of thousands of methods, where Mono is installed.
#[test]
fn a_clr_library_agrees_with_monodis() {
    let library = ["/usr/lib/mono/4.5/System.Core.dll", "/usr/lib/mono/4.5/mscorlib.dll"];
    let Some(library) = library.into_iter().map(std::path::Path::new).find(|path| path.exists()) else {
        eprintln!("skipped: Mono's libraries are not installed");
        return;
    };
    let data = std::fs::read(library).unwrap();
    let module = Module::parse(&data).unwrap();
    assert!(module.warnings.is_empty(), "{:?}", module.warnings.first());
    let Some(theirs) = monodis(library.to_str().unwrap()) else { return };
    let count: usize = theirs.iter().map(Vec::len).sum();
    println!("{library:?}: {} methods, {count} instructions", theirs.len());
    assert!(theirs.len() > 1000);
    compare_with_monodis(library.to_str().unwrap(), &module, &theirs);
}

#[test]
fn clr_names_are_looked_through() {
    let data = fixture("mcs.exe");
    let module = Module::parse(&data).unwrap();
    let method = |start: &str| module.methods.iter().find(|m| m.name.starts_with(start)).unwrap();
    let parse = method("Shapes::Parse(string)int32");
    let texts: Vec<&BytecodeOperand> = parse.instructions.iter().flat_map(|i| &i.operands).collect();
    assert!(texts.contains(&&BytecodeOperand::Text("parsed ü".as_bytes().to_vec())));
    let call = "[mscorlib]System.Int32::Parse(string)int32".to_owned();
    assert!(texts.contains(&&BytecodeOperand::Member(call)));
    assert!(parse.facts.iter().any(|fact| fact.starts_with("0..4 catch [mscorlib]System.FormatException")));
    let declared = method("type Shapes");
    let constant = " = 0x0a f0debc9a78563412";
    assert!(declared.facts.iter().any(|fact| fact.contains("Large:int64") && fact.ends_with(constant)));
}

fn objdump(name: &str) -> Option<BTreeMap<u32, Vec<String>>> {
    let text = run("wasm-objdump", &["-d"], &path(name))?;
    let mut found: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    let mut current = None;
    for line in text.lines() {
        if let Some((_, rest)) = line.split_once(" func[") {
            current = rest.split(']').next().and_then(|number| number.parse().ok());
        } else if let (Some((_, rest)), Some(number)) = (line.split_once('|'), current) {
            let operation = rest.split_whitespace().next().unwrap_or_default();
            // Locals are listed before the code; long instructions go on in lines without an operation.
            if !operation.is_empty() && !operation.starts_with("local[") {
                found.entry(number).or_default().push(operation.to_owned());
            }
        }
    }
    Some(found)
}

#[test]
fn wasm_instructions_agree_with_objdump() {
    for name in ["clang.wasm", "rustc.wasm", "emscripten.wasm"] {
        let data = fixture(name);
        let module = Module::parse(&data).unwrap();
        let Some(theirs) = objdump(name) else { return };
        let first = theirs.keys().next().copied().unwrap();
        for (number, operations) in theirs {
            let method = &module.methods[(number - first) as usize];
            let ours: Vec<&str> = method.instructions.iter().map(|i| i.operation).collect();
            assert_eq!(ours, operations, "{name} {}", method.name);
        }
    }
}

#[test]
fn wasm_calls_and_branches_are_resolved() {
    let data = fixture("clang.wasm");
    let module = Module::parse(&data).unwrap();
    let pick = module.methods.iter().position(|m| m.name == "pick").unwrap();
    let total = module.methods.iter().find(|m| m.name == "total").unwrap();
    let operands = |method: &Method, operation: &str| -> Vec<BytecodeOperand> {
        let found = method.instructions.iter().filter(|i| i.operation == operation);
        found.flat_map(|i| i.operands.clone()).collect()
    };
    assert_eq!(operands(total, "call"), [BytecodeOperand::Method(pick as u32)]);
    let outside = BytecodeOperand::Member("env.outside(i32)->(i32)".to_owned());
    assert_eq!(operands(&module.methods[pick], "call"), [outside.clone(), outside]);
    // The loop's branch goes back to the loop.
    let [BytecodeOperand::Here(target)] = operands(total, "br_if")[..] else { panic!("one branch") };
    assert_eq!(total.instructions[target as usize].operation, "loop");
}
