//! A server that is attacked, and its memory meanwhile.

use std::fmt;
use std::pin::pin;
use std::time::Duration;

use belay_client::{Belay, RequestId, Role};
use belay_tests::SHOP;
use belay_tests::credentials::{KeyFileOnDisk, WEB, callers};
use belay_tests::database::Database;
use belay_tests::instance::literal;
use belay_tests::process::BelayProcess;
use belay_tests::shop::new_order;
use tokio::time::sleep;

use crate::{MEMORY_KEPT_MAX, MEMORY_MAX};

pub(crate) const MIB: u64 = 1024 * 1024;
/// Between two looks at its memory.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// After so long the memory of an attack is to be back.
const AFTER: Duration = Duration::from_secs(30);
const SERVE: &[&str] = &["serve", "--trust-role-header", "--stop-notice=0s"];
/// Of the process when descriptors are to run out.
const DESCRIPTORS: u64 = 80;

/// The way in which the server is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    Usual,
    FewDescriptors,
    KeyFile,
}

/// A server of its own for each attack.
#[derive(Debug)]
pub(crate) struct Victim {
    pub(crate) belay: BelayProcess,
    _key_file: KeyFileOnDisk,
}

/// The result of an attack.
#[derive(Debug)]
pub(crate) struct Row {
    name: &'static str,
    idle: u64,
    most: u64,
    after: u64,
    came: String,
}

impl Victim {
    pub(crate) async fn start(database: &Database, start: Start) -> Self {
        let url = database.serve_url().await;
        let key_file = KeyFileOnDisk::new();
        key_file.write(&callers(&format!("[{SHOP}]"), &[WEB]));
        let path = key_file.0.to_str().expect("a path in UTF-8");
        let belay = match start {
            Start::Usual => BelayProcess::start(&url, SERVE, &[]).await,
            Start::FewDescriptors => {
                BelayProcess::start_with_descriptors(DESCRIPTORS, &url, SERVE).await
            }
            Start::KeyFile => BelayProcess::start(&url, &["serve", "--key-file", path], &[]).await,
        };
        let victim = Self {
            belay,
            _key_file: key_file,
        };
        if start != Start::KeyFile {
            victim.serve_a_little().await;
        }
        sleep(Duration::from_secs(2)).await;
        victim
    }

    pub(crate) fn client(&self) -> Belay {
        literal(self.belay.address)
    }

    /// Idle is a server that has served.
    async fn serve_a_little(&self) {
        let web = self.client().with_role(Role::Storefront, "web");
        let store = web.expect("a role").store(SHOP);
        for _ in 0..20 {
            let id = RequestId::mint().to_string();
            new_order(&store, &id).await.expect("an order");
            store.get_order(&id).await.expect("the order");
        }
    }

    /// Attacks it, looks at its memory all the while, and again when it is over.
    pub(crate) async fn attacked(
        self,
        name: &'static str,
        attack: impl AsyncFnOnce(&Self) -> String,
    ) -> Row {
        let idle = self.belay.running.resident_bytes();
        let mut most = idle;
        let came = {
            let mut attack = pin!(attack(&self));
            loop {
                tokio::select! {
                    came = &mut attack => break came,
                    () = sleep(LOOK_EVERY) => {}
                }
                most = most.max(self.belay.running.resident_bytes());
            }
        };
        sleep(AFTER).await;
        let after = self.belay.running.resident_bytes().saturating_sub(idle);
        self.belay.running.kill();
        let most = most - idle;
        Row {
            name,
            idle,
            most,
            after,
            came,
        }
    }

    /// How much more it has than at some time before.
    pub(crate) fn more_than(&self, before: u64) -> String {
        mib(self.belay.running.resident_bytes().saturating_sub(before))
    }

    /// Seconds of processors that it has taken.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.belay.running.id()));
        let stat = stat.expect("it runs");
        // The second field is a name in brackets; user and system time are the 14th and the 15th,
        // in ticks.
        let (_, rest) = stat.rsplit_once(") ").expect("a name");
        let fields: Vec<f64> = rest
            .split(' ')
            .map(|field| field.parse().unwrap_or_default())
            .collect();
        (fields[11] + fields[12]) / 100.0
    }
}

impl Row {
    pub(crate) fn is_good(&self) -> bool {
        self.most <= MEMORY_MAX && self.after <= MEMORY_KEPT_MAX
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "| {} | {} | {} | {} | {} |",
            self.name,
            mib(self.idle),
            mib(self.most),
            mib(self.after),
            self.came
        )
    }
}

fn mib(bytes: u64) -> String {
    let tenths = bytes * 10 / MIB;
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// The times in order, in ms: the middle one and the longest.
pub(crate) fn middle_and_longest(mut times: Vec<Duration>) -> (f64, f64) {
    times.sort_unstable();
    let of = |at: Option<&Duration>| at.map_or(f64::NAN, |time| time.as_secs_f64() * 1_000.0);
    (of(times.get(times.len() / 2)), of(times.last()))
}
