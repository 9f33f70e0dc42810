//! Handing out jobs.

use celeriac_core::{JobId, Lease, Priority, QueueName, Record};

use super::fault::Fault;
use super::queues::{self, Kind};
use super::rows::{self, StoredJob, select_jobs};
use super::scope::{Scope, integer};
use super::session;
use crate::batch::{MAX_BATCH_BYTES, MAX_BATCH_JOBS};
use crate::delivery::{Delivery, FetchRequest, Fetched};
use crate::worker_session::Session;

/// What a fetch has found so far.
struct Haul {
    /// How many more jobs may be taken.
    room: usize,
    bytes: usize,
    /// Rows and their records.
    jobs: Vec<(i64, Record)>,
    unreadable: Vec<JobId>,
}

impl Haul {
    /// Whether a payload of this size may come along; a bigger one than a fetch can take goes alone.
    fn has_room_for(&self, bytes: usize) -> bool {
        self.jobs.is_empty() || self.bytes.saturating_add(bytes) <= MAX_BATCH_BYTES
    }
}

/// Hands out jobs: first a suspect if the worker can take one, else what is ready in the order of the queues.
pub(super) fn fetch(scope: &mut Scope<'_>, session: &Session, request: &FetchRequest) -> Result<Fetched, Fault> {
    session::check(scope, session)?;
    let open = open_queues(scope, &request.queues)?;
    let mut haul =
        Haul { room: request.max_jobs.min(MAX_BATCH_JOBS), bytes: 0, jobs: Vec::new(), unreadable: Vec::new() };
    if request.holds_nothing && haul.room > 0 {
        take_suspect(scope, &open, &mut haul)?;
    }
    if haul.jobs.is_empty() {
        take_ready(scope, &open, request.lowest_first, &mut haul)?;
    }
    let unreadable = std::mem::take(&mut haul.unreadable);
    let jobs = hand_out(scope, session, haul.jobs)?;
    let (mut more, mut suspects_waiting) = (false, false);
    for queue in &open {
        more = more || queues::has_ready(scope, queue, Kind::Ordinary)?;
        suspects_waiting = suspects_waiting || queues::has_ready(scope, queue, Kind::Suspect)?;
    }
    Ok(Fetched { jobs, now: scope.now(), next_due: scope.next_due()?, more, suspects_waiting, unreadable })
}

/// The queues asked for that are not paused, each once.
fn open_queues(scope: &Scope<'_>, asked: &[QueueName]) -> Result<Vec<QueueName>, Fault> {
    let mut open = Vec::with_capacity(asked.len());
    for queue in asked {
        if !open.contains(queue) && !queues::is_paused(scope, queue)? {
            open.push(queue.clone());
        }
    }
    Ok(open)
}

fn take_suspect(scope: &mut Scope<'_>, open: &[QueueName], haul: &mut Haul) -> Result<(), Fault> {
    for queue in open {
        take(scope, queue, &Which { kind: Kind::Suspect, priority: None, limit: 1 }, haul)?;
        if !haul.jobs.is_empty() || haul.room == 0 {
            break;
        }
    }
    Ok(())
}

fn take_ready(scope: &mut Scope<'_>, open: &[QueueName], lowest_first: bool, haul: &mut Haul) -> Result<(), Fault> {
    // The index has the most urgent first; the other way round each priority is asked for on its own.
    let priorities = if lowest_first { Priority::ALL.map(Some).to_vec() } else { vec![None] };
    for (queue, priority) in open.iter().flat_map(|queue| priorities.iter().map(move |priority| (queue, *priority))) {
        let which = Which { kind: Kind::Ordinary, priority, limit: haul.room };
        if haul.room == 0 || !take(scope, queue, &which, haul)? {
            break;
        }
    }
    Ok(())
}

/// What to take from a queue.
struct Which {
    kind: Kind,
    /// Jobs of this priority only; all, the most urgent first, if there is none.
    priority: Option<Priority>,
    limit: usize,
}

/// Takes from one queue; answers false if a job was too big to come along.
fn take(scope: &mut Scope<'_>, queue: &QueueName, which: &Which, haul: &mut Haul) -> Result<bool, Fault> {
    let sql = select_jobs!(
        "INDEXED BY \"jobs_ready\" WHERE state = 'queued' AND queue = ?1 AND rank BETWEEN ?2 AND ?3
        ORDER BY rank, seq LIMIT ?4"
    );
    let only = which.priority.map(|priority| -i64::from(priority.get()));
    let (lowest, highest) = only.map_or(which.kind.ranks(), |rank| (rank, rank));
    let values = (queue.as_str(), lowest, highest, integer(which.limit as u64));
    let mut unreadable = Vec::new();
    let mut fits = true;
    scope.visit(sql, values, |row| {
        let stored = StoredJob::read(row)?;
        match stored.job {
            Ok(job) => {
                fits = haul.has_room_for(job.record.payload.len());
                if fits {
                    haul.bytes += job.record.payload.len();
                    haul.jobs.push((stored.row, job.record));
                }
            }
            Err(problem) => unreadable.push((stored.row, stored.id, problem)),
        }
        haul.room = haul.room.saturating_sub(usize::from(fits));
        Ok(fits)
    })?;
    for (row, id, problem) in unreadable {
        rows::park_unreadable(scope, row, &problem)?;
        haul.unreadable.extend(id);
    }
    Ok(fits)
}

/// Notes the jobs as held under one new token, and begins or renews the lease.
fn hand_out(scope: &mut Scope<'_>, session: &Session, jobs: Vec<(i64, Record)>) -> Result<Vec<Delivery>, Fault> {
    if jobs.is_empty() {
        return Ok(Vec::new());
    }
    let fence = scope.next_fence();
    let holder = session.incarnation.as_str();
    for (row, _) in &jobs {
        let sql = r#"UPDATE "jobs" SET state = 'running', holder = ?2, fence = ?3 WHERE rowid = ?1"#;
        scope.execute(sql, (row, holder, integer(fence.get())))?;
    }
    session::renew_lease(scope, session)?;
    let lease = Lease { holder: session.incarnation.clone(), fence };
    Ok(jobs.into_iter().map(|(_, record)| Delivery { record, lease: lease.clone() }).collect())
}
