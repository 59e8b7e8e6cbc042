//! The API's description (OpenAPI 3.1), built from the table that the router itself is built from.

mod document;
mod operation;

pub use document::openapi;
pub(crate) use operation::{Body, Method, Operation, Parameter, ProblemCode, problems};
