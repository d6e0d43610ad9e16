//! The console: what it shows to whom, what it refuses, and that nothing comes of looking.

mod bounds;
mod browser;
mod known;
mod scenery;

use belay_client::Role;
use belay_client::model::TrackingFact;
use belay_tests::console::{Visitor, with_console};
use belay_tests::instance::Service;
use belay_tests::process::{Running, built};
use belay_tests::shop::new_order;
use belay_tests::{SHOP, run, run_at};
use belay_wire::auth::access;
use secrecy::ExposeSecret;

use self::scenery::{HOSTILE, MONDAY, build, link};

/// Every page of a store, with a method without which there is nothing to see.
const PAGES: &[(&str, &str)] = &[
    ("orders?store=shop", "OrderService/GetOrder"),
    ("order?store=shop&id=A-1", "OrderService/GetOrder"),
    ("order?store=shop&id=A-1:s1", "OrderService/GetOrder"),
    ("explain?store=shop&id=A-1", "OrderService/GetOrder"),
    (
        "awaiting?store=shop",
        "CancellationService/ListCancellations",
    ),
    (
        "awaiting?store=shop&party=CARRIER",
        "CancellationService/ListCancellations",
    ),
    ("incidents?store=shop", "CancellationService/ListIncidents"),
    (
        "incidents?store=shop&which=all",
        "CancellationService/ListIncidents",
    ),
    ("refunds?store=shop", "RefundService/ListRefunds"),
    (
        "refunds?store=shop&which=OVERDUE",
        "RefundService/ListRefunds",
    ),
    ("policy?store=shop", "PolicyService/GetPolicy"),
    ("policy?store=shop&version=1", "PolicyService/GetPolicy"),
];

const ROLES: [Role; 8] = [
    Role::Storefront,
    Role::Seller,
    Role::Warehouse,
    Role::Carrier,
    Role::Payments,
    Role::Support,
    Role::Operator,
    Role::Auditor,
];

/// The form of somebody in this role who sees what the standard order needs.
fn own(role: Role) -> String {
    let actor = match role {
        Role::Seller => "acme",
        Role::Warehouse => "main",
        Role::Carrier => "standard",
        _ => "somebody",
    };
    format!("role={role}&actor={actor}")
}

async fn visitor(service: &Service, role: Role) -> Visitor {
    Visitor::to(service).signed_in(&own(role)).await
}

fn may(role: Role, method: &str) -> bool {
    let access = access(&format!("/belay.v1.{method}")).expect("a method");
    let named = role.to_string();
    access.roles.iter().any(|known| known.name() == named)
}

#[test]
fn the_console_is_off_where_nothing_is_said() {
    run(async |t| {
        let service = Service::start(t.database.serve_url().await, |settings| {
            settings.admin_address = Some(([127, 0, 0, 1], 0).into());
        })
        .await;
        let visitor = Visitor::to(&service);
        for path in [
            "/console",
            "/console/",
            "/console/sign-in",
            "/console/style.css",
        ] {
            assert_eq!(visitor.get(path).await.status, 404, "{path}");
        }
        assert_eq!(visitor.get("/livez").await.status, 200);
        service.stop().await;
    });
}

#[test]
fn dev_shows_the_console_and_says_where() {
    run(async |t| {
        let mut dev = std::process::Command::new(built("belay"));
        dev.args(["dev", "--grpc-address", "127.0.0.1:0"])
            .env_clear()
            .env("BELAY_DATABASE_URL", t.database.url().expose_secret());
        let mut dev = Running::start(dev);
        let address = dev.until_said("where it is", |line| {
            let address = line.strip_prefix("http://")?.strip_suffix("/console/")?;
            address.parse().ok()
        });
        let nobody = Visitor {
            admin: address.await,
            cookie: None,
        };
        let support = nobody.signed_in("role=SUPPORT&actor=sam").await;
        let page = support.page("/console/orders?store=demo").await;
        assert!(page.contains("Buyer id"), "{page}");
        dev.tell_to_stop();
        let (status, said) = dev.end().await;
        assert!(status.success(), "{said}");
    });
}

#[test]
fn each_role_sees_the_pages_that_its_methods_give_it() {
    run_at(MONDAY, async |t| {
        build(t).await;
        let service = with_console(t, true, |_| {}).await;
        for role in ROLES {
            let visitor = visitor(&service, role).await;
            for (page, method) in PAGES {
                let answer = visitor.get(&format!("/console/{page}")).await;
                let expected = if may(role, method) { 200 } else { 403 };
                assert_eq!(answer.status, expected, "{role} {page}: {}", answer.body);
                if expected == 403 {
                    assert!(answer.body.contains("ROLE_NOT_ALLOWED"), "{role} {page}");
                }
            }
            // What a role may not see is not offered either.
            let home = visitor.page("/console/").await;
            let offers = home.contains("href=\"/console/orders?store=hostile\"");
            assert_eq!(offers, may(role, "StoreService/ListStores"), "{role}");
            let orders = visitor.page("/console/orders?store=shop").await;
            for (name, method) in [
                ("incidents", "CancellationService/ListIncidents"),
                ("refunds", "RefundService/ListRefunds"),
                ("policy", "PolicyService/GetPolicy"),
                ("feed", "EventService/WatchEvents"),
            ] {
                let offered = orders.contains(&format!("href=\"/console/{name}?store=shop\""));
                assert_eq!(offered, may(role, method), "{role} {name}");
            }
            let lists = orders.contains("Buyer id");
            assert_eq!(lists, may(role, "OrderService/ListOrders"), "{role}");
        }
        service.stop().await;
    });
}

#[test]
fn an_order_shows_what_its_caller_sees_and_no_more() {
    run_at(MONDAY, async |t| {
        build(t).await;
        let service = with_console(t, true, |_| {}).await;
        let support = visitor(&service, Role::Support).await;
        let page = support.page("/console/order?store=shop&id=A-2").await;
        for told in [
            "Order A-2",
            "22.49 EUR",
            "Mug, blue",
            "A-2:s1",
            "A-2:c1",
            "A-2:r1",
            "before-dispatch",
            "order created",
            "cancellation completed",
            "NO_LONGER_WANTED",
            "2026-03-02 10:00:00 UTC",
            "/console/policy?store=shop&amp;version=1#rule-before-dispatch",
        ] {
            let is_told = page.to_lowercase().contains(&told.to_lowercase());
            assert!(is_told, "{told} is not told: {page}");
        }
        // Whoever packs sees its parcels, and neither money nor buyer.
        let warehouse = visitor(&service, Role::Warehouse).await;
        let page = warehouse.page("/console/order?store=shop&id=A-2").await;
        assert!(page.contains("A-2:s1"));
        for kept in ["EUR", ">ann<", "credit card"] {
            assert!(!page.contains(kept), "{kept} is told: {page}");
        }
        service.stop().await;
    });
}

#[test]
fn what_is_somebody_elses_is_as_if_it_were_not_there() {
    run_at(MONDAY, async |t| {
        build(t).await;
        let service = with_console(t, true, |_| {}).await;
        let bolt = Visitor::to(&service)
            .signed_in("role=SELLER&actor=bolt")
            .await;
        let abroad = Visitor::in_role(&service, Role::Support, "&stores=elsewhere").await;
        for (visitor, absent) in [(&bolt, "Z-9"), (&abroad, "Z-9")] {
            for page in ["order", "explain"] {
                let of = async |id: &str| {
                    let answer = visitor
                        .get(&format!("/console/{page}?store=shop&id={id}"))
                        .await;
                    (answer.status, answer.body.replace(id, "ID"))
                };
                let foreign = of("A-1").await;
                assert_eq!(foreign.0, 404, "{page}");
                assert_eq!(foreign, of(absent).await, "{page}");
            }
        }
        let listed = bolt.page("/console/orders?store=shop").await;
        assert!(
            listed.contains("id=B-1\"") && !listed.contains("id=A-1\""),
            "{listed}"
        );
        let refunds = bolt.page("/console/refunds?store=shop").await;
        assert!(!refunds.contains("A-2:r1"), "{refunds}");
        let of = async |store: &str| {
            let answer = abroad.get(&format!("/console/orders?store={store}")).await;
            (answer.status, answer.body.replace(store, "STORE"))
        };
        let foreign = of(SHOP).await;
        assert_eq!(foreign.0, 404);
        assert_eq!(foreign, of("nowhere").await);
        service.stop().await;
    });
}

#[test]
fn orders_are_found_by_what_a_list_can_be_narrowed_to() {
    run_at(MONDAY, async |t| {
        build(t).await;
        let service = with_console(t, true, |_| {}).await;
        let support = visitor(&service, Role::Support).await;
        let found = async |filter: &str| {
            let page = support
                .page(&format!("/console/orders?store=shop&{filter}"))
                .await;
            let ids = ["A-1", "A-2", "A-3", "B-1"].into_iter();
            ids.filter(|id| page.contains(&format!("id={id}\"")))
                .collect::<Vec<_>>()
        };
        assert_eq!(found("seller=bolt").await, ["B-1"]);
        assert_eq!(found("seller=bolt&sku=NONE").await, [""; 0]);
        assert_eq!(found("state=CANCELLED").await, ["A-2"]);
        assert_eq!(found("country=DE&city=Berlin&seller=bolt").await, ["B-1"]);
        assert_eq!(found("from=2026-03-02&to=2026-03-02").await.len(), 4);
        assert_eq!(found("to=2026-03-01").await, [""; 0]);
        assert_eq!(found("from=2026-03-03").await, [""; 0]);
        for odd in [
            "state=SOMEWHERE",
            "from=yesterday",
            "to=2026-02-30",
            "seller=a%20b",
        ] {
            let answer = support
                .get(&format!("/console/orders?store=shop&{odd}"))
                .await;
            assert_eq!(answer.status, 400, "{odd}: {}", answer.body);
        }
        for odd in [
            "explain?store=shop&id=A-1&at=soon",
            "policy?store=shop&version=x",
            "awaiting?store=shop&party=NOBODY",
            "refunds?store=shop&which=NONE",
            "order?store=shop&id=%20",
        ] {
            let answer = support.get(&format!("/console/{odd}")).await;
            assert_eq!(answer.status, 400, "{odd}: {}", answer.body);
        }
        // One page, and the way to the next.
        for number in 0..51 {
            new_order(&t.storefront(), &format!("P-{number}"))
                .await
                .expect("an order");
        }
        let first = support.page("/console/orders?store=shop&seller=acme").await;
        let next = link(&first, "Further entries");
        let begun = "/console/orders?store=shop&seller=acme&page=";
        assert!(next.starts_with(begun), "{next}");
        let second = support.page(&next).await;
        assert!(!second.contains("Further entries"), "{second}");
        let shown = |page: &str| page.matches("/console/order?store=shop&amp;id=").count();
        // Those of the scenery are five.
        assert_eq!((shown(&first), shown(&second)), (50, 6));
        service.stop().await;
    });
}

#[test]
fn support_explains_it_as_another_would_be_answered() {
    run_at(MONDAY, async |t| {
        build(t).await;
        let service = with_console(t, true, |_| {}).await;
        let support = visitor(&service, Role::Support).await;
        let explain = "/console/explain?store=shop&id=A-4";
        // The reason is one of sellers and of support alone.
        let why = "reason=OUT_OF_STOCK";
        for (asker, told, is_theirs) in [
            ("", None, true),
            ("SUPPORT", Some("Asked as support."), true),
            ("BUYER", Some("Asked as the buyer."), false),
            ("SELLER", Some("Asked as the seller."), true),
            ("WAREHOUSE", Some("Asked as the warehouse."), false),
            ("CARRIER", Some("Asked as the carrier."), false),
        ] {
            let page = support.page(&format!("{explain}&{why}&as={asker}")).await;
            assert_eq!(
                page.contains("Asked as the"),
                told.is_some_and(|told| told.contains("the"))
            );
            assert!(
                told.is_none_or(|told| page.contains(told)),
                "{asker}: {page}"
            );
            assert!(page.contains("Shipment A-4:s1"), "{asker}: {page}");
            let is_refused = page.contains("<code>REASON_NOT_ALLOWED</code>");
            assert_eq!(is_refused, !is_theirs, "{asker}: {page}");
            let chosen = format!("<option value=\"{asker}\" selected>");
            assert!(page.contains(&chosen), "{asker}: {page}");
        }
        let odd = support.get(&format!("{explain}&as=AUDITOR")).await;
        assert_eq!(odd.status, 400, "{odd:?}");
        let nothing = "/console/explain?store=shop&id=NONE&as=BUYER";
        assert_eq!(support.get(nothing).await.status, 404);

        // For the buyer, whom support knows, in every way of signing in; and for nobody else.
        let form = format!("store=shop&id=A-4&{why}&buyer=");
        for (buyer, status, told) in [
            ("ann%40example.org", 200, "Asked as the buyer."),
            ("ann-1", 200, "<code>REASON_NOT_ALLOWED</code>"),
            ("bob%40example.org", 404, "ORDER_NOT_FOUND"),
            ("+", 400, "Give the e-mail address or the user name"),
        ] {
            let answer = support
                .post("/console/explain", &format!("{form}{buyer}"))
                .await;
            assert_eq!(answer.status, status, "{buyer}: {answer:?}");
            assert!(answer.body.contains(told), "{buyer}: {}", answer.body);
            assert!(!answer.body.contains("example.org"), "{}", answer.body);
        }
        let from = [("origin", "http://elsewhere.example")];
        let form = format!("{form}ann-1");
        let elsewhere = support.ask("POST", "/console/explain", &from, &form).await;
        assert_eq!(elsewhere.status, 403, "{elsewhere:?}");
        let seller = visitor(&service, Role::Seller).await;
        let refused = seller.post("/console/explain", &form).await;
        assert_eq!(refused.status, 403, "{refused:?}");
        service.stop().await;
    });
}

#[test]
fn it_is_explained_what_is_open_and_what_was_decided_by_which_rule() {
    run_at(MONDAY, async |t| {
        build(t).await;
        let service = with_console(t, true, |_| {}).await;
        let support = visitor(&service, Role::Support).await;
        let tells = async |visitor: &Visitor, page: &str, facts: &[&str]| {
            let page = visitor.page(&format!("/console/explain?{page}")).await;
            for told in facts {
                assert!(page.contains(told), "{told} is not told: {page}");
            }
        };
        // Now: each path, by which rule, and the sentence of its source. Then: the refusal.
        let now = "store=shop&id=A-4&reason=NO_LONGER_WANTED";
        let facts = [
            "a request would be rejected",
            "Shipment A-4:s1",
            "refuse delivery",
            "version=1#rule-shipped\"",
            "If the package cannot be intercepted",
            "<code>SHIPPED</code>",
            "chip bad\">rejected",
        ];
        tells(&support, now, &facts).await;
        // Then: what was asked, which rules were passed over, and the one that decided.
        let facts = [
            "chip good\">accepted",
            "requester buyer",
            "version=1#rule-shipped-interceptable\"",
            "path is not CANCEL",
            "version=1#rule-intercept\"",
            "carrier intercept of the carrier",
        ];
        tells(&support, "store=shop&id=A-3", &facts).await;
        // Whoever asks for nothing reads what was decided; whoever reads no decision previews.
        let auditor = visitor(&service, Role::Auditor).await;
        let page = auditor.page("/console/explain?store=shop&id=A-3").await;
        assert!(page.contains("Your role asks for no cancellation") && page.contains("accepted"));
        let seller = visitor(&service, Role::Seller).await;
        let page = seller.page("/console/explain?store=shop&id=A-4").await;
        assert!(
            page.contains("Your role does not read decisions") && page.contains("Shipment A-4:s1")
        );
        assert!(!page.contains("As the buyer, whom you know"), "{page}");
        // The rule that decided is lit in its document.
        let policy = support.page("/console/policy?store=shop&version=1").await;
        assert!(
            policy.contains("id=\"rule-shipped-interceptable\""),
            "{policy}"
        );
        assert!(policy.contains("class=\"chip good\">active"), "{policy}");
        service.stop().await;
    });
}

#[test]
fn what_awaits_whom_and_what_is_overdue_is_shown_with_its_deadline() {
    run_at(MONDAY, async |t| {
        build(t).await;
        let service = with_console(t, true, |_| {}).await;
        let support = visitor(&service, Role::Support).await;
        let page = support
            .page("/console/awaiting?store=shop&party=CARRIER")
            .await;
        assert!(page.contains("A-3:c1") && page.contains("in 2 d"), "{page}");
        let carrier = Visitor::to(&service)
            .signed_in("role=CARRIER&actor=express")
            .await;
        let own = carrier.page("/console/awaiting?store=shop").await;
        assert!(own.contains("A-3:c1"), "what awaits it comes first: {own}");
        let incidents = support.page("/console/incidents?store=shop").await;
        assert!(
            incidents.contains("refund failed") && incidents.contains("retry refund"),
            "{incidents}"
        );
        let due = support.page("/console/refunds?store=shop").await;
        assert!(due.contains("A-2:r1"), "{due}");
        let overdue = support
            .page("/console/refunds?store=shop&which=OVERDUE")
            .await;
        assert!(!overdue.contains("A-2:r1"), "{overdue}");
        t.advance(jiff::SignedDuration::from_hours(40 * 24)).await;
        belay_tests::until("it is overdue", async || {
            let page = support
                .page("/console/refunds?store=shop&which=OVERDUE")
                .await;
            (page.contains("A-2:r1") && page.contains(" ago</span>")).then_some(())
        })
        .await;
        // What an incident keeps back is no less overdue.
        t.scan("A-2:s1", TrackingFact::PickedUp).await;
        let overdue = support
            .page("/console/refunds?store=shop&which=OVERDUE")
            .await;
        assert!(overdue.contains("A-2:r1"), "{overdue}");
        service.stop().await;
    });
}

#[test]
fn text_of_others_is_shown_as_text_on_every_page() {
    run_at(MONDAY, async |t| {
        build(t).await;
        let service = with_console(t, true, |_| {}).await;
        let operator = visitor(&service, Role::Operator).await;
        let mut shown = 0;
        for page in [
            "",
            "orders?store=hostile",
            "order?store=hostile&id=H-1",
            "explain?store=hostile&id=H-1",
            "awaiting?store=hostile&party=SELLER",
            "policy?store=hostile",
            // What is asked is shown again.
            "orders?store=hostile&seller=%3Cscript%3Ealert(1)%3C/script%3E",
            "orders?store=%3Cscript%3Ealert(1)%3C/script%3E",
            "order?store=hostile&id=%3Cscript%3Ealert(1)%3C/script%3E",
            "explain?store=hostile&id=H-1&reason=%22%3E%3Cscript%3Ealert(1)%3C/script%3E",
            "policy?store=hostile&version=%3Cscript%3E",
            "refunds?store=hostile&which=%3Cscript%3Ealert(1)%3C/script%3E",
            "sign-in?next=/console/%22%3E%3Cscript%3Ealert(1)%3C/script%3E",
        ] {
            let answer = operator.get(&format!("/console/{page}")).await;
            assert!(!answer.body.contains("<script"), "{page}: {}", answer.body);
            assert!(!answer.body.contains("<img"), "{page}: {}", answer.body);
            shown += answer
                .body
                .matches("&lt;img src=x onerror=alert(1)&gt;")
                .count();
        }
        assert!(shown >= 10, "{HOSTILE} is shown {shown} times");
        service.stop().await;
    });
}

#[test]
fn nothing_comes_of_looking() {
    run_at(MONDAY, async |t| {
        build(t).await;
        let service = with_console(t, true, |_| {}).await;
        let operator = visitor(&service, Role::Operator).await;
        let before = t.database.snapshot().await;
        for (page, _) in PAGES {
            operator.page(&format!("/console/{page}")).await;
            let path = format!("/console/{}", page.split('?').next().expect("a page"));
            for method in ["POST", "PUT", "PATCH", "DELETE"] {
                let answer = operator.ask(method, &path, &[], "a=b").await;
                // The one form that is no address, and does not come from here.
                let is_form = method == "POST" && path == "/console/explain";
                let refused = if is_form { 403 } else { 405 };
                assert_eq!(answer.status, refused, "{method} {path}");
            }
        }
        let form = "store=shop&id=A-1&reason=NO_LONGER_WANTED&buyer=ann-1";
        let explained = operator.post("/console/explain", form).await;
        assert_eq!(explained.status, 200, "{explained:?}");
        assert_eq!(t.database.snapshot().await, before);
        service.stop().await;
    });
}

#[test]
fn the_live_tail_shows_events_as_they_come_and_ends_with_the_server() {
    run(async |t| {
        let service = with_console(t, false, |_| {}).await;
        let support = visitor(&service, Role::Support).await;
        let mut tail = bounds::Tail::open(&support, "/console/feed?store=shop").await;
        tail.until("Events as they come").await;
        t.place("A-1").await;
        tail.until("order?store=shop&amp;id=A-1").await;
        tail.until("order created").await;
        service.stop().await;
        let rest = tail.end().await;
        assert!(
            rest.contains("The server stops.") && rest.contains("</html>"),
            "{rest}"
        );
        assert!(rest.contains("resume="), "{rest}");
    });
}

#[test]
fn a_tail_goes_on_from_where_another_ended_and_within_its_order() {
    run(async |t| {
        let service = with_console(t, false, |_| {}).await;
        let belay = service
            .belay()
            .with_role(Role::Support, "sam")
            .expect("a role");
        let mut stream = belay.watch_events().store_id(SHOP).await.expect("a stream");
        let token = stream
            .try_next()
            .await
            .expect("a message")
            .expect("a bookmark")
            .resume_token;
        drop(stream);
        t.place("A-1").await;
        t.place("A-2").await;
        let support = visitor(&service, Role::Support).await;
        let resume = format!("/console/feed?store=shop&order=A-2&resume={token}");
        // Another filter is another stream, as over gRPC.
        assert_eq!(support.get(&resume).await.status, 400);
        let resume = format!("/console/feed?store=shop&resume={token}");
        let mut tail = bounds::Tail::open(&support, &resume).await;
        tail.until("id=A-1").await;
        tail.until("id=A-2").await;
        drop(tail);
        let nobody = Visitor::to(&service).get(&resume).await;
        assert_eq!(nobody.status, 303);
        service.stop().await;
    });
}
