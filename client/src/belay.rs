//! The connection to one Belay server, and the caller that uses it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tonic::transport::{Channel, Endpoint};
use tower::retry::budget::TpsBudget;

use crate::caller::{Caller, Scope};
use crate::error::Error;
use crate::model::Role;
use crate::retry::RetryPolicy;
#[cfg(feature = "tls")]
use crate::tls::Tls;

/// The time-out of a call, its repeats included, unless another is set.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
/// The time-out of one attempt of a call that may be repeated, unless another is set.
const ATTEMPT_TIMEOUT_DEFAULT: Duration = Duration::from_secs(5);
/// The time-out of one attempt to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The silence after which a connection is probed, and the time-out of the probe.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest HTTP/2 frame that is taken, in bytes: a large message of a stream then comes in one or
/// two, and not in sixteen of the smallest bound that HTTP/2 allows.
const FRAME_BYTES_MAX: u32 = 256 * 1024;

/// A client of one Belay server. Cheap to clone; clones share the connection and the budget of
/// retries.
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

/// The part that all clones share: the connection and the settings of calls.
pub(crate) struct Link {
    /// For messages to people.
    pub(crate) address: String,
    pub(crate) channel: Channel,
    pub(crate) timeout: Duration,
    pub(crate) attempt_timeout: Duration,
    pub(crate) retry: RetryPolicy,
    pub(crate) budget: TpsBudget,
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
            role: None,
            scope: None,
            token: None,
            user_agent: None,
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
    role: Option<(Role, String)>,
    scope: Option<Scope>,
    token: Option<String>,
    user_agent: Option<String>,
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
    /// that falls silent takes so much of the call's [`timeout`](Self::timeout), and what is left is
    /// for another attempt. A call that must not be repeated has one attempt and all of the time.
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
    /// `Buyer` and `System`, for invalid characters in a name, a scope, a token or a user agent, for
    /// a scope with an empty list, for a token together with a role or a scope, and outside of a
    /// tokio runtime.
    pub fn build(self) -> Result<Belay, Error> {
        let caller = match (self.role, self.token) {
            (None, None) => Caller::default(),
            (Some((role, actor)), None) => Caller::in_role(role, &actor)?,
            (None, Some(token)) => Caller::with_token(&token)?,
            (Some(_), Some(_)) => {
                return Err(Error::setup("a caller has a role or a token, not both"));
            }
        };
        let caller = match self.scope {
            None => caller,
            Some(scope) => caller.within(scope)?,
        };
        let endpoint = Endpoint::from_shared(self.address.clone()).map_err(|error| {
            Error::setup(format!("the address {:?} is no URI: {error}", self.address))
        })?;
        let wrong = |what: &str| Error::setup(format!("the address {:?} {what}", self.address));
        if endpoint.uri().host().is_none() {
            return Err(wrong("must look like http://host:port"));
        }
        let endpoint = match endpoint.uri().scheme_str() {
            #[cfg(feature = "tls")]
            Some("https") => self.tls.apply(endpoint)?,
            #[cfg(feature = "tls")]
            Some("http") if self.tls.is_set() => {
                return Err(wrong("must begin with https:// where TLS is set up"));
            }
            #[cfg(not(feature = "tls"))]
            Some("https") => return Err(wrong("needs the feature `tls` of this crate")),
            Some("http") => endpoint,
            Some(_) | None => return Err(wrong("must look like http://host:port")),
        };
        let agent = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));
        let agent = match &self.user_agent {
            None => agent.to_owned(),
            Some(program) => format!("{program} {agent}"),
        };
        let endpoint = endpoint
            .user_agent(agent)
            .map_err(|error| Error::setup(format!("the user agent: {error}")))?;
        if Handle::try_current().is_err() {
            return Err(Error::setup("a client is made inside of a tokio runtime"));
        }
        let channel = endpoint
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
            .keep_alive_while_idle(true)
            .max_frame_size(FRAME_BYTES_MAX)
            .connect_lazy();
        let budget = self.retry.budget();
        let link = Link {
            address: self.address,
            channel,
            timeout: self.timeout,
            attempt_timeout: self.attempt_timeout,
            retry: self.retry,
            budget,
        };
        Ok(Belay {
            link: Arc::new(link),
            caller,
        })
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
