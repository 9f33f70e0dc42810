//! Carries what was let through to one side of a connection: in order, no sooner than it is due, and only while the way is open.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::tcp::WriteHalf;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::orders::{Flow, Flows};
use crate::rule::Way;

struct Parcel {
    bytes: Vec<u8>,
    due: Option<Instant>,
    /// Nothing comes behind it.
    last: bool,
}

/// Where bytes are left that are to be carried. It holds as many as come: a partition that holds them back must not be noticed before it.
#[derive(Debug, Clone)]
pub(crate) struct Lane(UnboundedSender<Parcel>);

/// What lies in a lane.
pub(crate) struct Parcels(UnboundedReceiver<Parcel>);

/// A lane and its other end.
pub(crate) fn lane() -> (Lane, Parcels) {
    let (sender, receiver) = unbounded_channel();
    (Lane(sender), Parcels(receiver))
}

impl Lane {
    pub(crate) fn send(&self, bytes: Vec<u8>, delay: Duration) {
        let due = (!delay.is_zero()).then(|| Instant::now() + delay);
        // Whoever carries them may have ended with the connection.
        drop(self.0.send(Parcel { bytes, due, last: false }));
    }

    /// Sends these bytes and then the end of the stream.
    pub(crate) fn end(&self, bytes: Vec<u8>) {
        drop(self.0.send(Parcel { bytes, due: None, last: true }));
    }
}

/// One way of a connection.
pub(crate) struct Carrier<'c> {
    pub(crate) way: Way,
    pub(crate) other_way: Way,
    pub(crate) flows: watch::Receiver<Flows>,
    /// Set when bytes vanished: what comes behind them makes no sense any more.
    pub(crate) lost: &'c AtomicBool,
}

impl Carrier<'_> {
    /// Carries until the end of the stream.
    pub(crate) async fn carry(mut self, parcels: &mut Parcels, to: &mut WriteHalf<'_>) -> io::Result<()> {
        while let Some(Parcel { bytes, due, last }) = parcels.0.recv().await {
            if let Some(due) = due {
                sleep_until(due).await;
            }
            if self.flow().await == Flow::Vanish {
                self.lost.store(true, Ordering::SeqCst);
            } else if let Err(error) = to.write_all(&bytes).await {
                self.bear(error)?;
            }
            if last {
                return self.finish(to).await;
            }
        }
        Ok(())
    }

    /// Whether bytes vanish, once they need not wait.
    async fn flow(&mut self) -> Flow {
        let way = self.way;
        // Its sender lives as long as the connection.
        self.flows.wait_for(|flows| flows.of(way) != Flow::Hold).await.map_or(Flow::Open, |flows| flows.of(way))
    }

    /// A peer that has gone says so on the other way, and there nothing passes: whoever writes goes on not knowing.
    fn bear(&self, error: io::Error) -> io::Result<()> {
        if self.flows.borrow().of(self.other_way) == Flow::Open {
            return Err(error);
        }
        self.lost.store(true, Ordering::SeqCst);
        Ok(())
    }

    /// Ends the stream. An end vanishes and waits like any byte.
    async fn finish(mut self, to: &mut WriteHalf<'_>) -> io::Result<()> {
        if self.flow().await == Flow::Vanish {
            self.lost.store(true, Ordering::SeqCst);
            std::future::pending::<()>().await;
        }
        to.shutdown().await
    }
}
