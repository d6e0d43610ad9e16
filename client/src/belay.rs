//! The connection to one Belay server, and who speaks over it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tower::retry::budget::TpsBudget;

use crate::error::Error;
use crate::ids::{IntoId, StoreId, WorkerId};
use crate::model::Role;
use crate::retry::RetryPolicy;
use crate::store::Store;

/// How long a call may take, its repeats included, unless the caller says otherwise.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
/// How long one attempt to connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A silent connection is probed after this time, and given up when the probe is not answered.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// A client of one Belay server. Cheap to clone; clones share the connection and the budget of retries.
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
    caller: Option<Caller>,
}

/// What all clones share.
pub(crate) struct Link {
    pub(crate) channel: Channel,
    pub(crate) timeout: Duration,
    pub(crate) retry: RetryPolicy,
    pub(crate) budget: TpsBudget,
}

/// Who speaks, as headers say it to a development server.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) role: MetadataValue<Ascii>,
    pub(crate) actor: MetadataValue<Ascii>,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("timeout", &self.timeout).field("retry", &self.retry).finish_non_exhaustive()
    }
}

impl Belay {
    /// Begins to set up a client of the server at this address, such as `http://127.0.0.1:50051`.
    pub fn builder(address: impl Into<String>) -> BelayBuilder {
        BelayBuilder { address: address.into(), caller: None, timeout: TIMEOUT_DEFAULT, retry: RetryPolicy::default() }
    }

    /// The calls to one store.
    ///
    /// What is no store id makes every call of the handle fail with
    /// [`Kind::InvalidArgument`](crate::Kind::InvalidArgument).
    pub fn store(&self, store_id: impl IntoId<StoreId>) -> Store {
        Store::new(self.clone(), store_id.into_id())
    }

    /// The same connection for another role, such as for a payment worker beside a storefront.
    ///
    /// # Errors
    /// As [`BelayBuilder::build`], about the role.
    pub fn with_role(&self, role: Role, actor: &str) -> Result<Self, Error> {
        Ok(Self { link: Arc::clone(&self.link), caller: Some(Caller::new(role, actor)?) })
    }

    pub(crate) fn link(&self) -> &Link {
        &self.link
    }

    pub(crate) fn caller(&self) -> Option<&Caller> {
        self.caller.as_ref()
    }
}

/// Sets up a [`Belay`].
#[must_use = "a builder does nothing until `build`"]
#[derive(Debug, Clone)]
pub struct BelayBuilder {
    address: String,
    caller: Option<(Role, String)>,
    timeout: Duration,
    retry: RetryPolicy,
}

impl BelayBuilder {
    /// In which role to call, and under which name: the id of the seller, warehouse or carrier, or the name of the
    /// calling system. `[A-Za-z0-9._-]{1,64}`, like all ids.
    ///
    /// It is sent in the headers `belay-role` and `belay-actor`, which a server believes only where it was told to, as
    /// on a developer's machine. Without a role such a server takes the caller for an operator.
    pub fn role(mut self, role: Role, actor: impl Into<String>) -> Self {
        self.caller = Some((role, actor.into()));
        self
    }

    /// How long each call may take, its repeats included: 10 seconds unless set, at most a day. It is sent along, so
    /// that the server does not work on what nobody waits for.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// When and how often calls are repeated.
    pub fn retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }

    /// Makes the client. It connects with the first call, and again by itself whenever the connection is gone.
    ///
    /// # Errors
    /// [`Kind::Setup`](crate::Kind::Setup) for what is no `http://` address, for a role that nobody can call in, for a
    /// name with odd characters, and outside of a tokio runtime.
    pub fn build(self) -> Result<Belay, Error> {
        let caller = self.caller.map(|(role, actor)| Caller::new(role, &actor)).transpose()?;
        let endpoint = Endpoint::from_shared(self.address)
            .map_err(|error| Error::setup(format!("the address is no URI: {error}")))?;
        if endpoint.uri().scheme_str() != Some("http") || endpoint.uri().host().is_none() {
            return Err(Error::setup("the address must look like http://host:port"));
        }
        if Handle::try_current().is_err() {
            return Err(Error::setup("a client is made inside of a tokio runtime"));
        }
        let channel = endpoint
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
            .keep_alive_while_idle(true)
            .connect_lazy();
        let budget = self.retry.budget();
        let link = Link { channel, timeout: self.timeout, retry: self.retry, budget };
        Ok(Belay { link: Arc::new(link), caller })
    }
}

impl Caller {
    fn new(role: Role, actor: &str) -> Result<Self, Error> {
        let role = match role {
            Role::Storefront => "storefront",
            Role::Seller => "seller",
            Role::Warehouse => "warehouse",
            Role::Carrier => "carrier",
            Role::Payments => "payments",
            Role::Support => "support",
            Role::Operator => "operator",
            Role::Auditor => "auditor",
            Role::Buyer | Role::System | Role::Unrecognized(_) => {
                return Err(Error::setup(format!("nobody calls in the role {role}")));
            }
        };
        // A name is an id like those of workers, and what is one is a header's value too.
        let actor = WorkerId::parse(actor).map_err(|error| Error::setup(format!("the caller's name {error}")))?;
        let actor = actor.as_str().parse().map_err(|_| Error::setup("the caller's name is no header's value"))?;
        Ok(Self { role: MetadataValue::from_static(role), actor })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[tokio::test]
    async fn a_wrong_set_up_is_told_before_the_first_call() {
        for address in ["", "127.0.0.1:50051", "https://127.0.0.1:50051", "http://", "ftp://x"] {
            assert_eq!(Belay::builder(address).build().unwrap_err().kind(), Kind::Setup, "{address:?}");
        }
        let belay = Belay::builder("http://127.0.0.1:50051").build().unwrap();
        assert_eq!(belay.with_role(Role::System, "x").unwrap_err().kind(), Kind::Setup);
        assert_eq!(belay.with_role(Role::Seller, "a\nb").unwrap_err().kind(), Kind::Setup);
    }

    #[test]
    fn outside_of_a_runtime_it_says_so() {
        let error = Belay::builder("http://127.0.0.1:50051").build().unwrap_err();
        assert!(error.message().contains("runtime"), "{error}");
    }
}
