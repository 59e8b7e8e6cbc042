//! A validator for the part of JSON Schema that the generated schemas use. A keyword that it does
//! not know fails the test, so nothing passes by being overlooked.

use serde_json::{Map, Value};

/// Keywords that say nothing about an instance.
const NOTES: [&str; 10] = [
    "$schema",
    "$id",
    "$defs",
    "title",
    "description",
    "default",
    "format",
    "examples",
    "deprecated",
    "writeOnly",
];

pub fn assert_valid(root: &Value, schema: &Value, instance: &Value) {
    if let Err(error) = check(root, schema, instance, "") {
        panic!("{error}\nin {instance:#}");
    }
}

pub fn is_valid(root: &Value, schema: &Value, instance: &Value) -> bool {
    check(root, schema, instance, "").is_ok()
}

fn check(root: &Value, schema: &Value, instance: &Value, at: &str) -> Result<(), String> {
    let keywords = match schema {
        Value::Bool(true) => return Ok(()),
        Value::Object(keywords) => keywords,
        _ => return Err(format!("{at}: nothing fits {schema}")),
    };
    for (keyword, value) in keywords {
        keyword_holds(root, keywords, keyword, value, instance, at)?;
    }
    Ok(())
}

fn keyword_holds(
    root: &Value,
    siblings: &Map<String, Value>,
    keyword: &str,
    value: &Value,
    instance: &Value,
    at: &str,
) -> Result<(), String> {
    let no =
        |holds: bool| if holds { Ok(()) } else { Err(format!("{at}: {instance} breaks {keyword} {value}")) };
    match keyword {
        keyword if NOTES.contains(&keyword) => Ok(()),
        "$ref" => {
            let pointer = value.as_str().unwrap().strip_prefix('#').expect("references stay in the document");
            let target = root.pointer(pointer).unwrap_or_else(|| panic!("{pointer} leads nowhere"));
            check(root, target, instance, at)
        }
        "type" => match value {
            Value::Array(kinds) => no(kinds.iter().any(|kind| is(kind, instance))),
            kind => no(is(kind, instance)),
        },
        "const" => no(value == instance),
        "enum" => no(value.as_array().unwrap().contains(instance)),
        "minimum" => no(instance.as_f64().is_none_or(|number| number >= value.as_f64().unwrap())),
        "maximum" => no(instance.as_f64().is_none_or(|number| number <= value.as_f64().unwrap())),
        "minItems" => {
            no(instance.as_array().is_none_or(|items| items.len() as u64 >= value.as_u64().unwrap()))
        }
        "maxItems" => {
            no(instance.as_array().is_none_or(|items| items.len() as u64 <= value.as_u64().unwrap()))
        }
        "uniqueItems" => no(instance.as_array().is_none_or(|items| {
            items.iter().enumerate().all(|(index, item)| !items[..index].contains(item))
        })),
        "pattern" => no(instance.as_str().is_none_or(|text| matches_pattern(value.as_str().unwrap(), text))),
        "required" => {
            let Some(object) = instance.as_object() else { return Ok(()) };
            let missing =
                value.as_array().unwrap().iter().find(|key| !object.contains_key(key.as_str().unwrap()));
            missing.map_or(Ok(()), |key| Err(format!("{at}: {key} is missing")))
        }
        "properties" => {
            let Some(object) = instance.as_object() else { return Ok(()) };
            let known = value.as_object().unwrap().iter();
            let mut present =
                known.filter_map(|(key, schema)| object.get(key).map(|value| (key, schema, value)));
            present.try_for_each(|(key, schema, value)| check(root, schema, value, &format!("{at}/{key}")))
        }
        "additionalProperties" => {
            let Some(object) = instance.as_object() else { return Ok(()) };
            let named = siblings.get("properties").and_then(Value::as_object);
            let mut others =
                object.iter().filter(|(key, _)| named.is_none_or(|named| !named.contains_key(*key)));
            others.try_for_each(|(key, item)| check(root, value, item, &format!("{at}/{key}")))
        }
        "items" => {
            instance.as_array().into_iter().flatten().try_for_each(|item| check(root, value, item, at))
        }
        "prefixItems" => {
            let pairs = value.as_array().unwrap().iter().zip(instance.as_array().into_iter().flatten());
            pairs.into_iter().try_for_each(|(schema, item)| check(root, schema, item, at))
        }
        "allOf" => value.as_array().unwrap().iter().try_for_each(|schema| check(root, schema, instance, at)),
        "anyOf" => no(fitting(root, value, instance) >= 1),
        "oneOf" => no(fitting(root, value, instance) == 1),
        other => panic!("the keyword {other} is not known to this validator"),
    }
}

fn fitting(root: &Value, schemas: &Value, instance: &Value) -> usize {
    schemas.as_array().unwrap().iter().filter(|schema| is_valid(root, schema, instance)).count()
}

fn is(kind: &Value, instance: &Value) -> bool {
    match kind.as_str().unwrap() {
        "string" => instance.is_string(),
        "integer" => instance.is_i64() || instance.is_u64(),
        "number" => instance.is_number(),
        "boolean" => instance.is_boolean(),
        "array" => instance.is_array(),
        "object" => instance.is_object(),
        "null" => instance.is_null(),
        other => panic!("the type {other} is not known to this validator"),
    }
}

fn matches_pattern(pattern: &str, text: &str) -> bool {
    match pattern {
        "^sha256:[0-9a-f]{64}$" => text.parse::<assay_evidence::Sha256>().is_ok(),
        other => {
            let hexadecimal = other == "^0x[0-9a-f]{1,16}$"
                && text.strip_prefix("0x").is_some_and(|digits| {
                    (1..=16).contains(&digits.len())
                        && digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
                });
            assert!(other == "^0x[0-9a-f]{1,16}$", "the pattern {other} is not known to this validator");
            hexadecimal
        }
    }
}
