//! A receiver of events over HTTP, which answers as it is told: well, badly, late or not at all. It
//! checks what it gets with an HMAC of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{Error, ErrorKind};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// The answer of a receiver to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It takes the event: 204.
    Take,
    Status(u16),
    /// The same, once [`Receiver::let_go`] was called.
    Delayed(u16),
    /// With this many seconds in `retry-after`.
    RetryAfter(u16, u64),
    /// 302 to itself.
    Redirect,
    /// Nothing, until the sender hangs up.
    Hang,
    /// 200, once the sender has hung up.
    Late,
    /// It hangs up at once.
    Cut,
    /// A head that says 200, half of the body, and the end of the connection.
    CutBody,
    /// A head that says 200, a byte of the body, and nothing more until the sender hangs up.
    SlowBody,
    /// It takes the event, with more body than it says.
    TooMuchBody,
    /// It takes the event, with a body that does not end until the sender hangs up.
    EndlessBody,
    /// What is no HTTP.
    Garbage,
}

impl Answer {
    /// Whether the sender is to believe that the event was taken.
    pub fn takes(self) -> bool {
        matches!(
            self,
            Answer::Take | Answer::TooMuchBody | Answer::EndlessBody
        )
    }
}

/// A request, as it came.
#[derive(Debug, Clone)]
pub struct Received {
    pub id: String,
    pub content_type: String,
    pub seconds: i64,
    /// Which of the secrets have signed it.
    pub signed_by: BTreeSet<usize>,
    /// The CloudEvent.
    pub event: Value,
    pub answer: Answer,
}

impl Received {
    /// Of what it is about: store and order.
    pub fn subject(&self) -> &str {
        self.event["subject"].as_str().unwrap_or_default()
    }

    pub fn event_type(&self) -> &str {
        self.event["type"].as_str().unwrap_or_default()
    }

    /// In its partition.
    pub fn position(&self) -> u64 {
        let position = self.id.split(':').nth(1);
        position
            .and_then(|position| position.parse().ok())
            .expect("an id is partition and position")
    }
}

type Script = Box<dyn FnMut(&Received) -> Answer + Send>;

struct State {
    secrets: Vec<Vec<u8>>,
    received: Mutex<Vec<Received>>,
    script: Mutex<Script>,
    /// Whether delayed answers go.
    gate: watch::Sender<bool>,
}

/// A receiver at work. It ends with the test.
pub struct Receiver {
    address: SocketAddr,
    state: Arc<State>,
    _tasks: JoinSet<()>,
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Receiver at {}", self.address)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Receiver {
    /// Takes everything, and knows these secrets.
    pub async fn start(secrets: &[&str]) -> Self {
        let decode = |secret: &&str| {
            let secret = secret.strip_prefix("whsec_").expect("a secret's prefix");
            STANDARD.decode(secret).expect("base64")
        };
        let state = Arc::new(State {
            secrets: secrets.iter().map(decode).collect(),
            received: Mutex::default(),
            script: Mutex::new(Box::new(|_| Answer::Take)),
            gate: watch::Sender::new(false),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it listens");
        let mut tasks = JoinSet::new();
        let served = state.clone();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                if let Ok((stream, _)) = listener.accept().await {
                    let state = served.clone();
                    // One that the sender cuts is no news.
                    connections.spawn(async move { drop(serve(stream, &state).await) });
                }
                while connections.try_join_next().is_some() {}
            }
        });
        Self {
            address,
            state,
            _tasks: tasks,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}/events?key=1", self.address)
    }

    /// From now on it answers so.
    pub fn answer(&self, script: impl FnMut(&Received) -> Answer + Send + 'static) {
        *lock(&self.state.script) = Box::new(script);
    }

    /// Delayed answers go, from now on at once.
    pub fn let_go(&self) {
        self.state.gate.send_replace(true);
    }

    /// All that came, in the order in which it came.
    pub fn received(&self) -> Vec<Received> {
        lock(&self.state.received).clone()
    }

    /// The ids of all that it took.
    pub fn taken(&self) -> BTreeSet<String> {
        let received = lock(&self.state.received);
        let taken = received.iter().filter(|one| one.answer.takes());
        taken.map(|one| one.id.clone()).collect()
    }

    /// The events of each order came in their order, if those are left out that came before.
    pub fn check_order(&self) {
        let mut last: BTreeMap<String, u64> = BTreeMap::new();
        let mut known = BTreeSet::new();
        let mut bodies: BTreeMap<String, Value> = BTreeMap::new();
        for one in self.received() {
            assert!(!one.signed_by.is_empty(), "it is signed: {one:?}");
            let body = bodies.entry(one.id.clone());
            assert_eq!(*body.or_insert(one.event.clone()), one.event, "one id");
            if known.insert(one.id.clone()) {
                let position = one.position();
                let before = last.insert(one.subject().to_owned(), position);
                assert!(
                    before.is_none_or(|before| before < position),
                    "{} came behind {before:?}",
                    one.id
                );
            }
        }
    }
}

async fn serve(stream: TcpStream, state: &State) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut received = read(&mut stream, &state.secrets).await?;
        let answer = {
            let mut script = lock(&state.script);
            let answer = script(&received);
            received.answer = answer;
            // Before the answer, so that who has it finds the request here.
            lock(&state.received).push(received);
            answer
        };
        if let Answer::Delayed(_) = answer {
            let mut gate = state.gate.subscribe();
            // The sender of the gate is the state's.
            let _ = gate.wait_for(|is_open| *is_open).await;
        }
        let text = match answer {
            Answer::Take => "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
            Answer::Status(status) | Answer::Delayed(status) => {
                format!("HTTP/1.1 {status} Told\r\ncontent-length: 2\r\n\r\nno")
            }
            Answer::RetryAfter(status, seconds) => format!(
                "HTTP/1.1 {status} Told\r\nretry-after: {seconds}\r\ncontent-length: 0\r\n\r\n"
            ),
            Answer::Redirect => {
                let to = stream.get_ref().local_addr()?;
                format!(
                    "HTTP/1.1 302 Found\r\nlocation: http://{to}/redirected\r\ncontent-length: 0\r\n\r\n"
                )
            }
            Answer::Cut => return Ok(()),
            Answer::Hang | Answer::Late => String::new(),
            Answer::CutBody | Answer::SlowBody => {
                "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nh".to_owned()
            }
            Answer::TooMuchBody => {
                "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok and more".to_owned()
            }
            Answer::EndlessBody => {
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_owned()
            }
            Answer::Garbage => "204 No Content\r\n\r\n".to_owned(),
        };
        stream.write_all(text.as_bytes()).await?;
        match answer {
            Answer::Take
            | Answer::Status(_)
            | Answer::Delayed(_)
            | Answer::RetryAfter(..)
            | Answer::Redirect => {}
            Answer::Hang | Answer::SlowBody => {
                hung_up(&mut stream).await;
                return Ok(());
            }
            Answer::Late => {
                hung_up(&mut stream).await;
                return stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
            }
            Answer::EndlessBody => loop {
                let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
                stream.write_all(chunk.as_bytes()).await?;
            },
            Answer::Cut | Answer::CutBody | Answer::TooMuchBody | Answer::Garbage => return Ok(()),
        }
    }
}

async fn hung_up(stream: &mut BufReader<TcpStream>) {
    let mut rest = Vec::new();
    // A reset is an end too.
    let _ = stream.read_to_end(&mut rest).await;
}

async fn read(stream: &mut BufReader<TcpStream>, secrets: &[Vec<u8>]) -> std::io::Result<Received> {
    let mut headers = BTreeMap::new();
    let mut first = String::new();
    stream.read_line(&mut first).await?;
    if first.is_empty() {
        return Err(Error::from(ErrorKind::UnexpectedEof));
    }
    assert!(
        first.starts_with("POST /events?key=1 HTTP/1.1"),
        "no redirect is followed: {first}"
    );
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let header = |name: &str| headers.get(name).cloned().unwrap_or_default();
    let length: usize = header("content-length").parse().expect("a length");
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    let (id, time) = (header("webhook-id"), header("webhook-timestamp"));
    let signatures = header("webhook-signature");
    let signed = [id.as_bytes(), b".", time.as_bytes(), b".", &body].concat();
    let signed_by = secrets.iter().enumerate().filter(|(_, secret)| {
        let expected = format!("v1,{}", STANDARD.encode(hmac(secret, &signed)));
        signatures.split(' ').any(|given| given == expected)
    });
    let event: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(
        event["id"], *id,
        "the id of the CloudEvent is the webhook's"
    );
    Ok(Received {
        signed_by: signed_by.map(|(at, _)| at).collect(),
        content_type: header("content-type"),
        seconds: time.parse().expect("seconds"),
        id,
        event,
        answer: Answer::Hang,
    })
}

/// HMAC-SHA256 as RFC 2104 says it, for keys that are no longer than a block.
fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    const BLOCK: usize = 64;
    assert!(key.len() <= BLOCK, "a short key");
    let padded = |pad: u8| {
        let mut block = [pad; BLOCK];
        for (byte, key) in block.iter_mut().zip(key) {
            *byte ^= key;
        }
        block
    };
    let inner = Sha256::new().chain_update(padded(0x36)).chain_update(text);
    let outer = Sha256::new().chain_update(padded(0x5c));
    outer.chain_update(inner.finalize()).finalize().to_vec()
}
