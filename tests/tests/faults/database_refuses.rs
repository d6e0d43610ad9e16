//! mysqld is there and says no.

use belay_client::{Kind, Units, reason};
use belay_tests::database::other_sessions;
use belay_tests::instance::{Instance, Service, literal, payments, session, storefront};
use belay_tests::shop::{new_order, pay};
use belay_tests::{invariants, refused, until};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder};
use secrecy::ExposeSecret;

/// Connections that mysqld takes, beside one for an administrator.
const CONNECTIONS_MAX: usize = 24;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_refuses_is_unavailable_until_it_does_not() {
    let mysqld = Instance::start(&[&format!("--max-connections={CONNECTIONS_MAX}")]).await;
    let service = Service::start(mysqld.serve_url(), |_| {}).await;
    service.create_shop().await;
    let belay = literal(service.address());
    let shop = storefront(&belay);
    let mut somebody = session(&mysqld.url()).await;
    for order_id in ["READ-ONLY", "FULL"] {
        new_order(&shop, order_id).await.expect("an order");
        pay(&payments(&belay), order_id).await;
    }
    let request = |order_id: &str| {
        shop.request_cancellation(order_id, Units::all())
            .reason(reason::NO_LONGER_WANTED)
    };

    // As a primary that gives way to another. What is read there may be old by then.
    let before = server_sessions(&mut somebody).await;
    somebody
        .query_drop("SET GLOBAL super_read_only = ON")
        .await
        .unwrap();
    let error = refused(
        request("READ-ONLY").await,
        Kind::Unavailable,
        "DATABASE_UNAVAILABLE",
    );
    assert!(error.retry_after().is_some());
    refused(
        new_order(&shop, "NEW").await,
        Kind::Unavailable,
        "DATABASE_UNAVAILABLE",
    );
    refused(
        shop.get_order("READ-ONLY").await,
        Kind::Unavailable,
        "DATABASE_UNAVAILABLE",
    );
    // What refused to write is not used again: behind the same address there may be another server
    // by now.
    until("the connection is closed", async || {
        let after = server_sessions(&mut somebody).await;
        before.iter().any(|id| !after.contains(id)).then_some(())
    })
    .await;
    somebody
        .query_drop("SET GLOBAL read_only = OFF")
        .await
        .unwrap();
    until("the database writes again", async || {
        request("READ-ONLY").await.ok()
    })
    .await;

    // Somebody takes all connections, and the server's own are gone.
    let options = OptsBuilder::from_opts(Opts::from_url(mysqld.url().expose_secret()).unwrap())
        .db_name(None::<String>);
    let mut others = Vec::new();
    until("no connection is left", async || {
        for id in server_sessions(&mut somebody).await {
            // It may have gone by itself.
            let _ = somebody.query_drop(format!("KILL {id}")).await;
        }
        while let Ok(other) = Conn::new(options.clone()).await {
            others.push(other);
        }
        server_sessions(&mut somebody)
            .await
            .is_empty()
            .then_some(())
    })
    .await;
    refused(
        request("FULL").await,
        Kind::Unavailable,
        "DATABASE_UNAVAILABLE",
    );
    drop(others);
    until("connections are free again", async || {
        request("FULL").await.ok()
    })
    .await;

    service.stop().await;
    assert_eq!(
        invariants::violations(&mysqld.database().await).await,
        Vec::<String>::new()
    );
}

/// The ids of the server's sessions.
async fn server_sessions(somebody: &mut Conn) -> Vec<u64> {
    let sessions = other_sessions(somebody).await.into_iter();
    let of_server = sessions.filter(|session| session.database.as_deref() == Some("belay"));
    of_server.map(|session| session.id).collect()
}
