//! How a server stops: it says so first, waits for calls, and for nothing else. Whatever it may not
//! wait for is there for ever, so that a stop that waits for it never ends.

use std::time::Duration;

use belay_client::Kind;
use belay_tests::instance::{Health, HeldLanes, Service, literal, storefront};
use belay_tests::shop::new_order;
use belay_tests::{HANG, run, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::join;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// What opens HTTP/2, and an empty SETTINGS.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";
/// A stop that waited for its calls to the last would take so long.
const FOR_EVER: Duration = Duration::from_secs(24 * 3600);

fn patient(settings: &mut belay_server::server::ServerSettings) {
    settings.lanes = 1;
    settings.drain_max = FOR_EVER;
    settings.database_wait_max = HANG;
}

#[test]
fn connections_without_a_call_delay_no_stop() {
    run(async |t| {
        let service = Service::start(t.database.serve_url().await, patient).await;
        let address = service.address();
        let mut silent = TcpStream::connect(address).await.unwrap();
        let mut begun = TcpStream::connect(address).await.unwrap();
        begun.write_all(&PREFACE[..5]).await.unwrap();
        // Speaks HTTP/2, then falls silent and answers no ping.
        let mut idle = TcpStream::connect(address).await.unwrap();
        idle.write_all(PREFACE).await.unwrap();
        idle.read_exact(&mut [0; 9]).await.unwrap();
        // And clients as they should be, which have called and go on living.
        let belay = literal(address);
        new_order(&storefront(&belay), "A-1")
            .await
            .expect("an order");
        let mut health = Health::of(address);
        assert!(health.is_serving("").await);

        timeout(HANG, service.stop()).await.expect("it stops");
        for connection in [&mut silent, &mut begun, &mut idle] {
            // Closed, in order or not.
            let _ = connection.read_to_end(&mut Vec::new()).await;
        }
        let error = new_order(&storefront(&belay), "A-2")
            .await
            .expect_err("nobody is there");
        assert_eq!(error.kind(), Kind::Unavailable);
    });
}

#[test]
fn an_open_watch_is_told_and_ends_with_the_server() {
    run(async |t| {
        let service = Service::start(t.database.serve_url().await, patient).await;
        let mut health = Health::of(service.address());
        let mut watches = [
            health.watch("").await,
            health.watch("belay.v1.OrderService").await,
        ];
        for watch in &mut watches {
            assert_eq!(watch.next().await, Some(true));
        }
        let mut reflection = health.reflection().await;
        timeout(HANG, service.stop()).await.expect("it stops");
        for watch in &mut watches {
            assert_eq!(watch.next().await, Some(false), "it is told first");
            assert_eq!(watch.next().await, None, "and then it ends");
        }
        assert!(
            reflection
                .message()
                .await
                .is_ok_and(|answer| answer.is_none())
        );
    });
}

#[test]
fn a_server_that_is_about_to_stop_says_so_and_serves_through_its_notice() {
    run(async |t| {
        // A notice that ends only with the test.
        let notice =
            |settings: &mut belay_server::server::ServerSettings| settings.stop_notice = FOR_EVER;
        let service = Service::start(t.database.serve_url().await, notice).await;
        let address = service.address();
        let mut health = Health::of(address);
        assert!(health.is_serving("").await);
        let noticing = async {
            until("it says so", async || {
                (!health.is_serving("").await).then_some(())
            })
            .await;
            // Who is connected is served, and who comes now.
            for number in 0..3 {
                let shop = storefront(&literal(address));
                new_order(&shop, &format!("NOTICE-{number}"))
                    .await
                    .expect("an order");
            }
            assert!(
                !health.is_serving("").await,
                "nothing says that it serves after all"
            );
        };
        tokio::select! {
            () = service.stop() => panic!("the notice is not over"),
            () = noticing => {}
        }
    });
}

#[test]
fn a_stop_waits_for_a_call_that_is_open() {
    run(async |t| {
        let service = Service::start(t.database.serve_url().await, patient).await;
        let inside = service.inside();
        let shop = storefront(&literal(service.address()));
        let held = HeldLanes::hold(&t.database.url()).await;
        let placing = new_order(&shop, "A-1").send();
        let mut health = Health::of(service.address());
        let mut watch = health.watch("").await;
        let stopping = async {
            HeldLanes::until_held(&t.database, 1).await;
            service.stop().await;
        };
        let releasing = async {
            // The doors are closed once a watch has ended.
            while watch.next().await.is_some() {}
            assert_eq!(inside.callers(), 1, "the call is open");
            held.release().await;
        };
        let (placed, (), ()) = join!(placing, stopping, releasing);
        placed.expect("it was taken and is done");
    });
}

#[test]
fn a_call_that_does_not_end_is_cut_and_counted_and_lands_all_the_same() {
    run(async |t| {
        let service = Service::start(t.database.serve_url().await, |settings| {
            patient(settings);
            settings.drain_max = Duration::ZERO;
        });
        let service = service.await;
        let address = service.address();
        let held = HeldLanes::hold(&t.database.url()).await;
        let placing = async {
            let error = new_order(&storefront(&literal(address)), "A-1")
                .await
                .expect_err("it is cut");
            assert_eq!(error.kind(), Kind::OutcomeUnknown, "{error}");
            held.release().await;
        };
        let stopping = async {
            HeldLanes::until_held(&t.database, 1).await;
            service.into_server().stop().await
        };
        let ((), drained) = join!(placing, stopping);
        assert_eq!(drained.cut_calls, 1);
        t.order("A-1").await;
    });
}
