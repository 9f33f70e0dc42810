//! What a worker keeps when its calls fail.

use std::sync::Arc;

use celeriac_broker::{Broker, Fault, FaultyBroker, Operation};
use celeriac_worker::Tasks;

use crate::support::{Answer, AtWork, Probe, end, enqueue, probes, store};

/// An earlier reconcile comes late and makes the session old in which a lost hand-out is handed back. The worker is still registered.
#[tokio::test]
async fn a_late_reconcile_costs_neither_the_registration_nor_a_job() {
    let faulty = Arc::new(FaultyBroker::new(store().await));
    let store: Arc<dyn Broker> = Arc::clone(&faulty) as _;
    let ids = enqueue(&store, probes(1)).await;
    faulty.fail_next(Operation::Exchange, Fault::AnswerLost);
    faulty.fail_next(Operation::Settle, Fault::SessionLost);
    let tasks = Tasks::new().handle(|probe: Probe| async move { Answer::Ok(probe.number) });
    let worker = AtWork::start(&store, tasks, |worker| worker);
    let outcome = end(&store, &ids[0]).await;
    assert_eq!((outcome.attempt, outcome.losses), (1, 0));
    worker.stop().await;
    assert_eq!(faulty.calls(Operation::Register), 1);
}
