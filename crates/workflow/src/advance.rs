//! Lets the followers of a node that has ended go on, in pieces that a store can take.

use celeriac_broker::{Advance, Advanced, BrokerError, MAX_STEPS, ROOT};
use celeriac_core::canvas::{Counts, Node, NodeKind};

use crate::begin::Made;
use crate::decide::needs;
use crate::flow::Flow;
use crate::submit::{Room, is_root};
use crate::values::{NoValue, Values};

/// What is to be done when somebody else does the same. Two that overtake each other send every piece twice.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rival {
    /// Go on behind it: it may be gone, and nobody else would.
    Overtaken,
    /// Leave it to it.
    LeftToIt,
}

impl Flow<'_> {
    /// Begins what waits for nothing.
    pub(crate) async fn start(self) -> Result<Advanced, BrokerError> {
        self.advance_all(ROOT, &self.roots(), 0, Rival::Overtaken).await
    }

    /// Begins what waits for nothing, and what waits only for joins that do; unless a worker is at it, which has an event for that.
    pub(crate) async fn begin_first(self) -> Result<(), BrokerError> {
        if self.advance_all(ROOT, &self.roots(), 0, Rival::LeftToIt).await? != Advanced::Done {
            return Ok(());
        }
        let is_empty_join = |node: &Node<'_>| is_root(*node) && node.kind() == NodeKind::Join;
        if !self.plan.nodes().any(|node| is_empty_join(&node)) {
            return Ok(());
        }
        match self.broker.workflow(self.id()).await? {
            Some(view) => self.review(&view).await,
            None => Ok(()),
        }
    }

    /// Lets the followers of a node go on, those behind the first `from`.
    pub(crate) async fn advance(self, node: Node<'_>, from: u32) -> Result<Advanced, BrokerError> {
        self.advance_all(node.index(), node.followers(), from, Rival::Overtaken).await
    }

    fn roots(self) -> Vec<u32> {
        self.plan.nodes().filter(|node| is_root(*node)).map(Node::index).collect()
    }

    async fn advance_all(
        self,
        node: u32,
        followers: &[u32],
        mut from: u32,
        rival: Rival,
    ) -> Result<Advanced, BrokerError> {
        let mut values = None;
        loop {
            let advance = self.piece(node, followers, from, &mut values).await?;
            let answer = self.broker.advance(self.id(), &advance).await?;
            match answer {
                Advanced::Done if advance.last => return Ok(answer),
                Advanced::Done => from = advance.to,
                Advanced::Moved(to) if to != from && rival == Rival::Overtaken => from = to,
                answer => return Ok(answer),
            }
        }
    }

    /// The next piece: those that wait for this node alone begin, for the others it counts.
    async fn piece(
        self,
        node: u32,
        followers: &[u32],
        from: u32,
        values: &mut Option<Result<Values, NoValue>>,
    ) -> Result<Advance, BrokerError> {
        let (mut begin, mut counts, mut room, mut to) = (Vec::new(), Vec::new(), Room::default(), from as usize);
        let rest = followers.get(to..).unwrap_or_default();
        for follower in rest.iter().filter_map(|follower| self.plan.node(*follower)) {
            if begin.len() + counts.len() >= MAX_STEPS {
                break;
            }
            if follower.kind() == NodeKind::Join || follower.deps().len() > 1 {
                counts.push(Counts(follower.index(), follower.deps().len() as u32));
                to += 1;
                continue;
            }
            // Only the first that takes the value of this node asks for it.
            let known = match values.take() {
                Some(known) => known,
                None if needs(follower).is_empty() => Ok(Values::default()),
                None => self.values(needs(follower)).await?,
            };
            let made = self.make(follower, &known).await?;
            if !needs(follower).is_empty() {
                *values = Some(known);
            }
            if let Made::Job(job) = made {
                if !room.take(job.payload.len()) {
                    break;
                }
                begin.push(*job);
            }
            to += 1;
        }
        let last = to >= followers.len();
        Ok(Advance { node, from, to: to as u32, last, begin, counts })
    }
}
