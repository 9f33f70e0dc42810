//! How many jobs may run at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// The slots of a worker. A slot is taken by a job from its hand-out until its handler has ended.
#[derive(Debug)]
pub(crate) struct Slots {
    limit: usize,
    used: AtomicUsize,
    freed: Notify,
}

impl Slots {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, used: AtomicUsize::new(0), freed: Notify::new() })
    }

    /// Waits until a slot is free and says how many are. Only the fetcher takes slots, so they stay free for it.
    pub(crate) async fn free(&self) -> usize {
        loop {
            let freed = self.freed.notified();
            let free = self.limit.saturating_sub(self.used.load(Ordering::SeqCst));
            if free > 0 {
                return free;
            }
            freed.await;
        }
    }

    /// Takes a slot; the guard frees it.
    pub(crate) fn take(self: &Arc<Self>) -> Slot {
        self.used.fetch_add(1, Ordering::SeqCst);
        Slot { slots: Arc::clone(self) }
    }
}

/// A slot in use.
#[derive(Debug)]
pub(crate) struct Slot {
    slots: Arc<Slots>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.used.fetch_sub(1, Ordering::SeqCst);
        self.slots.freed.notify_one();
    }
}
