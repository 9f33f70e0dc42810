//! What may end an attempt from outside: its time limit, its job's deadline, and what the worker is told of it.

use std::time::Duration;

use celeriac_core::{Cause, Ending, TaskError};

use crate::context::{Attempt, order};

/// How long a handler may go on after its job was revoked. It sees so at once; then its future is dropped, or its command killed.
pub(crate) const REVOKE_GRACE: Duration = Duration::from_secs(5);

/// The orders by which an attempt is given up.
const ANY: u8 = order::LOST | order::HAND_BACK | order::REVOKED;

/// Applies the time limit.
pub(crate) async fn within(limit: Option<Duration>, attempt: &Attempt, run: impl Future<Output = Ending>) -> Ending {
    let Some(limit) = limit else { return run.await };
    tokio::time::timeout(limit, run).await.unwrap_or_else(|_| {
        attempt.tell(order::OVER);
        let limit = celeriac_core::format_duration(limit);
        Ending::Failed { cause: Cause::TimedOut, error: TaskError::retry(format!("ran longer than {limit}")) }
    })
}

/// Applies the job's deadline.
pub(crate) async fn before(deadline: Option<Duration>, attempt: &Attempt, run: impl Future<Output = Ending>) -> Ending {
    let Some(deadline) = deadline else { return run.await };
    tokio::time::timeout(deadline, run).await.unwrap_or_else(|_| {
        attempt.tell(order::OVER);
        let error = TaskError::permanent("was still running at its deadline");
        Ending::Failed { cause: Cause::DeadlineExceeded, error }
    })
}

/// What becomes of an attempt that is given up.
#[derive(Debug)]
pub(crate) enum GivenUp {
    /// The job is not ours any more, and nothing is settled.
    Lost,
    /// It is handed back.
    HandedBack,
    /// It was revoked.
    Revoked,
}

impl GivenUp {
    /// What an attempt was told so far, before it begins.
    pub(crate) fn already(attempt: &Attempt) -> Option<Self> {
        Self::of(attempt.told(ANY))
    }

    /// Waits until an attempt that has not begun must not begin any more. There is nothing to clean up, so a revocation counts at once.
    pub(crate) async fn before_it_began(attempt: &Attempt) -> Self {
        Self::of(attempt.until_told(ANY).await).unwrap_or(Self::HandedBack)
    }

    fn of(told: u8) -> Option<Self> {
        match told {
            0 => None,
            told if told & order::LOST != 0 => Some(Self::Lost),
            told if told & order::HAND_BACK != 0 => Some(Self::HandedBack),
            _ => Some(Self::Revoked),
        }
    }
}

/// Waits until an attempt must be given up. Meanwhile it is told when its soft limit is over. A revoked one may go on for a moment.
pub(crate) async fn given_up(attempt: &Attempt, soft_limit: Option<Duration>) -> GivenUp {
    let told = match soft_limit {
        None => attempt.until_told(ANY).await,
        Some(limit) => match tokio::time::timeout(limit, attempt.until_told(ANY)).await {
            Ok(told) => told,
            Err(_) => {
                attempt.tell(order::SOFT_LIMIT);
                attempt.until_told(ANY).await
            }
        },
    };
    match GivenUp::of(told) {
        Some(GivenUp::Lost) => GivenUp::Lost,
        Some(GivenUp::HandedBack) => GivenUp::HandedBack,
        _ => {
            let sooner = attempt.until_told(order::LOST | order::HAND_BACK);
            match tokio::time::timeout(REVOKE_GRACE, sooner).await {
                Ok(told) if told & order::LOST != 0 => GivenUp::Lost,
                _ => GivenUp::Revoked,
            }
        }
    }
}
