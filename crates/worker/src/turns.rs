//! Which queue comes first in a call for jobs.

use celeriac_core::QueueName;

/// How it is decided which queue comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum QueueOrder {
    /// In turn, each as often as its weight says: no queue starves.
    #[default]
    Weighted,
    /// As they were named: a queue is served only while those before it are empty.
    Strict,
}

/// The queues of a worker and whose turn it is: smooth weighted round robin, as nginx spreads requests over servers. Each turn adds its
/// weight to every queue's credit; the queue with the most comes first and pays the sum of all weights. So a queue of weight 3 beside one of 1
/// comes first three times in four, and not three times in a row more often than it must.
#[derive(Debug, Clone)]
pub(crate) struct Turns {
    queues: Vec<QueueName>,
    weights: Vec<u32>,
    credit: Vec<i64>,
    order: QueueOrder,
}

impl Turns {
    pub(crate) fn new(queues: Vec<(QueueName, u32)>, order: QueueOrder) -> Self {
        let credit = vec![0; queues.len()];
        let (queues, weights) = queues.into_iter().unzip();
        Self { queues, weights, credit, order }
    }

    /// The queues as they were named.
    pub(crate) fn queues(&self) -> &[QueueName] {
        &self.queues
    }

    /// The queues in the order of the next call: behind the first one follow those named after it, and then those before.
    pub(crate) fn next(&mut self) -> Vec<QueueName> {
        let mut queues = self.queues.clone();
        if self.order == QueueOrder::Weighted {
            queues.rotate_left(self.first());
        }
        queues
    }

    fn first(&mut self) -> usize {
        let sum: i64 = self.weights.iter().map(|weight| i64::from(*weight)).sum();
        self.credit.iter_mut().zip(&self.weights).for_each(|(credit, weight)| *credit += i64::from(*weight));
        // Of several with the most credit the one named first.
        let most = self.credit.iter().copied().max().unwrap_or_default();
        let first = self.credit.iter().position(|credit| *credit == most).unwrap_or_default();
        if let Some(credit) = self.credit.get_mut(first) {
            *credit -= sum;
        }
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn firsts(queues: &[(&str, u32)], order: QueueOrder, calls: usize) -> String {
        let named = queues.iter().map(|(name, weight)| (QueueName::new(name).unwrap(), *weight)).collect();
        let mut turns = Turns::new(named, order);
        (0..calls).map(|_| turns.next()[0].to_string()).collect()
    }

    #[test]
    fn equal_queues_come_first_in_turn() {
        assert_eq!(firsts(&[("a", 1), ("b", 1), ("c", 1)], QueueOrder::Weighted, 6), "abcabc");
        assert_eq!(firsts(&[("a", 1)], QueueOrder::Weighted, 3), "aaa");
    }

    #[test]
    fn a_heavy_queue_comes_first_as_often_as_it_weighs_and_not_in_one_run() {
        let firsts = firsts(&[("a", 5), ("b", 1), ("c", 1)], QueueOrder::Weighted, 7);
        assert_eq!(firsts, "aabacaa");
    }

    #[test]
    fn a_strict_order_stays() {
        assert_eq!(firsts(&[("a", 1), ("b", 9)], QueueOrder::Strict, 4), "aaaa");
    }

    #[test]
    fn all_queues_are_in_each_call() {
        let named = ["a", "b", "c"].map(|name| (QueueName::new(name).unwrap(), 1)).into();
        let mut turns = Turns::new(named, QueueOrder::Weighted);
        turns.next();
        assert_eq!(turns.next().iter().map(ToString::to_string).collect::<String>(), "bca");
    }
}
