//! Strict JSON on the way in, canonical JSON (RFC 8785) for content ids.
//!
//! Canonicalisers commonly keep the last of two equal keys and round large integers, so two
//! readers of one text may see two documents. [`parse_strict`] refuses both instead.

use std::fmt;

use serde::Serialize;
use serde::de::{self, DeserializeOwned, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// The largest integer that every JSON reader keeps exact (RFC 7493, I-JSON).
pub const MAX_SAFE_INTEGER: u64 = 1 << 53;
/// The largest document that is parsed, in bytes.
pub const MAX_DOCUMENT_BYTES: usize = 64 << 20;

/// Why a text is refused.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// More than [`MAX_DOCUMENT_BYTES`].
    #[error("the document has {bytes} bytes; at most {MAX_DOCUMENT_BYTES} are read")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// Not UTF-8 (RFC 8259 section 8.1).
    #[error("the document is not UTF-8")]
    NotUtf8,
    /// Not JSON, a duplicate key, an inexact number, or too deep.
    #[error("not acceptable JSON: {detail}")]
    Refused {
        /// What the reader met and where.
        detail: String,
    },
    /// JSON, but not of the form that was asked for.
    #[error("the document does not have the expected form: {detail}")]
    Shape {
        /// What is missing or unknown.
        detail: String,
    },
}

/// Reads one JSON document; refuses duplicate keys, integers beyond 2^53, text that is not UTF-8,
/// trailing bytes and nesting past 128 levels.
pub fn parse_strict(bytes: &[u8]) -> Result<Value, JsonError> {
    if bytes.len() > MAX_DOCUMENT_BYTES {
        return Err(JsonError::TooLarge { bytes: bytes.len() });
    }
    let text = std::str::from_utf8(bytes).map_err(|_| JsonError::NotUtf8)?;
    let refuse = |error: serde_json::Error| JsonError::Refused { detail: error.to_string() };
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = Strict.deserialize(&mut reader).map_err(refuse)?;
    reader.end().map_err(refuse)?;
    Ok(value)
}

/// [`parse_strict`], then into a typed value.
pub fn from_strict<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, JsonError> {
    serde_json::from_value(parse_strict(bytes)?)
        .map_err(|error| JsonError::Shape { detail: error.to_string() })
}

/// The canonical form (RFC 8785): keys sorted by UTF-16 code units, no white space, ECMAScript numbers.
pub fn canonical<T: Serialize>(value: &T) -> Result<Vec<u8>, JsonError> {
    let value =
        serde_json::to_value(value).map_err(|error| JsonError::Shape { detail: error.to_string() })?;
    let mut out = Vec::new();
    write_canonical(&value, &mut out)?;
    Ok(out)
}

fn write_canonical(value: &Value, out: &mut Vec<u8>) -> Result<(), JsonError> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) => write_number(number, out)?,
        Value::String(text) => write_string(text, out),
        Value::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_canonical(item, out)?;
            }
            out.push(b']');
        }
        Value::Object(entries) => {
            let mut entries: Vec<_> = entries.iter().collect();
            entries.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
            out.push(b'{');
            for (index, (key, item)) in entries.into_iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_string(key, out);
                out.push(b':');
                write_canonical(item, out)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

fn write_number(number: &Number, out: &mut Vec<u8>) -> Result<(), JsonError> {
    let exact = |magnitude: u64| {
        if magnitude > MAX_SAFE_INTEGER {
            return Err(JsonError::Refused { detail: format!("the integer {number} is beyond 2^53") });
        }
        Ok(())
    };
    if let Some(value) = number.as_u64() {
        exact(value)?;
        out.extend_from_slice(value.to_string().as_bytes());
    } else if let Some(value) = number.as_i64() {
        exact(value.unsigned_abs())?;
        out.extend_from_slice(value.to_string().as_bytes());
    } else if let Some(value) = number.as_f64() {
        out.extend_from_slice(ryu_js::Buffer::new().format(value).as_bytes());
    }
    Ok(())
}

fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for character in text.chars() {
        match character {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\u{8}' => out.extend_from_slice(b"\\b"),
            '\t' => out.extend_from_slice(b"\\t"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\u{c}' => out.extend_from_slice(b"\\f"),
            '\r' => out.extend_from_slice(b"\\r"),
            control if control < ' ' => {
                out.extend_from_slice(format!("\\u{:04x}", control as u32).as_bytes())
            }
            other => out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}

struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        if value.unsigned_abs() > MAX_SAFE_INTEGER {
            return Err(E::custom(format!("the integer {value} is beyond 2^53")));
        }
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        if value > MAX_SAFE_INTEGER {
            return Err(E::custom(format!("the integer {value} is beyond 2^53")));
        }
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        if value.fract() == 0.0 && value.abs() > MAX_SAFE_INTEGER as f64 {
            return Err(E::custom(format!("the number {value} is beyond 2^53")));
        }
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number that is not finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = items.next_element_seed(Strict)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(Strict)?;
            if map.contains_key(&key) {
                let shown: String = key.chars().take(100).collect();
                return Err(de::Error::custom(format!("the key `{shown}` stands twice")));
            }
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_readers_disagree_on() {
        for text in [
            r#"{"a":1,"a":2}"#,
            r#"{"a":{"b":1,"b":1}}"#,
            r#"{"a":1,"\u0061":2}"#,
            "9007199254740993",
            "-9007199254740993",
            "123456789012345678901234567890",
            "[1] x",
            "{\"a\":1,}",
            "\"\\ud800\"",
            "NaN",
        ] {
            assert!(parse_strict(text.as_bytes()).is_err(), "{text}");
        }
        assert!(matches!(parse_strict(b"\"\xff\""), Err(JsonError::NotUtf8)));
        assert!(parse_strict("[".repeat(100_000).as_bytes()).is_err());
        assert!(parse_strict(b"9007199254740992").is_ok());
    }

    #[test]
    fn published_rfc8785_vector() {
        // RFC 8785 section 3.2.2 and 3.2.3: the input and the canonical output as printed there.
        let input = r#"{
            "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
            "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
            "literals": [null, true, false]
        }"#;
        let value: Value = serde_json::from_str(input).unwrap();
        let expected = "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],\
                        \"string\":\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}";
        assert_eq!(String::from_utf8(canonical(&value).unwrap()).unwrap(), expected);
    }

    #[test]
    fn keys_sort_by_utf16() {
        // RFC 8785 section 3.2.3: the surrogate pair sorts before U+FB33.
        let value: Value = serde_json::from_str("{\"\u{fb33}\":1,\"\u{1f600}\":2,\"\u{20ac}\":3}").unwrap();
        let expected = "{\"\u{20ac}\":3,\"\u{1f600}\":2,\"\u{fb33}\":1}";
        assert_eq!(String::from_utf8(canonical(&value).unwrap()).unwrap(), expected);
    }
}
