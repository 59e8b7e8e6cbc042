//! How much is lifted and compared at once in one process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use assay_evidence::{Sha256, TenantId};
use tokio::sync::{Mutex as Turn, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};

use crate::{DeltasError, DeltasResult};

/// Whose turn it is with an artifact of a tenant; an entry lasts as long as somebody holds or awaits it.
type Turns = HashMap<(TenantId, Sha256), Weak<Turn<()>>>;

/// Bounds what takes a processor and the memory of whole binaries.
pub(crate) struct Lifting {
    permits: Arc<Semaphore>,
    turns: Mutex<Turns>,
}

impl Default for Lifting {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self { permits: Arc::new(Semaphore::new(processors.max(2))), turns: Mutex::default() }
    }
}

impl Lifting {
    /// Waits until there is room. Whoever gets a permit takes it into the work, so that a request that is
    /// dropped does not free it early; and asks for no second one meanwhile.
    pub async fn permit(&self) -> DeltasResult<OwnedSemaphorePermit> {
        Arc::clone(&self.permits).acquire_owned().await.map_err(|_| DeltasError::Stopped)
    }

    /// Waits until nobody else in this process is at the artifact.
    pub async fn turn(&self, tenant: &TenantId, artifact: &Sha256) -> OwnedMutexGuard<()> {
        self.known(tenant, artifact).lock_owned().await
    }

    fn known(&self, tenant: &TenantId, artifact: &Sha256) -> Arc<Turn<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| turn.strong_count() > 0);
        let name = (tenant.clone(), *artifact);
        let known = turns.get(&name).and_then(Weak::upgrade);
        known.unwrap_or_else(|| {
            let turn = Arc::default();
            turns.insert(name, Arc::downgrade(&turn));
            turn
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn one_artifact_is_taken_once_at_a_time() {
        let lifting = Lifting::default();
        let (one, two): (TenantId, TenantId) = ("one".parse().unwrap(), "two".parse().unwrap());
        let artifact = Sha256::of(b"artifact");
        let taken = lifting.turn(&one, &artifact).await;
        let second = lifting.turn(&one, &artifact);
        assert!(tokio::time::timeout(Duration::from_millis(20), second).await.is_err(), "it is taken");
        let _other = (lifting.turn(&two, &artifact).await, lifting.turn(&one, &Sha256::of(b"other")).await);
        drop(taken);
        let _again = lifting.turn(&one, &artifact).await;
        assert_eq!(lifting.turns.lock().unwrap().len(), 3);
    }

    #[tokio::test]
    async fn there_is_room_for_so_many_and_no_more() {
        let lifting = Lifting::default();
        let mut permits = Vec::new();
        for _ in 0..lifting.permits.available_permits() {
            permits.push(lifting.permit().await.unwrap());
        }
        assert!(tokio::time::timeout(Duration::from_millis(20), lifting.permit()).await.is_err());
        permits.pop();
        drop(lifting.permit().await.unwrap());
    }
}
