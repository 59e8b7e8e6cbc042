//! From the table to the document.

use std::collections::BTreeMap;

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::operation::{Body, Operation, Parameter, problems};
use crate::api;
use crate::problem::{PROBLEM_CONTENT_TYPE, Problem};

/// The document that is served and committed as `openapi.json`: the same bytes for the same program.
pub fn openapi() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let problem = generator.subschema_for::<Problem>().to_value();
    let mut paths: Map<String, Value> = Map::new();
    for operation in api::operations() {
        let path = operation.path.replace("{*", "{");
        let described = describe(operation, &mut generator, &problem);
        let item = paths.entry(path).or_insert_with(|| json!({}));
        item[operation.method.key()] = described;
    }
    let schemas = generator.take_definitions(true);
    let mut document = json!({
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {
            "title": "Assay",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "The evidence plane of release control.",
            "license": { "name": "Apache-2.0 OR MIT", "identifier": "Apache-2.0 OR MIT" },
        },
        "security": [{ "bearer": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": { "bearer": {
                "type": "http",
                "scheme": "bearer",
                "description": "A token of `assay token new`. A server without tokens listens on loopback only and asks for none.",
            } },
        },
    });
    document.sort_all_objects();
    document
}

fn describe(operation: &Operation, generator: &mut SchemaGenerator, problem: &Value) -> Value {
    let mut described = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "tags": [tag(operation.path)],
        "responses": responses(operation, generator, problem),
    });
    let in_path = operation
        .path_parameters()
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }));
    let in_query = operation.query.iter().map(|Parameter { name, summary, kind }| {
        json!({ "name": name, "in": "query", "description": summary, "schema": { "type": kind } })
    });
    let parameters: Vec<Value> = in_path.chain(in_query).collect();
    if !parameters.is_empty() {
        described["parameters"] = parameters.into();
    }
    if let Some(content) = content(operation.request, generator) {
        described["requestBody"] = json!({ "required": true, "content": content });
    }
    if operation.public {
        described["security"] = json!([]);
    }
    described
}

/// The first part of a path that is no version.
fn tag(path: &str) -> &str {
    path.trim_start_matches("/api/v1").split('/').find(|part| !part.is_empty()).unwrap_or_default()
}

fn content(body: Body, generator: &mut SchemaGenerator) -> Option<Value> {
    match body {
        Body::None => None,
        Body::Json(schema) => Some(json!({ "application/json": { "schema": schema(generator).to_value() } })),
        Body::AnyJson => Some(json!({ "application/json": { "schema": { "type": "object" } } })),
        Body::Bytes(kind) => Some(Value::Object(Map::from_iter([(kind.to_owned(), json!({}))]))),
    }
}

fn responses(operation: &Operation, generator: &mut SchemaGenerator, problem: &Value) -> Value {
    let mut success = json!({ "description": reason(operation.status) });
    if let Some(content) = content(operation.response, generator) {
        success["content"] = content;
    }
    let mut responses = Map::from_iter([(operation.status.to_string(), success)]);
    let shared = (!operation.public).then_some(problems::CALLER);
    let mut codes: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
    let named = operation.path_parameters().next().map(|_| problems::PATH);
    for (status, code) in operation.problems.iter().copied().chain(shared).chain(named).flatten() {
        codes.entry(*status).or_default().push(code);
    }
    for (status, mut codes) in codes {
        codes.sort_unstable();
        codes.dedup();
        let body = Map::from_iter([(PROBLEM_CONTENT_TYPE.to_owned(), json!({ "schema": problem }))]);
        let list = codes.iter().map(|code| format!("`{code}`")).collect::<Vec<_>>().join(", ");
        let description = format!("{}: {list}", reason(status));
        let answer = json!({ "description": description, "x-codes": codes, "content": body });
        responses.insert(status.to_string(), answer);
    }
    Value::Object(responses)
}

fn reason(status: u16) -> &'static str {
    axum::http::StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or("Answer")
}
