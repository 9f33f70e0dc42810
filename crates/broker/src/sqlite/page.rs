//! Pages of the jobs in one state.
//!
//! A mark names the last row that was looked at by the values it is ordered by, so a page begins where the one before ended whatever
//! came or went meanwhile. Where there can be a million, an index has them in that order.

use celeriac_core::{JobId, State};
use rusqlite::{Row, ToSql};

use super::fault::Fault;
use super::inspect::show;
use super::rows::{StoredJob, select_jobs};
use super::scope::{View, integer};
use crate::views::{JobFilter, JobPage, PageMark};

/// Jobs that one page looks at.
const MAX_LOOKS: usize = 2000;

/// A page of the jobs in one state.
pub(super) fn page(view: &View<'_>, filter: &JobFilter, mark: Option<&PageMark>) -> Result<JobPage, Fault> {
    let mut mark = match mark {
        Some(mark) => Some(Mark::read(mark).ok_or_else(|| mark.refused())?),
        None => None,
    };
    let state = filter.state.unwrap_or(State::Queued);
    let mut look = Look { view, filter, state, page: JobPage::default(), looks: 0, last: None };
    if state != State::Queued {
        look.at(None, mark.as_ref())?;
        return Ok(look.end());
    }
    for queue in queues(view, filter)? {
        // Those before the queue of the mark were looked at.
        if mark.as_ref().is_some_and(|mark| queue < mark.queue) {
            continue;
        }
        let here = mark.take_if(|mark| mark.queue == queue);
        look.at(Some(&queue), here.as_ref())?;
        if look.is_full() {
            break;
        }
    }
    Ok(look.end())
}

fn queues(view: &View<'_>, filter: &JobFilter) -> Result<Vec<String>, Fault> {
    match &filter.queue {
        Some(queue) => Ok(vec![queue.as_str().to_owned()]),
        None => view.all(r#"SELECT name FROM "queues" ORDER BY name"#, [], |row| row.get(0)),
    }
}

/// A page that is being filled.
struct Look<'l> {
    view: &'l View<'l>,
    filter: &'l JobFilter,
    state: State,
    page: JobPage,
    looks: usize,
    /// The last row that was looked at.
    last: Option<Mark>,
}

impl Look<'_> {
    fn is_full(&self) -> bool {
        self.looks >= MAX_LOOKS || self.page.jobs.len() >= self.filter.limit
    }

    fn end(self) -> JobPage {
        let next = if self.is_full() { self.last.as_ref().map(Mark::written) } else { None };
        JobPage { next, ..self.page }
    }

    /// Looks at the rows behind a mark.
    fn at(&mut self, queue: Option<&str>, mark: Option<&Mark>) -> Result<(), Fault> {
        let fits = JobFilter { state: None, ..self.filter.clone() };
        let (first, second, id) = mark.map_or((None, 0, ""), |mark| (Some(mark.first), mark.second, mark.id.as_str()));
        let room = integer((MAX_LOOKS - self.looks) as u64);
        let values: [&dyn ToSql; 6] = [&first, &second, &id, &room, &self.state.as_str(), &queue];
        let view = self.view;
        view.visit(statement(self.state), &values[..], |row| {
            let stored = StoredJob::read(row)?;
            self.looks += 1;
            if let Some(id) = &stored.id {
                self.last = Some(Mark::of(row, self.state, id)?);
            }
            match stored.job {
                Ok(job) => self.page.jobs.extend(Some(show(job)).filter(|view| fits.fits(view))),
                Err(problem) => tracing::warn!(row = stored.row, problem, "left out a job whose row cannot be read"),
            }
            Ok(!self.is_full())
        })
    }
}

/// All statements take the same six values: the mark's three, the number of rows, the state and the queue.
fn statement(state: State) -> &'static str {
    match state {
        State::Scheduled | State::Retry => select_jobs!(
            "INDEXED BY \"jobs_due\" WHERE due_at IS NOT NULL AND (due_at, id) > (ifnull(?1, -1), ?3)
                AND ifnull(?6, '') = ifnull(?6, '')
            ORDER BY due_at, id LIMIT ?4"
        ),
        State::Dead => select_jobs!(
            "INDEXED BY \"jobs_died\" WHERE state = 'dead' AND (since, id) < (ifnull(?1, 9223372036854775807), ?3)
                AND ifnull(?6, '') = ifnull(?6, '')
            ORDER BY since DESC, id DESC LIMIT ?4"
        ),
        State::Queued => select_jobs!(
            "INDEXED BY \"jobs_ready\" WHERE state = 'queued' AND queue = ?6 AND (rank, seq) > (ifnull(?1, -100), ?2)
            ORDER BY rank, seq LIMIT ?4"
        ),
        _ => select_jobs!(
            "WHERE state = ?5 AND (since, id) < (ifnull(?1, 9223372036854775807), ?3)
                AND ifnull(?6, '') = ifnull(?6, '')
            ORDER BY since DESC, id DESC LIMIT ?4"
        ),
    }
}

/// The values by which a page is ordered, of its last row.
#[derive(Debug, PartialEq)]
struct Mark {
    first: i64,
    second: i64,
    queue: String,
    id: String,
}

impl Mark {
    fn of(row: &Row<'_>, state: State, id: &JobId) -> Result<Self, Fault> {
        let (first, second) = match state {
            State::Scheduled | State::Retry => (row.get("due_at")?, 0),
            State::Queued => (row.get("rank")?, row.get("seq")?),
            _ => (row.get("since")?, 0),
        };
        Ok(Self { first, second, queue: row.get("queue")?, id: id.to_string() })
    }

    fn written(&self) -> PageMark {
        PageMark(format!("{},{},{},{}", self.first, self.second, self.queue, self.id))
    }

    fn read(mark: &PageMark) -> Option<Self> {
        let mut parts = mark.0.splitn(4, ',');
        let (first, second) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        Some(Self { first, second, queue: parts.next()?.to_owned(), id: parts.next()?.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_mark_is_what_a_page_wrote_or_is_none(text in "-?[0-9]{1,19},-?[0-9]{1,19},[a-z]{0,5},[a-z]{0,5}|\\PC{0,80}") {
            if let Some(mark) = Mark::read(&PageMark(text)) {
                prop_assert_eq!(Mark::read(&mark.written()).unwrap(), mark);
            }
        }
    }
}
