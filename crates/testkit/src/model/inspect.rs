//! The operator's side of the model.

use std::cmp::Reverse;

use celeriac_broker::{JobFilter, JobView, QueueView, WorkerView};
use celeriac_core::{JobId, QueueName};

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
        let wanted = |job: &Job| {
            filter.state.is_none_or(|state| state == job.state())
                && filter.queue.as_ref().is_none_or(|queue| *queue == job.record.queue)
                && filter.task.as_ref().is_none_or(|task| *task == job.record.task)
        };
        let listed = self.select(|job| wanted(job).then(|| (job.state(), Reverse(job.record.since))));
        listed.iter().take(filter.limit).map(view).collect()
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
