//! The identity key outside of the database: what is in the database alone finds nobody, and no
//! server takes another key for it.

use std::path::PathBuf;

use belay_client::calls::OnBehalfOf;
use belay_client::{RequestId, Role, Units, reason};
use belay_server::db::migrate::{FillSettings, Target};
use belay_server::db::{migrate, pool, settings};
use belay_server::identity_keys::{IdentityKeys, check_value};
use belay_tests::SHOP;
use belay_tests::database::Database;
use belay_tests::instance::Service;
use belay_tests::process::built;
use belay_tests::shop::{new_order_of, pay};
use belay_wire::identity;
use secrecy::ExposeSecret;

const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const NEXT: &str = "f00102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

struct KeyFile(PathBuf);

impl KeyFile {
    fn of(keys: &[&str]) -> Self {
        let file = std::env::temp_dir().join(format!("belay-identity-{}", RequestId::mint()));
        std::fs::write(&file, keys.join("\n")).expect("it can be written");
        Self(file)
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("text")
    }
}

impl Drop for KeyFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Whether it succeeds, and what it says.
async fn belay(database: &Database, arguments: &[&str]) -> (bool, String) {
    let output = tokio::process::Command::new(built("belay"))
        .args(arguments)
        .env_clear()
        .env("BELAY_DATABASE_URL", database.url().expose_secret())
        .output()
        .await
        .expect("it can be run");
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

fn keys(of: &[&str]) -> IdentityKeys {
    IdentityKeys::parse(&of.join("\n")).expect("keys")
}

async fn serve(database: &Database, of: &[&str]) -> Service {
    let given = keys(of);
    let url = database.serve_url().await;
    Service::start(url, |settings| settings.identity_keys = Some(given)).await
}

/// Who cancels for the buyer must know her e-mail address: whether the order is found by it.
async fn finds_ann(service: &Service, order_id: &str) -> bool {
    let support = service
        .belay()
        .with_role(Role::Support, "sam")
        .expect("a role");
    let preview = support
        .store(SHOP)
        .preview_cancellation(order_id, Units::all())
        .reason(reason::NO_LONGER_WANTED)
        .on_behalf_of(OnBehalfOf::email("ann@example.org"));
    preview.await.is_ok()
}

fn block_on(work: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(work);
}

#[test]
fn a_database_whose_key_is_outside_finds_nobody_by_itself() {
    block_on(async {
        let database = Database::empty().await;
        let check = check_value(keys(&[KEY]).first());
        migrate::run_for(
            &database.url(),
            Some(check),
            &Target::Latest,
            FillSettings::default(),
            |_| (),
        )
        .await
        .expect("it migrates");
        // Again and without the key, as somebody does who forgets it.
        migrate::run(&database.url()).await.expect("nothing to do");
        let service = serve(&database, &[KEY]).await;
        service.create_shop().await;
        new_order_of(&service.storefront(), "A-1", "ann")
            .await
            .expect("an order");
        pay(&service.payments(), "A-1").await;
        assert!(finds_ann(&service, "A-1").await);
        service.stop().await;

        let rows: Vec<(String, String)> =
            database.rows("SELECT name, value FROM settings", ()).await;
        let (hash,): (Vec<u8>,) = database
            .row("SELECT buyer_email_hash FROM orders", ())
            .await;
        for (name, value) in &rows {
            let Ok(stored) = blake3_of(value) else {
                continue;
            };
            let guess = identity::email(&stored, "ann@example.org");
            assert_ne!(guess.as_slice(), hash, "{name} finds her");
        }
        let guess = identity::email(keys(&[KEY]).first(), "ann@example.org");
        assert_eq!(guess.as_slice(), hash);

        let (serves, said) = belay(&database, &["serve", "--trust-role-header"]).await;
        assert!(!serves && said.contains("kept outside of it"), "{said}");
        let wrong = KeyFile::of(&[NEXT]);
        let (serves, said) = belay(
            &database,
            &[
                "serve",
                "--trust-role-header",
                "--identity-key-file",
                wrong.path(),
            ],
        )
        .await;
        assert!(
            !serves && said.contains("not among those that were given"),
            "{said}"
        );
        assert!(!said.contains(NEXT) && !said.contains(KEY), "{said}");
        database.remove().await;
    });
}

fn blake3_of(hex: &str) -> Result<[u8; 32], ()> {
    IdentityKeys::parse(hex)
        .map(|keys| *keys.first())
        .map_err(|_| ())
}

#[test]
fn the_key_of_an_older_database_is_moved_out_and_replaced() {
    block_on(async {
        let database = Database::empty().await;
        migrate::run(&database.url()).await.expect("it migrates");
        let service = Service::start(database.serve_url().await, |_| {}).await;
        service.create_shop().await;
        new_order_of(&service.storefront(), "A-1", "ann")
            .await
            .expect("an order");
        pay(&service.payments(), "A-1").await;
        service.stop().await;

        let (is_shown, shown) = belay(&database, &["identity-key", "show"]).await;
        let old = shown.lines().next().expect("a line").to_owned();
        assert!(is_shown && old.len() == 64, "{shown}");
        let (wrong, file) = (KeyFile::of(&[NEXT]), KeyFile::of(&[&old]));
        let move_out = ["identity-key", "move-out", "--identity-key-file"];
        let (is_moved, said) = belay(&database, &[&move_out[..], &[wrong.path()]].concat()).await;
        assert!(!is_moved, "{said}");
        let (is_moved, said) = belay(&database, &[&move_out[..], &[file.path()]].concat()).await;
        assert!(is_moved, "{said}");
        let (is_shown, said) = belay(&database, &["identity-key", "show"]).await;
        assert!(
            !is_shown && said.contains("not in the database any more"),
            "{said}"
        );
        // A migration puts no other key into its place.
        migrate::run(&database.url()).await.expect("nothing to do");
        let mut conn = pool::connect(&database.url()).await.expect("MySQL answers");
        let stored = settings::read(&mut conn).await.expect("settings").identity;
        assert!(stored.key.is_none() && stored.check.is_some());

        // Another key comes first, and orders of both are found.
        let service = serve(&database, &[NEXT, &old]).await;
        new_order_of(&service.storefront(), "A-2", "ann")
            .await
            .expect("an order");
        pay(&service.payments(), "A-2").await;
        assert!(finds_ann(&service, "A-1").await && finds_ann(&service, "A-2").await);
        service.stop().await;
        let ring = KeyFile::of(&[NEXT, &old]);
        let rotate = ["identity-key", "rotate", "--identity-key-file", ring.path()];
        let (is_done, said) = belay(&database, &rotate).await;
        assert!(is_done, "{said}");
        // Without the one from before, what was hashed by it is found no more.
        let service = serve(&database, &[NEXT]).await;
        assert!(!finds_ann(&service, "A-1").await && finds_ann(&service, "A-2").await);
        service.stop().await;
        // The chain has rows by both.
        let verified = belay(&database, &["verify", "--identity-key-file", ring.path()]).await;
        assert!(
            verified.0 && verified.1.contains("rows are whole"),
            "{}",
            verified.1
        );
        let next = KeyFile::of(&[NEXT]);
        let (is_whole, said) =
            belay(&database, &["verify", "--identity-key-file", next.path()]).await;
        assert!(!is_whole && said.contains("was changed"), "{said}");
        database.remove().await;
    });
}
