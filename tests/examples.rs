//! The small examples, run to their end on both stores. `flights` has a test of its own.
#![expect(clippy::unwrap_used, reason = "a step that fails ends its test, in helpers too")]

#[path = "support/example.rs"]
mod example;

use std::process::Command;

use celeriac_testkit::shared_redis;

/// What an example prints on the embedded store and on Redis; the same lines, or this fails.
async fn prints(name: &str) -> String {
    // Ids differ from run to run.
    prints_as(name, without_id).await
}

/// The same, of each line what does not differ from run to run.
async fn prints_as(name: &str, same: impl Fn(&str) -> String) -> String {
    let redis = shared_redis().await.expose();
    let [embedded, redis] = [vec![], vec![redis.as_str()]].map(|arguments| {
        let output = example::run(name, &arguments);
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| same(line) + "\n").collect::<String>()
    });
    assert_eq!(sorted(&embedded), sorted(&redis), "{name}");
    embedded
}

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<_> = text.lines().collect();
    lines.sort_unstable();
    lines
}

fn without_id(line: &str) -> String {
    let words = line.split(' ').map(|word| if word.len() == 22 { "ID" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn hello_greets() {
    assert_eq!(prints("hello").await, "Hello, Ada!\n");
}

#[tokio::test]
async fn retry_tries_again_unless_the_error_is_permanent() {
    assert_eq!(
        prints("retry").await,
        "attempt 1 to call 555-0100\n\
         attempt 2 to call 555-0100\n\
         attempt 3 to call 555-0100\n\
         555-0100 answered\n\
         job ID is dead after 1 attempts: there is no card to charge\n\
         1 succeeded, 2 retried, 1 dead\n"
    );
}

#[tokio::test]
async fn delayed_runs_what_is_due_later_before_it_ends() {
    // On a machine that stalls for a second two of the jobs are due at once, and then their order is open.
    let text = prints("delayed").await;
    let lines = sorted(&text);
    let reminders = ["do not forget: the tea", "do not forget: the train", "do not forget: to look around"];
    assert_eq!(lines.split_last(), Some((&"the tea is scheduled", reminders.as_slice())), "{text}");
}

#[tokio::test]
async fn state_is_shared_by_all_jobs_of_a_worker() {
    assert_eq!(prints("state").await, "the: 3, dog: 2\n");
}

#[tokio::test]
async fn a_task_needs_no_macro() {
    assert_eq!(prints("without_macro").await, "job ID of queue arithmetic\n42\n");
}

#[tokio::test]
async fn blocking_work_runs_beside_async_tasks() {
    assert_eq!(prints("blocking").await, "Hello, Ada!\n5133 primes\n");
}

#[tokio::test]
async fn middleware_counts_and_guards() {
    let text = prints("middleware").await;
    assert_eq!(sorted(&text), ["2 succeeded, 1 failed", "mail to Ada", "mail to Grace"]);
}

#[tokio::test]
async fn a_task_learns_why_it_is_cancelled() {
    assert_eq!(
        prints("cancel").await,
        "slow.example: SoftTimeout\n\
         it kept 0 pages\n\
         unwanted.example: Revoked\n\
         there is no result\n\
         unfinished.example: Shutdown\n\
         1 handed back\n"
    );
}

#[tokio::test]
async fn priorities_are_kept_and_equals_come_in_order() {
    assert_eq!(
        prints("priorities").await,
        "sent: reset your password\n\
         sent: the alarm went off\n\
         sent: your receipt\n\
         sent: your invoice\n\
         sent: the newsletter\n"
    );
}

#[tokio::test]
async fn a_second_job_with_a_unique_key_is_refused_while_the_first_has_not_ended() {
    assert_eq!(
        prints("unique").await,
        "requested: job ID\n\
         on its way already: job ID\n\
         requested: job ID\n\
         the report of 2026-01 is made\n\
         the report of 2026-02 is made\n\
         requested: job ID\n"
    );
}

#[tokio::test]
async fn progress_is_seen_while_the_job_runs() {
    // How far it was when a line was seen depends on the machine.
    let text = prints_as("progress", |line| line.rsplit(" % ").next().unwrap_or(line).to_owned()).await;
    assert_eq!(text, "reading stars.csv\nreading planets.csv\nreading moons.csv\n3 files imported\n");
}

#[tokio::test]
async fn images_are_published_when_all_that_is_made_of_them_is_there() {
    assert_eq!(
        prints("images").await,
        "publish: /tmp/fjord.jpg@200, /tmp/fjord.jpg@800, /tmp/fjord.jpg@2000 by Rolleiflex\n6 steps, succeeded\n"
    );
}

#[tokio::test]
async fn a_saga_undoes_what_had_succeeded() {
    assert_eq!(
        prints("saga").await,
        "booked a place for order 1\n\
         charged 80\n\
         shipped order 1\n\
         booked a place for order 2\n\
         order.charge failed: the card does not cover 500\n\
         the place is given back\n\
         nothing is left of order 2\n"
    );
}

#[test]
fn an_application_tests_what_it_enqueues() {
    let output = example::run("testing", &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "3 tests passed\n");
}

#[test]
fn the_command_task_of_the_manual_counts_words() {
    let folder = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}", folder.path().join("queue.db").display());
    let celeriac = |arguments: &[&str]| {
        let commands = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/commands");
        let mut command = Command::new(env!("CARGO_BIN_EXE_celeriac"));
        let output = command.args(["--broker", &store]).args(arguments).current_dir(commands).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    celeriac(&["enqueue", "word-count", "\"one two three\"", "--id", "words"]);
    celeriac(&["worker", "--burst"]);
    assert_eq!(celeriac(&["result", "words"]), "{\"words\": 3}\n");
}

#[test]
fn the_workflow_of_the_manual_counts_and_adds() {
    let folder = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}", folder.path().join("queue.db").display());
    let celeriac = |arguments: &[&str]| {
        let workflow = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/workflow");
        let mut command = Command::new(env!("CARGO_BIN_EXE_celeriac"));
        let output = command.args(["--broker", &store]).args(arguments).current_dir(workflow).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    celeriac(&["workflow", "run", "workflow.json", "--id", "count"]);
    celeriac(&["worker", "--burst"]);
    assert_eq!(celeriac(&["result", "count"]), "\"5 words\"\n");
    assert!(celeriac(&["workflow", "show", "count"]).contains("4 succeeded"));
}

#[tokio::test]
async fn cron_skips_what_is_due_while_one_is_running() {
    // How many there were until the third had ended depends on the machine.
    let is_number = |word: &&str| word.parse::<u32>().is_ok();
    let text = prints_as("cron", |line| match line.strip_suffix(" is done") {
        Some(_) => line.to_owned(),
        None => line.split(' ').map(|word| if is_number(&word) { "N" } else { word }).collect::<Vec<_>>().join(" "),
    });
    assert_eq!(
        text.await,
        "backup 1 is done\nbackup 2 is done\nbackup 3 is done\nN were enqueued, N skipped while one was running\n"
    );
}

/// A process that is killed by its id when the test forgets it.
struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_crontab_of_the_manual_runs_its_commands() {
    let folder = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}", folder.path().join("queue.db").display());
    let crontab = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/crontab");
    let celeriac = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_celeriac"));
        command.args(["--broker", &store]).args(arguments).current_dir(crontab);
        command
    };
    let answer = |arguments: &[&str]| {
        let output = celeriac(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let worker = celeriac(&["worker", "--beat"]).stderr(std::process::Stdio::null()).spawn().unwrap();
    let _worker = Killed(worker);
    let began = std::time::Instant::now();
    let listed = loop {
        let listed = answer(&["schedule", "list"]);
        if listed.contains("succeeded") {
            break listed;
        }
        // Only guards against waiting for ever.
        assert!(began.elapsed().as_secs() < 60, "waited in vain: {listed}");
    };
    assert!(listed.contains("30 2 * * * in Europe/Berlin"), "{listed}");
    let id = answer(&["schedule", "run", "backup"]);
    assert_eq!(answer(&["result", id.trim(), "--wait"]), "\"2 files of . are safe\"\n");
}
