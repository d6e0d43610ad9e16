//! `docs/backup.md` can be followed: every command of it is run, in its order, while a database is
//! written to, is lost, and comes back as it was at a moment.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use belay_client::{Kind, RequestId, ResumeToken, Role, Units, reason};
use belay_server::identity_keys::IdentityKeys;
use belay_tests::database::Database;
use belay_tests::instance::{Instance, Service, literal, session, storefront};
use belay_tests::process::built;
use belay_tests::{invariants, refused, stock, until};
use mysql_async::prelude::Queryable;
use secrecy::ExposeSecret;
use tokio::join;

use crate::tidy::read_to_string;
use belay_tests::load::{Load, audit};

const PAGE: &str = "docs/backup.md";
/// What a block ends with that is a service of its own.
const RUNS_ON: &str = "# runs until it is stopped\n";
const PASSWORD: &str = "for the backup";
/// Calls that are acknowledged in one stretch of the load, at least.
const CALLS: usize = 150;

/// The page, and the folder in which its commands are run.
struct Runbook {
    /// The commands of each block, behind the heading that it stands under.
    blocks: Vec<(String, String)>,
    run: RefCell<BTreeSet<usize>>,
    folder: PathBuf,
    path: String,
}

impl Runbook {
    async fn open() -> Self {
        let folder = std::env::temp_dir().join(format!("belay-backup-{}", RequestId::mint()));
        std::fs::create_dir(&folder).expect("a new folder");
        let belay = built("belay");
        let belay = belay.parent().expect("a folder").display();
        let system = std::env::var("PATH").expect("there is one");
        let path = format!("{belay}:{}:{system}", Instance::tools().await.display());
        Self {
            blocks: blocks(&read_to_string(PAGE)),
            run: RefCell::default(),
            folder,
            path,
        }
    }

    /// The option file of an account.
    fn account(&self, file: &str, mysqld: &Instance, user: &str, password: &str) {
        let port = mysqld.port();
        let text =
            format!("[client]\nhost=127.0.0.1\nport={port}\nuser={user}\npassword='{password}'\n");
        self.write(file, &text);
    }

    fn write(&self, file: &str, text: &str) {
        std::fs::write(self.folder.join(file), text).expect("it can be written");
    }

    fn keys(&self) -> IdentityKeys {
        IdentityKeys::open(&self.folder.join("identity.keys")).expect("keys")
    }

    fn command(&self, script: &str, mysqld: &Instance, moment: &str) -> Command {
        let mut command = Command::new("bash");
        command
            .args(["-euo", "pipefail", "-c", script])
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .env_clear()
            .env("PATH", &self.path)
            .env("LC_ALL", "C")
            .env("BACKUP_PASSWORD", PASSWORD)
            .env("MOMENT", moment)
            .env("BELAY_DATABASE_URL", mysqld.url().expose_secret());
        command
    }

    /// The block of a section, by its number there.
    fn block(&self, section: &str, number: usize) -> &str {
        let mut of_section = self.blocks.iter().enumerate();
        let (index, (_, script)) = of_section
            .by_ref()
            .filter(|(_, (heading, _))| heading == section)
            .nth(number)
            .unwrap_or_else(|| panic!("{PAGE}: no block {number} in {section}"));
        self.run.borrow_mut().insert(index);
        script
    }

    /// Runs blocks of a section, and gives what they print.
    async fn follow(
        &self,
        section: &str,
        numbers: std::ops::Range<usize>,
        (mysqld, moment): (&Instance, &str),
    ) -> String {
        let mut printed = String::new();
        for number in numbers {
            let script = self.block(section, number);
            let command = self.command(script, mysqld, moment);
            let done = tokio::process::Command::from(command).output().await;
            let done = done.expect("bash can be run");
            let said = String::from_utf8_lossy(&done.stderr);
            let out = String::from_utf8_lossy(&done.stdout);
            assert!(done.status.success(), "{script}\n{out}\n{said}");
            printed.push_str(&out);
        }
        printed
    }

    /// The archive has come as far as the database.
    async fn until_archived(&self, mysqld: &Instance) {
        let mut conn = session(&mysqld.root_url()).await;
        let status: Option<mysql_async::Row> = conn
            .query_first("SHOW BINARY LOG STATUS")
            .await
            .expect("it writes one");
        let row = status.expect("it writes one");
        let (file, position): (String, u64) = (row.get(0).unwrap(), row.get(1).unwrap());
        let copy = self.folder.join("archive").join(file);
        until("the archive is as far as the database", async || {
            let length = std::fs::metadata(&copy).ok()?.len();
            (length >= position).then_some(())
        })
        .await;
    }
}

impl Drop for Runbook {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// All blocks for a shell.
fn blocks(page: &str) -> Vec<(String, String)> {
    let (mut heading, mut blocks, mut open) = (String::new(), Vec::new(), None::<String>);
    for line in page.lines() {
        match (&mut open, line) {
            (None, "```sh") => open = Some(String::new()),
            (None, line) if line.starts_with('#') => {
                heading = line.trim_matches(['#', ' ']).to_owned()
            }
            (None, _) => assert!(!line.starts_with("```"), "{PAGE}: {line}"),
            (Some(script), "```") => {
                blocks.push((heading.clone(), std::mem::take(script)));
                open = None;
            }
            (Some(script), line) => {
                script.push_str(line);
                script.push('\n');
            }
        }
    }
    assert!(open.is_none(), "{PAGE}: a block is never closed");
    blocks
}

/// A database with its identity key outside, as the page has it.
async fn begin(page: &Runbook) -> (Instance, Service) {
    let mysqld = Instance::start(&[]).await;
    page.account("admin.cnf", &mysqld, "root", "");
    page.account("backup.cnf", &mysqld, "belay_backup", PASSWORD);
    let script = "belay identity-key show > identity.keys; chmod 600 identity.keys; \
        belay identity-key move-out --identity-key-file identity.keys";
    let moved = page.command(script, &mysqld, "").output().expect("bash");
    assert!(moved.status.success(), "{moved:?}");
    let service = serve(page, &mysqld).await;
    service.create_shop().await;
    (mysqld, service)
}

async fn serve(page: &Runbook, mysqld: &Instance) -> Service {
    let keys = page.keys();
    Service::start(mysqld.serve_url(), |settings| {
        settings.identity_keys = Some(keys);
    })
    .await
}

/// A moment in whole seconds that is later than all that was committed, and has come.
async fn a_moment(database: &Database) -> String {
    let next = "SELECT DATE_FORMAT(UTC_TIMESTAMP() + INTERVAL 1 SECOND, '%Y-%m-%d %H:%i:%s')";
    let (moment,): (String,) = database.row(next, ()).await;
    until("the moment has come", async || {
        let come = "SELECT UTC_TIMESTAMP() >= ?";
        let (has_come,): (bool,) = database.row(come, (moment.clone(),)).await;
        has_come.then_some(())
    })
    .await;
    moment
}

/// Whose token of the feed is from after the moment.
async fn token_is_refused(service: &Service, token: &ResumeToken, kind: Kind, reason: &str) {
    let watcher = literal(service.address())
        .with_role(Role::Operator, "ops")
        .expect("a role");
    let listed = watcher.list_events().resume_token(token).await;
    refused(listed, kind, reason);
}

async fn token_of_the_end(service: &Service) -> ResumeToken {
    let operator = service
        .belay()
        .with_role(Role::Operator, "ops")
        .expect("a role");
    let mut stream = operator.watch_events().await.expect("a stream");
    let bookmark = stream.try_next().await.expect("it is open");
    bookmark.expect("it begins with a bookmark").resume_token
}

const BACKING_UP: &str = "Backing up";
const TO_A_MOMENT: &str = "Restoring to a moment";
const TO_A_TRANSACTION: &str = "To a transaction";
const OUTSIDE: &str = "What the world outside knows better";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_comes_back_as_it_was_at_a_moment() {
    let page = Runbook::open().await;
    let (mysqld, service) = begin(&page).await;
    let database = mysqld.database().await;
    let now = (&mysqld, "");
    page.follow(BACKING_UP, 0..1, now).await;
    let archive = page.block(BACKING_UP, 1);
    assert!(archive.ends_with(RUNS_ON));
    let mut archiving = tokio::process::Command::from(page.command(archive, &mysqld, ""))
        .kill_on_drop(true)
        .spawn()
        .expect("bash can be run");

    // What is to come back, a dump in the middle of it.
    let before = Load::named("before-");
    let dump = async {
        before.progress(CALLS).await;
        page.follow(BACKING_UP, 2..4, now).await;
        before.progress(CALLS).await;
        before.stop();
    };
    let (kept, ()) = join!(before.run(service.belay()), dump);
    let moment = a_moment(&database).await;

    // What is not: other orders, and changes of those.
    let after = Load::named("after-");
    let enough = async {
        after.progress(CALLS).await;
        after.stop();
    };
    let (lost, ()) = join!(after.run(service.belay()), enough);
    for order_id in kept.iter().filter_map(|journey| journey.uncancelled()) {
        let all = storefront(service.belay()).request_cancellation(order_id, Units::all());
        all.reason(reason::NO_LONGER_WANTED)
            .await
            .expect("nothing has left");
    }
    let token = token_of_the_end(&service).await;
    let orders = "SELECT (SELECT COUNT(*) FROM orders), (SELECT COUNT(*) FROM refunds)";
    let at_the_accident: (u64, u64) = database.row(orders, ()).await;
    service.stop().await;
    assert!(database.execute("DELETE FROM refunds", ()).await > 0);
    page.until_archived(&mysqld).await;
    drop(database);
    mysqld.kill().await;
    assert!(!archiving.wait().await.expect("it is ours").success());
    drop(mysqld);

    let restored = Instance::bare(Vec::new()).await;
    page.account("restored.cnf", &restored, "root", "");
    page.follow(TO_A_MOMENT, 0..3, (&restored, &moment)).await;
    let told = page.follow(OUTSIDE, 0..1, (&restored, &moment)).await;
    assert!(
        told.contains("orders_due") && told.contains(":r1"),
        "{told}"
    );
    let database = restored.database().await;
    let service = serve(&page, &restored).await;
    audit(&kept, service.belay(), &database).await;
    token_is_refused(&service, &token, Kind::OutOfRange, "POSITION_AHEAD").await;
    service.stop().await;
    it_goes_on_under_another_key(&page, (&restored, &moment), &token).await;
    drop(database);

    page.follow(TO_A_TRANSACTION, 0..2, (&restored, &moment))
        .await;
    let database = restored.database().await;
    let found: (u64, u64) = database.row(orders, ()).await;
    assert_eq!(found, at_the_accident, "{} orders are back too", lost.len());
    assert_eq!(
        invariants::violations(&database).await,
        Vec::<String>::new()
    );
    let run = page.run.borrow();
    let not_run: Vec<_> = (0..page.blocks.len())
        .filter(|index| !run.contains(index))
        .collect();
    assert_eq!(
        not_run,
        Vec::<usize>::new(),
        "blocks of {PAGE} that nobody ran"
    );
}

/// Tokens of the lost history are worth nothing, projections go on, and orders do.
async fn it_goes_on_under_another_key(
    page: &Runbook,
    (restored, moment): (&Instance, &str),
    token: &ResumeToken,
) {
    page.follow(OUTSIDE, 1..2, (restored, moment)).await;
    let service = serve(page, restored).await;
    token_is_refused(
        &service,
        token,
        Kind::InvalidArgument,
        "RESUME_TOKEN_INVALID",
    )
    .await;
    let again = Load::named("again-");
    let enough = async {
        again.progress(CALLS).await;
        again.stop();
    };
    join!(again.run(service.belay()), enough);
    let database = restored.database().await;
    stock::projected(&database).await;
    let live = stock::rows(&database).await;
    page.follow(OUTSIDE, 2..3, (restored, moment)).await;
    stock::rebuilt(&database, 1).await;
    assert_eq!(stock::rows(&database).await, live, "as a rebuild makes it");
    service.stop().await;
    assert_eq!(
        invariants::violations(&database).await,
        Vec::<String>::new()
    );
}
