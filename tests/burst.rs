//! When a worker in a burst may end by itself.

use std::time::Duration;

use celeriac::{Client, Context, TaskError, Tasks, Worker};
use celeriac_testkit::shared_redis;

#[celeriac::task("third_time")]
async fn third_time(context: Context) -> Result<u32, TaskError> {
    if context.attempt() < 3 {
        return Err(TaskError::retry_in(Duration::from_millis(1), "not yet"));
    }
    Ok(context.attempt())
}

/// An attempt may end while the answer to a fetch is under way that was asked when it still ran. That answer knows nothing of the retry.
/// Which of the two comes first is chance, so this is done many times; a worker that goes by such an answer leaves in some of them.
#[tokio::test(flavor = "multi_thread")]
async fn a_burst_runs_the_retries_of_its_last_job() {
    for _ in 0..20 {
        let client = Client::connect(&shared_redis().await.expose()).await.unwrap();
        client.enqueue(third_time {}).await.unwrap();
        let summary =
            Worker::builder(&client, Tasks::new().task::<third_time>()).burst(true).build().unwrap().run().await;
        assert_eq!(summary.unwrap().succeeded, 1);
    }
}
