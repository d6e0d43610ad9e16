//! Two releases on one database: servers of the one are replaced by those of the other under load,
//! and back again. Callers come through haproxy, as `deploy/` sets it up, and try nothing twice.

use std::path::{Path, PathBuf};

use belay_client::calls::FirstPolicy;
use belay_client::{Kind, Role};
use secrecy::{ExposeSecret, SecretString};
use tokio::process::Command;

use crate::SHOP;
use crate::database::Database;
use crate::group::free_ports;
use crate::instance::{insistent, literal};
use crate::load::{Load, audit};
use crate::process::BelayProcess;
use crate::proxies::{self, Backend, HAPROXY, Proxy};
use crate::until;

/// Servers at once.
const SERVERS: usize = 2;
/// Calls that are acknowledged between two changes, at least.
const CALLS_BETWEEN: usize = 200;
const ALLOWING: &str = "--allow-newer-schema";

/// A release of Belay, as a program.
#[derive(Debug, Clone)]
pub struct Release {
    program: PathBuf,
    /// Migrations that its servers are told to allow.
    allowed: Vec<String>,
}

impl Release {
    pub fn of(program: &Path) -> Self {
        Self {
            program: program.to_owned(),
            allowed: Vec::new(),
        }
    }

    #[must_use]
    pub fn allowing(&self, migrations: &[String]) -> Self {
        Self {
            allowed: migrations.to_vec(),
            ..self.clone()
        }
    }

    async fn output(&self, url: &SecretString, arguments: &[&str]) -> String {
        let done = Command::new(&self.program)
            .args(arguments)
            .env_clear()
            .env("BELAY_DATABASE_URL", url.expose_secret())
            .output()
            .await
            .expect("it can be run");
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{arguments:?}: {said}");
        String::from_utf8_lossy(&done.stdout).into_owned()
    }

    pub async fn migrate(&self, url: &SecretString) {
        self.output(url, &["migrate"]).await;
    }

    /// The migrations that it would run.
    pub async fn pending(&self, url: &SecretString) -> Vec<String> {
        let told = self.output(url, &["migrate", "--dry-run"]).await;
        let names = told
            .lines()
            .filter_map(|line| line.strip_prefix("would run "));
        names.map(str::to_owned).collect()
    }

    /// Whether its servers can be told which newer schema they may meet.
    pub async fn can_allow(&self, url: &SecretString) -> bool {
        self.output(url, &["serve", "--help"])
            .await
            .contains(ALLOWING)
    }

    async fn start(&self, place: Backend, url: &SecretString) -> BelayProcess {
        let allowed = self.allowed.join(",");
        let mut arguments = vec!["serve", "--trust-role-header"];
        if !allowed.is_empty() {
            arguments.extend([ALLOWING, &allowed]);
        }
        BelayProcess::start_at(&self.program, place, url, &arguments).await
    }
}

/// Servers behind a proxy, each in a slot that it knows.
struct Fleet<'a> {
    url: &'a SecretString,
    slots: Vec<(Backend, Option<BelayProcess>)>,
}

impl<'a> Fleet<'a> {
    fn new(url: &'a SecretString) -> Self {
        // One more than serve: who comes is there before another one goes.
        let ports = free_ports(2 * (SERVERS + 1));
        let address = |port: u16| ([127, 0, 0, 1], port).into();
        let slots = ports.chunks_exact(2).map(|pair| {
            let place = Backend {
                address: address(pair[0]),
                admin: address(pair[1]),
            };
            (place, None)
        });
        let slots = slots.collect();
        Self { url, slots }
    }

    fn backends(&self) -> Vec<Backend> {
        self.slots.iter().map(|(place, _)| *place).collect()
    }

    async fn start(&mut self, release: &Release) {
        let free = self.slots.iter_mut().find(|(_, server)| server.is_none());
        let (place, server) = free.expect("a free slot");
        *server = Some(release.start(*place, self.url).await);
    }

    /// Stops the server that is in this slot.
    async fn stop(&mut self, slot: usize) {
        let server = self.slots[slot].1.take().expect("a server");
        server.running.tell_to_stop();
        let (status, said) = server.running.end().await;
        assert!(status.success(), "{said}");
    }

    /// Every server by one of this release, one after the other.
    async fn replace(&mut self, release: &Release, load: &Load) {
        let busy = self.slots.iter().enumerate();
        let busy = busy.filter_map(|(slot, (_, server))| server.as_ref().map(|_| slot));
        for slot in busy.collect::<Vec<_>>() {
            self.start(release).await;
            load.progress(CALLS_BETWEEN).await;
            self.stop(slot).await;
            load.progress(CALLS_BETWEEN).await;
        }
    }

    async fn stop_all(&mut self) {
        for slot in 0..self.slots.len() {
            if self.slots[slot].1.is_some() {
                self.stop(slot).await;
            }
        }
    }
}

/// The outcomes of the calls.
#[derive(Debug)]
pub struct Rolled {
    pub orders: usize,
    /// How many calls were acknowledged.
    pub counts: String,
    /// How many were told that they had failed, and what the first of them was told.
    pub failed: u64,
    pub failures: Vec<String>,
}

/// Servers of `before` serve; `migrate` changes the schema under them; servers of `after` come in
/// their place; those of `back`, where it is given, in the place of these, and then `after` once
/// more. At the end everything that was acknowledged is there, once.
pub async fn roll(
    database: &Database,
    [before, after]: [&Release; 2],
    back: Option<&Release>,
    migrate: impl AsyncFnOnce(),
) -> Rolled {
    let url = database.url();
    let mut fleet = Fleet::new(&url);
    let proxy = Proxy::configured(&HAPROXY, &proxies::haproxy(&fleet.backends())).await;
    for _ in 0..SERVERS {
        fleet.start(before).await;
    }
    let operator = insistent(proxy.address()).with_role(Role::Operator, "ops");
    let operator = operator.expect("a role");
    until("a store is there", async || {
        let policy = FirstPolicy::preset("independent-site");
        match operator.create_store(SHOP, policy).await {
            Ok(_) => Some(()),
            Err(error) => (error.kind() == Kind::AlreadyExists).then_some(()),
        }
    })
    .await;

    let load = Load::default();
    let belay = literal(proxy.address());
    let rolling = async {
        load.progress(CALLS_BETWEEN).await;
        migrate().await;
        load.progress(CALLS_BETWEEN).await;
        fleet.replace(after, &load).await;
        if let Some(back) = back {
            fleet.replace(back, &load).await;
            fleet.replace(after, &load).await;
        }
        load.stop();
    };
    let (journeys, ()) = tokio::join!(load.run(&belay), rolling);
    audit(&journeys, &belay, database).await;
    fleet.stop_all().await;
    Rolled {
        orders: journeys.len(),
        counts: load.counts(),
        failed: load.failed(),
        failures: load.failures(),
    }
}
