//! A proxy that loses answers: what a network does when it fails at the worst moment.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

/// What happens to the next command that holds the given bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Trap {
    /// It reaches the server and its answer does not come back.
    LoseAnswer(Vec<u8>),
    /// It does not reach the server.
    LoseCommand(Vec<u8>),
    /// It does not reach the server, nor does anything after it, and the connection stays open. This trap stays set.
    Hang(Vec<u8>),
}

impl Trap {
    fn needle(&self) -> &[u8] {
        match self {
            Self::LoseAnswer(needle) | Self::LoseCommand(needle) | Self::Hang(needle) => needle,
        }
    }
}

#[derive(Debug)]
struct State {
    server: SocketAddr,
    trap: Mutex<Option<Trap>>,
    refusing: watch::Sender<bool>,
    /// Counts the orders to cut every connection.
    cuts: watch::Sender<u64>,
    sprung: Notify,
}

/// A TCP proxy on 127.0.0.1 in front of a server. Connections end when it is dropped.
#[derive(Debug)]
pub struct SwallowingProxy {
    port: u16,
    state: Arc<State>,
    acceptor: JoinHandle<()>,
}

impl SwallowingProxy {
    /// Starts a proxy in front of 127.0.0.1 at `server_port`.
    ///
    /// # Panics
    /// If no port is free.
    pub async fn start(server_port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let state = Arc::new(State {
            server: (Ipv4Addr::LOCALHOST, server_port).into(),
            trap: Mutex::new(None),
            refusing: watch::Sender::new(false),
            cuts: watch::Sender::new(0),
            sprung: Notify::new(),
        });
        let acceptor = tokio::spawn(accept(listener, Arc::clone(&state)));
        Self { port, state, acceptor }
    }

    /// The port to connect to.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Lets the next command that holds `needle` reach the server, loses its answer and cuts that connection.
    pub fn lose_answer_to(&self, needle: &str) {
        self.state.set_trap(Trap::LoseAnswer(needle.into()));
    }

    /// Loses the next command that holds `needle` before it reaches the server and cuts that connection.
    pub fn lose_command(&self, needle: &str) {
        self.state.set_trap(Trap::LoseCommand(needle.into()));
    }

    /// Lets every connection fall silent, without an end, that sends a command that holds `needle`, until [`SwallowingProxy::pass`].
    pub fn hang_at(&self, needle: &str) {
        self.state.set_trap(Trap::Hang(needle.into()));
    }

    /// Waits until the command was lost, or was carried out and its answer lost.
    pub async fn lost(&self) {
        self.state.sprung.notified().await;
    }

    /// Cuts every connection now.
    pub fn cut(&self) {
        self.state.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Cuts every connection and every new one, until [`SwallowingProxy::pass`].
    pub fn refuse(&self) {
        self.state.refusing.send_replace(true);
        self.cut();
    }

    /// Accepts connections again and forgets what was to be lost.
    pub fn pass(&self) {
        self.state.refusing.send_replace(false);
        drop(self.state.lock().take());
    }
}

impl Drop for SwallowingProxy {
    fn drop(&mut self) {
        self.acceptor.abort();
        self.cut();
    }
}

impl State {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Trap>> {
        self.trap.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_trap(&self, trap: Trap) {
        *self.lock() = Some(trap);
    }

    /// How many bytes to keep, because a command may be split between two reads: less than a whole needle.
    fn overlap(&self) -> usize {
        self.lock().as_ref().map_or(0, |trap| trap.needle().len().saturating_sub(1))
    }

    /// Takes the trap if `seen` holds its bytes.
    fn spring(&self, seen: &[u8]) -> Option<Trap> {
        let holds = |trap: &mut Trap| seen.windows(trap.needle().len()).any(|window| window == trap.needle());
        let mut set = self.lock();
        if matches!(*set, Some(Trap::Hang(_))) { set.clone().take_if(holds) } else { set.take_if(holds) }
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    while let Ok((client, _)) = listener.accept().await {
        // Subscribed before it looks: an order to refuse that comes in between cuts this connection too.
        let cuts = state.cuts.subscribe();
        if !*state.refusing.borrow() {
            // The connection ends with either side, or with the next cut, which the proxy sends when it is dropped.
            tokio::spawn(relay(client, Arc::clone(&state), cuts));
        }
    }
}

async fn relay(client: TcpStream, state: Arc<State>, mut cuts: watch::Receiver<u64>) {
    let Ok(server) = TcpStream::connect(state.server).await else { return };
    drop((client.set_nodelay(true), server.set_nodelay(true)));
    let (from_client, mut to_client) = client.into_split();
    let (mut from_server, to_server) = server.into_split();
    // Dropping a half of a pump in the middle of a copy is what a cut is.
    let ending = tokio::select! {
        trap = commands(from_client, to_server, &state) => trap,
        _ = copy(&mut from_server, &mut to_client) => None,
        _ = cuts.changed() => None,
    };
    if let Some((trap, mut to_server)) = ending {
        drop(to_client);
        if matches!(trap, Trap::LoseAnswer(_)) {
            // The server sees the end of input behind the command, so it has carried it out when it closes.
            drop(to_server.shutdown().await);
            drop(copy(&mut from_server, &mut tokio::io::sink()).await);
        }
        state.sprung.notify_one();
    }
}

/// Forwards commands until a trap springs; hands back the way to the server then.
async fn commands(
    mut client: OwnedReadHalf,
    mut server: OwnedWriteHalf,
    state: &State,
) -> Option<(Trap, OwnedWriteHalf)> {
    let mut seen = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = client.read(&mut buffer).await.ok().filter(|read| *read > 0)?;
        seen.extend_from_slice(&buffer[..read]);
        let trap = state.spring(&seen);
        if matches!(trap, Some(Trap::Hang(_))) {
            state.sprung.notify_one();
            std::future::pending::<()>().await;
        }
        if !matches!(trap, Some(Trap::LoseCommand(_))) {
            server.write_all(&buffer[..read]).await.ok()?;
        }
        if let Some(trap) = trap {
            return Some((trap, server));
        }
        seen.drain(..seen.len().saturating_sub(state.overlap()));
    }
}
