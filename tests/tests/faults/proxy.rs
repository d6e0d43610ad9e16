//! A proxy between a server and mysqld that understands the packets of MySQL's protocol, well
//! enough to cut the connection at one of them, or to let it fall silent.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use belay_tests::HANG;
use mysql_async::Opts;
use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// The side of mysqld on which the connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// mysqld never sees the packet.
    BeforeRequest,
    /// mysqld has done what the packet says, but its reply is lost.
    BeforeReply,
    /// mysqld never sees the packet, and nobody is told: both ends stay open and hear nothing any
    /// more.
    SilentBeforeRequest,
    /// As before, but mysqld has done what the packet says.
    SilentBeforeReply,
}

impl Cut {
    fn is_before_request(self) -> bool {
        matches!(self, Cut::BeforeRequest | Cut::SilentBeforeRequest)
    }

    fn is_silent(self) -> bool {
        matches!(self, Cut::SilentBeforeRequest | Cut::SilentBeforeReply)
    }
}

/// The packet that is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    /// Of a writing transaction, counted from BEGIN, which is 0.
    Step(usize),
    /// Of a writing transaction.
    Commit,
    /// The same, of one that has sent or prepared something that says this.
    CommitOf(&'static str),
    /// The first that is sent or prepared and says all of this, in a transaction or not.
    Statement(&'static [&'static str]),
}

/// The next acts of the proxy; it does each once.
#[derive(Debug, Default)]
struct Plan {
    armed: Vec<(At, Cut)>,
    /// From the next cut on nothing comes through.
    holds: bool,
    /// What was cut.
    done: Vec<String>,
}

/// Ends with the test.
#[derive(Debug)]
pub(super) struct Proxy {
    plan: Arc<Mutex<Plan>>,
    /// Whether packets come through.
    gate: Arc<watch::Sender<bool>>,
    url: SecretString,
    _connections: JoinSet<()>,
}

impl Proxy {
    /// Listens in front of the mysqld of `database`.
    pub(super) async fn start(database: &SecretString) -> Self {
        let options = Opts::from_url(database.expose_secret()).expect("a URL of MySQL");
        let behind = format!("{}:{}", options.ip_or_hostname(), options.tcp_port());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let url = database
            .expose_secret()
            .replacen(&behind, &address.to_string(), 1);
        let plan = Arc::<Mutex<Plan>>::default();
        let gate = Arc::new(watch::Sender::new(true));
        let mut connections = JoinSet::new();
        connections.spawn(accept(
            listener,
            behind.parse().expect("mysqld is on this machine"),
            plan.clone(),
            gate.clone(),
        ));
        Self {
            plan,
            gate,
            url: SecretString::from(url),
            _connections: connections,
        }
    }

    /// The database's, through the proxy.
    pub(super) fn url(&self) -> SecretString {
        self.url.clone()
    }

    /// Cuts the next connection that comes to this packet.
    pub(super) fn cut(&self, at: At, cut: Cut) {
        self.plan().armed = vec![(at, cut)];
    }

    /// The same, and from then on no packet comes through until [`Self::let_go`].
    pub(super) fn cut_and_hold(&self, at: At, cut: Cut) {
        self.cut(at, cut);
        self.plan().holds = true;
    }

    /// Waits until it was cut and nothing comes through.
    pub(super) async fn held(&self) {
        let mut gate = self.gate.subscribe();
        let held = timeout(HANG, gate.wait_for(|is_open| !is_open)).await;
        held.expect("it is cut").expect("the gate is this proxy's");
    }

    pub(super) fn let_go(&self) {
        self.plan().holds = false;
        self.gate.send_replace(true);
    }

    /// As [`Self::cut`], beside what else is to be cut.
    pub(super) fn cut_too(&self, at: At, cut: Cut) {
        self.plan().armed.push((at, cut));
    }

    /// Whether all is cut that was to be.
    pub(super) fn has_cut_all(&self) -> bool {
        self.plan().armed.is_empty()
    }

    /// What was cut since this was last asked; nothing is cut any more.
    pub(super) fn take_cut(&self) -> Option<String> {
        let mut plan = self.plan();
        plan.armed.clear();
        plan.done.pop()
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn accept(
    listener: TcpListener,
    behind: SocketAddr,
    plan: Arc<Mutex<Plan>>,
    gate: Arc<watch::Sender<bool>>,
) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let (plan, gate) = (plan.clone(), gate.clone());
        connections.spawn(async move {
            // However it ends, both sides are closed.
            let _ = forward(client, behind, &plan, &gate).await;
        });
    }
}

/// Hands on what comes until one side closes or the plan says to cut.
async fn forward(
    mut client: TcpStream,
    behind: SocketAddr,
    plan: &Mutex<Plan>,
    gate: &watch::Sender<bool>,
) -> io::Result<()> {
    let mut mysqld = TcpStream::connect(behind).await?;
    client.set_nodelay(true)?;
    mysqld.set_nodelay(true)?;
    let (mut request, mut reply) = (Vec::with_capacity(64 * 1024), vec![0; 64 * 1024]);
    let mut open = None;
    loop {
        tokio::select! {
            read = client.read_buf(&mut request) => {
                if read? == 0 {
                    return Ok(());
                }
                while let Some(length) = packet_length(&request) {
                    let packet: Vec<u8> = request.drain(..length).collect();
                    let _ = gate.subscribe().wait_for(|is_open| *is_open).await;
                    let cut = Command::of(&packet).and_then(|command| cut_of(command, &mut open, plan));
                    if !cut.is_some_and(Cut::is_before_request) {
                        mysqld.write_all(&packet).await?;
                    }
                    let Some(cut) = cut else { continue };
                    if !cut.is_before_request() {
                        // With its first byte here, it is done there.
                        let _ = timeout(HANG, mysqld.read(&mut reply)).await;
                    }
                    if plan.lock().unwrap_or_else(PoisonError::into_inner).holds {
                        gate.send_replace(false);
                    }
                    if cut.is_silent() {
                        // Where one gives up, the other hears nothing of it.
                        tokio::join!(drain(client), drain(mysqld));
                    }
                    return Ok(());
                }
            }
            read = mysqld.read(&mut reply) => match read? {
                0 => return Ok(()),
                length => client.write_all(&reply[..length]).await?,
            }
        }
    }
}

/// Reads until the other side closes.
async fn drain(mut side: TcpStream) {
    let mut read = vec![0; 1024];
    while side.read(&mut read).await.is_ok_and(|length| length > 0) {}
}

/// A writing transaction that is open.
#[derive(Debug, Default)]
struct Open {
    /// The next packet's number.
    step: usize,
    /// What it has sent and prepared.
    texts: String,
}

/// Counts the packets of a writing transaction and says whether this one is to be cut.
fn cut_of(command: Command, open: &mut Option<Open>, plan: &Mutex<Plan>) -> Option<Cut> {
    if command.text == "BEGIN" {
        *open = Some(Open::default());
    }
    // To the end of a statement there is no reply; it is no step.
    if command.text == "(close)" {
        return None;
    }
    let is_commit = command.text == "COMMIT";
    let mut plan = plan.lock().unwrap_or_else(PoisonError::into_inner);
    let is_there = |(at, _): &(At, Cut)| match at {
        At::Step(step) => open.as_ref().is_some_and(|open| open.step == *step),
        At::Commit => is_commit && open.is_some(),
        At::CommitOf(text) => {
            is_commit && open.as_ref().is_some_and(|open| open.texts.contains(text))
        }
        At::Statement(words) => words.iter().all(|word| command.text.contains(word)),
    };
    let index = plan.armed.iter().position(is_there);
    if is_commit || command.text == "ROLLBACK" {
        *open = None;
    } else if let Some(open) = open {
        open.step += 1;
        open.texts.push_str(&command.text);
    }
    let (_, cut) = plan.armed.remove(index?);
    plan.done.push(command.text);
    Some(cut)
}

/// A length of three bytes, a number, and so many bytes.
fn packet_length(bytes: &[u8]) -> Option<usize> {
    let &[a, b, c, _, ..] = bytes else {
        return None;
    };
    let length = 4 + usize::from(a) + (usize::from(b) << 8) + (usize::from(c) << 16);
    (bytes.len() >= length).then_some(length)
}

/// A packet that begins something; those of the handshake have higher numbers.
#[derive(Debug)]
struct Command {
    /// Of a query or of what is prepared; else the command's name.
    text: String,
}

impl Command {
    fn of(packet: &[u8]) -> Option<Self> {
        let [_, _, _, 0, command, rest @ ..] = packet else {
            return None;
        };
        let text = match command {
            0x03 | 0x16 => String::from_utf8_lossy(rest).into_owned(),
            0x17 => "(execute)".to_owned(),
            0x19 => "(close)".to_owned(),
            other => format!("({other:#x})"),
        };
        Some(Self { text })
    }
}
