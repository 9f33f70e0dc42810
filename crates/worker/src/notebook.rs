//! Moves what handlers tell (progress and lines of a log) from their attempts to the store, a few times a second at most.
//!
//! Telling never waits: it leaves the news at the attempt and the attempt in this book. What a job told last is sent before its end is
//! settled, because a store takes notes only from who holds the job.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use celeriac_broker::{BrokerError, Note};
use celeriac_core::{MAX_LOG_LINES, Progress};
use tokio::sync::Notify;

use crate::context::Attempt;
use crate::post::{Post, pause};

/// How long news wait for others to go along.
const GATHER: Duration = Duration::from_millis(250);
/// The most jobs whose notes go in one call.
const MOST_AT_ONCE: usize = 100;
/// How long the end of a job waits for its last notes to be kept.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What an attempt has told and the store does not have yet.
#[derive(Debug, Default)]
pub(crate) struct News {
    progress: Option<Progress>,
    lines: Vec<String>,
    /// The attempt is in the book.
    listed: bool,
}

impl News {
    fn is_empty(&self) -> bool {
        self.progress.is_none() && self.lines.is_empty()
    }

    /// Keeps the newest lines only, as the store does.
    fn trim(&mut self) {
        let excess = self.lines.len().saturating_sub(MAX_LOG_LINES);
        self.lines.drain(..excess);
    }
}

/// The attempts that have news.
#[derive(Debug, Default)]
pub(crate) struct Notebook {
    attempts: Mutex<Vec<Arc<Attempt>>>,
    arrived: Notify,
}

impl Notebook {
    /// Notes how far an attempt is; of several the last counts.
    pub(crate) fn progress(&self, attempt: &Arc<Attempt>, progress: Progress) {
        self.tell(attempt, |news| news.progress = Some(progress));
    }

    /// Notes a line of an attempt's log.
    pub(crate) fn line(&self, attempt: &Arc<Attempt>, line: String) {
        self.tell(attempt, |news| {
            news.lines.push(line);
            news.trim();
        });
    }

    fn tell(&self, attempt: &Arc<Attempt>, add: impl FnOnce(&mut News)) {
        let mut news = attempt.news();
        add(&mut news);
        if !std::mem::replace(&mut news.listed, true) {
            self.lock().push(Arc::clone(attempt));
            self.arrived.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Attempt>>> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends notes until the worker ends.
pub(crate) async fn run(post: Arc<Post>) {
    loop {
        tokio::select! {
            () = post.signals.end.cancelled() => return,
            () = post.notebook.arrived.notified() => {}
        }
        if !pause(GATHER, &post.signals.end).await {
            return;
        }
        let attempts = std::mem::take(&mut *post.notebook.lock());
        for some in attempts.chunks(MOST_AT_ONCE) {
            send(&post, some).await;
        }
    }
}

/// Sends what a job told last, before its end is settled.
pub(crate) async fn last_words(post: &Post, attempt: &Arc<Attempt>) {
    let sent = tokio::time::timeout(LAST_WORDS, send(post, std::slice::from_ref(attempt))).await;
    if sent.is_err() {
        tracing::warn!(job = %attempt.job_id, "the last notes of the job could not be kept");
    }
}

async fn send(post: &Post, attempts: &[Arc<Attempt>]) {
    let mut notes = Vec::with_capacity(attempts.len());
    for attempt in attempts {
        let mut news = attempt.news();
        news.listed = false;
        if !news.is_empty() {
            let (progress, lines) = (news.progress.take(), std::mem::take(&mut news.lines));
            notes.push(Note { id: attempt.job_id.clone(), fence: attempt.fence, progress, lines });
        }
    }
    if notes.is_empty() {
        return;
    }
    let sent = match post.session.current() {
        Some(session) => post.broker.note(&session, &notes).await,
        None => Err(BrokerError::SessionLost),
    };
    if let Err(error) = sent {
        // They wait for the next news of their job, or for its end. After a lost answer lines may appear twice.
        tracing::debug!(%error, jobs = notes.len(), "notes of jobs could not be kept yet");
        for note in notes {
            if let Some(attempt) = attempts.iter().find(|attempt| attempt.job_id == note.id) {
                put_back(attempt, note);
            }
        }
    }
}

fn put_back(attempt: &Attempt, note: Note) {
    let mut news = attempt.news();
    if news.progress.is_none() {
        news.progress = note.progress;
    }
    let newer = std::mem::replace(&mut news.lines, note.lines);
    news.lines.extend(newer);
    news.trim();
}
