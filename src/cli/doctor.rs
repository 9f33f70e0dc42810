//! `doctor`: looks at the store and at what happens in it, and says what is wrong and what to do.

mod schedules;
mod traffic;

use std::time::SystemTime;

use celeriac_broker::{Finding, Grade, JobFilter};
use celeriac_core::State;
use serde::Serialize;

use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{age, print, print_json, printable};
use crate::cli::run::Setting;
use crate::cli::schedule::sight;
use crate::cli::store::Store;

/// Ready jobs that are looked at in each queue, for the tasks they need.
const SAMPLE: usize = 200;

/// Clocks that differ by more are worth a word.
const SKEW_MS: u64 = 2_000;

pub(crate) async fn run(setting: &Setting) -> Result<(), Failure> {
    let store = Store::open(&setting.url).await?;
    let mut findings = vec![Finding::good("store", format!("{store} is reached"))];
    findings.extend(store.ask(store.broker.checkup()).await?.findings);
    findings.push(clock(&store).await?);
    findings.extend(traffic(&store).await?);
    findings.extend(schedules::findings(&sight::all(&store).await?));
    let bad = findings.iter().filter(|finding| finding.grade >= Grade::Bad).count();
    if setting.json {
        print_json(&Answer::new(&store, &findings))?;
    } else {
        print(&lines(&findings))?;
    }
    match bad {
        0 => Ok(()),
        1 => Err(Failure::new(Exit::Failed, format!("one check of {store} failed"))),
        bad => Err(Failure::new(Exit::Failed, format!("{bad} checks of {store} failed"))),
    }
}

/// Compares this machine's clock with the store's, at the middle of a question.
async fn clock(store: &Store) -> Result<Finding, Failure> {
    let before = millis();
    let theirs = store.ask(store.broker.now()).await?.as_millis();
    let ours = before + millis().saturating_sub(before) / 2;
    Ok(skew(ours, theirs))
}

fn millis() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn skew(ours: u64, theirs: u64) -> Finding {
    let apart = ours.abs_diff(theirs);
    if apart <= SKEW_MS {
        return Finding::good("clock", "this machine's clock and the store's agree");
    }
    let direction = if ours < theirs { "behind" } else { "ahead of" };
    let by = age(std::time::Duration::from_millis(apart));
    Finding::doubtful(
        "clock",
        format!("this machine's clock is {by} {direction} the store's, which decides; logs differ"),
    )
    .advise("synchronise both clocks (NTP)")
}

/// What is in the queues, who serves them, and what nobody runs.
async fn traffic(store: &Store) -> Result<Vec<Finding>, Failure> {
    let queues = store.ask(store.broker.queues()).await?;
    let workers = store.ask(store.broker.workers()).await?;
    let now = store.ask(store.broker.now()).await?;
    let mut ready = Vec::new();
    for view in queues.iter().filter(|view| view.ready > 0) {
        let mut filter = JobFilter::default();
        (filter.state, filter.queue, filter.limit) = (Some(State::Queued), Some(view.name.clone()), SAMPLE);
        ready.extend(store.ask(store.broker.jobs(&filter)).await?.into_iter().map(|job| (job.queue, job.task)));
    }
    Ok(traffic::findings(&traffic::Traffic { queues, workers, ready, now }))
}

fn word(grade: Grade) -> &'static str {
    match grade {
        Grade::Good => "ok",
        Grade::Doubtful => "warn",
        _ => "FAIL",
    }
}

/// One line for each finding; what is to be done follows an arrow.
fn lines(findings: &[Finding]) -> String {
    let width = findings.iter().map(|finding| finding.check.chars().count()).max().unwrap_or(0);
    let line = |finding: &Finding| {
        let advice = finding.advice.as_ref().map(|advice| format!(" -> {advice}")).unwrap_or_default();
        let Finding { check, grade, detail, .. } = finding;
        let text = format!("{:<4}  {check:<width$}  {detail}{advice}", word(*grade));
        format!("{}\n", printable(&text).replace('\n', " "))
    };
    findings.iter().map(line).collect()
}

/// What `--json` answers.
#[derive(Debug, Serialize)]
struct Answer<'f> {
    store: String,
    ok: bool,
    checks: Vec<Check<'f>>,
}

#[derive(Debug, Serialize)]
struct Check<'f> {
    check: &'f str,
    grade: String,
    detail: &'f str,
    advice: Option<&'f str>,
}

impl<'f> Answer<'f> {
    fn new(store: &Store, findings: &'f [Finding]) -> Self {
        let check = |finding: &'f Finding| Check {
            check: finding.check,
            grade: word(finding.grade).to_lowercase(),
            detail: &finding.detail,
            advice: finding.advice.as_deref(),
        };
        let ok = findings.iter().all(|finding| finding.grade < Grade::Bad);
        Self { store: store.to_string(), ok, checks: findings.iter().map(check).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_finding_is_one_line_with_what_to_do() {
        let findings = [Finding::good("a", "fine"), Finding::bad("longer", "two\nlines").advise("mend it"), skew(0, 0)];
        let text = lines(&findings);
        let expected = "ok    a       fine\nFAIL  longer  two lines -> mend it\n";
        assert!(text.starts_with(expected) && text.lines().count() == 3, "{text}");
    }

    #[test]
    fn clocks_are_compared_in_words() {
        assert_eq!(skew(10_000, 11_999).grade, Grade::Good);
        let behind = skew(0, 180_000);
        assert_eq!(behind.grade, Grade::Doubtful);
        assert!(behind.detail.contains("is 3m behind the store's"), "{}", behind.detail);
        assert!(skew(180_000, 0).detail.contains("is 3m ahead of the store's"));
    }
}
