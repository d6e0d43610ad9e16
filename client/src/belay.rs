//! The connection to one Belay server, and the caller that uses it.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
#[cfg(feature = "testing")]
use tonic::body::Body;
use tonic::transport::Endpoint;
use tower::retry::budget::TpsBudget;
#[cfg(feature = "testing")]
use tower::{BoxError, Service, util::BoxCloneSyncService};

use crate::caller::{Caller, Scope};
use crate::error::Error;
use crate::model::Role;
use crate::network::{Carries, Connecting, Network};
use crate::retry::RetryPolicy;
use crate::telemetry::Server;
#[cfg(feature = "tls")]
use crate::tls::Tls;
use crate::token::{TokenFile, TokenSource, Tokens};
use crate::transport::Transport;
use crate::watch::WATCHING_MAX;

/// The time-out of a call, its repeats included, unless another is set.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
/// The time-out of one attempt of a call that may be repeated, unless another is set.
const ATTEMPT_TIMEOUT_DEFAULT: Duration = Duration::from_secs(5);
/// The time-out of one attempt to connect.
/// It is less than that of an attempt, so that the attempt hears of it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// The time between two looks at names and files, unless another is set.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// The silence after which a connection is probed, and the time-out of the probe.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// A client of one Belay server. Cheap to clone; clones share the connections and the budget of
/// retries. To each address there is one connection for calls, and one for streams that stay open,
/// such as those of [`watch`](Self::watch): a stream that is not read holds no call up.
///
/// ```no_run
/// # async fn example() -> Result<(), belay_client::Error> {
/// use belay_client::{Belay, Role};
///
/// let belay = Belay::builder("http://127.0.0.1:50051").role(Role::Storefront, "web").build()?;
/// let order = belay.store("demo").get_order("A-1").await?;
/// println!("{}", order.display_state);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Belay {
    link: Arc<Link>,
    caller: Caller,
}

/// The part that all clones share: the connections and the settings of calls.
pub(crate) struct Link {
    /// For messages to people.
    pub(crate) address: String,
    /// For traces: the host and port of the first address.
    pub(crate) server: Server,
    pub(crate) transport: Transport,
    pub(crate) timeout: Duration,
    pub(crate) attempt_timeout: Duration,
    pub(crate) retry: RetryPolicy,
    pub(crate) budget: TpsBudget,
    /// The streams of waits for a cancellation.
    pub(crate) watching: Semaphore,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("address", &self.address)
            .field("timeout", &self.timeout)
            .field("attempt_timeout", &self.attempt_timeout)
            .field("retry", &self.retry)
            .finish_non_exhaustive()
    }
}

impl Belay {
    /// A builder of a client of the server at this address, such as `http://127.0.0.1:50051`.
    pub fn builder(address: impl Into<String>) -> BelayBuilder {
        BelayBuilder {
            address: address.into(),
            more_addresses: Vec::new(),
            resolves: false,
            look_again: LOOK_AGAIN,
            role: None,
            scope: None,
            token: None,
            tokens: None,
            user_agent: None,
            connect_timeout: CONNECT_TIMEOUT,
            keep_alive: (KEEP_ALIVE_INTERVAL, KEEP_ALIVE_TIMEOUT),
            timeout: TIMEOUT_DEFAULT,
            attempt_timeout: ATTEMPT_TIMEOUT_DEFAULT,
            retry: RetryPolicy::default(),
            #[cfg(feature = "tls")]
            tls: Tls::default(),
        }
    }

    /// The same connection for another caller, such as a payment worker beside a storefront: see
    /// [`BelayBuilder::role`]. The new caller has neither the [`Scope`] nor the token of this one.
    ///
    /// # Errors
    /// As [`BelayBuilder::build`], about the role.
    pub fn with_role(&self, role: Role, actor: &str) -> Result<Self, Error> {
        Ok(self.with_caller(Caller::in_role(role, actor)?))
    }

    /// The same connection and role with this scope: see [`BelayBuilder::scope`].
    ///
    /// # Errors
    /// As [`BelayBuilder::build`], about the scope.
    ///
    /// ```no_run
    /// # fn example(belay: belay_client::Belay) -> Result<(), belay_client::Error> {
    /// use belay_client::{Role, Scope};
    ///
    /// let support = belay.with_role(Role::Support, "sam")?.with_scope(Scope::default().sellers(["acme"]))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_scope(&self, scope: Scope) -> Result<Self, Error> {
        Ok(self.with_caller(self.caller.clone().within(scope)?))
    }

    /// The same connection for the holder of another token: see [`BelayBuilder::token`].
    ///
    /// # Errors
    /// As [`BelayBuilder::build`], about the token.
    pub fn with_token(&self, token: &str) -> Result<Self, Error> {
        Ok(self.with_caller(Caller::with_token(token)?))
    }

    fn with_caller(&self, caller: Caller) -> Self {
        Self {
            link: Arc::clone(&self.link),
            caller,
        }
    }

    pub(crate) fn link(&self) -> &Link {
        &self.link
    }

    pub(crate) fn caller(&self) -> &Caller {
        &self.caller
    }
}

/// A builder of a [`Belay`].
#[must_use = "a builder does nothing until `build`"]
#[derive(Clone)]
pub struct BelayBuilder {
    address: String,
    more_addresses: Vec<String>,
    resolves: bool,
    look_again: Duration,
    role: Option<(Role, String)>,
    scope: Option<Scope>,
    token: Option<String>,
    tokens: Option<Tokens>,
    user_agent: Option<String>,
    connect_timeout: Duration,
    keep_alive: (Duration, Duration),
    timeout: Duration,
    attempt_timeout: Duration,
    retry: RetryPolicy,
    #[cfg(feature = "tls")]
    tls: Tls,
}

/// Everything but the token and the keys.
impl fmt::Debug for BelayBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let builder = &mut f.debug_struct("BelayBuilder");
        let builder = builder
            .field("address", &self.address)
            .field("more_addresses", &self.more_addresses)
            .field("role", &self.role)
            .field("scope", &self.scope);
        builder
            .field("timeout", &self.timeout)
            .field("attempt_timeout", &self.attempt_timeout)
            .field("retry", &self.retry)
            .finish_non_exhaustive()
    }
}

impl BelayBuilder {
    /// The caller's role and name. The name is the id of the seller, warehouse or carrier, or the
    /// name of the calling system: `[A-Za-z0-9._-]{1,64}`, like all ids.
    ///
    /// Both are sent in the headers `belay-role` and `belay-actor`. A server believes them only if
    /// it is configured to, as on a developer's machine or behind a proxy that checks them. Without
    /// a role, a development server takes the caller for an operator. A seller, a warehouse or a
    /// carrier sees what belongs to its name, unless a [`scope`](Self::scope) names others.
    pub fn role(mut self, role: Role, actor: impl Into<String>) -> Self {
        self.role = Some((role, actor.into()));
        self
    }

    /// The caller's scope, if the server believes the [`role`](Self::role).
    pub fn scope(mut self, scope: Scope) -> Self {
        self.scope = Some(scope);
        self
    }

    /// The caller's secret, by which the server knows its role and scope: the server has a hash of
    /// it. It is sent in the header `authorization`: with `http://` in clear text, for a network
    /// that nobody can listen to, with `https://` under TLS. With a token that the server does not
    /// know, every call fails with [`Kind::Unauthenticated`](crate::Kind::Unauthenticated).
    ///
    /// ```no_run
    /// # fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use belay_client::Belay;
    ///
    /// let belay = Belay::builder("http://127.0.0.1:50051").token(std::env::var("BELAY_TOKEN")?).build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// The time-out of each call, its repeats included: 10 seconds unless set, at most a day. It is
    /// sent to the server, which then drops calls that have timed out.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The time-out of one attempt of a call that may be repeated: 5 seconds unless set. A server
    /// that falls silent takes so much of the call's [`timeout`](Self::timeout), and what is left
    /// is for another attempt. A call that must not be repeated has one attempt and all of the
    /// time.
    pub fn attempt_timeout(mut self, attempt_timeout: Duration) -> Self {
        self.attempt_timeout = attempt_timeout;
        self
    }

    /// The name and version of the calling program, such as `web-shop/4.2`: the beginning of the
    /// header `user-agent`. Printable ASCII.
    pub fn user_agent(mut self, user_agent: impl Into<String>) -> Self {
        self.user_agent = Some(user_agent.into());
        self
    }

    /// Another address of the same installation, such as that of another replica. May be given
    /// several times. Calls take turns among all addresses; one that cannot be connected to is left
    /// alone for a while, and the client repeats its call elsewhere.
    ///
    /// ```no_run
    /// # fn example() -> Result<(), belay_client::Error> {
    /// use belay_client::Belay;
    ///
    /// let belay = Belay::builder("http://belay-0:50051").address("http://belay-1:50051").build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn address(mut self, address: impl Into<String>) -> Self {
        self.more_addresses.push(address.into());
        self
    }

    /// Whether calls take turns among everything that a name in an address stands for, such as the
    /// replicas behind a headless service: off unless set, and then the first that answers gets all
    /// calls. Names are resolved again from time to time (see [`look_every`](Self::look_every));
    /// one that cannot be resolved leaves connections as they are.
    pub fn resolve_all(mut self, resolve_all: bool) -> Self {
        self.resolves = resolve_all;
        self
    }

    /// The time between two looks at what names stand for and at the files of TLS: 10 seconds
    /// unless set. A call that finds that it is over looks.
    pub fn look_every(mut self, look_every: Duration) -> Self {
        self.look_again = look_every;
        self
    }

    /// The source of the caller's tokens, instead of one [`token`](Self::token) for good: they may
    /// expire and be renewed. A call that the server refuses with a token that is no longer good
    /// waits for the next one and is made again with it.
    ///
    /// ```no_run
    /// # fn example(vault: impl belay_client::TokenSource) -> Result<(), belay_client::Error> {
    /// use belay_client::Belay;
    ///
    /// let belay = Belay::builder("https://belay.example").token_source(vault).build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn token_source(mut self, source: impl TokenSource) -> Self {
        self.tokens = Some(Tokens::of(source));
        self
    }

    /// A file with the caller's token, white space around it left out: read again about every
    /// minute, and when the server does not know the token any more.
    pub fn token_file(self, path: impl Into<PathBuf>) -> Self {
        self.token_source(TokenFile(path.into()))
    }

    /// The time-out of one attempt to connect, and again of its TLS handshake: 2 seconds unless
    /// set.
    pub fn connect_timeout(mut self, connect_timeout: Duration) -> Self {
        self.connect_timeout = connect_timeout;
        self
    }

    /// The silence after which a connection is probed, 20 seconds unless set, and the time-out of
    /// the probe, 10 seconds unless set. A balancer in between may close what is silent for longer.
    pub fn keep_alive(mut self, interval: Duration, timeout: Duration) -> Self {
        self.keep_alive = (interval, timeout);
        self
    }

    /// The policy by which calls are repeated.
    pub fn retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }

    /// Builds the client. It connects with the first call, and reconnects by itself.
    ///
    /// # Errors
    /// [`Kind::Setup`](crate::Kind::Setup) for an address that does not begin with `http://` or,
    /// with the feature `tls`, `https://`; for settings of TLS that cannot be used; for the roles
    /// `Buyer` and `System`, for invalid characters in a name, a scope, a token or a user agent,
    /// for a scope with an empty list, for a token together with a role or a scope, and outside of
    /// a tokio runtime.
    pub fn build(self) -> Result<Belay, Error> {
        let caller = self.caller()?;
        let transport = self.connect()?;
        Ok(self.link(transport, caller))
    }

    /// Builds a client of a server in this process: a service that takes the requests which would
    /// otherwise be sent to the address. It is for `belay-testing`.
    ///
    /// # Errors
    /// As [`build`](Self::build), about the caller.
    #[cfg(feature = "testing")]
    pub fn build_in_process<S>(self, service: S) -> Result<Belay, Error>
    where
        S: Service<http::Request<Body>, Response = http::Response<Body>, Error = BoxError>,
        S: Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
    {
        let caller = self.caller()?;
        let transport = Transport::InProcess(BoxCloneSyncService::new(service));
        Ok(self.link(transport, caller))
    }

    fn caller(&self) -> Result<Caller, Error> {
        let caller = match (&self.role, &self.token, &self.tokens) {
            (None, None, None) => Caller::default(),
            (Some((role, actor)), None, None) => Caller::in_role(*role, actor)?,
            (None, Some(token), None) => Caller::with_token(token)?,
            (None, None, Some(tokens)) => Caller::with_tokens(tokens.clone()),
            (Some(_), Some(_), _) | (Some(_), _, Some(_)) => {
                return Err(Error::setup("a caller has a role or a token, not both"));
            }
            (None, Some(_), Some(_)) => {
                return Err(Error::setup(
                    "a caller has a token or a source of them, not both",
                ));
            }
        };
        match &self.scope {
            None => Ok(caller),
            Some(scope) => caller.within(scope.clone()),
        }
    }

    fn connect(&self) -> Result<Transport, Error> {
        let addresses = std::iter::once(&self.address).chain(&self.more_addresses);
        let addresses = addresses.map(|address| self.endpoint(address));
        let addresses = addresses.collect::<Result<Vec<Endpoint>, Error>>()?;
        let agent = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));
        let agent = match &self.user_agent {
            None => agent.to_owned(),
            Some(program) => format!("{program} {agent}"),
        };
        if Handle::try_current().is_err() {
            return Err(Error::setup("a client is made inside of a tokio runtime"));
        }
        let (keep_alive, keep_alive_timeout) = self.keep_alive;
        let connecting = Connecting {
            agent,
            connect_timeout: self.connect_timeout,
            keep_alive,
            keep_alive_timeout,
            resolves: self.resolves,
            look_again: self.look_again,
            #[cfg(feature = "tls")]
            tls: self.tls.clone(),
        };
        let network = Network::new(addresses, connecting)?;
        Ok(Transport::Network(network, Carries::Calls))
    }

    /// An address, checked.
    fn endpoint(&self, address: &str) -> Result<Endpoint, Error> {
        if address.contains('@') {
            // Errors and traces name the address.
            return Err(Error::setup(
                "the address names a user; a token is not part of it",
            ));
        }
        let endpoint = Endpoint::from_shared(address.to_owned())
            .map_err(|error| Error::setup(format!("the address {address:?} is no URI: {error}")))?;
        let wrong = |what: &str| Error::setup(format!("the address {address:?} {what}"));
        if endpoint.uri().host().is_none() {
            return Err(wrong("must look like http://host:port"));
        }
        match endpoint.uri().scheme_str() {
            #[cfg(feature = "tls")]
            Some("https") => Ok(endpoint),
            #[cfg(feature = "tls")]
            Some("http") if self.tls.is_set() => {
                Err(wrong("must begin with https:// where TLS is set up"))
            }
            #[cfg(not(feature = "tls"))]
            Some("https") => Err(wrong("needs the feature `tls` of this crate")),
            Some("http") => Ok(endpoint),
            Some(_) | None => Err(wrong("must look like http://host:port")),
        }
    }

    fn link(self, transport: Transport, caller: Caller) -> Belay {
        let server = Server::of(&self.address);
        let addresses = std::iter::once(self.address).chain(self.more_addresses);
        let link = Link {
            server,
            budget: self.retry.budget(),
            address: addresses.collect::<Vec<_>>().join(", "),
            transport,
            timeout: self.timeout,
            attempt_timeout: self.attempt_timeout,
            retry: self.retry,
            watching: Semaphore::new(WATCHING_MAX),
        };
        Belay {
            link: Arc::new(link),
            caller,
        }
    }
}

/// # TLS
///
/// With the feature `tls` an address may begin with `https://`.
#[cfg(feature = "tls")]
impl BelayBuilder {
    /// Certificates to trust, as PEM, instead of the roots of the machine. May be given several
    /// times.
    pub fn tls_roots(mut self, pem: impl Into<String>) -> Self {
        self.tls.add_roots(pem.into());
        self
    }

    /// The client's own certificate, with those between it and its root, and its key, both as PEM,
    /// for a server or proxy that asks for them.
    pub fn tls_identity(mut self, certificate: impl Into<String>, key: impl Into<String>) -> Self {
        self.tls.set_identity(certificate.into(), key.into());
        self
    }

    /// A PEM file with the certificates to trust, instead of the roots of the machine: read again
    /// when it changes, for the connections that are made then: see
    /// [`look_every`](Self::look_every).
    pub fn tls_roots_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.tls.set_roots_file(path.into());
        self
    }

    /// The files of [`tls_identity`](Self::tls_identity), read again when they change: calls that
    /// are under way end on the connection that they began on.
    pub fn tls_identity_files(
        mut self,
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Self {
        self.tls.set_identity_files(certificate.into(), key.into());
        self
    }

    /// The name that the server's certificate must be for. That of the address unless set.
    pub fn tls_server_name(mut self, name: impl Into<String>) -> Self {
        self.tls.set_server_name(name.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[tokio::test]
    async fn a_wrong_set_up_is_told_before_the_first_call() {
        for address in [
            "",
            "127.0.0.1:50051",
            #[cfg(not(feature = "tls"))]
            "https://127.0.0.1:50051",
            "https://",
            "http://",
            "ftp://x",
            "http://ann:secret@127.0.0.1:50051",
        ] {
            assert_eq!(
                Belay::builder(address).build().unwrap_err().kind(),
                Kind::Setup,
                "{address:?}"
            );
        }
        let belay = Belay::builder("http://127.0.0.1:50051").build().unwrap();
        assert_eq!(
            belay.with_role(Role::System, "x").unwrap_err().kind(),
            Kind::Setup
        );
        assert_eq!(
            belay.with_role(Role::Seller, "a\nb").unwrap_err().kind(),
            Kind::Setup
        );
        for token in ["", "a b", "a\nb", "é"] {
            assert_eq!(
                belay.with_token(token).unwrap_err().kind(),
                Kind::Setup,
                "{token:?}"
            );
        }
        let agent = Belay::builder("http://127.0.0.1:50051").user_agent("a\nb");
        assert_eq!(agent.build().unwrap_err().kind(), Kind::Setup);
        let empty = Scope::default()
            .stores(["demo"])
            .sellers(Vec::<String>::new());
        for scope in [
            empty,
            Scope::default().carriers(["a,b"]),
            Scope::default().warehouses([""]),
        ] {
            assert_eq!(belay.with_scope(scope).unwrap_err().kind(), Kind::Setup);
        }
        let (scope, token) = (Scope::default().stores(["demo"]), "hunter2hunter2");
        assert_eq!(
            belay
                .with_token(token)
                .unwrap()
                .with_scope(scope)
                .unwrap_err()
                .kind(),
            Kind::Setup
        );
        let builder = Belay::builder("http://127.0.0.1:50051").token(token);
        assert!(!format!("{builder:?} {:?}", builder.clone().build()).contains(token));
        assert_eq!(
            builder
                .role(Role::Seller, "acme")
                .build()
                .unwrap_err()
                .kind(),
            Kind::Setup
        );
    }

    #[test]
    fn outside_of_a_runtime_it_says_so() {
        let error = Belay::builder("http://127.0.0.1:50051")
            .build()
            .unwrap_err();
        assert!(error.message().contains("runtime"), "{error}");
    }
}
