//! The router and what its handlers share.

use std::sync::Arc;
use std::time::Instant;

use assay_access::Tokens;
use assay_control::Control;
use assay_deltas::Deltas;
use assay_evidence::PrivateKey;
use assay_notary::Notary;
use assay_store::{Locations, Migration, Store, StoreResult};
use assay_verify::Verifier;
use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;

use crate::auth::Access;
use crate::background::Background;
use crate::metrics::Metrics;
use crate::{api, console, guard};

/// The largest body of a request that is no blob.
const MAX_BODY_BYTES: usize = 64 << 20;

/// The schemas of all rooms.
const MIGRATIONS: &[&[Migration]] = &[
    assay_notary::MIGRATIONS,
    assay_access::MIGRATIONS,
    assay_verify::MIGRATIONS,
    assay_control::MIGRATIONS,
    assay_deltas::MIGRATIONS,
];

/// Everything a handler needs.
#[derive(Clone)]
pub struct App {
    pub(crate) control: Control,
    pub(crate) deltas: Deltas,
    pub(crate) tokens: Tokens,
    pub(crate) access: Access,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) background: Background,
}

impl App {
    /// Opens the stores and builds the services.
    pub async fn open(locations: &Locations, key: Option<PrivateKey>, access: Access) -> StoreResult<Self> {
        let store = Store::open(locations, MIGRATIONS).await?;
        let control = Control::new(Verifier::new(Notary::new(store.clone(), key)));
        Ok(Self {
            control,
            deltas: Deltas::new(store.clone()),
            tokens: Tokens::new(store),
            access,
            metrics: Arc::new(Metrics::new()),
            background: Background::default(),
        })
    }

    /// The services.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// The tokens.
    pub fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    pub(crate) fn store(&self) -> &Store {
        self.control.verifier().notary().store()
    }
}

/// All routes.
pub fn router(app: App) -> Router {
    Router::new()
        .merge(api::routes())
        .merge(console::routes())
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(middleware::from_fn_with_state(app.clone(), guard::protect))
        .layer(middleware::from_fn_with_state(app.clone(), observe))
        .with_state(app)
}

/// Counts, times and logs a request.
async fn observe(State(app): State<App>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "unmatched".to_owned(), |path| path.as_str().to_owned());
    let response = next.run(request).await;
    let seconds = started.elapsed().as_secs_f64();
    app.metrics.request(&route, response.status().as_u16(), seconds);
    tracing::info!(
        method = %method,
        route = %route,
        status = response.status().as_u16(),
        duration_milliseconds = seconds * 1000.0,
        "request answered"
    );
    response
}
