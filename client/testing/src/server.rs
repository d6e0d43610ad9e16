//! The server: what its clones share, and how a call comes in and goes out.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use belay_client::{Belay, BelayBuilder, Error, Store};
use belay_domain::bulk::JobKey;
use belay_domain::scope::Caller;
use belay_wire::auth::{self, SetBy};
use belay_wire::freshness::{Freshness, WritePosition, WritePositions};
use belay_wire::status::CallError;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::body::Body;
use tonic::{ConnectError, Status};
use tower::{BoxError, Service};

use crate::call::{Answer, Call};
use crate::clock::Clock;
use crate::faults::{Fault, Faults};
use crate::methods::{Incoming, Methods};
use crate::world::{World, new_id};

/// A Belay server in this process. Cheap to clone; clones are the same server. It ends with the
/// last of its clones and clients.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), belay_client::Error> {
/// let server = belay_testing::Server::start().await;
/// let store = server.store("demo", "independent-site").await?;
/// assert_eq!(store.list_orders().await?.into_iter().count(), 0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Server(Arc<Shared>);

/// Unless another is set: nobody but this process ever sees what it seals.
const IDENTITY_KEY: [u8; 32] = [7; 32];

/// The state that all clones of a server share.
#[derive(Debug)]
pub(crate) struct Shared {
    world: Mutex<World>,
    faults: Mutex<Faults>,
    methods: Methods,
    /// Made once: their key is derived.
    pub(crate) positions: WritePositions,
    /// Told after every call.
    pub(crate) moved: watch::Sender<()>,
    /// Streams end once it is cancelled.
    pub(crate) closing: CancellationToken,
    jobs: TaskTracker,
}

/// A builder of a [`Server`].
#[must_use = "a builder does nothing until `start`"]
#[derive(Debug, Clone, Default)]
pub struct ServerBuilder {
    stopped_at: Option<Timestamp>,
    identity_key: Option<[u8; 32]>,
}

impl ServerBuilder {
    /// A clock that stands at this instant and moves by [`Server::advance`] alone. Unless set, the
    /// clock runs as the machine's does, and `advance` takes it further ahead.
    ///
    /// What is told to the server must not lie in its future: with a clock that stands, take the
    /// time from [`Server::now`].
    pub fn stopped_at(mut self, time: Timestamp) -> Self {
        self.stopped_at = Some(time);
        self
    }

    /// The key of all that the server seals and hashes: with that of another server, both give out
    /// the same tokens.
    #[doc(hidden)]
    pub fn identity_key(mut self, key: [u8; 32]) -> Self {
        self.identity_key = Some(key);
        self
    }

    /// Starts the server.
    pub async fn start(self) -> Server {
        let clock = match self.stopped_at {
            Some(at) => Clock::Stopped { at },
            None => Clock::Running {
                ahead: SignedDuration::ZERO,
            },
        };
        let identity_key = self.identity_key.unwrap_or(IDENTITY_KEY);
        Server(Arc::new(Shared {
            world: Mutex::new(World::new(clock, identity_key)),
            faults: Mutex::default(),
            methods: Methods::all(),
            positions: WritePositions::new(&identity_key, &[]),
            moved: watch::Sender::new(()),
            closing: CancellationToken::new(),
            jobs: TaskTracker::new(),
        }))
    }
}

impl Server {
    /// Starts a server without stores.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// A builder of a server.
    pub fn builder() -> ServerBuilder {
        ServerBuilder::default()
    }

    /// A client in the role of an operator, who may do everything. For another role see
    /// [`Belay::with_role`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), belay_client::Error> {
    /// use belay_client::Role;
    ///
    /// let server = belay_testing::Server::start().await;
    /// server.store("demo", "seller-center").await?;
    /// let warehouse = server.client().with_role(Role::Warehouse, "main")?;
    /// let shipments = warehouse.store("demo").list_shipments().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    /// If the client cannot be built: a defect.
    pub fn client(&self) -> Belay {
        let built = self.client_with(|builder| builder);
        built.unwrap_or_else(|error| panic!("a client without settings: {error}"))
    }

    /// A client with settings of its own: its role, its time-outs, its retries.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), belay_client::Error> {
    /// use belay_client::{RetryPolicy, Role};
    ///
    /// let server = belay_testing::Server::start().await;
    /// let belay = server.client_with(|builder| builder.role(Role::Storefront, "web").retry(RetryPolicy::never()))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`BelayBuilder::build`], about the caller.
    pub fn client_with(
        &self,
        settings: impl FnOnce(BelayBuilder) -> BelayBuilder,
    ) -> Result<Belay, Error> {
        let builder = settings(Belay::builder("in-process"));
        builder.build_in_process(InProcess(self.0.clone()))
    }

    /// Creates a store with one of the policies that ship with Belay, and the warehouse `main` and
    /// carrier `standard` that every new store has; gives the operator's calls to it. One that is
    /// there with the same settings stays as it is.
    ///
    /// For a policy of your own use [`Belay::create_store`] with a document.
    ///
    /// # Errors
    /// As [`Belay::create_store`].
    pub async fn store(&self, store_id: &str, preset: &str) -> Result<Store, Error> {
        let belay = self.client();
        belay
            .create_store(store_id, belay_client::calls::FirstPolicy::preset(preset))
            .await?;
        Ok(belay.store(store_id))
    }

    /// The server as a service, for calls that are no business of the client's types.
    #[doc(hidden)]
    pub fn service(&self) -> InProcess {
        InProcess(self.0.clone())
    }

    /// The time by which the server decides.
    pub fn now(&self) -> Timestamp {
        self.0.world().now()
    }

    /// Moves the server's clock on and applies what has come due: unpaid orders close, answers that
    /// are overdue count as silence, leases end.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), belay_client::Error> {
    /// use std::time::Duration;
    ///
    /// let server = belay_testing::Server::start().await;
    /// let before = server.now();
    /// server.advance(Duration::from_secs(48 * 3600));
    /// assert!(server.now() - before >= jiff::SignedDuration::from_hours(48));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    /// If what has happened cannot be read: a defect.
    pub fn advance(&self, by: Duration) {
        let advanced = self.0.world().advance(by);
        advanced.unwrap_or_else(|error| panic!("the clock cannot be moved: {error}"));
        self.0.moved.send_replace(());
    }

    /// Has the next call of this RPC, by its name such as `RequestCancellation`, meet a fault.
    /// Several faults of one RPC are met one after the other, each by one attempt: the client
    /// repeats some calls by itself.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), belay_client::Error> {
    /// use belay_testing::{Fault, Server};
    ///
    /// let server = Server::start().await;
    /// server.inject("GetStore", Fault::Unavailable);
    /// // The client asks again by itself.
    /// server.store("demo", "seller-center").await?;
    /// server.client().store("demo").get_store().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    /// If there is no such RPC.
    pub fn inject(&self, rpc: &str, fault: Fault) {
        self.0.faults().add(rpc, fault);
    }

    /// Ends all streams, as a server does that stops: each watch of events with a last bookmark.
    /// Streams that are opened afterwards end at once.
    pub fn close_streams(&self) {
        self.0.closing.cancel();
    }
}

impl Shared {
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a method, after what is due by then; nobody else calls meanwhile.
    pub(crate) fn call<T>(
        self: &Arc<Self>,
        caller: Caller,
        is_stale: bool,
        method: impl FnOnce(&mut Call<'_>) -> Answer<T>,
    ) -> Result<(T, Option<WritePosition>), Status> {
        let mut world = self.world();
        world.settle();
        let now = world.now();
        let mut call = Call {
            world: &mut world,
            caller,
            now,
            is_stale,
            written: None,
        };
        let answer = method(&mut call);
        let written = call.written;
        let jobs = world.jobs.take();
        drop(world);
        self.moved.send_replace(());
        for job in jobs {
            let worker = Worker {
                shared: self.clone(),
                job,
            };
            self.jobs.spawn(async move {
                while worker.shared.work(worker.job) {
                    tokio::task::yield_now().await;
                }
            });
        }
        answer.map(|answer| (answer, written)).map_err(status)
    }

    /// Does a piece of a bulk cancellation's work. False where nothing is left.
    fn work(&self, job: JobKey) -> bool {
        let goes_on = self.world().work(job);
        self.moved.send_replace(());
        goes_on
    }

    async fn answer(
        self: Arc<Self>,
        request: http::Request<Body>,
    ) -> Result<http::Response<Body>, BoxError> {
        let path = request.uri().path().to_owned();
        let fault = self.faults().take(&path);
        match fault {
            Some(Fault::Unavailable) => {
                let refused = io::Error::new(io::ErrorKind::ConnectionRefused, "refused");
                return Err(ConnectError(refused.into()).into());
            }
            Some(Fault::Overloaded) => return Ok(refuse(CallError::Overloaded)),
            Some(
                Fault::LostReply
                | Fault::Delay(_)
                | Fault::StaleRead
                | Fault::BrokenStream { .. }
                | Fault::DuplicateEvents,
            )
            | None => {}
        }
        let response = self.run(&path, request, fault).await;
        match fault {
            Some(Fault::LostReply) => {
                return Err(io::Error::from(io::ErrorKind::ConnectionReset).into());
            }
            Some(Fault::Delay(delay)) => tokio::time::sleep(delay).await,
            Some(
                Fault::Unavailable
                | Fault::Overloaded
                | Fault::StaleRead
                | Fault::BrokenStream { .. }
                | Fault::DuplicateEvents,
            )
            | None => {}
        }
        Ok(response)
    }

    /// Lets a call through whose caller is known and may make it.
    async fn run(
        self: Arc<Self>,
        path: &str,
        request: http::Request<Body>,
        fault: Option<Fault>,
    ) -> http::Response<Body> {
        let caller = auth::access(path).and_then(|access| {
            let caller = auth::named(request.headers(), SetBy::Anybody)?;
            auth::authorize(access, caller)
        });
        let caller = match caller {
            Ok(caller) => caller,
            Err(error) => return refuse(error.into()),
        };
        let freshness = match Freshness::read(request.headers(), &self.positions) {
            Ok(freshness) => freshness,
            Err(error) => return refuse(error),
        };
        let Some(method) = self.methods.get(path) else {
            return refuse(CallError::MethodUnknown);
        };
        let answer = method(Incoming {
            shared: self.clone(),
            caller,
            freshness,
            request,
            fault,
        });
        answer.await
    }
}

/// The worker of a bulk cancellation. When its runtime ends before the job does, the next call
/// finds another.
struct Worker {
    shared: Arc<Shared>,
    job: JobKey,
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.shared.world().jobs.working.remove(&self.job);
    }
}

/// The status of a call that failed, as the server on MySQL gives it.
pub(crate) fn status(error: CallError) -> Status {
    error.into_status(|_| new_id().simple().to_string())
}

fn refuse(error: CallError) -> http::Response<Body> {
    status(error).into_http()
}

/// The server as a service of a client.
#[doc(hidden)]
#[derive(Debug, Clone)]
pub struct InProcess(Arc<Shared>);

impl Service<http::Request<Body>> for InProcess {
    type Response = http::Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<http::Response<Body>, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(self.0.clone().answer(request))
    }
}
