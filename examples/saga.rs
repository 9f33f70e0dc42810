//! A saga: book, charge, ship. When a step fails for good, the failure handler undoes what had succeeded, the latest first.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use celeriac::canvas::{Failure, next, step};
use celeriac::{Client, Context, NodeState, State, TaskError, TaskName, Tasks, Worker, task};
use serde::{Deserialize, Serialize};

/// What is handed from step to step.
#[derive(Serialize, Deserialize)]
struct Order {
    id: String,
    amount: u32,
}

#[task("order.book")]
async fn book(order: Order) -> Result<Order, TaskError> {
    println!("booked a place for order {}", order.id);
    Ok(order)
}

/// The demonstration ends here: a permanent error is not tried again.
#[task("order.charge", retries = 3)]
async fn charge(order: Order) -> Result<Order, TaskError> {
    if order.amount > 100 {
        return Err(TaskError::permanent(format!("the card does not cover {}", order.amount)));
    }
    println!("charged {}", order.amount);
    Ok(order)
}

#[task("order.ship")]
async fn ship(order: Order) -> Result<String, TaskError> {
    Ok(format!("shipped order {}", order.id))
}

/// Undoes what had succeeded. It may run more than once, like any job, so each undoing must be harmless when repeated.
#[task("order.undo", retries = 10)]
async fn undo(failure: Failure, context: Context, client: State<Client>) -> Result<(), TaskError> {
    println!("{} failed: {}", failure.task, failure.error);
    let Some(workflow) = context.workflow().cloned() else { return Ok(()) };
    let Some(sight) = client.workflow(workflow).sight().await? else { return Ok(()) };
    for step in sight.nodes.iter().rev().filter(|step| step.state == NodeState::Succeeded) {
        match step.task.as_ref().map(TaskName::as_str) {
            Some("order.book") => println!("the place is given back"),
            Some("order.charge") => println!("the money is given back"),
            _ => {}
        }
    }
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let store = std::env::args().nth(1).unwrap_or("sqlite::memory:".into());
    let client = Client::connect(&store).await?;
    let tasks = Tasks::new().task::<book>().task::<charge>().task::<ship>().task::<undo>().state(client.clone());
    let worker = Worker::builder(&client, tasks).build()?;
    let handle = worker.handle();
    let worker = tokio::spawn(worker.run());
    for (id, amount) in [("1", 80), ("2", 500)] {
        let order = Order { id: id.to_owned(), amount };
        let saga = step(book { order }).then(next::<charge>()).then(next::<ship>());
        let saga = client.run(saga).on_failure(next::<undo>()).await?;
        match saga.result().await {
            Ok(shipped) => println!("{shipped}"),
            Err(_) => {
                let undone = client.handle::<undo>(format!("{}:on_failure", saga.id()).parse()?);
                undone.result().await?;
                println!("nothing is left of order {id}");
            }
        }
    }
    handle.stop();
    worker.await??;
    Ok(())
}
