//! EventService: what is committed reaches those who watch, whoever fails meanwhile.

use std::collections::BTreeSet;
use std::time::Duration;

use belay_client::model::{
    CancellationPath, Event, EventDetail, EventType, PartState, PartitionPosition,
};
use belay_client::{Belay, Kind, ResumeToken, Role, Scope, Units, reason};
use belay_proto::v1 as pb;
use belay_proto::v1::event_service_client::EventServiceClient;
use belay_tests::feed::{Watcher, ends, stored};
use belay_tests::instance::{Service, literal};
use belay_tests::raw::Refused;
use belay_tests::rewind::{Kept, neighbours};
use belay_tests::shop::new_order;
use belay_tests::{HANG, SHOP, TestServer, pages, refused, run, until};
use futures_util::StreamExt as _;
use tonic::transport::Endpoint;
use tonic::{Code, Request};

fn everybody(t: &TestServer) -> Belay {
    t.role(Role::Operator, "ops")
}

/// Reads all there is.
async fn read_all(watcher: &mut Watcher, belay: &Belay) {
    let ends = ends(belay).await;
    watcher.read_to(&ends, |_| false).await;
}

fn types(events: &[Event]) -> Vec<EventType> {
    events.iter().map(|event| event.event_type).collect()
}

#[test]
fn a_watch_gets_what_is_committed_after_it_began() {
    run(async |t| {
        t.place("A-0").await;
        let belay = everybody(t);
        let mut watcher = Watcher::new(belay.watch_events());
        let first = watcher.next().await.unwrap().unwrap();
        assert_eq!((first.events.len(), first.positions.len()), (0, 64));
        assert_eq!(first.positions, ends(&belay).await);

        t.place_paid("A-1").await;
        read_all(&mut watcher, &belay).await;
        assert_eq!(
            watcher.events,
            t.storefront()
                .list_order_history("A-1")
                .await
                .unwrap()
                .items
        );
        watcher
            .check(&t.database, |event| event.order_id.as_str() == "A-1")
            .await;
    });
}

#[test]
fn events_say_enough_to_act_on() {
    run(async |t| {
        let belay = everybody(t);
        t.place_interceptable("A-1").await;
        t.pay("A-1").await;
        let mut watcher = Watcher::new(belay.watch_events().from_oldest());
        read_all(&mut watcher, &belay).await;
        let created = &watcher.events[0];
        assert_eq!(created.seller_id.as_ref().unwrap().as_str(), "acme");
        assert_eq!((&created.warehouse_id, &created.carrier_id), (&None, &None));
        let Some(EventDetail::OrderCreated { shipments, .. }) = &created.detail else {
            panic!("{created:?}")
        };
        let [shipment] = shipments.as_slice() else {
            panic!("{shipments:?}")
        };
        assert_eq!(
            (shipment.warehouse_id.as_str(), shipment.carrier_id.as_str()),
            ("main", "express")
        );
        let units = |contents: &[belay_client::model::SkuQuantity]| -> Vec<(String, i32)> {
            let sku = |it: &belay_client::model::SkuQuantity| it.sku.clone().unwrap();
            contents.iter().map(|it| (sku(it), it.quantity)).collect()
        };
        let all = [("MUG".to_owned(), 3), ("PEN".to_owned(), 1)];
        assert_eq!(units(&shipment.contents), all);

        // The warehouse hears what it may pack, and the carrier what it must bring back.
        let released = watcher
            .events
            .iter()
            .find(|event| event.event_type == EventType::ShipmentStageChanged)
            .expect("it is released");
        assert_eq!(released.warehouse_id.as_ref().unwrap().as_str(), "main");
        assert_eq!(released.carrier_id.as_ref().unwrap().as_str(), "express");
        let Some(EventDetail::ShipmentStageChanged { contents, .. }) = &released.detail else {
            panic!("{released:?}")
        };
        assert_eq!(units(contents), all);

        t.ship("A-1:s1").await;
        t.storefront()
            .request_cancellation("A-1", Units::all())
            .reason(reason::NO_LONGER_WANTED)
            .paths([CancellationPath::Intercept])
            .await
            .unwrap();
        read_all(&mut watcher, &belay).await;
        let gate = watcher
            .events
            .iter()
            .find(|event| event.event_type == EventType::GateOpened)
            .expect("the carrier is asked");
        let Some(EventDetail::GateChanged {
            contents,
            fence,
            reason,
            ..
        }) = &gate.detail
        else {
            panic!("{gate:?}")
        };
        assert_eq!(units(contents), all);
        assert_eq!(*fence, t.shipment("A-1:s1").await.fence);
        assert_eq!(reason.as_deref(), Some("NO_LONGER_WANTED"));

        t.place_paid("A-2").await;
        t.cancel_units("A-2", Units::line("A-2:l2", 1)).await;
        read_all(&mut watcher, &belay).await;
        let ended = watcher
            .events
            .iter()
            .find(|event| event.event_type == EventType::PartEnded)
            .expect("a part ended");
        let Some(EventDetail::PartEnded {
            state,
            contents,
            counted,
            fault,
            ..
        }) = &ended.detail
        else {
            panic!("{ended:?}")
        };
        assert_eq!((*state, *counted), (PartState::Cancelled, false));
        assert_eq!(units(contents), [("PEN".to_owned(), 1)]);
        assert!(fault.is_some());
    });
}

#[test]
fn the_feed_from_its_beginning_is_the_history_of_all_orders() {
    run(async |t| {
        for order in ["A-1", "A-2", "A-3"] {
            t.place_paid(order).await;
        }
        t.cancel_units("A-2", Units::all()).await;
        let belay = everybody(t);
        let mut watcher = Watcher::new(belay.watch_events().from_oldest());
        read_all(&mut watcher, &belay).await;
        assert_eq!(watcher.came(), stored(&t.database).await);
        watcher.check(&t.database, |_| true).await;
        for order in ["A-1", "A-2", "A-3"] {
            let told = watcher
                .events
                .iter()
                .filter(|event| event.order_id.as_str() == order);
            let history = t.storefront().list_order_history(order).await.unwrap();
            assert_eq!(told.cloned().collect::<Vec<_>>(), history.items);
        }
        // A list of all has the same, page by page; and its last token goes on.
        let listed =
            pages(async |token| belay.list_events().page_size(2).page_token(token).await).await;
        let listed: Vec<Event> = listed.into_iter().flatten().collect();
        let mut watched = watcher.events.clone();
        watched.sort_by_key(|event| (event.partition, event.position));
        assert_eq!(listed, watched);
        let page: pb::ListEventsResponse = t
            .raw()
            .send(
                "operator",
                "EventService/ListEvents",
                pb::ListEventsRequest::default(),
            )
            .await
            .unwrap();
        assert!(page.next_page_token.is_empty());
        t.place("A-4").await;
        let rest = belay
            .list_events()
            .resume_token(page.resume_token.as_str())
            .await
            .unwrap();
        assert_eq!(types(&rest.items), [EventType::OrderCreated]);
    });
}

#[test]
fn a_filter_gives_what_matches_and_bookmarks_for_the_rest() {
    run(async |t| {
        let belay = everybody(t);
        let of_order = belay
            .watch_events()
            .from_oldest()
            .store_id(SHOP)
            .order_id("A-2");
        let released = belay
            .watch_events()
            .from_oldest()
            .event_types([EventType::ShipmentStageChanged, EventType::OrderPaid])
            .seller_ids(["acme", "other"]);
        let east = belay.watch_events().from_oldest().warehouse_ids(["east"]);
        let express = belay.watch_events().from_oldest().carrier_ids(["express"]);
        let nothing = belay.watch_events().from_oldest().seller_ids(["nobody"]);
        let mut watchers = [of_order, released, east, express, nothing].map(Watcher::new);
        t.place_split_paid("A-1").await;
        t.place_paid("A-2").await;
        for watcher in &mut watchers {
            // Also of what does not match the positions come to the end: the bookmarks say so.
            read_all(watcher, &belay).await;
        }
        let [of_order, released, east, express, nothing] = watchers;
        assert_eq!(
            of_order.events,
            t.storefront()
                .list_order_history("A-2")
                .await
                .unwrap()
                .items
        );
        let about = [EventType::ShipmentStageChanged, EventType::OrderPaid];
        assert_eq!(released.came(), 5, "{:?}", types(&released.events));
        released
            .check(&t.database, |event| about.contains(&event.event_type))
            .await;
        for watcher in [&east, &express] {
            let shipments: BTreeSet<_> = watcher
                .events
                .iter()
                .map(|event| {
                    (
                        event.order_id.as_str(),
                        event.warehouse_id.as_ref().unwrap().as_str(),
                    )
                })
                .collect();
            assert_eq!(shipments, BTreeSet::from([("A-1", "east")]));
        }
        assert_eq!(nothing.came(), 0);
        // The token of one filter works with no other, and is not lost on the same in another
        // order.
        let token = released.token.clone().unwrap();
        let other = belay.watch_events().resume_token(&token);
        refused(other.await, Kind::InvalidArgument, "RESUME_TOKEN_INVALID");
        let again = belay
            .watch_events()
            .event_types([EventType::OrderPaid, EventType::ShipmentStageChanged])
            .seller_ids(["other", "acme", "acme"])
            .resume_token(&token);
        let _ = again.await.unwrap();
    });
}

#[test]
fn a_scope_hides_the_events_of_others() {
    run(async |t| {
        let watch = |belay: &Belay| Watcher::new(belay.watch_events().from_oldest());
        let narrowed = |role, scope| t.role(role, "somebody").with_scope(scope).unwrap();
        t.place_split_paid("A-1").await;
        t.place_paid("A-2").await;
        let all = everybody(t);
        let east = t.role(Role::Warehouse, "east");
        let mut watcher = watch(&east);
        read_all(&mut watcher, &all).await;
        assert!(watcher.came() > 0);
        watcher
            .check(&t.database, |event| {
                event
                    .warehouse_id
                    .as_ref()
                    .is_some_and(|id| id.as_str() == "east")
            })
            .await;
        // What is asked for from outside the scope is as if it were not there.
        let mut watcher = Watcher::new(east.watch_events().from_oldest().warehouse_ids(["main"]));
        read_all(&mut watcher, &all).await;
        assert_eq!(watcher.came(), 0);
        for scope in [
            Scope::default().sellers(["zenith"]),
            Scope::default().stores(["elsewhere"]),
        ] {
            let stranger = narrowed(Role::Support, scope);
            let mut watcher = watch(&stranger);
            read_all(&mut watcher, &all).await;
            assert_eq!(watcher.came(), 0);
        }
        let stranger = narrowed(Role::Support, Scope::default().stores(["elsewhere"]));
        for store in [SHOP, "gone"] {
            let foreign = stranger.watch_events().store_id(store).await;
            refused(foreign, Kind::NotFound, "STORE_NOT_FOUND");
        }
    });
}

#[test]
fn a_point_of_the_feed_that_is_none_is_refused() {
    run(async |t| {
        t.place("A-1").await;
        let belay = everybody(t);
        let token = ends_token(&belay).await;
        let (begin, last) = token.as_str().split_at(token.as_str().len() - 1);
        let touched = format!("{begin}{}", if last == "0" { "1" } else { "0" });
        for garbage in ["x", "00", &touched, "' OR 1=1", &"0".repeat(5_000)] {
            let watch = belay.watch_events().resume_token(garbage).await;
            let error = refused(watch, Kind::InvalidArgument, "RESUME_TOKEN_INVALID");
            assert_eq!(error.field_violations()[0].field, "resume_token");
            let list = belay.list_events().page_token(garbage).await;
            refused(list, Kind::InvalidArgument, "PAGE_TOKEN_INVALID");
            let list = belay.list_events().resume_token(garbage).await;
            refused(list, Kind::InvalidArgument, "RESUME_TOKEN_INVALID");
            let commit = belay.commit_position("index", garbage).await;
            refused(commit, Kind::InvalidArgument, "RESUME_TOKEN_INVALID");
        }
        let future = ends(&belay)
            .await
            .into_iter()
            .map(|at| PartitionPosition::new(at.partition, at.position + 1));
        let future: Vec<PartitionPosition> = future.collect();
        let watch = belay.watch_events().positions(future.clone()).await;
        let error = refused(watch, Kind::OutOfRange, "POSITION_AHEAD");
        let first = &future[0];
        assert_eq!(error.metadata()["partition"], "0");
        assert_eq!(error.metadata()["position"], first.position.to_string());
        assert_eq!(
            error.metadata()["last_position"],
            (first.position - 1).to_string()
        );
        let list = belay.list_events().positions(future).await;
        refused(list, Kind::OutOfRange, "POSITION_AHEAD");

        let raw = t.raw();
        let ask = async |partitions: &[(i32, i64)]| -> Refused {
            let at = |(partition, position): &(i32, i64)| pb::PartitionPosition {
                partition: *partition,
                position: *position,
            };
            let positions = pb::FeedPositions {
                partitions: partitions.iter().map(at).collect(),
            };
            let request = pb::ListEventsRequest {
                begin: Some(pb::list_events_request::Begin::Positions(positions)),
                ..Default::default()
            };
            raw.refused("operator", "EventService/ListEvents", request)
                .await
        };
        for (asked, field) in [
            (&[(64, 0)][..], "positions.partitions[0].partition"),
            (&[(-1, 0)], "positions.partitions[0].partition"),
            (&[(0, 0), (1, -1)], "positions.partitions[1].position"),
            (&[(3, 0), (3, 0)], "positions.partitions[1]"),
        ] {
            let refused = ask(asked).await;
            assert_eq!(refused.what(), (Code::InvalidArgument, "INVALID_FIELD"));
            assert_eq!(refused.fields, [field]);
        }
        let refused_filter = async |filter: pb::EventFilter| -> Vec<String> {
            let request = pb::ListEventsRequest {
                filter: Some(filter),
                ..Default::default()
            };
            raw.refused("operator", "EventService/ListEvents", request)
                .await
                .fields
        };
        let filter = pb::EventFilter {
            order_id: "A-1".to_owned(),
            seller_ids: vec!["a b".to_owned(), "acme".to_owned()],
            warehouse_ids: vec!["x".to_owned(); 201],
            carrier_ids: vec![String::new()],
            event_types: vec![0, 4_711],
            ..Default::default()
        };
        assert_eq!(
            refused_filter(filter).await,
            [
                "filter.store_id",
                "filter.seller_ids[0]",
                "filter.warehouse_ids",
                "filter.carrier_ids[0]",
                "filter.event_types[0]",
                "filter.event_types[1]",
            ]
        );
    });
}

async fn ends_token(belay: &Belay) -> ResumeToken {
    let mut stream = belay.watch_events().await.unwrap();
    stream.try_next().await.unwrap().unwrap().resume_token
}

#[test]
fn a_consumer_goes_on_where_it_was_and_never_back() {
    run(async |t| {
        t.place("A-0").await;
        let belay = everybody(t);
        let error = belay.get_consumer("index").await;
        let error = refused(error, Kind::NotFound, "CONSUMER_NOT_FOUND");
        assert_eq!(error.metadata()["consumer_id"], "index");

        let before = ends_token(&belay).await;
        let first = belay.commit_position("index", &before).await.unwrap();
        assert_eq!((first.lag_events, first.consumer_id.as_str()), (0, "index"));
        t.place_paid("A-1").await;
        let behind = belay.get_consumer("index").await.unwrap();
        let history = t
            .storefront()
            .list_order_history("A-1")
            .await
            .unwrap()
            .items;
        assert_eq!(usize::try_from(behind.lag_events).unwrap(), history.len());
        assert_eq!(behind.positions, first.positions);

        let mut watcher = Watcher::new(belay.watch_events().resume_token(behind.resume_token));
        read_all(&mut watcher, &belay).await;
        assert_eq!(watcher.events, history);
        let after = watcher.token.clone().unwrap();
        let committed = belay.commit_position("index", &after).await.unwrap();
        assert_eq!(committed.lag_events, 0);
        // Again, which changes nothing; and back, which another process under the name would do.
        belay.commit_position("index", &after).await.unwrap();
        let back = belay.commit_position("index", &before).await;
        let error = refused(back, Kind::Rejected, "POSITION_BEHIND");
        let partition: i32 = error.metadata()["partition"].parse().unwrap();
        assert_eq!(partition, history[0].partition);
        assert_eq!(
            belay.get_consumer("index").await.unwrap().positions,
            committed.positions
        );

        // Others have their own under the same name, and so has the store.
        let other = t.role(Role::Seller, "acme");
        refused(
            other.get_consumer("index").await,
            Kind::NotFound,
            "CONSUMER_NOT_FOUND",
        );
        let theirs = ends_token(&other).await;
        other.commit_position("index", theirs).await.unwrap();
        belay
            .commit_position("index", &before)
            .store_id(SHOP)
            .await
            .unwrap();
        let names = async |belay: &Belay| -> Vec<(String, String)> {
            let listed =
                pages(async |token| belay.list_consumers().page_size(1).page_token(token).await)
                    .await;
            let name = |it: &belay_client::model::Consumer| {
                let store = it.store_id.as_ref().map(ToString::to_string);
                (store.unwrap_or_default(), it.owner.role.to_string())
            };
            listed.iter().flatten().map(name).collect()
        };
        let [of_operator, of_seller, of_shop] =
            [("", "OPERATOR"), ("", "SELLER"), (SHOP, "OPERATOR")]
                .map(|(store, role)| (store.to_owned(), role.to_owned()));
        assert_eq!(
            names(&belay).await,
            [of_operator, of_seller.clone(), of_shop.clone()]
        );
        assert_eq!(names(&other).await, [of_seller]);
        belay.delete_consumer("index").await.unwrap();
        belay.delete_consumer("index").await.unwrap();
        refused(
            belay.get_consumer("index").await,
            Kind::NotFound,
            "CONSUMER_NOT_FOUND",
        );
        let of_shop = belay.get_consumer("index").store_id(SHOP).await.unwrap();
        assert_eq!(of_shop.store_id.unwrap().as_str(), SHOP);
    });
}

#[test]
fn a_caller_has_a_thousand_consumers_at_most() {
    run(async |t| {
        let belay = everybody(t);
        let token = ends_token(&belay).await;
        t.database
            .execute(
                "INSERT INTO consumers SELECT '', CONCAT('c-', n), 'OPERATOR', 'ops', REPEAT('x', 16), '[]', NOW(6) FROM
                 (WITH RECURSIVE counted (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < 1000)
                  SELECT n FROM counted) names",
                (),
            )
            .await;
        let more = belay.commit_position("one-more", &token).await;
        let error = refused(more, Kind::Rejected, "CONSUMERS_EXHAUSTED");
        assert_eq!(error.metadata()["limit_max"], "1000");
        t.role(Role::Operator, "other")
            .commit_position("one", &token)
            .await
            .unwrap();
        belay.delete_consumer("c-1").await.unwrap();
        belay.commit_position("one-more", &token).await.unwrap();
    });
}

#[test]
fn of_two_that_commit_at_once_none_goes_back() {
    run(async |t| {
        let belay = everybody(t);
        let mut tokens = vec![ends_token(&belay).await];
        for order in 0..8 {
            t.place(&format!("A-{order}")).await;
            tokens.push(ends_token(&belay).await);
        }
        let commits = tokens
            .iter()
            .map(|token| belay.commit_position("index", token).send());
        for outcome in futures_util::future::join_all(commits).await {
            if let Err(error) = outcome {
                let told = error.reason().map(|reason| reason.as_str().to_owned());
                assert_eq!(told.as_deref(), Some("POSITION_BEHIND"), "{error}");
            }
        }
        let last = belay.get_consumer("index").await.unwrap();
        assert_eq!(last.lag_events, 0, "the furthest has landed");
    });
}

#[test]
fn what_another_server_commits_is_told_too() {
    run(async |t| {
        let other = Service::start(t.database.serve_url().await, |_| {}).await;
        let mut here = Watcher::new(everybody(t).watch_events());
        let mut there = Watcher::new(
            other
                .belay()
                .with_role(Role::Operator, "ops")
                .unwrap()
                .watch_events(),
        );
        for watcher in [&mut here, &mut there] {
            watcher.next().await.unwrap();
        }
        for number in 0..10 {
            t.place(&format!("A-{number}")).await;
            new_order(&other.storefront(), &format!("B-{number}"))
                .await
                .unwrap();
        }
        for watcher in [&mut here, &mut there] {
            read_all(watcher, &everybody(t)).await;
            assert_eq!(watcher.came(), 20);
            watcher.check(&t.database, |_| true).await;
        }
        other.stop().await;
    });
}

#[test]
fn a_stop_ends_streams_with_a_last_bookmark() {
    run(async |t| {
        let service = Service::start(t.database.serve_url().await, |settings| {
            // Longer than the test: what comes then comes because the server stops.
            settings.feed.bookmark_interval = HANG;
        })
        .await;
        let belay = literal(service.address())
            .with_role(Role::Operator, "ops")
            .unwrap();
        let mut watcher = Watcher::new(belay.watch_events());
        watcher.next().await.unwrap();
        new_order(&service.storefront(), "A-1").await.unwrap();
        let (stopped, last) = tokio::join!(service.stop(), async {
            let mut last = None;
            while let Some(batch) = watcher.next().await.expect("it ends in order") {
                last = Some(batch);
            }
            last
        });
        let () = stopped;
        let last = last.expect("a last message");
        assert!(last.events.is_empty() && !last.positions.is_empty());
        // Another server goes on behind it.
        watcher.go_on_with(everybody(t).watch_events());
        t.place("A-2").await;
        read_all(&mut watcher, &everybody(t)).await;
        assert_eq!(watcher.came(), 2);
    });
}

#[test]
fn a_stream_lasts_for_so_long_and_goes_on_with_the_next() {
    run(async |t| {
        let service = Service::start(t.database.serve_url().await, |settings| {
            settings.feed.watch_max = Duration::from_millis(1);
        })
        .await;
        let belay = literal(service.address())
            .with_role(Role::Operator, "ops")
            .unwrap();
        let mut watcher = Watcher::new(belay.watch_events());
        for order in 0..3 {
            while watcher.next().await.expect("it ends in order").is_some() {}
            t.place(&format!("A-{order}")).await;
        }
        read_all(&mut watcher, &everybody(t)).await;
        assert!(watcher.begins > 3);
        assert_eq!(watcher.came(), 3);
        watcher.check(&t.database, |_| true).await;
        service.stop().await;
    });
}

#[test]
fn who_takes_nothing_is_cut_and_loses_nothing() {
    run(async |t| {
        let service = Service::start(t.database.serve_url().await, |settings| {
            settings.feed.slow_max = Duration::from_millis(200);
        })
        .await;
        // Little room between server and client.
        let endpoint = Endpoint::from_shared(format!("http://{}", service.address())).unwrap();
        let channel = endpoint
            .initial_stream_window_size(1_024)
            .connect()
            .await
            .unwrap();
        let mut request = Request::new(pb::WatchEventsRequest::default());
        let metadata = request.metadata_mut();
        metadata.insert("belay-role", "operator".parse().unwrap());
        metadata.insert("belay-actor", "ops".parse().unwrap());
        let watch = EventServiceClient::new(channel).watch_events(request).await;
        let mut stream = watch.unwrap().into_inner();
        let inside = service.inside();
        let mut order = 0;
        until("it is cut", async || {
            order += 1;
            new_order(&service.storefront(), &format!("A-{order}"))
                .await
                .unwrap();
            (inside.watches() == 0).then_some(())
        })
        .await;
        assert_eq!(
            inside.streams(),
            1,
            "it is open until it is read, or its caller gone"
        );
        let (mut came, mut token) = (0, String::new());
        let status = loop {
            match stream.message().await {
                Ok(message) => {
                    let message = message.expect("it ends with an error");
                    (came, token) = (came + message.events.len(), message.resume_token);
                }
                Err(status) => break status,
            }
        };
        assert_eq!(
            Refused::of(&status).what(),
            (Code::Aborted, "WATCHER_TOO_SLOW")
        );
        assert!(came < order, "{came} of {order}");
        drop(stream);
        until("it is closed", async || {
            (inside.streams() == 0).then_some(())
        })
        .await;
        let mut watcher = Watcher::new(everybody(t).watch_events().resume_token(token));
        read_all(&mut watcher, &everybody(t)).await;
        assert_eq!(came + watcher.came(), stored(&t.database).await);
        service.stop().await;
    });
}

#[test]
fn what_is_no_longer_kept_is_told_with_the_oldest_position() {
    run(async |t| {
        let belay = everybody(t);
        t.place_paid("A-1").await;
        let history = t
            .storefront()
            .list_order_history("A-1")
            .await
            .unwrap()
            .items;
        let (first, partition) = (history[0].position, history[0].partition);
        let token = {
            let mut stream = belay.watch_events().from_oldest().await.unwrap();
            stream.try_next().await.unwrap().unwrap().resume_token
        };
        t.database
            .execute(
                "UPDATE partition_tails SET pruned = ?, expiring = ? WHERE shard_partition = ?",
                (first, first, partition),
            )
            .await;
        let expired = belay.watch_events().resume_token(&token).await;
        let error = refused(expired, Kind::OutOfRange, "POSITION_EXPIRED");
        assert_eq!(error.metadata()["partition"], partition.to_string());
        assert_eq!(error.metadata()["position"], "0");
        assert_eq!(error.metadata()["oldest_position"], (first + 1).to_string());
        refused(
            belay.list_events().resume_token(&token).await,
            Kind::OutOfRange,
            "POSITION_EXPIRED",
        );
        let mut watcher = Watcher::new(belay.watch_events().from_oldest());
        read_all(&mut watcher, &belay).await;
        assert_eq!(watcher.events, history[1..]);
        // The order's own history is whole.
        assert_eq!(
            t.storefront()
                .list_order_history("A-1")
                .await
                .unwrap()
                .items,
            history
        );
    });
}

#[test]
fn a_stream_that_has_had_lost_events_ends_and_skips_none() {
    run(async |t| {
        let belay = everybody(t);
        let ids = neighbours(4);
        t.place(&ids[0]).await;
        let kept = Kept::of(&t.database).await;
        let mut watcher = Watcher::new(belay.watch_events());
        watcher.next().await.unwrap();
        t.place(&ids[1]).await;
        read_all(&mut watcher, &belay).await;
        let first = &watcher.events[0];
        let (partition, before) = (first.partition, first.position - 1);
        let last = watcher.events.last().unwrap().position;
        kept.put_back(&t.database).await;
        // As many events as were lost, and more.
        for id in &ids[2..] {
            t.place(id).await;
        }
        let ended = until("the stream ends", async || watcher.next().await.err()).await;
        assert_eq!(
            ended.reason(),
            Some(&belay_client::ErrorReason::PositionAhead)
        );
        let told = ended.metadata();
        assert_eq!(told["partition"], partition.to_string());
        assert_eq!(told["position"], last.to_string());
        assert_eq!(told["last_position"], before.to_string());
    });
}

#[test]
fn a_stream_is_given_what_the_database_has_and_nothing_that_it_lost() {
    run(async |t| {
        let belay = everybody(t);
        let ids = neighbours(4);
        t.place(&ids[0]).await;
        let kept = Kept::of(&t.database).await;
        let mut watcher = Watcher::new(belay.watch_events());
        watcher.next().await.unwrap();
        let token = watcher.token.clone().unwrap();
        t.place(&ids[1]).await;
        read_all(&mut watcher, &belay).await;
        // The server keeps what it has read while nobody watches.
        drop(watcher);
        until("nobody watches", async || {
            (t.inside().watches() == 0).then_some(())
        })
        .await;
        kept.put_back(&t.database).await;
        for id in &ids[2..] {
            t.place(id).await;
        }
        let mut again = Watcher::new(belay.watch_events().resume_token(&token));
        read_all(&mut again, &belay).await;
        let listed = pages(async |next| {
            belay
                .list_events()
                .resume_token(&token)
                .page_token(next)
                .await
        });
        let listed: Vec<Event> = listed.await.into_iter().flatten().collect();
        assert_eq!(again.events, listed);
        let orders: BTreeSet<&str> = listed.iter().map(|it| it.order_id.as_str()).collect();
        assert_eq!(orders, [ids[2].as_str(), ids[3].as_str()].into());
    });
}

#[test]
fn a_server_has_so_many_streams_and_sheds_the_rest() {
    run(async |t| {
        let service = Service::start(t.database.serve_url().await, |settings| {
            settings.feed.streams_max = 3;
        })
        .await;
        let belay = literal(service.address())
            .with_role(Role::Operator, "ops")
            .unwrap();
        let mut streams = Vec::new();
        for _ in 0..3 {
            streams.push(belay.watch_events().await.unwrap());
        }
        let more = refused(belay.watch_events().await, Kind::Overloaded, "OVERLOADED");
        assert!(more.retry_after().is_some());
        streams.pop();
        let _ = until("a place is free", async || belay.watch_events().await.ok()).await;
        service.stop().await;
    });
}

#[test]
fn ten_thousand_reconnects_leave_nothing_behind() {
    run(async |t| {
        let service = Service::start(t.database.serve_url().await, |_| {}).await;
        t.place("A-1").await;
        let belay = literal(service.address())
            .with_role(Role::Operator, "ops")
            .unwrap();
        let token = ends_token(&belay).await;
        futures_util::stream::iter(0..10_000)
            .for_each_concurrent(16, async |_| {
                let mut stream = belay.watch_events().resume_token(&token).await.unwrap();
                stream.try_next().await.unwrap().unwrap();
            })
            .await;
        let inside = service.inside();
        until("all are gone", async || {
            (inside.streams() == 0).then_some(())
        })
        .await;
        let mut watcher = Watcher::new(belay.watch_events().resume_token(&token));
        t.place("A-2").await;
        read_all(&mut watcher, &everybody(t)).await;
        assert_eq!(watcher.came(), 1);
        service.stop().await;
    });
}
