//! Work that nobody waits for: one task for each tenant, ended with the program.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use assay_deltas::Deltas;
use assay_evidence::{TenantId, Timestamp};
use tokio::task::JoinHandle;

/// The tasks of one process.
#[derive(Clone, Default)]
pub(crate) struct Background(Arc<Tasks>);

#[derive(Default)]
struct Tasks(Mutex<HashMap<TenantId, JoinHandle<()>>>);

impl Drop for Tasks {
    fn drop(&mut self) {
        let tasks = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        tasks.values().for_each(JoinHandle::abort);
    }
}

impl Background {
    /// Indexes what waits and merges what piled up, unless a task of the tenant is at it.
    pub fn maintain(&self, deltas: &Deltas, tenant: &TenantId) {
        let mut tasks = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.retain(|_, task| !task.is_finished());
        if tasks.contains_key(tenant) {
            return;
        }
        let (deltas, name) = (deltas.clone(), tenant.clone());
        let work = async move {
            if let Err(error) = deltas.maintain(&name, Timestamp::now()).await {
                tracing::warn!(tenant = %name, %error, "the catalogue of functions is left as it is");
            }
        };
        tasks.insert(tenant.clone(), tokio::spawn(work));
    }
}
