//! Aborts a task of one thread from another, and says where its value was dropped.
use std::thread::{self, ThreadId};

struct Witness(ThreadId);

impl Drop for Witness {
    fn drop(&mut self) {
        let same = thread::current().id() == self.0;
        println!("dropped in the {} thread", if same { "same" } else { "other" });
    }
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let local = tokio::task::LocalSet::new();
    let handle = local.block_on(&runtime, async {
        let witness = Witness(thread::current().id());
        let handle = tokio::task::spawn_local(async move {
            std::future::pending::<()>().await;
            drop(witness);
        });
        tokio::task::yield_now().await;
        handle
    });
    thread::spawn(move || handle.abort()).join().unwrap();
    println!("aborted");
    drop(local);
}
