//! Pages of the jobs in one state.
//!
//! In a sorted set a mark is a score and an id, so a page begins where the one before ended whatever came or went meanwhile. In a list it
//! is a place, and what was taken from the front since is skipped.

use celeriac_core::{Priority, QueueName, State, TaskName, Timestamp};

use super::replies::read;
use super::store::RedisBroker;
use crate::error::BrokerError;
use crate::views::{JobFilter, JobPage, JobView, PageMark};

/// Jobs that one page looks at.
const MAX_LOOKS: usize = 2000;
/// Ids that are read at once.
const CHUNK: usize = 200;

/// A page that is being filled.
struct Look<'f> {
    filter: &'f JobFilter,
    jobs: Vec<JobView>,
    looks: usize,
}

impl Look<'_> {
    fn is_full(&self) -> bool {
        self.looks >= MAX_LOOKS || self.jobs.len() >= self.filter.limit
    }
}

/// Where a page ended: the place, which is a queue's list, a task or nothing; and how far it came there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Mark {
    place: String,
    list: usize,
    score: u64,
    id: String,
}

impl Mark {
    fn read(mark: &PageMark) -> Result<Self, BrokerError> {
        let parts: Vec<_> = mark.0.splitn(4, ',').collect();
        match parts.as_slice() {
            [place, list, score, id] => match (list.parse(), score.parse()) {
                // No instant is later than the last one, and no list is so long.
                (Ok(list), Ok(score)) if score <= Timestamp::MAX.as_millis() => {
                    Ok(Self { place: (*place).to_owned(), list, score, id: (*id).to_owned() })
                }
                _ => Err(mark.refused()),
            },
            _ => Err(mark.refused()),
        }
    }

    fn written(&self) -> PageMark {
        PageMark(format!("{},{},{},{}", self.place, self.list, self.score, self.id))
    }
}

/// Which way a sorted set is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    LowestFirst,
    HighestFirst,
}

impl RedisBroker {
    pub(super) async fn page_of(&self, filter: &JobFilter, mark: Option<&PageMark>) -> Result<JobPage, BrokerError> {
        let mark = mark.map(Mark::read).transpose()?;
        let mut look = Look { filter, jobs: Vec::new(), looks: 0 };
        let next = match filter.state.unwrap_or(State::Queued) {
            State::Queued => self.page_of_queues(&mut look, mark).await?,
            State::Scheduled | State::Retry => {
                self.page_of_set(&mut look, (String::new(), self.keys.scheduled()), Order::LowestFirst, mark).await?
            }
            State::Dead => {
                self.page_of_set(&mut look, (String::new(), self.keys.dead()), Order::HighestFirst, mark).await?
            }
            State::Parked => self.page_of_parked(&mut look, mark).await?,
            State::Running => {
                // What workers hold is bounded by their slots, so all of it is one page.
                look.jobs = self.list_jobs(filter).await?;
                None
            }
            _ => None,
        };
        Ok(JobPage { jobs: look.jobs, next: next.map(|mark| mark.written()) })
    }

    async fn page_of_parked(&self, look: &mut Look<'_>, mark: Option<Mark>) -> Result<Option<Mark>, BrokerError> {
        let mut tasks: Vec<TaskName> = match &look.filter.task {
            Some(task) => vec![task.clone()],
            None => self.parked_tasks().await?,
        };
        tasks.sort();
        let mut mark = mark;
        for task in tasks {
            if mark.as_ref().is_some_and(|mark| task.as_str() < mark.place.as_str()) {
                continue;
            }
            let here = mark.take_if(|mark| mark.place == task.as_str());
            let place = (task.as_str().to_owned(), self.keys.parked_of(&task));
            if let Some(mark) = self.page_of_set(look, place, Order::HighestFirst, here).await? {
                return Ok(Some(mark));
            }
        }
        Ok(None)
    }

    async fn page_of_set(
        &self,
        look: &mut Look<'_>,
        (place, key): (String, String),
        order: Order,
        mut mark: Option<Mark>,
    ) -> Result<Option<Mark>, BrokerError> {
        loop {
            let (found, more) = self.behind(&key, order, mark.as_ref()).await?;
            let ids: Vec<String> = found.iter().map(|(id, _)| id.clone()).collect();
            let mut views = self.readable(&ids).await?.into_iter().peekable();
            for (at, (id, score)) in found.into_iter().enumerate() {
                if let Some((_, record)) = views.next_if(|(place, _)| *place == at) {
                    let due = (order == Order::LowestFirst).then(|| Timestamp::from_millis(score));
                    add(look, JobView::waiting(record, due));
                }
                look.looks += 1;
                mark = Some(Mark { place: place.clone(), list: 0, score, id });
                if look.is_full() {
                    return Ok(mark);
                }
            }
            if !more {
                return Ok(None);
            }
        }
    }

    /// The next ids of a sorted set behind a mark, and whether there may be more. Between equal scores the ids decide, as in the set itself.
    async fn behind(
        &self,
        key: &str,
        order: Order,
        mark: Option<&Mark>,
    ) -> Result<(Vec<(String, u64)>, bool), BrokerError> {
        let (command, end) = match order {
            Order::LowestFirst => ("ZRANGEBYSCORE", "+inf"),
            Order::HighestFirst => ("ZREVRANGEBYSCORE", "-inf"),
        };
        let from = match (mark, order) {
            (Some(mark), _) => mark.score.to_string(),
            (None, Order::LowestFirst) => "-inf".to_owned(),
            (None, Order::HighestFirst) => "+inf".to_owned(),
        };
        let mut skip = 0;
        loop {
            let mut asked = redis::cmd(command);
            asked.arg(key).arg(&from).arg(end).arg("WITHSCORES").arg("LIMIT").arg(skip).arg(CHUNK);
            let mut found: Vec<(String, f64)> = read(self.pool.command(&asked).await?)?;
            let whole = found.len() == CHUNK;
            if let Some(mark) = mark {
                let passed = |id: &str| if order == Order::LowestFirst { id <= &*mark.id } else { id >= &*mark.id };
                found.retain(|(id, score)| *score as u64 != mark.score || !passed(id));
            }
            // Many jobs may have one score; those before the mark are skipped.
            if !found.is_empty() || !whole {
                return Ok((found.into_iter().map(|(id, score)| (id, score as u64)).collect(), whole));
            }
            skip += CHUNK;
        }
    }

    async fn page_of_queues(&self, look: &mut Look<'_>, mark: Option<Mark>) -> Result<Option<Mark>, BrokerError> {
        let queues = match &look.filter.queue {
            Some(queue) => vec![queue.clone()],
            None => self.registered_queues().await?.into_iter().map(|(queue, _)| queue).collect(),
        };
        let mut mark = mark;
        for queue in queues {
            if mark.as_ref().is_some_and(|mark| queue.as_str() < mark.place.as_str()) {
                continue;
            }
            let here = mark.take_if(|mark| mark.place == queue.as_str());
            let (first, mut from) = here.map_or((0, 0), |mark| (mark.list, mark.score));
            for (list, key) in self.lists_of(&queue).into_iter().enumerate().skip(first) {
                if let Some(score) = self.page_of_list(look, &key, from).await? {
                    let place = queue.as_str().to_owned();
                    return Ok(Some(Mark { place, list, score, id: String::new() }));
                }
                from = 0;
            }
        }
        Ok(None)
    }

    /// The lists of a queue in the order in which their jobs come.
    fn lists_of(&self, queue: &QueueName) -> Vec<String> {
        let ready = Priority::ALL.into_iter().rev().map(|priority| self.keys.ready(queue, priority));
        ready.chain([self.keys.suspects(queue)]).collect()
    }

    async fn page_of_list(&self, look: &mut Look<'_>, key: &str, from: u64) -> Result<Option<u64>, BrokerError> {
        let mut at = from;
        loop {
            let mut asked = redis::cmd("LRANGE");
            asked.arg(key).arg(at).arg(at + CHUNK as u64 - 1);
            let ids: Vec<String> = read(self.pool.command(&asked).await?)?;
            let mut views = self.readable(&ids).await?.into_iter().peekable();
            for place in 0..ids.len() {
                if let Some((_, record)) = views.next_if(|(found, _)| *found == place)
                    && record.state == State::Queued
                {
                    add(look, JobView::waiting(record, None));
                }
                look.looks += 1;
                at += 1;
                if look.is_full() {
                    return Ok(Some(at));
                }
            }
            if ids.len() < CHUNK {
                return Ok(None);
            }
        }
    }
}

fn add(look: &mut Look<'_>, view: JobView) {
    let any_state = JobFilter { state: None, ..look.filter.clone() };
    if any_state.fits(&view) {
        look.jobs.push(view);
    }
}

#[cfg(test)]
mod tests {
    use celeriac_core::JobId;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_written_and_others_are_refused() {
        let mark = Mark { place: "a:b".into(), list: 3, score: 1_764_000_000_000, id: JobId::generate().to_string() };
        assert_eq!(Mark::read(&mark.written()).unwrap(), mark);
        for bad in ["", "x", "a,b,c,d", "1,2,3"] {
            assert!(Mark::read(&PageMark(bad.to_owned())).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn a_mark_is_what_a_page_wrote_or_is_refused(text in "[a-z]{0,5},[0-9]{1,20},([0-9]{1,20}|18446744073709551[56][0-9]{2}),[a-z]{0,5}|\\PC{0,80}") {
            match Mark::read(&PageMark(text)) {
                Ok(mark) => {
                    prop_assert_eq!(&Mark::read(&mark.written()).unwrap(), &mark);
                    prop_assert!(mark.score.checked_add(CHUNK as u64).is_some());
                }
                Err(error) => prop_assert!(error.to_string().len() < 1000),
            }
        }
    }
}
