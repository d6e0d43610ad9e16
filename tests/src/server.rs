//! One server for one test.

use std::net::SocketAddr;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::time::Duration;

use belay_client::calls::FirstPolicy;
use belay_client::{Belay, Role, Store};
use belay_server::auth::Authentication;
use belay_server::connect::HttpSettings;
use belay_server::db::{clock, pool};
use belay_server::retention::{BATCH_ROWS_DEFAULT, Keep, RetentionSettings};
use belay_server::server::{Server, ServerSettings};
use belay_server::workers::evaluate_sellers;
use futures_util::FutureExt;
use jiff::{SignedDuration, Timestamp};
use secrecy::ExposeSecret;
use tokio::net::TcpListener;

use crate::database::Database;
use crate::inside::Inside;
use crate::instance::Instance;
use crate::process::BelayProcess;
use crate::raw::Raw;
use crate::shop::Shop;
use crate::{HANG, invariants, program};

/// The store that every test starts with. It has the warehouses `main` (its default) and `east`,
/// and the carriers `standard` (its default, which cannot bring parcels back) and `express` (which
/// can).
pub const SHOP: &str = "shop";

/// Connections of one server. Many servers share one MySQL while tests run in parallel.
const CONNECTIONS: usize = 16;

/// Between bookmarks: whoever waits for one waits no longer.
pub const BOOKMARK_INTERVAL: Duration = Duration::from_millis(100);
/// The orders of a bulk cancellation, at most: few enough to go one beyond.
pub const BULK_ORDERS_MAX: u32 = 1_000;
/// Those that one server works at: few enough that others have some.
const BULK_JOBS_MAX: u16 = 4;

/// What the harness says to another program.
const ANOTHER: &[&str] = &["--drain-time=10m", "--lane-wait=60s"];
/// How it is started where time goes on.
const SERVE: &[&str] = &[
    "serve",
    "--trust-role-header",
    "--stop-notice=0s",
    "--keep-events=forever",
    "--keep-requests=forever",
    "--keep-decisions=forever",
    "--keep-bulk-results=forever",
];
/// How it is started where a test moves the clock: only `dev` has one, and makes a store of its
/// own.
const DEV: &[&str] = &["dev", "--manual-clock"];

/// Longer than any test.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3_600);

/// Tests move the clock by months; those about retention say what is kept, and prune at once.
pub const KEEP_ALL: RetentionSettings = RetentionSettings {
    events: Keep::Forever,
    requests: Keep::Forever,
    decisions: Keep::Forever,
    bulk_results: Keep::Forever,
    pass_interval: Duration::from_millis(20),
    batch_rows: BATCH_ROWS_DEFAULT,
};

/// A Belay server, its database, and clients of it.
#[derive(Debug)]
pub struct TestServer {
    pub database: Database,
    server: Tried,
    belay: Belay,
    shop: Shop,
    has_manual_clock: bool,
}

/// The place of the server of a test.
#[derive(Debug)]
enum Tried {
    /// In this process, where a test can look inside.
    Inside(Server),
    /// Another build, of which a test sees what callers see: [`program::VARIABLE`].
    Process(BelayProcess),
}

impl Tried {
    /// With the harness's settings as far as flags say them.
    async fn another(database: &Database, has_manual_clock: bool) -> Self {
        let (mode, url) = if has_manual_clock {
            (DEV, database.url())
        } else {
            (SERVE, database.serve_url().await)
        };
        let arguments = [mode, ANOTHER].concat();
        Self::Process(BelayProcess::start(&url, &arguments, &[]).await)
    }

    fn address(&self) -> SocketAddr {
        match self {
            Self::Inside(server) => server.address(),
            Self::Process(process) => process.address,
        }
    }

    #[track_caller]
    fn inside(&self) -> &Server {
        match self {
            Self::Inside(server) => server,
            Self::Process(_) => {
                program::needs_its_own("it looks inside of its server");
                unreachable!("another program is tried")
            }
        }
    }

    async fn stop(self) {
        match self {
            Self::Inside(server) => drop(server.stop().await),
            Self::Process(process) => {
                process.running.tell_to_stop();
                let (status, said) = process.running.end().await;
                assert!(status.success(), "{status}: {said}");
            }
        }
    }
}

/// Of the store [`SHOP`].
impl Deref for TestServer {
    type Target = Shop;

    fn deref(&self) -> &Shop {
        &self.shop
    }
}

/// Runs a test on a server of its own, by the database's clock.
pub fn run(test: impl AsyncFnOnce(&TestServer)) {
    block_on(async { TestServer::start(None).await.finish_after(test).await });
}

/// The same, and the server takes calls over HTTP as well.
pub fn run_over_http(test: impl AsyncFnOnce(&TestServer)) {
    block_on(async {
        let (interval, http) = (evaluate_sellers::LOOK_INTERVAL, Some(anywhere()));
        let database = Database::create().await;
        let started = TestServer::start_on(database, None, interval, http).await;
        started.finish_after(test).await;
    });
}

/// Runs a test on a server of its own whose clock stands at `now`, such as `2026-03-02T10:00:00Z`,
/// until the test moves it.
pub fn run_at(now: &str, test: impl AsyncFnOnce(&TestServer)) {
    let now: Timestamp = now.parse().expect("an instant");
    block_on(async { TestServer::start(Some(now)).await.finish_after(test).await });
}

/// The same, and the server looks at the quality of sellers only when it is told to, with
/// [`TestServer::look_at_sellers`]: a crossing is recorded at the time of a look.
pub fn run_at_without_looks(now: &str, test: impl AsyncFnOnce(&TestServer)) {
    let now: Timestamp = now.parse().expect("an instant");
    block_on(async {
        let started = TestServer::start_looking(Some(now), NEVER).await;
        started.finish_after(test).await;
    });
}

/// The same, on a mysqld of its own that is started with these arguments.
pub fn run_at_on_own_mysqld(arguments: &[&str], now: &str, test: impl AsyncFnOnce(&TestServer)) {
    let now: Timestamp = now.parse().expect("an instant");
    let arguments = arguments.iter().map(ToString::to_string).collect();
    block_on(async {
        let mysqld = Instance::bare(arguments).await;
        let database = Database::create_at(mysqld.root_url().expose_secret()).await;
        let started = TestServer::start_on(database, Some(now), NEVER, None).await;
        started.finish_after(test).await;
    });
}

/// On a runtime with several threads: migrations block one of them.
fn block_on(work: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(work);
}

impl TestServer {
    async fn start(now: Option<Timestamp>) -> Self {
        Self::start_looking(now, evaluate_sellers::LOOK_INTERVAL).await
    }

    async fn start_looking(now: Option<Timestamp>, sellers_interval: Duration) -> Self {
        let database = Database::create().await;
        Self::start_on(database, now, sellers_interval, None).await
    }

    async fn start_on(
        database: Database,
        now: Option<Timestamp>,
        sellers_interval: Duration,
        http: Option<HttpSettings>,
    ) -> Self {
        if let Some(now) = now {
            set_clock(&database, now).await;
        }
        let server = if program::other().is_some() {
            if http.is_some() || sellers_interval == NEVER {
                program::needs_its_own("it sets its server otherwise than flags do");
            }
            Tried::another(&database, now.is_some()).await
        } else {
            Self::start_inside(&database, now, sellers_interval, http).await
        };
        let builder = Belay::builder(format!("http://{}", server.address()))
            .timeout(HANG)
            .attempt_timeout(HANG);
        let belay = builder.build().expect("a client");
        let started = Self {
            database,
            server,
            shop: Shop::new(belay.clone(), SHOP),
            belay,
            has_manual_clock: now.is_some(),
        };
        started
            .create_shop(SHOP, FirstPolicy::preset("independent-site"))
            .await;
        started
    }

    async fn start_inside(
        database: &Database,
        now: Option<Timestamp>,
        sellers_interval: Duration,
        http: Option<HttpSettings>,
    ) -> Tried {
        let mut settings = ServerSettings::new(database.serve_url().await, Authentication::Dev);
        settings.connections = CONNECTIONS;
        settings.manual_clock = now.is_some();
        settings.feed.bookmark_interval = BOOKMARK_INTERVAL;
        settings.bulk.orders_max = BULK_ORDERS_MAX;
        settings.bulk.jobs_max = BULK_JOBS_MAX;
        settings.retention = KEEP_ALL;
        settings.sellers_interval = sellers_interval;
        settings.http = http;
        (settings.port.bounds.body_max, settings.port.stall_max) = (HANG, HANG);
        (settings.stop_notice, settings.drain_max) = (Duration::ZERO, HANG);
        settings.engine.wait_max = HANG;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let server = Server::start(settings, listener).await;
        Tried::Inside(server.expect("the server starts"))
    }

    /// Creates a store with the warehouses and carriers that [`SHOP`] has.
    pub async fn create_shop(&self, store_id: &str, policy: FirstPolicy) -> Store {
        let created = self
            .role(Role::Operator, "ops")
            .create_store(store_id, policy)
            .await;
        created.unwrap_or_else(|error| panic!("store {store_id}: {error}"));
        let store = self.store_as(store_id, Role::Operator, "ops");
        store
            .put_warehouse("east", "East")
            .await
            .expect("a warehouse");
        store
            .put_carrier("express", "Express")
            .in_transit_cancel()
            .await
            .expect("a carrier");
        store
    }

    async fn finish_after(self, test: impl AsyncFnOnce(&TestServer)) {
        let outcome = AssertUnwindSafe(test(&self)).catch_unwind().await;
        self.server.stop().await;
        if let Err(panic) = outcome {
            // What a test left half-done that failed is no news: it says itself what is wrong.
            let _ = self.database.drop().await;
            resume_unwind(panic);
        }
        let violations = invariants::violations(&self.database).await;
        self.database
            .drop()
            .await
            .expect("the database can be dropped");
        assert!(
            violations.is_empty(),
            "the database breaks its invariants: {violations:#?}"
        );
    }

    pub fn inside(&self) -> Inside {
        Inside::of(self.server.inside())
    }

    /// Has the server look at the sellers whose rate may have changed, by the events that its
    /// projection has heard of.
    pub async fn look_at_sellers(&self) {
        self.inside().look_at_sellers().await;
    }

    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Where it takes calls over HTTP, in a test of [`run_over_http`].
    pub fn http_address(&self) -> SocketAddr {
        let address = self.server.inside().http_address();
        address.expect("it takes them")
    }

    /// A client in this role.
    pub fn role(&self, role: Role, actor: &str) -> Belay {
        self.belay
            .with_role(role, actor)
            .expect("a role to call in")
    }

    /// Calls to a store in this role.
    pub fn store_as(&self, store_id: &str, role: Role, actor: &str) -> Store {
        self.role(role, actor).store(store_id)
    }

    /// Another of its stores.
    pub(crate) fn shop(&self, store_id: &'static str) -> Shop {
        Shop::new(self.belay.clone(), store_id)
    }

    /// Calls that are no business of the client's types.
    pub fn raw(&self) -> Raw {
        Raw::to(self.address())
    }

    /// The warehouse of the standard order.
    pub fn warehouse(&self) -> Store {
        self.store_as(SHOP, Role::Warehouse, "main")
    }

    /// The carrier of the standard order.
    pub fn carrier(&self) -> Store {
        self.store_as(SHOP, Role::Carrier, "standard")
    }

    /// Moves the clock to this instant.
    pub async fn set_clock(&self, now: Timestamp) {
        assert!(
            self.has_manual_clock,
            "only a server of `run_at` has a clock to set"
        );
        set_clock(&self.database, now).await;
    }

    /// Moves the clock on.
    pub async fn advance(&self, by: SignedDuration) {
        assert!(
            self.has_manual_clock,
            "only a server of `run_at` has a clock to move"
        );
        let mut connection = pool::connect(&self.database.url())
            .await
            .expect("MySQL answers");
        clock::advance_manual(&mut connection, by)
            .await
            .expect("the clock can be moved");
    }

    /// What the clock shows: the manual one, or the database's.
    pub async fn now(&self) -> Timestamp {
        let mut connection = pool::connect(&self.database.url())
            .await
            .expect("MySQL answers");
        if self.has_manual_clock {
            clock::manual(&mut connection)
                .await
                .expect("the clock was set")
        } else {
            clock::now(&mut connection)
                .await
                .expect("the clock can be read")
        }
    }
}

/// HTTP at a free port, for no pages.
pub fn anywhere() -> HttpSettings {
    HttpSettings {
        address: SocketAddr::from(([127, 0, 0, 1], 0)),
        origins: Vec::new(),
    }
}

async fn set_clock(database: &Database, now: Timestamp) {
    let mut connection = pool::connect(&database.url()).await.expect("MySQL answers");
    clock::set_manual(&mut connection, now)
        .await
        .expect("the clock can be set");
}
