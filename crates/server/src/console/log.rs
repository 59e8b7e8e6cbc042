//! The log's head.

use askama::Template;
use assay_access::Permission;
use axum::extract::State;
use axum::response::Response;

use super::page;
use super::view::{Badge, Shell};
use crate::api::log::{LogHead, log_head};
use crate::app::App;
use crate::auth::Caller;
use crate::problem::Problem;

#[derive(Template)]
#[template(path = "log.html")]
struct LogPage {
    shell: Shell,
    tenant: String,
    head: Option<(LogHead, Badge)>,
}

pub(super) async fn show(State(app): State<App>, Caller(principal): Caller) -> Result<Response, Problem> {
    principal.require(Permission::ReadEvidence)?;
    let head = log_head(&app, principal.tenant()).await?;
    let badge =
        |head: &LogHead| if head.verified { Badge::good("verified") } else { Badge::open("not verified") };
    page(&LogPage {
        shell: Shell::new("Log", "log", &principal),
        tenant: principal.tenant().to_string(),
        head: head.map(|head| {
            let badge = badge(&head);
            (head, badge)
        }),
    })
}
