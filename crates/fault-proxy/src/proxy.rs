//! The proxy in its users' hands.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

use crate::connection::relay;
use crate::event::{Event, What};
use crate::orders::{Flow, Order, Orders, Weather};
use crate::plan::{Deed, Plan, Step};
use crate::rule::{Commands, Fault, Rule, Way};

/// How long a plan waits for a command that a fault can happen to. A store that nobody uses has none.
const PATIENCE: Duration = Duration::from_secs(1);
/// The pause after a connection that the system could not give.
const RETRY: Duration = Duration::from_millis(10);

/// A TCP proxy on 127.0.0.1 in front of a redis-server on 127.0.0.1. Its connections end when it is dropped.
#[derive(Debug)]
pub struct FaultProxy {
    port: u16,
    orders: Arc<Orders>,
    /// Owns the tasks of all connections.
    acceptor: JoinHandle<()>,
}

impl FaultProxy {
    /// Starts a proxy in front of the server at this port. It is driven by the runtime that starts it.
    ///
    /// # Errors
    /// When the system has no free port to give. A server that does not answer is no error: its clients are refused until it does.
    pub async fn start(server_port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let orders = Arc::new(Orders::new(server_port));
        let acceptor = tokio::spawn(accept(listener, Arc::clone(&orders)));
        Ok(Self { port, orders, acceptor })
    }

    /// The port to connect to.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Gives an order. Of several rules that mean one command, delays add up and the oldest of the others is carried out.
    pub fn set(&self, rule: Rule) -> Order {
        self.orders.set(rule)
    }

    /// Lets the next command that holds `text` be carried out, loses its answer and cuts that connection.
    pub fn lose_answer_to(&self, text: &str) -> Order {
        self.set(Rule::new(Commands::holding(text), Fault::CutAnswer { at: 0 }))
    }

    /// Loses the next command that holds `text` before it reaches the server and cuts that connection.
    pub fn lose_command(&self, text: &str) -> Order {
        self.set(Rule::new(Commands::holding(text), Fault::CutCommand { at: 0 }))
    }

    /// Lets every connection fall silent, without an end, that sends a command that holds `text`: neither the command nor anything after it
    /// reaches the server, until the proxy heals.
    pub fn hang_at(&self, text: &str) -> Order {
        self.set(Rule::new(Commands::holding(text), Fault::Vanish(Way::ToServer)).always())
    }

    /// Cuts every connection now. New ones are accepted.
    pub fn cut(&self) {
        self.orders.change_weather(What::Cut, |weather| weather.cuts += 1);
    }

    /// Ends every connection now with a reset. New ones are accepted.
    pub fn reset(&self) {
        self.orders.change_weather(What::Reset, |weather| weather.resets += 1);
    }

    /// Cuts every connection and every new one, until the proxy heals.
    pub fn refuse(&self) {
        self.orders.change_weather(What::Refuse, |weather| {
            weather.cuts += 1;
            weather.refusing = true;
        });
    }

    /// Lets everything vanish that goes this way on any connection, old or new, until the proxy heals. Connections are accepted and stay
    /// open; those that something is missing from are cut when the proxy heals.
    pub fn vanish(&self, way: Way) {
        self.orders.change_weather(What::Vanish(way), |weather| weather.flows.set(way, Flow::Vanish));
    }

    /// Holds everything back that goes this way on any connection, old or new, until the proxy heals. Then it arrives, as it does when a
    /// partition ends before TCP gives up: also what a client has sent that has closed its connection meanwhile.
    pub fn hold(&self, way: Way) {
        self.orders.change_weather(What::Hold(way), |weather| weather.flows.set(way, Flow::Hold));
    }

    /// Takes back all orders, accepts connections, and lets everything pass again.
    pub fn heal(&self) {
        self.orders.clear();
        self.clear_weather();
    }

    fn clear_weather(&self) {
        self.orders.change_weather(What::Heal, |weather| {
            *weather =
                Weather { cuts: weather.cuts, resets: weather.resets, heals: weather.heals + 1, ..Weather::default() };
        });
    }

    /// Leads new connections to another server. Old ones stay where they are: cut them too for a failover that they notice.
    pub fn switch_to(&self, server_port: u16) {
        self.orders.switch_to(server_port);
    }

    /// What the proxy has done so far, oldest first.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.orders.events()
    }

    /// Carries out a plan, one fault after the other, until it ends; dropping the future ends it, and what lasts with it. What it did is among
    /// [`FaultProxy::events`]. Orders given beside it stand.
    pub async fn run_plan(&self, plan: &Plan) {
        for step in plan.steps() {
            self.take_step(step).await;
        }
    }

    async fn take_step(&self, Step { pause, deed }: Step) {
        sleep(pause).await;
        match deed {
            Deed::Next(rule) => {
                let order = Lift(self.set(rule));
                drop(timeout(PATIENCE, order.0.happened()).await);
            }
            Deed::All(rule, time) => {
                let _order = Lift(self.set(rule));
                sleep(time).await;
            }
            Deed::Cut => self.cut(),
            Deed::Reset => self.reset(),
            Deed::Refuse(time) => {
                self.refuse();
                self.clear_after(time).await;
            }
            Deed::Vanish(way, time) => {
                self.vanish(way);
                self.clear_after(time).await;
            }
            Deed::Hold(way, time) => {
                self.hold(way);
                self.clear_after(time).await;
            }
        }
    }

    async fn clear_after(&self, time: Duration) {
        let _clear = Clear(self);
        sleep(time).await;
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        // The connections end with the task that owns theirs.
        self.acceptor.abort();
    }
}

/// Takes an order back when the plan goes on or ends.
struct Lift(Order);

impl Drop for Lift {
    fn drop(&mut self) {
        self.0.lift();
    }
}

/// Lets everything pass again when the plan goes on or ends.
struct Clear<'p>(&'p FaultProxy);

impl Drop for Clear<'_> {
    fn drop(&mut self) {
        self.0.clear_weather();
    }
}

async fn accept(listener: TcpListener, orders: Arc<Orders>) {
    let mut relays = JoinSet::new();
    let weather = orders.weather();
    loop {
        // Both branches are safe to drop: a connection stays in the system's queue, and an ended task in the set.
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = relays.join_next() => continue,
        };
        let Ok((client, _)) = accepted else {
            sleep(RETRY).await;
            continue;
        };
        // Taken before the look: an order to refuse that comes in between cuts this connection too.
        let known = *weather.borrow();
        if !known.refusing {
            relays.spawn(relay(client, Arc::clone(&orders), known));
        }
    }
}
