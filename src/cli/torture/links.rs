//! A link of its own for each process, that can be disturbed without the others noticing.

use super::arena::Arena;
use crate::cli::exit::Failure;
use celeriac_broker::StoreUrl;

/// The links, one for each slot; none for a store that is a file.
pub(super) struct Links {}

impl Links {
    /// Opens a link for each of `count` slots.
    pub(super) async fn open(_arena: &Arena, _count: usize) -> Result<Self, Failure> {
        Ok(Self {})
    }

    /// The store as the process in this slot reaches it.
    pub(super) fn url(&self, arena: &Arena, _place: usize) -> Result<StoreUrl, Failure> {
        arena.url_through(None)
    }

    /// Lets a link do what links do.
    pub(super) fn disturb(&mut self, _place: usize, _seed: u64) {}

    /// Lets it do what it should.
    pub(super) fn mend(&mut self, _place: usize) {}
}
