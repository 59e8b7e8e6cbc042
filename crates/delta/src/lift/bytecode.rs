//! Methods of the JVM, the CLI and WebAssembly in the form of functions.

use std::collections::HashMap;

use assay_binary::{BytecodeInstruction, BytecodeOperand, Method, Module};
use assay_evidence::Sha256;

use super::hash::{hash, mix};
use super::noise;
use super::values::{FeatureKind, feature};
use super::world::Target;
use crate::record::{FunctionRecord, NAMED, OPEN, Records, UNKNOWN, put};

/// Lifts one method and adds it to `records`.
pub(crate) fn lift(module: &Module<'_>, number: u32, records: &mut Records) {
    let method = &module.methods[number as usize];
    let (mut exact, mut meaning, mut masked) = (Sha256::stream(), Sha256::stream(), Vec::new());
    let (mut numbers, mut references, mut open) = (Vec::new(), Vec::new(), false);
    let mut ordinals = HashMap::new();
    for instruction in &method.instructions {
        let (plain, without) = bytes(instruction, &mut references, &mut ordinals);
        masked.extend_from_slice(instruction.operation.as_bytes());
        exact.update(&plain);
        meaning.update(&without);
        numbers.push(hash(&without) as u32);
        open |= is_open(instruction.operation);
    }
    for fact in &method.facts {
        exact.update(fact.as_bytes());
        meaning.update(fact.as_bytes());
    }
    let record = FunctionRecord {
        address: method.address.0,
        size: method.size,
        masked: hash(&masked),
        exact: exact.finish(),
        meaning: meaning.finish(),
        closure: UNKNOWN,
        name: records.name(&method.name),
        numbers: put(&mut records.numbers, numbers),
        references: put(&mut records.references, references),
        features: put(&mut records.features, features(method)),
        flags: if method.named { NAMED } else { 0 } | if open { OPEN } else { 0 },
    };
    records.functions.push(record);
}

fn bytes(
    instruction: &BytecodeInstruction,
    references: &mut Vec<Target>,
    ordinals: &mut HashMap<u32, u16>,
) -> (Vec<u8>, Vec<u8>) {
    let mut exact = Vec::new();
    part(&mut exact, 0, instruction.operation.as_bytes());
    let mut meaning = exact.clone();
    for operand in &instruction.operands {
        let both = match operand {
            BytecodeOperand::Number(number) => (1, number.to_le_bytes().to_vec()),
            BytecodeOperand::Text(text) => {
                part(&mut exact, 2, text);
                part(&mut meaning, 2, &noise::without(text));
                continue;
            }
            BytecodeOperand::Member(name) => (3, name.as_bytes().to_vec()),
            BytecodeOperand::Here(number) => (4, number.to_le_bytes().to_vec()),
            BytecodeOperand::Method(number) => {
                let next = ordinals.len() as u16;
                let ordinal = *ordinals.entry(*number).or_insert(next);
                references.push(Target::Function(*number));
                (5, ordinal.to_le_bytes().to_vec())
            }
        };
        part(&mut exact, both.0, &both.1);
        part(&mut meaning, both.0, &both.1);
    }
    (exact, meaning)
}

fn part(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    out.push(tag);
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}

fn is_open(operation: &str) -> bool {
    matches!(
        operation,
        "invokeinterface" | "invokevirtual" | "invokedynamic" | "callvirt" | "calli" | "call_indirect"
    )
}

/// Texts, members, numbers and pairs of neighbouring operations: bytecode keeps what its source said,
/// so that no values need to be followed.
fn features(method: &Method) -> Vec<u32> {
    let mut features = Vec::new();
    let mut before = 0;
    for instruction in &method.instructions {
        let operation = hash(instruction.operation.as_bytes());
        features.push(feature(FeatureKind::Comparison, mix(before, operation)));
        before = operation;
        for operand in &instruction.operands {
            features.push(match operand {
                BytecodeOperand::Text(text) => feature(FeatureKind::Text, hash(&noise::without(text))),
                BytecodeOperand::Member(name) => feature(FeatureKind::Import, hash(name.as_bytes())),
                BytecodeOperand::Number(number) if !(-16..16).contains(number) => {
                    feature(FeatureKind::Number, *number as u64)
                }
                _ => continue,
            });
        }
    }
    features.sort_unstable();
    features.dedup();
    features
}
