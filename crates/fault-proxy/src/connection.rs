//! One connection: commands go one way, answers come back, and each is judged on its way.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy, sink};
use tokio::net::TcpStream;
use tokio::net::tcp::ReadHalf;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::frames::{Frames, Unintelligible, words};
use crate::lane::{Carrier, Lane, lane};
use crate::orders::{Flow, Flows, Hit, Orders, Verdict, Weather};
use crate::rule::{Fault, Way};

/// How much is read at once.
const READ: usize = 64 * 1024;
/// How long a server may take to see the end of a connection whose command was cut. One that is stopped does not see it.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Which commands are answered once for each of their arguments, and what a server pushes to say so.
const SUBSCRIPTIONS: [&str; 6] =
    ["SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE"];
/// How the messages of a subscription begin, which RESP2 does not mark as pushes.
const MESSAGES: [&str; 3] = ["message", "pmessage", "smessage"];

fn is_among(word: Option<&&[u8]>, names: &[&str]) -> bool {
    word.is_some_and(|word| names.iter().any(|name| word.eq_ignore_ascii_case(name.as_bytes())))
}

/// A command that has no answer yet.
enum Asked {
    /// The server has it.
    Server { command: Vec<u8>, delay: Duration, subscription: bool, answers: usize },
    /// The proxy answers it, when it is its turn.
    Proxy { answer: Vec<u8>, delay: Duration },
}

/// How a connection ends.
enum End {
    /// By either side, or by an order to all.
    Closed,
    /// The client will send no more; answers may still come.
    Input,
    /// An answer was cut.
    AnswerCut(Hit, Vec<u8>),
    /// A command was cut.
    CommandCut(Hit, Vec<u8>),
    /// With a reset; by a rule, if there is one.
    Reset(Option<(Hit, Vec<u8>)>),
}

struct Connection {
    number: u64,
    orders: Arc<Orders>,
    flows: watch::Sender<Flows>,
    lost: AtomicBool,
    asked: Mutex<VecDeque<Asked>>,
    subscribed: AtomicBool,
    commands: Lane,
    answers: Lane,
}

/// Carries a connection until it ends. `known` is the weather that its beginning has taken into account.
pub(crate) async fn relay(mut client: TcpStream, orders: Arc<Orders>, known: Weather) {
    let Ok(mut server) = TcpStream::connect(orders.upstream()).await else { return };
    drop((client.set_nodelay(true), server.set_nodelay(true)));
    let number = orders.next_connection();
    let ending = run(&mut client, &mut server, &orders, number, known).await;
    let done = match ending {
        End::Reset(done) => {
            drop((client.set_zero_linger(), server.set_zero_linger()));
            done
        }
        End::AnswerCut(hit, command) | End::CommandCut(hit, command) => Some((hit, command)),
        End::Closed | End::Input => None,
    };
    drop((client, server));
    if let Some((hit, command)) = done {
        orders.done(hit, number, &command);
    }
}

async fn run(client: &mut TcpStream, server: &mut TcpStream, orders: &Arc<Orders>, number: u64, known: Weather) -> End {
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let ((commands, mut sent), (answers, mut answered)) = (lane(), lane());
    let connection = Connection {
        number,
        orders: Arc::clone(orders),
        flows: watch::Sender::new(known.flows),
        lost: AtomicBool::new(false),
        asked: Mutex::default(),
        subscribed: AtomicBool::new(false),
        commands,
        answers,
    };
    let end = {
        let carry = connection.carrier(Way::ToServer, Way::ToClient).carry(&mut sent, &mut to_server);
        let mut forth = std::pin::pin!(both(connection.read_commands(&mut from_client), carry));
        let carry = connection.carrier(Way::ToClient, Way::ToServer).carry(&mut answered, &mut to_client);
        let mut back = std::pin::pin!(both(connection.read_answers(&mut from_server), carry));
        let mut weather = std::pin::pin!(connection.follow(known));
        let end = tokio::select! {
            // The weather first: an order to all holds for everything that comes after it.
            biased;
            end = &mut weather => end,
            end = &mut back => end,
            end = &mut forth => end,
        };
        match end {
            End::Input => tokio::select! {
                biased;
                end = weather => end,
                end = back => end,
            },
            end => end,
        }
    };
    if matches!(end, End::CommandCut(..)) {
        drop(to_client.shutdown().await);
        // The server closes when it sees the end of its input, so it has carried out then what it was given.
        drop(timeout(LAST_WORDS, copy(&mut from_server, &mut sink())).await);
    }
    end
}

/// Reads and carries, until both have ended or one ends the connection at once.
async fn both(read: impl Future<Output = Result<End, End>>, carry: impl Future<Output = io::Result<()>>) -> End {
    match tokio::try_join!(read, async { carry.await.map_err(|_| End::Closed) }) {
        Ok((end, ())) | Err(end) => end,
    }
}

impl Connection {
    fn carrier(&self, way: Way, other_way: Way) -> Carrier<'_> {
        Carrier { way, other_way, flows: self.flows.subscribe(), lost: &self.lost }
    }

    fn asked(&self) -> MutexGuard<'_, VecDeque<Asked>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows the weather until it ends this connection.
    async fn follow(&self, mut known: Weather) -> End {
        let mut weather = self.orders.weather();
        loop {
            let new = *weather.borrow_and_update();
            if new.resets != known.resets {
                return End::Reset(None);
            }
            // What vanished is missing, so a connection cannot go on when bytes pass again.
            let healed = new.heals != known.heals;
            if new.cuts != known.cuts || (healed && self.lost.load(Ordering::SeqCst)) {
                return End::Closed;
            }
            if healed || new.flows != known.flows {
                self.flows.send_replace(new.flows);
            }
            known = new;
            if weather.changed().await.is_err() {
                return End::Closed;
            }
        }
    }

    /// Reads commands and judges each. An end in an error does not wait for what was let through.
    async fn read_commands(&self, from: &mut ReadHalf<'_>) -> Result<End, End> {
        let (mut frames, mut buffer) = (Frames::of_commands(), vec![0; READ]);
        loop {
            let read = from.read(&mut buffer).await.unwrap_or(0);
            if read == 0 {
                self.commands.end(Vec::new());
                return Ok(End::Input);
            }
            frames.push(&buffer[..read]);
            while let Some(command) = frames.next().map_err(|Unintelligible| End::Closed)? {
                if let Some(end) = self.command(command) {
                    return if matches!(end, End::Reset(_)) { Err(end) } else { Ok(end) };
                }
            }
        }
    }

    /// Judges a command; answers how the connection ends by it.
    fn command(&self, command: Vec<u8>) -> Option<End> {
        let Verdict { delay, answer_delay, hit } = self.orders.at_command(&command, self.number);
        let Some(hit) = hit else {
            self.forward(command, delay, answer_delay);
            return None;
        };
        match &hit.fault {
            Fault::CutCommand { at } => {
                self.commands.end(command.iter().take(*at).copied().collect());
                return Some(End::CommandCut(hit, command));
            }
            Fault::Reset => return Some(End::Reset(Some((hit, command)))),
            Fault::Vanish(way) => self.flows.send_modify(|flows| flows.set(*way, Flow::Vanish)),
            Fault::Hold(way) => self.flows.send_modify(|flows| flows.set(*way, Flow::Hold)),
            Fault::Answer(answer) => {
                let asked = Asked::Proxy { answer: answer.frame(), delay: delay + answer_delay };
                self.ask(asked);
                self.orders.done(hit, self.number, &command);
                return None;
            }
            // These are not about commands.
            Fault::CutAnswer { .. } | Fault::Delay { .. } | Fault::LosePush => {}
        }
        self.orders.done(hit, self.number, &command);
        self.forward(command, delay, answer_delay);
        None
    }

    fn forward(&self, command: Vec<u8>, delay: Duration, answer_delay: Duration) {
        let words = words(&command);
        let subscription = is_among(words.first(), &SUBSCRIPTIONS);
        // An empty command has no answer.
        let answers = if subscription { words.len().saturating_sub(1).max(1) } else { words.len().min(1) };
        if answers > 0 {
            self.subscribed.fetch_or(subscription, Ordering::SeqCst);
            self.ask(Asked::Server { command: command.clone(), delay: answer_delay, subscription, answers });
        }
        self.commands.send(command, delay);
    }

    fn ask(&self, asked: Asked) {
        let mut queue = self.asked();
        queue.push_back(asked);
        self.answer_for_the_server(&mut queue);
    }

    /// Gives those answers whose turn it is. It happens under the lock, so that answers keep their order.
    fn answer_for_the_server(&self, asked: &mut VecDeque<Asked>) {
        while let Some(Asked::Proxy { answer, delay }) = asked.front_mut() {
            self.answers.send(std::mem::take(answer), *delay);
            asked.pop_front();
        }
    }

    /// Reads answers and pushes and judges each.
    async fn read_answers(&self, from: &mut ReadHalf<'_>) -> Result<End, End> {
        let (mut frames, mut buffer) = (Frames::of_answers(), vec![0; READ]);
        loop {
            let read = from.read(&mut buffer).await.unwrap_or(0);
            if read == 0 {
                self.answers.end(Vec::new());
                return Ok(End::Closed);
            }
            frames.push(&buffer[..read]);
            while let Some(answer) = frames.next().map_err(|Unintelligible| End::Closed)? {
                if let Some(end) = self.answer(answer) {
                    return Ok(end);
                }
            }
        }
    }

    /// Judges an answer or a push; answers how the connection ends by it.
    fn answer(&self, answer: Vec<u8>) -> Option<End> {
        if self.is_message(&answer) {
            match self.orders.at_push(&answer) {
                (_, Some(hit)) => self.orders.done(hit, self.number, &answer),
                (delay, None) => self.answers.send(answer, delay),
            }
            return None;
        }
        let mut asked = self.asked();
        let Some((command, delay)) = next_asked(&mut asked, &answer) else {
            drop(asked);
            self.answers.send(answer, Duration::ZERO);
            return None;
        };
        if let Some(hit) = self.orders.at_answer(&command) {
            let at = if let Fault::CutAnswer { at } = hit.fault { at } else { 0 };
            self.answers.end(answer.into_iter().take(at).collect());
            return Some(End::AnswerCut(hit, command));
        }
        self.answers.send(answer, delay);
        self.answer_for_the_server(&mut asked);
        None
    }

    /// Whether nobody has asked for it: a message of a subscription, or another push.
    fn is_message(&self, answer: &[u8]) -> bool {
        match answer.first() {
            Some(b'>') => !is_among(words(answer).first(), &SUBSCRIPTIONS),
            Some(b'*') if self.subscribed.load(Ordering::SeqCst) => is_among(words(answer).first(), &MESSAGES),
            _ => false,
        }
    }
}

/// The command that this answers, and how late the answer is. A server may say more often that a subscription has ended than it was asked.
fn next_asked(asked: &mut VecDeque<Asked>, answer: &[u8]) -> Option<(Vec<u8>, Duration)> {
    let Some(Asked::Server { command, delay, subscription, answers }) = asked.front_mut() else { return None };
    let confirms = answer.starts_with(b">") || (*subscription && is_among(words(answer).first(), &SUBSCRIPTIONS));
    if confirms && !*subscription {
        return None;
    }
    *answers -= 1;
    if confirms && *answers > 0 {
        return Some((command.clone(), *delay));
    }
    match asked.pop_front() {
        Some(Asked::Server { command, delay, .. }) => Some((command, delay)),
        _ => None,
    }
}
