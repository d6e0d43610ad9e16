//! Reads that may be old: from which database they come, that they are no older than their callers
//! allow and show the writes that they name, and that no secondary ever fails one.

use std::time::Duration;

use belay_client::Units;
use belay_proto::v1 as pb;
use belay_server::secondaries::SecondarySettings;
use belay_server::server::ServerSettings;
use belay_tests::descriptors;
use belay_tests::group::{Group, SHORT_GAP};
use belay_tests::http::{HttpCaller, HttpReply};
use belay_tests::instance::{Service, literal, storefront};
use belay_tests::raw::{Raw, Refused};
use belay_tests::replication::Replication;
use belay_tests::server::anywhere;
use belay_tests::shop::new_order;
use belay_tests::{SHOP, run_over_http, until};
use belay_wire::freshness::{
    MAX_STALENESS, READ_AFTER, READ_AFTER_MAX, READ_ANYWHERE, READ_FROM, STALENESS, WRITE_POSITION,
};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::http::new_order as new_order_in_json;

const MINUTE: Duration = Duration::from_secs(60);
const LIST: &str = "OrderService/ListOrders";
/// As old as anything may be.
const ANY_AGE: &str = "1h";

/// A server on a primary, which may read from the secondary.
async fn serve(primary: SecretString, secondaries: SecretString) -> Service {
    let serve = |settings: &mut ServerSettings| {
        settings.secondaries = Some(SecondarySettings::new(secondaries));
        settings.http = Some(anywhere());
    };
    Service::start(primary, serve).await
}

/// A caller that allows for so much.
fn reader(service: &Service, staleness: &str) -> HttpCaller {
    let caller = HttpCaller::to(service.http_address().expect("it is open"));
    caller.role("operator").header(MAX_STALENESS, staleness)
}

/// Lists the orders of the shop.
async fn list(caller: &HttpCaller) -> HttpReply {
    let reply = caller.post(LIST, &json!({"storeId": SHOP})).await;
    reply.good();
    reply
}

fn ids(reply: &HttpReply) -> Vec<String> {
    let orders = reply.good()["orders"].as_array().cloned();
    let orders = orders.expect("a list").into_iter();
    let id = |order: Value| order["orderId"].as_str().expect("an id").to_owned();
    orders.map(id).collect()
}

/// Places an order, and gives the position of the write.
async fn place(service: &Service, order_id: &str) -> String {
    let web = HttpCaller::to(service.http_address().expect("it is open")).role("storefront");
    let placed = web
        .post("OrderService/CreateOrder", &new_order_in_json(order_id))
        .await;
    placed.good();
    placed.header(WRITE_POSITION).to_owned()
}

/// Until a list comes from there, whatever it shows.
async fn until_from(caller: &HttpCaller, place: &str) -> HttpReply {
    until("the list is read there", async || {
        let listed = list(caller).await;
        (listed.header(READ_FROM) == place).then_some(listed)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secondary_answers_lists_that_may_be_old_and_nothing_else() {
    let databases = Replication::start(&[]).await;
    let service = serve(databases.primary.serve_url(), databases.secondary_url()).await;
    service.create_shop().await;
    let first = place(&service, "A-1").await;
    let anyhow = reader(&service, ANY_AGE);
    let after_first = anyhow.clone().header(READ_AFTER, &first);
    let listed = until_from(&after_first, "secondary").await;
    assert_eq!(ids(&listed), ["A-1"]);

    // What comes now the secondary does not show: who sees it has read at the primary.
    databases.hold_back().await;
    let second = place(&service, "A-2").await;
    let listed = until_from(&anyhow, "secondary").await;
    assert_eq!(ids(&listed), ["A-1"]);
    assert!(listed.header(STALENESS).ends_with("ms"));

    // A list that says nothing of its age, and one that names the write.
    let plain = HttpCaller::to(service.http_address().unwrap()).role("operator");
    let listed = list(&plain).await;
    assert_eq!((ids(&listed).len(), listed.header(READ_FROM)), (2, ""));
    for named in [second.clone(), format!("{first}, {second}")] {
        let listed = list(&anyhow.clone().header(READ_AFTER, &named)).await;
        assert_eq!(ids(&listed).len(), 2);
        assert_eq!(listed.header(READ_FROM), "primary");
        assert_eq!(listed.header(STALENESS), "0ms");
    }
    let unallowed = plain.clone().header(READ_AFTER, &second);
    assert_eq!(list(&unallowed).await.header(READ_FROM), "");
    // Of several writes all must be there, and the first is.
    assert_eq!(list(&after_first).await.header(READ_FROM), "secondary");

    methods_that_read_anywhere(&anyhow).await;
    one_order_is_read_at_the_primary(&anyhow).await;
    pages_go_on_elsewhere(&service, &anyhow).await;

    databases.go_on().await;
    let after_second = anyhow.clone().header(READ_AFTER, &second);
    let listed = until_from(&after_second, "secondary").await;
    assert_eq!(ids(&listed).len(), 2);
    service.stop().await;
}

/// All that may say where they were read, and no other of those that read.
async fn methods_that_read_anywhere(anyhow: &HttpCaller) {
    let store = json!({"storeId": SHOP});
    for path in READ_ANYWHERE {
        let method = path.trim_start_matches("/belay.v1.");
        let request = match method {
            "OrderService/FindOrders" => json!({"storeId": SHOP, "orderIdPrefix": "A-"}),
            "CancellationService/SummarizeActions" => {
                json!({"storeId": SHOP, "party": "PARTY_SELLER"})
            }
            _ => store.clone(),
        };
        let reply = anyhow.post(method, &request).await;
        reply.good();
        assert_eq!(reply.header(READ_FROM), "secondary", "{method}");
    }
    for method in [
        "StoreService/GetStore",
        "StoreService/ListCarriers",
        "StoreService/ListWarehouses",
        "PolicyService/ListPolicies",
    ] {
        let reply = anyhow.post(method, &store).await;
        reply.good();
        assert_eq!(reply.header(READ_FROM), "", "{method}");
    }
}

/// Whatever the call allows.
async fn one_order_is_read_at_the_primary(anyhow: &HttpCaller) {
    let second = json!({"storeId": SHOP, "orderId": "A-2", "all": {}});
    for method in [
        "OrderService/GetOrder",
        "OrderService/ListOrderHistory",
        "CancellationService/ListReasons",
        "CancellationService/PreviewCancellation",
    ] {
        let mut request = second.clone();
        if method.starts_with("OrderService") {
            request.as_object_mut().unwrap().remove("all");
        }
        let reply = anyhow.post(method, &request).await;
        reply.good();
        assert_eq!(reply.header(READ_FROM), "", "{method}");
    }
}

/// A page token is good wherever the next page is read.
async fn pages_go_on_elsewhere(service: &Service, anyhow: &HttpCaller) {
    let plain = HttpCaller::to(service.http_address().unwrap()).role("operator");
    let page = async |caller: &HttpCaller, token: &str| {
        let request = json!({"storeId": SHOP, "pageSize": 1, "pageToken": token});
        let reply = caller.post(LIST, &request).await;
        let token = reply.good()["nextPageToken"].as_str().unwrap().to_owned();
        (ids(&reply), token)
    };
    // At the primary there is A-2 before A-1; the secondary lacks it.
    let (first, token) = page(&plain, "").await;
    assert_eq!(first, ["A-2"]);
    let (second, _) = page(anyhow, &token).await;
    assert_eq!(second, ["A-1"]);
    let (first, none) = page(anyhow, "").await;
    assert_eq!((first, none.as_str()), (vec!["A-1".to_owned()], ""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secondary_that_is_too_far_behind_or_gone_is_not_read_and_fails_nothing() {
    let databases = Replication::start(&[]).await;
    let service = serve(databases.primary.serve_url(), databases.secondary_url()).await;
    service.create_shop().await;
    // So short a time no beat can prove.
    let impatient = reader(&service, "1ms");
    let patient = reader(&service, "3s");
    until_from(&patient, "secondary").await;
    assert_eq!(list(&impatient).await.header(READ_FROM), "primary");

    // It stands still, and whoever allows for less than that sees what is new.
    databases.hold_back().await;
    let first = place(&service, "A-1").await;
    let listed = until_from(&patient, "primary").await;
    assert_eq!(ids(&listed), ["A-1"]);
    let anyhow = reader(&service, ANY_AGE);
    assert_eq!(ids(&until_from(&anyhow, "secondary").await), [""; 0]);
    databases.go_on().await;
    // On its way it shows what was so less than three seconds ago, which lacks the order.
    let after = |position: &str| patient.clone().header(READ_AFTER, position);
    let listed = until_from(&after(&first), "secondary").await;
    assert_eq!(ids(&listed), ["A-1"]);

    // It takes writes of its own and follows no more: it shows no beat of this server.
    databases.promote().await;
    let second = place(&service, "A-2").await;
    assert_eq!(ids(&until_from(&patient, "primary").await).len(), 2);
    databases.follow().await;
    let listed = until_from(&after(&second), "secondary").await;
    assert_eq!(ids(&listed).len(), 2);

    // It is away, and comes back.
    databases.secondary.kill().await;
    let third = place(&service, "A-3").await;
    for _ in 0..5 {
        let listed = list(&anyhow).await;
        let told = (ids(&listed).len(), listed.header(READ_FROM));
        assert_eq!(told, (3, "primary"));
    }
    databases.secondary.restart().await;
    let listed = until_from(&after(&third), "secondary").await;
    assert_eq!(ids(&listed).len(), 3);

    let metrics = service.inside().metrics();
    for outcome in ["secondary", "stale", "unavailable"] {
        let family = "belay_secondary_reads_total";
        let counted = format!("{family}{{belay_outcome=\"{outcome}\"}}");
        let line = metrics.lines().find(|line| line.starts_with(&counted));
        let line = line.unwrap_or_else(|| panic!("{counted} in {metrics}"));
        assert!(!line.ends_with(" 0"), "{line}");
    }
    service.stop().await;
}

/// One page is of one place: what a secondary has begun and cannot end is read anew, from its
/// beginning.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_whose_secondary_fails_half_way_is_all_the_primarys() {
    let databases = Replication::start(&[]).await;
    let service = serve(databases.primary.serve_url(), databases.secondary_url()).await;
    service.create_shop().await;
    let store = service.storefront();
    for order_id in ["A-1", "A-2", "A-3"] {
        place(&service, order_id).await;
    }
    for order_id in ["A-1", "A-2"] {
        let cancel = store.request_cancellation(order_id, Units::all());
        cancel.reason("NO_LONGER_WANTED").await.expect("it is done");
    }
    let last = place(&service, "A-4").await;
    let anyhow = reader(&service, ANY_AGE);
    until_from(&anyhow.clone().header(READ_AFTER, &last), "secondary").await;
    databases.hold_back().await;
    let cancel = store.request_cancellation("A-3", Units::all());
    cancel.reason("NO_LONGER_WANTED").await.expect("it is done");

    // Which cancellations there are it has told, and of their orders it cannot.
    let of_shop = json!({"storeId": SHOP});
    let cancellations = "CancellationService/ListCancellations";
    let holder = databases.hold_table_of_secondary("orders").await;
    let list = anyhow.post(cancellations, &of_shop);
    let kill = async {
        databases.until_secondary_is_held("orders").await;
        databases.secondary.kill().await;
    };
    let (listed, ()) = tokio::join!(list, kill);
    drop(holder);
    assert_eq!(listed.header(READ_FROM), "primary");
    assert_eq!(listed.header(STALENESS), "0ms");
    let plain = HttpCaller::to(service.http_address().unwrap()).role("operator");
    let expected = plain.post(cancellations, &of_shop).await;
    assert_eq!(listed.good(), expected.good());
    let listed = listed.good()["cancellations"].as_array().cloned();
    assert_eq!(listed.expect("a list").len(), 3);

    let metrics = service.inside().metrics();
    let counted = "belay_secondary_reads_total{belay_outcome=\"failed\"}";
    let line = metrics.lines().find(|line| line.starts_with(counted));
    assert!(line.is_some_and(|line| line.ends_with(" 1")), "{line:?}");
    service.stop().await;
}

/// Its token is good at the primary, and nothing is told twice or left out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_goes_on_at_the_primary_when_its_secondary_is_killed_between_two_pages() {
    let databases = Replication::start(&[]).await;
    let service = serve(databases.primary.serve_url(), databases.secondary_url()).await;
    service.create_shop().await;
    let mut last = String::new();
    for order_id in ["A-1", "A-2", "A-3"] {
        last = place(&service, order_id).await;
    }
    let anyhow = reader(&service, ANY_AGE).header(READ_AFTER, &last);
    until_from(&anyhow, "secondary").await;
    let page = async |token: &str| {
        let request = json!({"storeId": SHOP, "pageSize": 2, "pageToken": token});
        anyhow.post(LIST, &request).await
    };
    let first = page("").await;
    assert_eq!(ids(&first), ["A-3", "A-2"]);
    assert_eq!(first.header(READ_FROM), "secondary");
    databases.secondary.kill().await;
    let token = first.good()["nextPageToken"].as_str().unwrap().to_owned();
    let second = page(&token).await;
    assert_eq!(ids(&second), ["A-1"]);
    assert_eq!(second.header(READ_FROM), "primary");
    service.stop().await;
}

/// What it shows would say nothing of what it lacks.
#[tokio::test]
async fn a_replica_that_commits_in_another_order_is_not_read() {
    let arguments = [
        "--replica-preserve-commit-order=OFF",
        "--replica-parallel-workers=4",
    ];
    let databases = Replication::start(&arguments).await;
    let service = serve(databases.primary.serve_url(), databases.secondary_url()).await;
    service.create_shop().await;
    let anyhow = reader(&service, ANY_AGE);
    until("it was looked at", async || {
        assert_eq!(list(&anyhow).await.header(READ_FROM), "primary");
        let beats = "SELECT COUNT(*) FROM performance_schema.accounts WHERE user = 'belay_read'";
        let (seen,): (u64,) = databases.secondary.database().await.row(beats, ()).await;
        (seen > 0).then_some(())
    })
    .await;
    assert_eq!(list(&anyhow).await.header(READ_FROM), "primary");
    service.stop().await;
}

/// All members are named as secondaries, and the primary is one of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_names_a_write_reads_it_while_members_of_a_group_take_over() {
    let group = Group::start(3, SHORT_GAP).await;
    let service = serve(group.serve_url(), group.serve_url()).await;
    service.create_shop().await;
    until_from(&reader(&service, ANY_AGE), "secondary").await;
    let store = storefront(&literal(service.address()));
    let write_and_list = async |turn: usize| {
        let order_id = format!("A-{turn}");
        let placed = until("the order is placed", async || {
            new_order(&store, &order_id).await.ok()
        })
        .await;
        let position = placed.position.clone().expect("a server tells it");
        let listed = until("the orders are listed", async || {
            let list = store.list_orders().page_size(1).max_staleness(MINUTE);
            list.read_after(&position).await.ok()
        })
        .await;
        assert_eq!(listed.items[0].order_id.as_str(), order_id);
    };
    let mut turn = 0;
    for _ in 0..3 {
        for _ in 0..10 {
            write_and_list(turn).await;
            turn += 1;
        }
        let primary = group.whole().await;
        let switch = group.switch((primary + 1) % group.len());
        let (mut placed, first) = (0, turn);
        tokio::join!(switch, async {
            while placed < 5 {
                write_and_list(first + placed).await;
                placed += 1;
            }
        });
        turn += placed;
    }
    service.stop().await;
}

#[test]
fn what_cannot_be_asked_for_is_told_by_its_header_over_grpc_and_http() {
    run_over_http(async |t| {
        let web = HttpCaller::to(t.http_address()).role("operator");
        let place = new_order_in_json("A-1");
        let placed = web.post("OrderService/CreateOrder", &place).await;
        placed.good();
        let position = placed.header(WRITE_POSITION).to_owned();
        let again = web.post("OrderService/CreateOrder", &place).await;
        assert_eq!(
            again.header(WRITE_POSITION),
            position,
            "nothing was written"
        );
        let too_many = vec![position.as_str(); READ_AFTER_MAX + 1].join(",");
        let (begin, end) = position.split_at(position.len() - 1);
        let touched = format!("{begin}{}", if end == "0" { "1" } else { "0" });
        for (header, value) in [
            (MAX_STALENESS, "0s"),
            (MAX_STALENESS, "61m"),
            (MAX_STALENESS, "soon"),
            (READ_AFTER, "garbage"),
            (READ_AFTER, &touched),
            (READ_AFTER, &too_many),
        ] {
            let list = pb::ListOrdersRequest {
                store_id: SHOP.to_owned(),
                ..Default::default()
            };
            let (raw, headers) = (t.raw(), [(header, value)]);
            let told = raw.send_with::<_, pb::ListOrdersResponse>("operator", LIST, list, &headers);
            let refused = Refused::of(&told.await.expect_err("it is refused"));
            assert_eq!(refused.reason, "INVALID_FIELD", "{header}: {value}");
            assert_eq!(refused.fields, [header]);
            let told = web.clone().header(header, value);
            // A read of one order does not take the header, and would not take nonsense either.
            for method in [LIST, "OrderService/GetOrder"] {
                let request = json!({"storeId": SHOP, "orderId": "A-1"});
                let told = told.post(method, &request).await.error();
                assert_eq!(
                    told.what(),
                    ("invalid_argument", "INVALID_FIELD"),
                    "{method}"
                );
                assert_eq!(told.fields(), [header]);
            }
        }
        // A server without secondaries takes it, and answers from where all is.
        let (_, headers) = said(
            &t.raw(),
            &[(MAX_STALENESS, ANY_AGE), (READ_AFTER, &position)],
        )
        .await;
        assert_eq!(headers, ("primary".to_owned(), "0ms".to_owned()));
        assert_eq!(said(&t.raw(), &[]).await.1, (String::new(), String::new()));
    });
}

/// The orders that are listed over gRPC, and what the headers say of where.
async fn said(
    raw: &Raw,
    headers: &[(&'static str, &str)],
) -> (pb::ListOrdersResponse, (String, String)) {
    let list = pb::ListOrdersRequest {
        store_id: SHOP.to_owned(),
        ..Default::default()
    };
    let said = raw.send_with("operator", LIST, list, headers).await;
    let (orders, said) = said.expect("a list");
    let value = |name| {
        let value = said.get(name).map(|value| value.to_str().expect("ASCII"));
        value.unwrap_or_default().to_owned()
    };
    (orders, (value(READ_FROM), value(STALENESS)))
}

#[test]
fn the_comments_of_those_that_a_secondary_may_answer_say_by_which_headers() {
    for rpc in descriptors::rpcs() {
        let path = format!("/belay.v1.{}", rpc.path());
        let is_told = [MAX_STALENESS, READ_AFTER].map(|header| rpc.comment.contains(header));
        let may_be = READ_ANYWHERE.contains(&path.as_str());
        assert_eq!(is_told, [may_be; 2], "{path}");
    }
}
