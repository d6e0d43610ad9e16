//! `belay deliver` before receivers that behave and receivers that do not: every event comes, those
//! of one order in their order, and what comes twice has the same id.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use belay_client::model::Event;
use belay_client::{RequestId, Role, Units, reason};
use belay_server::grants::GrantSet;
use belay_tests::deliver::{Deliverer, NAME, SECRETS, SecretFile, dead_letters, ids};
use belay_tests::instance::{Instance, Service, insistent, payments, session, storefront};
use belay_tests::process::{HttpAnswer, Running};
use belay_tests::receiver::{Answer, Receiver};
use belay_tests::rewind::{Kept, neighbours};
use belay_tests::shop::{new_order, pay};
use belay_tests::{SHOP, TestServer, run, until};
use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use mysql_async::prelude::Queryable;
use serde_json::{Value, json};

/// A receiver with both secrets, a file with the first, and an instance that delivers to it.
async fn deliver(t: &TestServer, arguments: &[&str]) -> (Receiver, SecretFile, Deliverer) {
    let receiver = Receiver::start(&SECRETS).await;
    let secrets = SecretFile::new(&SECRETS[..1]);
    let deliverer = start(t, &receiver, &secrets, arguments).await;
    (receiver, secrets, deliverer)
}

async fn start(
    t: &TestServer,
    receiver: &Receiver,
    secrets: &SecretFile,
    arguments: &[&str],
) -> Deliverer {
    Deliverer::start(
        &t.database.url_of(&[GrantSet::Deliver]).await,
        receiver,
        secrets,
        arguments,
    )
    .await
}

/// Waits until it has taken everything that the feed has.
async fn all_taken(t: &TestServer, receiver: &Receiver) {
    let expected = ids(&t.database).await;
    until("everything is taken", async || {
        (receiver.taken() == expected).then_some(())
    })
    .await;
}

/// How far the deliverer is, as operators see it; None where it is not known yet.
async fn lag(t: &TestServer) -> Option<i64> {
    let operator = t.role(Role::Operator, "ops");
    let consumers = operator.list_consumers().await.expect("a page").items;
    let found = consumers
        .iter()
        .find(|consumer| consumer.consumer_id.as_str() == NAME)?;
    assert_eq!(found.owner.role, Role::System);
    Some(found.lag_events)
}

/// Of an order of the shop: the events that were received, first of all times.
fn of_order(receiver: &Receiver, order_id: &str) -> Vec<String> {
    let subject = format!("stores/{SHOP}/orders/{order_id}");
    let mut seen = BTreeSet::new();
    let received = receiver.received().into_iter();
    received
        .filter(|one| one.subject() == subject && seen.insert(one.id.clone()))
        .map(|one| one.event_type().replace("belay.v1.", ""))
        .collect()
}

fn types(history: &[Event]) -> Vec<String> {
    history
        .iter()
        .map(|event| event.event_type.to_string())
        .collect()
}

#[test]
fn every_event_comes_signed_and_in_the_order_of_its_order() {
    run(async |t| {
        t.place_paid("A-1").await;
        let (receiver, _secrets, deliverer) = deliver(t, &["--source", "urn:shop"]).await;
        t.place_split_paid("A-2").await;
        t.cancel("A-1").await;
        t.ship("A-2:s1").await;
        all_taken(t, &receiver).await;
        receiver.check_order();
        for order in ["A-1", "A-2"] {
            assert_eq!(of_order(&receiver, order), types(&t.history(order).await));
        }
        let received = receiver.received();
        let first = received
            .iter()
            .find(|one| one.event_type() == "belay.v1.ORDER_CREATED")
            .expect("an order was created");
        assert_eq!(first.content_type, "application/cloudevents+json");
        assert_eq!(first.signed_by, [0].into());
        assert!((t.now().await.as_second() - first.seconds).abs() < 3_600);
        let event = &first.event;
        assert_eq!(event["specversion"], "1.0");
        assert_eq!(event["source"], "urn:shop");
        assert_eq!(event["datacontenttype"], "application/json");
        // One instant, which two writers may give other digits behind the point.
        let instant = |time: &Value| -> Timestamp {
            let text = time.as_str().expect("a text");
            text.parse().expect("an instant")
        };
        assert_eq!(
            instant(&event["time"]),
            instant(&event["data"]["eventTime"])
        );
        // What is 0 is left out.
        let partition = event["data"]["partition"].as_i64().unwrap_or(0);
        let position = event["data"]["position"].as_str();
        let id = format!("{partition}:{}", position.expect("an int64 is text"));
        assert_eq!(first.id, id);
        let shipment = &event["data"]["orderCreated"]["shipments"][0];
        assert_eq!(shipment["contents"][0]["sku"], "MUG");
        // Nothing of the buyer that is not theirs to know.
        assert!(!event.to_string().contains("ann@example.org"), "{event}");
        until("operators see that nothing is left", async || {
            (lag(t).await == Some(0)).then_some(())
        })
        .await;
        deliverer.stop().await;
    });
}

#[test]
fn whatever_a_receiver_does_the_event_comes_again_until_it_is_taken() {
    run(async |t| {
        let hasty = ["--lease", "3s", "--timeout", "300ms", "--attempts", "100"];
        let (receiver, _secrets, deliverer) = deliver(t, &hasty).await;
        let mut faults: BTreeMap<String, Vec<Answer>> = BTreeMap::new();
        let all = [
            Answer::Status(500),
            Answer::Hang,
            Answer::Late,
            Answer::Cut,
            Answer::CutBody,
            Answer::SlowBody,
            Answer::Garbage,
            Answer::Redirect,
            Answer::Status(408),
            Answer::Status(425),
            Answer::RetryAfter(429, 0),
            Answer::RetryAfter(503, 0),
            Answer::TooMuchBody,
        ];
        // The first event of each order sees one fault after the other, the others none.
        receiver.answer(move |one| {
            if one.event_type() != "belay.v1.ORDER_CREATED" {
                return Answer::Take;
            }
            let left = faults
                .entry(one.id.clone())
                .or_insert_with(|| all.iter().rev().copied().collect());
            left.pop().unwrap_or(Answer::Take)
        });
        for order in ["A-1", "A-2", "A-3"] {
            t.place_paid(order).await;
        }
        all_taken(t, &receiver).await;
        receiver.check_order();
        let received = receiver.received();
        let answered: BTreeSet<String> = received
            .iter()
            .map(|one| format!("{:?}", one.answer))
            .collect();
        assert_eq!(answered.len(), all.len() + 1, "{answered:?}");
        let (rows,): (u64,) = t
            .database
            .row("SELECT COUNT(*) FROM held_events WHERE state = 'DEAD'", ())
            .await;
        assert_eq!(rows, 0, "none of it is a dead letter");
        // A body without an end is no reason to wait for it.
        receiver.answer(|_| Answer::EndlessBody);
        t.cancel("A-1").await;
        all_taken(t, &receiver).await;
        deliverer.stop().await;
    });
}

#[test]
fn an_event_that_is_not_taken_holds_back_its_order_and_no_other() {
    run(async |t| {
        // It is not to be given up before it is well again.
        let insistent = ["--attempts", "100", "--retry-delay-max", "5s"];
        let (receiver, secrets, deliverer) = deliver(t, &insistent).await;
        let is_ill = Arc::new(AtomicBool::new(true));
        let ill = is_ill.clone();
        receiver.answer(move |one| {
            if one.subject().ends_with("/ILL") && ill.load(Ordering::Relaxed) {
                Answer::Status(503)
            } else {
                Answer::Take
            }
        });
        t.place_paid("ILL").await;
        t.cancel("ILL").await;
        // Of its own partition too.
        for number in 0..40 {
            t.place_paid(&format!("A-{number}")).await;
        }
        let expected: BTreeSet<String> = ids(&t.database).await;
        until("the others are taken", async || {
            let ill = t.history("ILL").await.len();
            (receiver.taken().len() + ill == expected.len()).then_some(())
        })
        .await;
        assert_eq!(of_order(&receiver, "ILL"), ["ORDER_CREATED"]);
        // Positions have passed what is held: it is in rows.
        until("positions are at the end", async || {
            (lag(t).await == Some(0)).then_some(())
        })
        .await;
        deliverer.stop().await;
        let deliverer = start(t, &receiver, &secrets, &insistent).await;
        // Also with another instance, and one that comes later waits behind the others.
        let seen = receiver.received().len();
        until("it is sent again", async || {
            (receiver.received().len() > seen).then_some(())
        })
        .await;
        assert_eq!(of_order(&receiver, "ILL"), ["ORDER_CREATED"]);
        is_ill.store(false, Ordering::Relaxed);
        all_taken(t, &receiver).await;
        receiver.check_order();
        assert_eq!(of_order(&receiver, "ILL"), types(&t.history("ILL").await));
        until("nothing is held", async || {
            let (held,): (u64,) = t.database.row("SELECT COUNT(*) FROM held_events", ()).await;
            (held == 0).then_some(())
        })
        .await;
        deliverer.stop().await;
    });
}

/// What the command prints, line by line.
async fn listed(t: &TestServer, arguments: &[&str]) -> Vec<Value> {
    let arguments = [&["list", "--consumer", NAME], arguments].concat();
    let printed = dead_letters(&t.database.url_of(&[GrantSet::Deliver]).await, &arguments)
        .await
        .unwrap();
    printed
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

/// Waits until there are so many dead letters.
async fn dead(t: &TestServer, count: usize) -> Vec<Value> {
    until("there are dead letters", async || {
        let listed = listed(t, &[]).await;
        (listed.len() == count).then_some(listed)
    })
    .await
}

#[test]
fn a_dead_letter_is_set_aside_until_somebody_has_it_sent_again_or_drops_it() {
    run(async |t| {
        let (receiver, _secrets, deliverer) = deliver(t, &["--attempts", "3"]).await;
        receiver.answer(|one| match one.event_type() {
            "belay.v1.ORDER_PAID" => Answer::Status(410),
            "belay.v1.PAYMENT_RECORDED" => Answer::Status(500),
            _ => Answer::Take,
        });
        for order in ["A-1", "A-2"] {
            t.place_paid(order).await;
            t.cancel(order).await;
        }
        let letters = dead(t, 4).await;
        // Its order goes on behind it.
        let others = ids(&t.database).await.len() - letters.len();
        until("the others are taken", async || {
            (receiver.taken().len() == others).then_some(())
        })
        .await;
        receiver.check_order();
        let of = |event_type: &str, order: &str| {
            let is_it =
                |letter: &&Value| letter["type"] == event_type && letter["order_id"] == order;
            letters.iter().find(is_it).expect("it is listed").clone()
        };
        let refused = of("ORDER_PAID", "A-1");
        assert_eq!(refused["attempts"], 1);
        assert_eq!(refused["failure"], "HTTP 410");
        assert_eq!(refused["store_id"], SHOP);
        let exhausted = of("PAYMENT_RECORDED", "A-1");
        assert_eq!(exhausted["attempts"], 3);
        assert_eq!(exhausted["failure"], "HTTP 500");

        let url = t.database.url();
        let of_order = ["--store", SHOP, "--order", "A-1"];
        assert_eq!(listed(t, &of_order).await.len(), 2);
        assert_eq!(listed(t, &["--limit", "1"]).await.len(), 1);
        // Sent again, they come in their order, each by its id.
        let seen = receiver.received().len();
        receiver.answer(|_| Answer::Take);
        let replay = [&["replay", "--consumer", NAME], of_order.as_slice()].concat();
        assert_eq!(
            dead_letters(&url, &replay).await,
            Ok("2 are sent again\n".to_owned())
        );
        until("they are taken", async || {
            (receiver.taken().len() == others + 2).then_some(())
        })
        .await;
        let again: Vec<String> = receiver.received()[seen..]
            .iter()
            .map(|one| one.id.clone())
            .collect();
        assert_eq!(json!(again), json!([exhausted["id"], refused["id"]]));
        // The other two: one is dropped by its id, one is the last of all.
        let id = of("ORDER_PAID", "A-2")["id"].as_str().unwrap().to_owned();
        let drop = ["drop", "--consumer", NAME, "--event", &id];
        assert_eq!(
            dead_letters(&url, &drop).await,
            Ok("1 are dropped\n".to_owned())
        );
        assert_eq!(
            dead_letters(&url, &drop).await,
            Ok("0 are dropped\n".to_owned())
        );
        let all = ["replay", "--consumer", NAME, "--all"];
        assert_eq!(
            dead_letters(&url, &all).await,
            Ok("1 are sent again\n".to_owned())
        );
        dead(t, 0).await;
        until("it is taken", async || {
            (receiver.taken().len() == others + 3).then_some(())
        })
        .await;
        assert!(!receiver.taken().contains(&id));
        deliverer.stop().await;
    });
}

#[test]
fn what_somebody_had_sent_again_meanwhile_is_neither_dropped_nor_replayed() {
    run(async |t| {
        let (receiver, _secrets, deliverer) = deliver(t, &[]).await;
        receiver.answer(|_| Answer::Status(410));
        t.place("A-1").await;
        dead(t, 1).await;
        deliverer.stop().await;
        let url = t.database.url_of(&[GrantSet::Deliver]).await;
        let mut somebody = session(&t.database.url()).await;
        for (action, said) in [
            ("drop", "0 are dropped\n"),
            ("replay", "0 are sent again\n"),
        ] {
            let sql = "UPDATE held_events SET state = 'DEAD'";
            t.database.execute(sql, ()).await;
            let lock = "BEGIN; SELECT * FROM delivery_partitions FOR UPDATE";
            somebody.query_drop(lock).await.unwrap();
            let all = [action, "--consumer", NAME, "--all"];
            let meanwhile = async {
                until("it has read and waits for the partition", async || {
                    let waits = t.database.asks(&["delivery_partitions", "FOR UPDATE"]);
                    waits.await.then_some(())
                })
                .await;
                let sql = "UPDATE held_events SET state = 'WAITING', attempts = 7; COMMIT";
                somebody.query_drop(sql).await.unwrap();
            };
            let (printed, ()) = tokio::join!(dead_letters(&url, &all), meanwhile);
            assert_eq!(printed, Ok(said.to_owned()));
            let sql = "SELECT state, attempts FROM held_events";
            let held: Vec<(String, u32)> = t.database.rows(sql, ()).await;
            assert_eq!(held, [("WAITING".to_owned(), 7)], "{action}");
        }
    });
}

#[test]
fn two_instances_share_the_feed_and_a_killed_one_is_replaced() {
    const ORDERS: usize = 150;
    run(async |t| {
        let receiver = Receiver::start(&SECRETS).await;
        let secrets = SecretFile::new(&SECRETS[..1]);
        let short = ["--lease", "3s", "--timeout", "1s"];
        let doomed = start(t, &receiver, &secrets, &short).await;
        let other = start(t, &receiver, &secrets, &short).await;
        let instances = "SELECT COUNT(DISTINCT instance_id), COUNT(*) FROM delivery_partitions \
            WHERE lease_until > SYSDATE(6)";
        until("they share the partitions", async || {
            let row: (u64, u64) = t.database.row(instances, ()).await;
            (row == (2, 64)).then_some(())
        })
        .await;
        // A receiver that is not always well.
        let mut count = 0;
        receiver.answer(move |_| {
            count += 1;
            match count % 7 {
                0 => Answer::Status(503),
                3 => Answer::CutBody,
                _ => Answer::Take,
            }
        });
        let (belay, progress) = (insistent(t.address()), AtomicBool::new(false));
        let (shop, till) = (storefront(&belay), payments(&belay));
        let live = async |number: usize| {
            let order_id = format!("A-{number}");
            new_order(&shop, &order_id).await.expect("an order");
            pay(&till, &order_id).await;
            let request = shop.request_cancellation(&order_id, Units::all());
            request
                .reason(reason::NO_LONGER_WANTED)
                .await
                .expect("it is cancelled");
            if number == ORDERS / 2 {
                progress.store(true, Ordering::Relaxed);
            }
        };
        let orders = stream::iter((0..ORDERS).map(live)).buffer_unordered(8);
        let kill = async {
            until("half of it is done", async || {
                progress.load(Ordering::Relaxed).then_some(())
            })
            .await;
            doomed.running.kill();
        };
        let ((), ()) = tokio::join!(orders.collect::<()>(), kill);
        all_taken(t, &receiver).await;
        receiver.check_order();
        until("the one that is left has all partitions", async || {
            let row: (u64, u64) = t.database.row(instances, ()).await;
            (row == (1, 64)).then_some(())
        })
        .await;
        until("the killed one is forgotten", async || {
            let known = "SELECT COUNT(*) FROM delivery_instances";
            let (known,): (u64,) = t.database.row(known, ()).await;
            (known == 1).then_some(())
        })
        .await;
        until("operators see that nothing is left", async || {
            (lag(t).await == Some(0)).then_some(())
        })
        .await;
        other.stop().await;
    });
}

#[test]
fn a_stop_gives_back_what_is_held_and_the_next_start_goes_on() {
    run(async |t| {
        let (receiver, secrets, first) = deliver(t, &[]).await;
        t.place_paid("A-1").await;
        all_taken(t, &receiver).await;
        first.stop().await;
        let (held, instances): (u64, u64) = t
            .database
            .row(
                "SELECT (SELECT COUNT(*) FROM delivery_partitions WHERE lease_until > SYSDATE(6)), \
                 (SELECT COUNT(*) FROM delivery_instances)",
                (),
            )
            .await;
        assert_eq!((held, instances), (0, 0));
        t.place_paid("A-2").await;
        let second = start(t, &receiver, &secrets, &[]).await;
        all_taken(t, &receiver).await;
        second.stop().await;
        // Where nothing fails, each comes once.
        assert_eq!(receiver.received().len(), ids(&t.database).await.len());
    });
}

#[test]
fn secrets_are_rotated_while_it_runs() {
    run(async |t| {
        let (receiver, secrets, mut deliverer) = deliver(t, &[]).await;
        let mut orders = 0;
        // What is sent from then on is signed by these.
        for (written, signed_by) in [
            (&SECRETS[..1], vec![0]),
            (&SECRETS[..], vec![0, 1]),
            (&SECRETS[1..], vec![1]),
        ] {
            secrets.write(written);
            until("it is signed anew", async || {
                orders += 1;
                t.place(&format!("A-{orders}")).await;
                let all = receiver.received();
                let last = all.last()?;
                (last.signed_by == signed_by.iter().copied().collect()).then_some(())
            })
            .await;
        }
        // A file that is wrong changes nothing.
        secrets.write(&["whsec_short"]);
        deliverer
            .running
            .until_said("it is told", |line| {
                line.contains("the secrets stay as they were").then_some(())
            })
            .await;
        let seen = receiver.received().len();
        t.place("LAST").await;
        all_taken(t, &receiver).await;
        let received = receiver.received();
        let mut last = received[seen..].iter();
        assert!(last.all(|one| one.signed_by == [1].into()));
        deliverer.stop().await;
    });
}

#[test]
fn a_filter_lets_through_what_matches_and_passes_the_rest() {
    run(async |t| {
        let filter = [
            "--store",
            SHOP,
            "--seller",
            "acme",
            "--warehouse",
            "east",
            "--warehouse",
            "west",
            "--carrier",
            "express",
            "--event-type",
            "SHIPMENT_STAGE_CHANGED",
        ];
        let (receiver, _secrets, deliverer) = deliver(t, &filter).await;
        t.place_split_paid("A-1").await;
        t.ship("A-1:s1").await;
        t.ship("A-1:s2").await;
        until("it has passed everything", async || {
            (lag(t).await == Some(0)).then_some(())
        })
        .await;
        let received = receiver.received();
        assert!(!received.is_empty());
        for one in received {
            assert_eq!(one.event_type(), "belay.v1.SHIPMENT_STAGE_CHANGED");
            assert_eq!(one.event["data"]["warehouseId"], "east");
        }
        deliverer.stop().await;
    });
}

#[test]
fn a_name_that_begins_now_gets_nothing_of_before() {
    run(async |t| {
        t.place("OLD").await;
        let (receiver, _secrets, deliverer) = deliver(t, &["--start", "now"]).await;
        t.place("NEW").await;
        until("the new one is taken", async || {
            (!receiver.taken().is_empty()).then_some(())
        })
        .await;
        assert_eq!(of_order(&receiver, "OLD"), [""; 0]);
        deliverer.stop().await;
    });
}

#[test]
fn events_that_were_pruned_before_are_skipped_only_where_that_is_asked_for() {
    run(async |t| {
        let (receiver, secrets, deliverer) = deliver(t, &["--start", "now"]).await;
        deliverer.stop().await;
        t.place("OLD").await;
        t.database
            .execute("UPDATE partition_tails JOIN partition_heads USING (shard_partition) SET pruned = head, expiring = head", ())
            .await;
        let mut strict = start(t, &receiver, &secrets, &[]).await;
        strict
            .running
            .until_said("it stands still", |line| {
                line.contains("the partition stands still").then_some(())
            })
            .await;
        strict.stop().await;
        let lenient = start(t, &receiver, &secrets, &["--skip-pruned"]).await;
        t.place("OLD-2").await;
        t.pay("OLD").await;
        until("what came later is taken", async || {
            let paid = of_order(&receiver, "OLD").contains(&"ORDER_PAID".to_owned());
            paid.then_some(())
        })
        .await;
        assert!(!of_order(&receiver, "OLD").contains(&"ORDER_CREATED".to_owned()));
        lenient.stop().await;
        t.database
            .execute("UPDATE partition_tails SET pruned = 0, expiring = 0", ())
            .await;
    });
}

#[test]
fn what_takes_the_place_of_lost_events_is_delivered_too() {
    run(async |t| {
        let short = ["--lease", "3s", "--timeout", "1s"];
        let (receiver, _secrets, deliverer) = deliver(t, &short).await;
        let ids = neighbours(4);
        t.place(&ids[0]).await;
        all_taken(t, &receiver).await;
        let is_stored = async || {
            until("positions are at the end", async || {
                (lag(t).await == Some(0)).then_some(())
            })
            .await;
        };
        is_stored().await;
        let kept = Kept::of(&t.database).await;
        t.place(&ids[1]).await;
        all_taken(t, &receiver).await;
        is_stored().await;
        kept.put_back(&t.database).await;
        // The first has the positions of the one that is lost, and more come behind it.
        for id in &ids[2..] {
            t.place(id).await;
        }
        for id in &ids[2..] {
            let expected = types(&t.history(id).await);
            until("what is there now is taken", async || {
                (of_order(&receiver, id) == expected).then_some(())
            })
            .await;
        }
        deliverer.stop().await;
    });
}

#[test]
fn orders_that_a_receiver_hangs_on_leave_room_for_others() {
    run(async |t| {
        // No attempt ends while the test looks.
        let patient = [
            "--in-flight",
            "4",
            "--attempts",
            "100",
            "--timeout",
            "60s",
            "--lease",
            "180s",
        ];
        let (receiver, _secrets, deliverer) = deliver(t, &patient).await;
        let mut seen = BTreeSet::new();
        receiver.answer(move |one| {
            let is_ill = one.subject().contains("/ILL-");
            match (is_ill, seen.insert(one.id.clone())) {
                (false, _) => Answer::Take,
                (true, true) => Answer::Status(503),
                (true, false) => Answer::Hang,
            }
        });
        for number in 0..8 {
            t.place(&format!("ILL-{number}")).await;
        }
        let hanging = || {
            let received = receiver.received();
            let hanging = received.iter().filter(|one| one.answer == Answer::Hang);
            hanging.count()
        };
        until("as many hang as may", async || {
            (hanging() >= 2).then_some(())
        })
        .await;
        t.place_paid("WELL").await;
        let expected = types(&t.history("WELL").await);
        until("the other order is delivered", async || {
            (of_order(&receiver, "WELL") == expected).then_some(())
        })
        .await;
        deliverer.running.kill();
    });
}

#[test]
fn an_instance_can_be_watched() {
    run(async |t| {
        let patient = ["--lease", "60s", "--timeout", "20s", "--attempts", "1"];
        let (receiver, _secrets, mut deliverer) = deliver(t, &patient).await;
        let admin = deliverer
            .running
            .until_said("the admin port is open", |line| {
                let line: Value = serde_json::from_str(line).ok()?;
                let fields = line.get("fields")?;
                let is_it = fields["message"] == "the admin port is open";
                is_it.then(|| fields["address"].as_str()?.parse().ok())?
            })
            .await;
        receiver.answer(|one| match one.event_type() {
            "belay.v1.ORDER_CREATED" => Answer::Take,
            "belay.v1.ORDER_PAID" => Answer::Status(410),
            _ => Answer::Status(500),
        });
        t.place_paid("A-1").await;
        let get = async |path: &str| {
            let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
            HttpAnswer::to(admin, &request).await.expect("an answer")
        };
        let samples = [
            "belay_delivery_attempts_total{belay_outcome=\"taken\"} 1",
            "belay_delivery_attempts_total{belay_outcome=\"refused\"} 1",
            "belay_delivery_attempts_total{belay_outcome=\"exhausted\"}",
            "belay_delivery_attempts_total{belay_outcome=\"failed\"} 0",
            "belay_delivery_held{belay_held_state=\"waiting\"} 0",
            "belay_delivery_lag 0",
            "belay_delivery_partitions 64",
        ];
        until("the metrics tell it", async || {
            let text = get("/metrics").await.body;
            samples
                .iter()
                .all(|sample| text.contains(sample))
                .then_some(())
        })
        .await;
        assert_eq!(get("/readyz").await.status, 200);
        let said = deliverer.stop().await;
        assert!(said.contains("a dead letter"), "{said}");
        assert!(!said.contains("key=1"), "the URL's query is not told");
    });
}

/// A certificate for this machine and its key, in a folder.
fn certify(folder: &Path) -> (String, String) {
    let path = |name: &str| folder.join(name).to_str().expect("text").to_owned();
    let (certificate, key) = (path("certificate.pem"), path("key.pem"));
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
        ])
        .args(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args(["-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-keyout", &key, "-out", &certificate])
        .output()
        .expect("there is openssl");
    let said = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "{said}");
    (certificate, key)
}

#[test]
fn a_receiver_in_python_behind_https_checks_who_sends() {
    run(async |t| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(RequestId::mint().to_string());
        std::fs::create_dir(&folder).expect("a folder");
        let (certificate, key) = certify(&folder);
        let mut python = Command::new("python3");
        python
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/python/receiver.py"))
            .args([&certificate, &key, SECRETS[1]]);
        let mut receiver = Running::start(python);
        let port: u16 = receiver
            .until_said("it listens", |line| {
                line.strip_prefix("port ")?.parse().ok()
            })
            .await;
        let url = format!("https://127.0.0.1:{port}/");
        let roots = [("SSL_CERT_FILE", certificate.as_str())];
        let secrets = SecretFile::new(&SECRETS[..1]);
        let database = t.database.url();
        let deliver = async |secrets| Deliverer::to(&url, &database, secrets, &[], &roots).await;
        let mut deliverer = deliver(&secrets).await;
        t.place("A-1").await;
        // Signed by a secret that the receiver does not know.
        deliverer
            .running
            .until_said("it is refused", |line| {
                line.contains("HTTP 401").then_some(())
            })
            .await;
        deliverer.stop().await;
        assert_eq!(listed(t, &[]).await[0]["type"], "ORDER_CREATED");
        secrets.write(&SECRETS);
        let deliverer = deliver(&secrets).await;
        let all = ["replay", "--consumer", NAME, "--all"];
        dead_letters(&database, &all).await.unwrap();
        t.pay("A-1").await;
        let expected = ids(&t.database).await;
        until("everything is taken", async || {
            let said = receiver.said();
            let taken = said.lines().filter_map(|line| line.split_once(' '));
            let taken: BTreeSet<String> = taken
                .map(|(id, _)| id.to_owned())
                .filter(|id| id != "port")
                .collect();
            (taken == expected).then_some(())
        })
        .await;
        assert!(
            receiver
                .said()
                .contains(" belay.v1.ORDER_PAID stores/shop/orders/A-1")
        );
        deliverer.stop().await;
        // Nobody vouches for the receiver any more.
        let strangers = Deliverer::to(&url, &database, &secrets, &[], &[]);
        let mut strangers = strangers.await;
        t.cancel("A-1").await;
        strangers
            .running
            .until_said("it is not believed", |line| {
                line.contains("certificate").then_some(())
            })
            .await;
        strangers.stop().await;
        std::fs::remove_dir_all(&folder).expect("it was made here");
    });
}

#[test]
fn a_killed_database_is_waited_for() {
    run(async |_| {
        let instance = Instance::start(&[]).await;
        let service = Service::start(instance.serve_url(), |_| {}).await;
        service.create_shop().await;
        let receiver = Receiver::start(&SECRETS).await;
        let secrets = SecretFile::new(&SECRETS[..1]);
        let mut deliverer = Deliverer::start(&instance.url(), &receiver, &secrets, &[]).await;
        let (shop, till) = (service.storefront(), service.payments());
        let live = async |order_id: &str| {
            new_order(&shop, order_id).await.expect("an order");
            pay(&till, order_id).await;
        };
        live("A-1").await;
        instance.kill().await;
        deliverer
            .running
            .until_said("it notices", |line| {
                line.contains("the database fails").then_some(())
            })
            .await;
        instance.restart().await;
        live("A-2").await;
        let database = instance.database().await;
        let expected = ids(&database).await;
        until("everything is taken", async || {
            (receiver.taken() == expected).then_some(())
        })
        .await;
        receiver.check_order();
        deliverer.stop().await;
        service.stop().await;
    });
}
