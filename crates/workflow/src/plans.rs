//! Plans of workflows that are carried out, compiled once from what the store keeps.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use celeriac_broker::{Broker, BrokerError, WorkflowView};
use celeriac_core::canvas::{Limits, Plan, Workflow, compile};
use celeriac_core::{Timestamp, WorkflowId};

/// The version of the rules by which this program compiles descriptions. Indices of nodes stand in the store, so whatever changes them
/// needs another version.
pub const PLAN_VERSION: u32 = 1;

/// How many plans are kept, and about how much memory they may take together.
const MAX_PLANS: usize = 64;
const MAX_MEMORY: usize = 64 * 1024 * 1024;

/// A longer description is compiled on a thread where that disturbs nobody.
const LONG: usize = 64 * 1024;

/// The plans that were needed last.
#[derive(Debug, Default)]
pub struct Plans {
    /// The last used at the end.
    kept: Mutex<VecDeque<Kept>>,
}

#[derive(Debug)]
struct Kept {
    id: WorkflowId,
    /// An id may come again once its workflow was pruned.
    made_at: Timestamp,
    plan: Arc<Plan>,
}

impl Plans {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The plan of a workflow that was looked at; `None` if the store does not know it any more.
    ///
    /// # Errors
    /// What the store says, and [`BrokerError::Corrupt`] for a workflow that this version cannot read.
    pub async fn of(&self, broker: &dyn Broker, view: &WorkflowView) -> Result<Option<Arc<Plan>>, BrokerError> {
        if let Some(plan) = self.find(view) {
            return Ok(Some(plan));
        }
        let Some(plan) = Self::load(broker, view).await?.map(Arc::new) else { return Ok(None) };
        self.keep(view, &plan);
        Ok(Some(plan))
    }

    /// The same without keeping it.
    pub(crate) async fn load(broker: &dyn Broker, view: &WorkflowView) -> Result<Option<Plan>, BrokerError> {
        check_version(view)?;
        match broker.workflow_spec(&view.id).await? {
            Some(spec) => compiled(spec, view).await.map(Some),
            None => Ok(None),
        }
    }

    fn find(&self, view: &WorkflowView) -> Option<Arc<Plan>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let place = kept.iter().position(|kept| kept.id == view.id && kept.made_at == view.made_at)?;
        let found = kept.remove(place)?;
        let plan = Arc::clone(&found.plan);
        kept.push_back(found);
        Some(plan)
    }

    fn keep(&self, view: &WorkflowView, plan: &Arc<Plan>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|other| other.id != view.id);
        kept.push_back(Kept { id: view.id.clone(), made_at: view.made_at, plan: Arc::clone(plan) });
        let mut memory: usize = kept.iter().map(|kept| kept.plan.memory()).sum();
        while kept.len() > 1 && (kept.len() > MAX_PLANS || memory > MAX_MEMORY) {
            memory -= kept.pop_front().map_or(0, |oldest| oldest.plan.memory());
        }
    }
}

fn check_version(view: &WorkflowView) -> Result<(), BrokerError> {
    if view.version == PLAN_VERSION {
        return Ok(());
    }
    let (id, version) = (&view.id, view.version);
    let detail = format!("{id} has version {version}, and this program carries out version {PLAN_VERSION}");
    Err(corrupt(detail))
}

fn corrupt(detail: String) -> BrokerError {
    BrokerError::Corrupt { what: "a workflow", detail }
}

async fn compiled(spec: String, view: &WorkflowView) -> Result<Plan, BrokerError> {
    let id = view.id.clone();
    let is_long = spec.len() > LONG;
    let compile = move || {
        // Whoever stored it has checked it against limits that were valid then.
        let mut limits = Limits::default();
        (limits.steps, limits.spec_bytes, limits.payload_bytes) = (usize::MAX, usize::MAX, usize::MAX);
        let workflow = Workflow::from_json(spec.as_bytes(), &limits)?;
        compile(&workflow, &id, &limits)
    };
    let plan = if is_long {
        tokio::task::spawn_blocking(compile).await.map_err(|error| corrupt(format!("{}: {error}", view.id)))?
    } else {
        compile()
    };
    let plan = plan.map_err(|error| corrupt(format!("{}: {error}", view.id)))?;
    if plan.len() != view.nodes as usize {
        return Err(corrupt(format!("{} has {} nodes, and its description {}", view.id, view.nodes, plan.len())));
    }
    Ok(plan)
}
