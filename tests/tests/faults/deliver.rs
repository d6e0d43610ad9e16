//! `belay deliver` is not told that its transaction was committed, and stores again. What somebody
//! did to a dead letter in between stays done.

use belay_server::grants::GrantSet;
use belay_tests::deliver::{Deliverer, NAME, SECRETS, SecretFile, dead_letters, ids};
use belay_tests::receiver::{Answer, Receiver};
use belay_tests::{TestServer, run, until};

use super::proxy::{At, Cut, Proxy};

/// The answers that make an event a dead letter, and the statement that writes it as one.
type Refusal = (&'static [u16], &'static str);

/// Refused as it is read from the feed: it is held from then on.
const AT_ONCE: Refusal = (&[410], "INSERT INTO `held_events`");
/// Refused once it is held.
const LATER: Refusal = (&[500, 410], "UPDATE `held_events`");

/// A deliverer that has stored a dead letter, has not been told so, and may store again from now
/// on: somebody has done this to the dead letter meanwhile.
struct Untold {
    receiver: Receiver,
    deliverer: Deliverer,
    _secrets: SecretFile,
    _proxy: Proxy,
}

impl Untold {
    async fn start(t: &TestServer, order_id: &str, refusal: Refusal, action: &str) -> Self {
        let (statuses, statement) = refusal;
        let proxy = Proxy::start(&t.database.url_of(&[GrantSet::Deliver]).await).await;
        let receiver = Receiver::start(&SECRETS).await;
        let mut left = statuses.iter();
        receiver.answer(move |_| left.next().map_or(Answer::Take, |one| Answer::Status(*one)));
        let secrets = SecretFile::new(&SECRETS[..1]);
        proxy.cut_and_hold(At::CommitOf(statement), Cut::BeforeReply);
        // It keeps its lease meanwhile.
        let patient = ["--lease", "30s", "--timeout", "10s"];
        let deliverer = Deliverer::start(&proxy.url(), &receiver, &secrets, &patient).await;
        t.place(order_id).await;
        proxy.held().await;
        let all = [action, "--consumer", NAME, "--all"];
        let changed = dead_letters(&t.database.url(), &all).await;
        let changed = changed.expect("it is done");
        assert!(changed.starts_with("1 are "), "{changed}");
        proxy.let_go();
        Self {
            receiver,
            deliverer,
            _secrets: secrets,
            _proxy: proxy,
        }
    }
}

#[test]
fn a_dead_letter_that_was_replayed_is_sent_again_whoever_stores_it_twice() {
    run(async |t| {
        for (order_id, refusal) in [("A-1", AT_ONCE), ("A-2", LATER)] {
            let before = ids(&t.database).await;
            let untold = Untold::start(t, order_id, refusal, "replay").await;
            let expected: Vec<String> = ids(&t.database)
                .await
                .difference(&before)
                .cloned()
                .collect();
            until("it is sent again and taken", async || {
                let taken = untold.receiver.taken();
                expected.iter().all(|id| taken.contains(id)).then_some(())
            })
            .await;
            untold.deliverer.stop().await;
            let (held,): (u64,) = t.database.row("SELECT COUNT(*) FROM held_events", ()).await;
            assert_eq!(held, 0, "{order_id}");
        }
    });
}

#[test]
fn a_dead_letter_that_was_dropped_does_not_come_back() {
    run(async |t| {
        let untold = Untold::start(t, "A-1", AT_ONCE, "drop").await;
        // What comes of this one is stored with or behind what is stored again.
        t.place("A-2").await;
        let behind = "SELECT COUNT(*) FROM partition_heads JOIN delivery_partitions \
            USING (shard_partition) WHERE position < head";
        until("all is stored", async || {
            let (behind,): (u64,) = t.database.row(behind, ()).await;
            (behind == 0).then_some(())
        })
        .await;
        let (held,): (u64,) = t.database.row("SELECT COUNT(*) FROM held_events", ()).await;
        assert_eq!(held, 0);
        untold.deliverer.stop().await;
    });
}
