//! The engine against the pure core: random sequences of commands, decided by the core alone in
//! memory and by a server on a real database. What is written and read back between two commands
//! must not show: the answers and the orders are the same, field by field.

#[path = "../../server/domain/tests/commands/random.rs"]
#[allow(
    dead_code,
    reason = "its random stores and policies are for the core alone: here policies are documents"
)]
pub(crate) mod random;

use std::fmt::Write as _;
use std::sync::Arc;

use belay_client::calls::FirstPolicy;
use belay_domain::actor::Actor;
use belay_domain::commands::Work;
use belay_domain::commands::{self, Command};
use belay_domain::context::{Context, StoreConfig};
use belay_domain::ids::{OrderId, StoreId};
use belay_domain::order::Order;
use belay_domain::presets;
use belay_domain::rejection::Rejection;
use belay_domain::scope::{Caller, Scope};
use belay_server::db::aggregate;
use belay_server::db::shares::Share;
use belay_server::engine::{EngineError, Priority, Submission};
use belay_tests::inside::Inside;
use belay_tests::instance::Service;
use belay_tests::{HANG, TestServer, documents, run_at};
use belay_wire::batch::Reply;
use futures_util::StreamExt;
use jiff::Timestamp;
use tokio::task::yield_now;
use tokio::time::Instant;
use uuid::Uuid;

use self::random::{Random, Step};

/// Sequences under each policy. BELAY_REPLAY_SEQUENCES makes more of them.
const SEQUENCES: u64 = 35;
/// Steps of each sequence.
const STEPS: u128 = 25;
/// Commands at the same time, each of another order.
const AT_ONCE: usize = 32;

/// One order, as the core has it.
struct Replay {
    random: Random,
    store: Arc<StoreConfig>,
    order: Order,
    /// Of the sequence; the ids of its requests follow from it.
    number: u128,
}

/// The answer to a command, as far as both sides say it.
type Answer = Result<(), Rejection>;

impl Replay {
    /// Places the order on both sides.
    async fn begin(inside: &Inside, store: Arc<StoreConfig>, seed: u64, now: Timestamp) -> Self {
        let mut random = Random::from_seed(seed);
        let mut create = random::create_order(&mut random);
        create.id = OrderId::parse(format!("R-{seed}")).expect("an id");
        let (caller, number) = (
            Actor::new(belay_domain::actor::Role::Storefront, "someone"),
            u128::from(seed),
        );
        let context = Context {
            now,
            caller: &caller,
            scope: &Scope::EVERYTHING,
            request_id: Uuid::nil(),
            store: &store,
        };
        let mut order = commands::create(&create, [0; 32], &context)
            .expect("an order can be placed")
            .order;
        let work = Work::Create(create);
        let answer = submit(
            inside,
            Submitted {
                store: &store,
                order: &order,
                caller,
                id: number << 64,
                version: None,
                work,
            },
        )
        .await;
        assert_eq!(answer, Ok(()), "seed {seed}");
        // A hash of the command in the engine's own encoding: the core only keeps it.
        order.create_fingerprint = read(inside, &order).await.create_fingerprint;
        Self {
            random,
            store,
            order,
            number,
        }
    }

    /// Applies what has come to be due, on both sides. The server's worker may have been faster,
    /// with the same outcome.
    async fn settle(&mut self, inside: &Inside, now: Timestamp) {
        if self.order.next_due().is_some_and(|due| due <= now) {
            let settle = Sent {
                at: u128::from(u64::MAX),
                caller: Actor::system(),
                version: None,
                command: Command::Settle,
            };
            let answers = self.decide(inside, now, settle).await;
            assert_eq!(answers, [Ok(()), Ok(())]);
        }
    }

    async fn take(&mut self, inside: &Inside, now: Timestamp, at: u128, step: Step) {
        let Step::Do {
            by,
            expected_version,
            command,
        } = step
        else {
            return;
        };
        let said = format!("seed {}, step {at}: {command:?}", self.number);
        let sent = Sent {
            at,
            caller: Actor::new(by, "someone"),
            version: expected_version,
            command: *command,
        };
        let [pure, real] = self.decide(inside, now, sent).await;
        assert_eq!(real, pure, "{said}");
        assert_eq!(read(inside, &self.order).await, self.order, "{said}");
    }

    /// Gives the core's answer and the engine's.
    async fn decide(&mut self, inside: &Inside, now: Timestamp, sent: Sent) -> [Answer; 2] {
        let Sent {
            at,
            caller,
            version,
            command,
        } = sent;
        let scope = &Scope::EVERYTHING;
        let context = Context {
            now,
            caller: &caller,
            scope,
            request_id: Uuid::nil(),
            store: &self.store,
        };
        let decision = commands::decide(&self.order, &command, version, &context);
        self.order = decision.order;
        let id = (self.number << 64) + (u128::from(now.as_second().unsigned_abs()) << 8) + at + 1;
        let work = Work::Decide(command);
        let real = submit(
            inside,
            Submitted {
                store: &self.store,
                order: &self.order,
                caller,
                id,
                version,
                work,
            },
        )
        .await;
        [decision.result.map(|_| ()), real]
    }
}

/// A command of one step.
struct Sent {
    /// The step's place, which its request's id is made of.
    at: u128,
    caller: Actor,
    version: Option<u64>,
    command: Command,
}

/// A command for the engine.
struct Submitted<'a> {
    store: &'a StoreConfig,
    order: &'a Order,
    caller: Actor,
    id: u128,
    version: Option<u64>,
    work: Work,
}

async fn submit(inside: &Inside, submitted: Submitted<'_>) -> Answer {
    let submission = Submission {
        store: inside.store(&submitted.store.id).await,
        caller: Caller::everywhere(submitted.caller),
        order: submitted.order.id.clone(),
        request_id: Uuid::from_u128(submitted.id),
        expected_version: submitted.version,
        work: submitted.work,
        deadline: Instant::now() + HANG,
        priority: Priority::Interactive,
    };
    loop {
        match inside.submit(submission.clone()).await {
            Ok(Reply::Answer(_)) => return Ok(()),
            Ok(Reply::Rejected(rejection)) => return Err(rejection),
            // A worker settles what is due at the same time. The same request_id is the same
            // command.
            Err(EngineError::Contention) => yield_now().await,
            Err(error) => panic!("the engine does not decide: {error}"),
        }
    }
}

/// The order as the database has it.
async fn read(inside: &Inside, order: &Order) -> Order {
    let pool = inside.pool(Share::Reads);
    let mut connection = pool.checkout().await.expect("a connection");
    let found = aggregate::read(&mut connection, &[order.key()])
        .await
        .expect("it can be read");
    connection.finish();
    found.into_values().next().expect("the order is there")
}

/// A document with the reasons that the random commands give; some have one of them already.
fn with_reasons(document: &str) -> String {
    let mut reasons = "reasons:\n".to_owned();
    for (code, actors) in [
        ("CHANGED_MIND", "[BUYER, SUPPORT]"),
        ("OUT_OF_STOCK", "[SELLER]"),
    ] {
        if !document.contains(&format!("code: {code}")) {
            writeln!(
                reasons,
                "  - {{code: {code}, actors: {actors}, fault: BUYER, effects: [RESTOCK]}}"
            )
            .expect("text");
        }
    }
    assert!(document.contains("\nreasons:\n"));
    document.replacen("reasons:\n", &reasons, 1)
}

/// A store with the warehouses and carriers that the random orders name.
async fn store(t: &TestServer, inside: &Inside, name: &str, document: &str) -> Arc<StoreConfig> {
    let store = t
        .create_shop(name, FirstPolicy::document(with_reasons(document)))
        .await;
    store
        .put_warehouse("main", "Main")
        .country_code("DE")
        .await
        .expect("a warehouse");
    store
        .put_warehouse("far", "Far")
        .country_code("CN")
        .await
        .expect("a warehouse");
    store
        .put_carrier("post", "Post")
        .in_transit_cancel()
        .await
        .expect("a carrier");
    store.put_carrier("rail", "Rail").await.expect("a carrier");
    let store = StoreId::parse(name).expect("an id");
    inside.refreshed(&store).await
}

/// Runs so many at the same time.
async fn all<T>(work: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    futures_util::stream::iter(work)
        .buffer_unordered(AT_ONCE)
        .collect()
        .await
}

#[test]
fn random_commands_come_to_the_same_through_the_database_as_in_memory() {
    let sequences = std::env::var("BELAY_REPLAY_SEQUENCES")
        .ok()
        .and_then(|sequences| sequences.parse().ok());
    let sequences: u64 = sequences.unwrap_or(SEQUENCES);
    run_at("2026-03-02T10:00:00Z", async |t| {
        let change = |settings: &mut belay_server::server::ServerSettings| {
            settings.manual_clock = true;
            settings.connections = AT_ONCE + 8;
        };
        let service = Service::start(t.database.serve_url().await, change).await;
        let inside = &service.inside();
        let every_gate = documents::every_gate();
        let policies = presets::ALL
            .iter()
            .copied()
            .chain([("every-gate", &*every_gate)]);
        let mut replays = Vec::new();
        let mut now = t.now().await;
        for (at, (name, document)) in policies.enumerate() {
            let store = store(t, inside, &format!("replay-{name}"), document).await;
            let first = u64::try_from(at).expect("a small number") * 1_000_000;
            let seeds = first..first + sequences;
            replays.extend(
                all(seeds.map(|seed| Replay::begin(inside, store.clone(), seed, now))).await,
            );
        }
        for at in 0..STEPS {
            let mut steps: Vec<Step> = Vec::with_capacity(replays.len());
            for replay in &mut replays {
                steps.push(random::step(&mut replay.random, &replay.order, now));
            }
            // All have one clock: it goes on by what one of them waits for, and that may be much to
            // others.
            let mut waits = steps.iter().filter_map(|step| match step {
                Step::Wait(time) => Some(*time),
                Step::Do { .. } => None,
            });
            all(replays
                .iter_mut()
                .zip(steps.clone())
                .map(|(replay, step)| replay.take(inside, now, at, step)))
            .await;
            if let Some(time) = waits.next() {
                t.advance(time).await;
                now += time;
                all(replays.iter_mut().map(|replay| replay.settle(inside, now))).await;
            }
        }
        let changes: u64 = replays.iter().map(|replay| replay.order.version - 1).sum();
        eprintln!(
            "{} orders, {} steps of each, {changes} changes",
            replays.len(),
            STEPS
        );
        assert!(
            changes > 4 * sequences,
            "hardly anything was accepted: {changes}"
        );
        service.stop().await;
    });
}
