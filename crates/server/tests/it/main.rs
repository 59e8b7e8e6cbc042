//! The router in-process over a store of its own: the API, its description, the console.

mod api;
mod console;
mod contract;
mod lab;
mod schema;
mod tokens;
