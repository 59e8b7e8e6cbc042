//! Tenants, principals, tokens, and one permission table.
//!
//! # Design constraints
//! - Every service call takes a [`Principal`]; what it may do is decided by [`Principal::require`]
//!   and nowhere else.
//! - A token is shown once and stored as a digest; it always expires.

mod principal;
mod tokens;

pub use principal::{Denied, Permission, Principal, Scope, ScopeError};
pub use tokens::{AccessError, MAX_TOKEN_DAYS, MIGRATIONS, NewToken, TokenInfo, Tokens};
