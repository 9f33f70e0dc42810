//! A TCP proxy on 127.0.0.1 in front of a redis-server, for tests of what a network does when it fails at the worst moment.
//!
//! It knows where commands and answers begin and end, so it can lose the answer to one command, cut another in its middle, answer in the
//! server's place, hold everything back, or switch to another server.
//!
//! ```no_run
//! use celeriac_fault_proxy::{Commands, Fault, FaultProxy, Plan, Rule};
//!
//! # async fn example() -> std::io::Result<()> {
//! let proxy = FaultProxy::start(6379).await?;
//! println!("connect to port {}", proxy.port());
//!
//! // An order: the next SET is carried out and its answer does not come back.
//! let lost = proxy.set(Rule::new(Commands::named("SET"), Fault::CutAnswer { at: 0 }));
//! lost.happened().await;
//!
//! // A plan: a hundred faults of all kinds, one after the other. The same seed makes the same plan.
//! proxy.run_plan(&Plan::from_seed(7).faults(100)).await;
//! for event in proxy.events() {
//!     println!("{:?} {event}", event.at);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! What it does not know: TLS, `MONITOR`, `CLIENT REPLY`, and protocols other than RESP2 and RESP3. A connection that speaks something
//! else is cut.

mod connection;
mod event;
mod frames;
mod lane;
mod orders;
mod plan;
mod proxy;
mod rule;

pub use event::{Event, What};
pub use orders::Order;
pub use plan::{Kind, Plan, Step};
pub use proxy::FaultProxy;
pub use rule::{Answer, Commands, Fault, Rule, Way};
