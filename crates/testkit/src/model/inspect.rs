//! The operator's side of the model.

use std::cmp::Reverse;

use celeriac_broker::{BrokerError, JobFilter, JobPage, JobView, PageMark, QueueView, WorkerView};
use celeriac_core::{JobId, QueueName, State};

use super::places::{Job, Place};
use super::store::{Store, Worker};

impl Store {
    pub(crate) fn job(&self, id: &JobId) -> Option<JobView> {
        match self.jobs.get(id) {
            Some(job) => Some(view(job)),
            None => self.end(id).cloned().map(JobView::ended),
        }
    }

    pub(crate) fn list(&self, filter: &JobFilter) -> Vec<JobView> {
        let wanted = |job: &Job| filter.fits(&view(job));
        let listed = self.select(|job| wanted(job).then(|| (job.state(), Reverse(job.record.since))));
        listed.iter().take(filter.limit).map(view).collect()
    }

    /// Pages of the model are counted: a mark is how many jobs came before.
    pub(crate) fn page(&self, filter: &JobFilter, mark: Option<&PageMark>) -> Result<JobPage, BrokerError> {
        let before = match mark {
            Some(mark) => {
                mark.to_string().parse().map_err(|_| BrokerError::Invalid(format!("{mark} is no page mark")))?
            }
            None => 0,
        };
        let state = filter.state.unwrap_or(State::Queued);
        let listed: Vec<_> = match state {
            State::Scheduled | State::Retry => self.select(|job| Some((job.due()?, job.id().clone()))),
            State::Dead => {
                self.select(|job| (job.state() == state).then(|| Reverse((job.record.since, job.id().clone()))))
            }
            _ => self.select(|job| {
                let order = (job.record.queue.clone(), Reverse(job.record.priority), job.turn(), job.record.since);
                (job.state() == state).then_some(order)
            }),
        };
        let mut any_state = filter.clone();
        any_state.state = None;
        let fitting: Vec<_> = listed.iter().map(view).filter(|view| any_state.fits(view)).collect();
        let jobs: Vec<_> = fitting.iter().skip(before).take(filter.limit).cloned().collect();
        let end = before + jobs.len();
        let next = (end < fitting.len()).then(|| PageMark::from(end.to_string()));
        Ok(JobPage { jobs, next })
    }

    pub(crate) fn queue_views(&self) -> Vec<QueueView> {
        self.queues.iter().map(|queue| self.queue_view(queue)).collect()
    }

    fn queue_view(&self, queue: &QueueName) -> QueueView {
        let mut view = QueueView::empty(queue.clone());
        view.paused = self.paused.contains(queue);
        for job in self.jobs.values().filter(|job| job.record.queue == *queue) {
            let count = match job.place {
                Place::Ready { .. } => &mut view.ready,
                Place::Scheduled { .. } => &mut view.scheduled,
                Place::Running { .. } => &mut view.running,
                Place::Dead { .. } => &mut view.dead,
                Place::Parked => &mut view.parked,
            };
            *count += 1;
            if job.is_ready_in(queue) {
                view.oldest = Some(view.oldest.map_or(job.record.since, |oldest| oldest.min(job.record.since)));
            }
        }
        view
    }

    pub(crate) fn worker_views(&self) -> Vec<WorkerView> {
        let view = |worker: &Worker| {
            let registration = &worker.registration;
            let mut view =
                WorkerView::new(registration.incarnation.clone(), registration.host.clone(), registration.pid);
            view.queues.clone_from(&registration.queues);
            view.tasks.clone_from(&registration.tasks);
            view.running = self.held(&registration.incarnation).len() as u64;
            view
        };
        self.workers.values().filter(|worker| worker.expires > self.now).map(view).collect()
    }

    pub(crate) fn set_paused(&mut self, queue: &QueueName, paused: bool) {
        self.queues.insert(queue.clone());
        if paused {
            self.paused.insert(queue.clone());
        } else {
            self.paused.remove(queue);
        }
    }
}

fn view(job: &Job) -> JobView {
    match &job.place {
        Place::Running { holder, fence } => JobView::running(job.record.clone(), holder, *fence),
        _ => JobView::waiting(job.record.clone(), job.due()),
    }
}
