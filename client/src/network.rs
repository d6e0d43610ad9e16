//! The connections to an installation: one address, several, or all that a name stands for; each
//! reconnects by itself, calls take turns, and whom nobody reaches is left alone for a while.
//!
//! Nothing runs beside the calls: names are resolved again, and certificates read again, by the
//! call that finds it is time.

use std::collections::HashMap;
use std::fmt;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::time::{Instant, timeout};
use tonic::ConnectError;
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint};
use tower::{BoxError, Service as _};

use crate::error::{Error, never_connected};
use crate::retry::after;
#[cfg(feature = "tls")]
use crate::tls::Tls;

/// For a look at all names where there is nobody to call yet, and where there is.
const RESOLVE_MAX: Duration = Duration::from_secs(4);
const PATIENCE: Duration = Duration::from_secs(1);
/// The largest HTTP/2 frame that is taken, in bytes: a large message of a stream then comes in one
/// or two, and not in sixteen of the smallest bound that HTTP/2 allows.
const FRAME_BYTES_MAX: u32 = 256 * 1024;
/// What may wait unread of a stream that stays open, in bytes: a batch of events that was large and
/// the one behind it.
const STREAM_WINDOW_BYTES: u32 = 512 * 1024;
/// And of all streams of a connection: more than as many as a server takes (1,024) leave unread, so
/// that whoever does not read holds nobody else up.
const CONNECTION_WINDOW_BYTES: u32 = 1 << 30;
/// For how long nobody calls an address that could not be connected to: doubled with each failure
/// up to the most.
const LEFT_ALONE: Duration = Duration::from_millis(500);
const LEFT_ALONE_MAX: Duration = Duration::from_secs(15);

/// The settings of connections.
#[derive(Debug, Clone)]
pub(crate) struct Connecting {
    pub(crate) agent: String,
    pub(crate) connect_timeout: Duration,
    pub(crate) keep_alive: Duration,
    pub(crate) keep_alive_timeout: Duration,
    /// Every address that a name stands for is called, and not the first that answers.
    pub(crate) resolves: bool,
    /// Between two looks at names and files.
    pub(crate) look_again: Duration,
    #[cfg(feature = "tls")]
    pub(crate) tls: Tls,
}

/// The connections. Clones share them.
#[derive(Clone)]
pub(crate) struct Network(Arc<Inner>);

struct Inner {
    addresses: Vec<Endpoint>,
    connecting: Connecting,
    state: Mutex<State>,
    /// Held by the one that looks at names and files.
    looking: tokio::sync::Mutex<()>,
}

/// The use of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carries {
    /// Calls with one answer each.
    Calls,
    /// Streams that stay open.
    Streams,
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network")
            .field("connecting", &self.0.connecting)
            .finish_non_exhaustive()
    }
}

#[derive(Default)]
struct State {
    targets: Vec<Target>,
    /// Where the next call looks first.
    turn: usize,
    /// None where names and files never change.
    look_at: Option<Instant>,
    #[cfg(feature = "tls")]
    files: crate::tls::FilesSeen,
}

#[derive(Clone)]
struct Target {
    /// The address, and of a name that is resolved what it stands for.
    name: String,
    /// Of a name that is resolved.
    socket: Option<SocketAddr>,
    calls: Channel,
    /// Streams that stay open have a connection of their own: those that nobody reads leave no
    /// window to answers, and as many as a server or a proxy takes at once no stream to calls.
    streams: Channel,
    failures: u32,
    left_alone_until: Option<Instant>,
}

impl Network {
    /// Connects to nobody yet.
    ///
    /// # Errors
    /// For settings of TLS that cannot be used.
    pub(crate) fn new(addresses: Vec<Endpoint>, connecting: Connecting) -> Result<Self, Error> {
        // Not everybody begins with the same.
        let mut state = State {
            turn: fastrand::usize(..),
            ..State::default()
        };
        #[cfg(feature = "tls")]
        {
            state.files = connecting.tls.files_seen();
        }
        for address in &addresses {
            // Also where names are resolved later: what is wrong with the settings is told now.
            let target = connecting.target(address, None)?;
            if !connecting.resolves {
                state.targets.push(target);
            }
        }
        let looks = connecting.resolves || connecting.has_files();
        state.look_at = looks.then(|| {
            if connecting.resolves {
                Instant::now()
            } else {
                after(connecting.look_again)
            }
        });
        Ok(Self(Arc::new(Inner {
            addresses,
            connecting,
            state: Mutex::new(state),
            looking: tokio::sync::Mutex::default(),
        })))
    }

    pub(crate) async fn call(
        self,
        carries: Carries,
        request: http::Request<Body>,
    ) -> Result<http::Response<Body>, BoxError> {
        self.look().await?;
        let Some(target) = self.next() else {
            return Err(ConnectError("no address to connect to".into()).into());
        };
        let mut channel = match carries {
            Carries::Calls => target.calls,
            Carries::Streams => target.streams,
        };
        let called = async {
            poll_fn(|cx| channel.poll_ready(cx)).await?;
            channel.call(request).await
        };
        let called = called.await.map_err(BoxError::from);
        let is_unreachable = called
            .as_ref()
            .is_err_and(|error| never_connected(&**error));
        self.state()
            .told(&target.name, is_unreachable, Instant::now());
        called
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<Target> {
        self.state().next(Instant::now())
    }

    /// Looks at names and files where it is time; one call does so, and others wait for it only
    /// where there is nobody to call yet.
    async fn look(&self) -> Result<(), BoxError> {
        let is_due = |state: &State| state.look_at.is_some_and(|at| at <= Instant::now());
        let (due, is_empty) = {
            let state = self.state();
            (is_due(&state), state.targets.is_empty())
        };
        if !due && !is_empty {
            return Ok(());
        }
        let _looking = match self.0.looking.try_lock() {
            Ok(looking) => Some(looking),
            // Whoever looks may be polled no more: then it is looked again.
            Err(_) if is_empty => timeout(PATIENCE, self.0.looking.lock()).await.ok(),
            Err(_) => return Ok(()),
        };
        if !is_due(&self.state()) {
            return Ok(());
        }
        // Whoever is given up while they look leaves the next look to its time; and where there is
        // somebody to call, nobody waits for long.
        let patience = if is_empty {
            RESOLVE_MAX
        } else {
            self.state().look_at = Some(after(self.0.connecting.look_again));
            PATIENCE
        };
        let found = timeout(patience, self.found()).await;
        let found = found.unwrap_or_else(|_| Err("no answer in time".to_owned()));
        let mut state = self.state();
        state.look_at = Some(after(self.0.connecting.look_again));
        match found {
            Ok(targets) => {
                state.replace(targets);
                Ok(())
            }
            // Whoever was there may still be.
            Err(error) if !state.targets.is_empty() => {
                tracing::warn!(target: "belay_client", error, "connections stay as they are");
                Ok(())
            }
            Err(error) => {
                // The next call looks again.
                state.look_at = Some(Instant::now());
                Err(ConnectError(error.into()).into())
            }
        }
    }

    /// Everybody to call, as names and files are now.
    async fn found(&self) -> Result<Vec<Target>, String> {
        let Inner {
            addresses,
            connecting,
            ..
        } = &*self.0;
        // Seen before they are read: what changes meanwhile is found the next time.
        #[cfg(feature = "tls")]
        let seen = connecting.tls.files_seen();
        #[cfg(feature = "tls")]
        let is_new = seen != self.state().files;
        #[cfg(not(feature = "tls"))]
        let is_new = false;
        let targets = self.state().targets.clone();
        let mut known: HashMap<&str, &Target> = HashMap::new();
        if !is_new {
            known.extend(targets.iter().map(|target| (&*target.name, target)));
        }
        let (mut found, mut unknown) = (Vec::new(), None);
        for address in addresses {
            let sockets: Vec<Option<SocketAddr>> = if connecting.resolves {
                match resolve(address).await {
                    Ok(sockets) => sockets.into_iter().map(Some).collect(),
                    // Others may be there; and so may be what the name stood for, with whatever
                    // the files hold now.
                    Err(error) => {
                        tracing::warn!(target: "belay_client", error, "a name is not resolved");
                        unknown = Some(error);
                        let stood_for = targets.iter().filter(|target| target.is_of(address));
                        stood_for.map(|target| target.socket).collect()
                    }
                }
            } else {
                vec![None]
            };
            for socket in sockets {
                found.push(match known.get(&*name(address, socket)) {
                    Some(target) => Target::clone(target),
                    None => connecting
                        .target(address, socket)
                        .map_err(|error| error.to_string())?,
                });
            }
        }
        if let Some(error) = unknown.filter(|_| found.is_empty()) {
            return Err(error);
        }
        #[cfg(feature = "tls")]
        if is_new {
            self.state().files = seen;
        }
        Ok(found)
    }
}

impl State {
    /// Whose turn it is: of those that can be reached, or else who was left alone for longest.
    fn next(&mut self, now: Instant) -> Option<Target> {
        let count = self.targets.len();
        let first = self.turn.checked_rem(count)?;
        let in_turn = (0..count).map(|step| (first + step) % count);
        let chosen = in_turn.min_by_key(|at| {
            let until = self.targets[*at].left_alone_until;
            until.filter(|until| *until > now)
        })?;
        self.turn = (chosen + 1) % count;
        Some(self.targets[chosen].clone())
    }

    fn told(&mut self, name: &str, is_unreachable: bool, now: Instant) {
        let Some(target) = self.targets.iter_mut().find(|target| target.name == name) else {
            return;
        };
        if is_unreachable {
            // One outage, however many calls it meets.
            if target.left_alone_until.is_some_and(|until| until > now) {
                return;
            }
            let pause = LEFT_ALONE.saturating_mul(2_u32.saturating_pow(target.failures));
            target.failures = target.failures.saturating_add(1);
            target.left_alone_until = Some(now + pause.min(LEFT_ALONE_MAX));
        } else {
            (target.failures, target.left_alone_until) = (0, None);
        }
    }

    fn replace(&mut self, targets: Vec<Target>) {
        self.targets = targets;
    }
}

impl Target {
    fn is_of(&self, address: &Endpoint) -> bool {
        self.name == name(address, self.socket)
    }
}

impl Connecting {
    fn target(&self, address: &Endpoint, socket: Option<SocketAddr>) -> Result<Target, Error> {
        let endpoint = match socket {
            None => address.clone(),
            Some(socket) => {
                let scheme = address.uri().scheme_str().unwrap_or("http");
                let endpoint = Endpoint::from_shared(format!("{scheme}://{socket}"));
                let endpoint = endpoint.map_err(|error| Error::setup(error.to_string()))?;
                endpoint.origin(address.uri().clone())
            }
        };
        #[cfg(feature = "tls")]
        let endpoint = match address.uri().scheme_str() {
            Some("https") => {
                self.tls
                    .apply(endpoint, address.uri().host(), self.connect_timeout)?
            }
            Some(_) | None => endpoint,
        };
        let endpoint = endpoint
            .user_agent(self.agent.clone())
            .map_err(|error| Error::setup(format!("the user agent: {error}")))?;
        let endpoint = endpoint
            .connect_timeout(self.connect_timeout)
            .http2_keep_alive_interval(self.keep_alive)
            .keep_alive_timeout(self.keep_alive_timeout)
            .keep_alive_while_idle(true)
            .max_frame_size(FRAME_BYTES_MAX);
        let streams = endpoint
            .clone()
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
        Ok(Target {
            name: name(address, socket),
            socket,
            calls: endpoint.connect_lazy(),
            streams: streams.connect_lazy(),
            failures: 0,
            left_alone_until: None,
        })
    }

    #[cfg(feature = "tls")]
    fn has_files(&self) -> bool {
        self.tls.has_files()
    }

    #[cfg(not(feature = "tls"))]
    #[expect(clippy::unused_self, reason = "with `tls` it has some")]
    fn has_files(&self) -> bool {
        false
    }
}

fn name(address: &Endpoint, socket: Option<SocketAddr>) -> String {
    match socket {
        None => address.uri().to_string(),
        Some(socket) => format!("{} {socket}", address.uri()),
    }
}

/// What a name stands for, in an order that does not change.
async fn resolve(address: &Endpoint) -> Result<Vec<SocketAddr>, String> {
    let uri = address.uri();
    let host = uri.host().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let default_port = if uri.scheme_str() == Some("https") {
        443
    } else {
        80
    };
    let port = uri.port_u16().unwrap_or(default_port);
    let found = lookup_host((host, port)).await;
    let found = found.map_err(|error| format!("{host} could not be resolved: {error}"))?;
    let mut sockets: Vec<SocketAddr> = found.collect();
    sockets.sort_unstable();
    sockets.dedup();
    if sockets.is_empty() {
        return Err(format!("{host} resolves to nothing"));
    }
    Ok(sockets)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(names: &[&str]) -> State {
        let target = |name: &&str| Target {
            name: (*name).to_owned(),
            socket: None,
            calls: Endpoint::from_static("http://127.0.0.1:1").connect_lazy(),
            streams: Endpoint::from_static("http://127.0.0.1:1").connect_lazy(),
            failures: 0,
            left_alone_until: None,
        };
        State {
            targets: names.iter().map(target).collect(),
            ..State::default()
        }
    }

    #[tokio::test]
    async fn calls_take_turns_among_those_who_can_be_reached() {
        let mut state = state(&["a", "b", "c"]);
        let now = Instant::now();
        let next = |state: &mut State, now| state.next(now).unwrap().name;
        let turns: Vec<String> = (0..4).map(|_| next(&mut state, now)).collect();
        assert_eq!(turns, ["a", "b", "c", "a"]);
        state.told("b", true, now);
        let turns: Vec<String> = (0..4).map(|_| next(&mut state, now)).collect();
        assert_eq!(turns, ["c", "a", "c", "a"]);
        // After a while it is tried again, and when it answers it is back.
        let later = now + LEFT_ALONE;
        let turns: Vec<String> = (0..3).map(|_| next(&mut state, later)).collect();
        assert!(turns.contains(&"b".to_owned()), "{turns:?}");
        state.told("b", false, later);
        assert_eq!(state.targets[1].left_alone_until, None);
    }

    #[tokio::test]
    async fn where_nobody_can_be_reached_the_one_whose_pause_ends_first_is_tried() {
        let mut state = state(&["a", "b"]);
        let mut now = Instant::now();
        for _ in 0..20 {
            // Many calls that meet one outage are one failure.
            state.told("a", true, now);
            state.told("a", true, now);
            now += LEFT_ALONE_MAX;
        }
        now -= LEFT_ALONE_MAX;
        state.told("b", true, now);
        assert_eq!(
            state.targets[0].left_alone_until,
            Some(now + LEFT_ALONE_MAX)
        );
        assert_eq!(state.next(now).unwrap().name, "b");
        assert_eq!(state.next(now).unwrap().name, "b");
    }

    #[tokio::test]
    async fn a_name_stands_for_addresses_or_the_error_names_it() {
        let localhost = Endpoint::from_static("http://localhost:50051");
        let found = resolve(&localhost).await.unwrap();
        assert!(
            found.iter().all(|socket| socket.port() == 50051),
            "{found:?}"
        );
        let nothing = Endpoint::from_static("http://nothing.invalid:50051");
        let error = resolve(&nothing).await.unwrap_err();
        assert!(error.contains("nothing.invalid"), "{error}");
    }

    #[cfg(feature = "tls")]
    #[tokio::test]
    async fn files_that_change_leave_what_an_unknown_name_stood_for() {
        let roots = std::env::temp_dir().join(format!("belay-roots-{}", std::process::id()));
        std::fs::write(&roots, "one").unwrap();
        let mut tls = Tls::default();
        tls.set_roots_file(roots.clone());
        let connecting = Connecting {
            agent: "test".to_owned(),
            connect_timeout: PATIENCE,
            keep_alive: PATIENCE,
            keep_alive_timeout: PATIENCE,
            resolves: true,
            look_again: PATIENCE,
            tls,
        };
        let addresses = ["http://localhost:50051", "http://nothing.invalid:50051"];
        let addresses = addresses.map(Endpoint::from_static);
        let stood_for = Some(SocketAddr::from(([192, 0, 2, 1], 50051)));
        let lost = connecting.target(&addresses[1], stood_for).unwrap();
        let name = lost.name.clone();
        let network = Network::new(addresses.to_vec(), connecting).unwrap();
        network.state().targets.push(lost);
        std::fs::write(&roots, "another").unwrap();
        for _ in 0..2 {
            let found = network.found().await.unwrap();
            let names: Vec<_> = found.iter().map(|target| &target.name).collect();
            assert!(names.contains(&&name) && names.len() > 1, "{names:?}");
            network.state().replace(found);
        }
        let is_seen = network.state().files == network.0.connecting.tls.files_seen();
        assert!(is_seen, "the files count for all of them");
        std::fs::remove_file(&roots).unwrap();
    }
}
