//! The commands for people: the real program, against a real server.

use std::process::Output;

use belay_client::Role;
use belay_client::calls::FirstPolicy;
use belay_client::model::{OrderState, TrackingFact};
use belay_client::reason;
use belay_tests::market::{MARKET, Market};
use belay_tests::process::{Running, built};
use belay_tests::shop::new_order;
use belay_tests::{TestServer, run_at, until};
use jiff::SignedDuration;
use serde_json::Value;
use tokio::process::Command;

const MONDAY: &str = "2026-03-02T10:00:00Z";

/// The outcome of a command: its exit code, and what it printed.
#[derive(Debug)]
struct Done {
    code: i32,
    out: String,
    err: String,
}

fn command(arguments: &str) -> Command {
    let mut belay = Command::new(built("belay"));
    belay.args(arguments.split_whitespace()).env_clear();
    belay
}

async fn done(mut command: Command) -> Done {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().await.expect("it can be run");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    Done {
        code: status.code().expect("it ended by itself"),
        out: text(stdout),
        err: text(stderr),
    }
}

/// A command of somebody in this role.
async fn belay(t: &TestServer, role: &str, arguments: &str) -> Done {
    let mut belay = command(arguments);
    belay
        .env("BELAY_ENDPOINT", format!("http://{}", t.address()))
        .env("BELAY_STORE", MARKET)
        .env("BELAY_ROLE", role);
    done(belay).await
}

/// What it prints, where it goes well.
async fn printed(t: &TestServer, role: &str, arguments: &str) -> String {
    let done = belay(t, role, arguments).await;
    assert_eq!(done.code, 0, "belay {arguments}: {done:?}");
    done.out
}

async fn json(t: &TestServer, role: &str, arguments: &str) -> Value {
    let out = printed(t, role, &format!("{arguments} --output json")).await;
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"))
}

/// The words of a table, line by line.
fn rows(table: &str) -> Vec<Vec<&str>> {
    let lines = table.lines().map(|line| line.split_whitespace().collect());
    lines.collect()
}

/// A-1 was refused because it has left, A-2 is cancelled, A-3 is to be shipped.
async fn market(t: &TestServer) -> Market<'_> {
    let market = t.open_market(FirstPolicy::preset("independent-site")).await;
    for order in ["A-1", "A-2", "A-3"] {
        market.place_paid(order, "standard").await;
    }
    market.ship("A-1:s1").await;
    market.scan("A-1:s1", TrackingFact::PickedUp).await;
    let refused = market.buyers_request("A-1", reason::NO_LONGER_WANTED).await;
    refused.unwrap_err();
    market
        .buyers_request("A-2", reason::NO_LONGER_WANTED)
        .await
        .unwrap();
    market
}

#[test]
fn support_finds_an_order_and_reads_what_happened_to_it() {
    run_at(MONDAY, async |t| {
        market(t).await;
        let orders = printed(t, "support", "orders list").await;
        let orders = rows(&orders);
        assert_eq!(orders[0][..3], ["ORDER", "STATE", "SHOWN"]);
        let found: Vec<_> = orders[1..].iter().map(|row| (row[0], row[1])).collect();
        assert_eq!(
            found,
            [("A-3", "TO_SHIP"), ("A-2", "CANCELLED"), ("A-1", "SHIPPED")]
        );
        let to_ship = printed(t, "support", "orders list --state to-ship").await;
        assert_eq!(rows(&to_ship).len(), 2, "{to_ship}");
        let first = belay(t, "support", "orders list --limit 1").await;
        assert_eq!(rows(&first.out).len(), 2);
        assert!(first.err.contains("the first 1 are shown"), "{}", first.err);

        let found = printed(t, "support", "orders find --id A-").await;
        assert_eq!(rows(&found).len(), 4, "{found}");
        let nobody = printed(t, "support", "orders find --email nobody@example.org").await;
        assert!(rows(&nobody).len() <= 1, "{nobody}");
        let untold = belay(t, "support", "orders find").await;
        assert!(untold.err.contains("--email"), "{}", untold.err);

        let order = printed(t, "support", "orders get A-2").await;
        for told in ["CANCELLED", "A-2:c1", "A-2:r1", "shipments"] {
            assert!(order.contains(told), "{order}");
        }
        let order = json(t, "support", "orders get A-2").await;
        assert_eq!(order["refunds"][0]["refund_id"], "A-2:r1");
        let yaml = printed(t, "support", "orders get A-2 -o yaml").await;
        assert!(yaml.contains("order_id: A-2\n"), "{yaml}");

        let history = printed(t, "support", "history A-2").await;
        let events: Vec<&str> = rows(&history).iter().map(|row| row[1]).collect();
        assert_eq!(events[0], "ORDER_CREATED");
        assert!(events.contains(&"CANCELLATION_COMPLETED"), "{history}");
        assert!(
            history
                .lines()
                .all(|line| line.starts_with("2026-03-02T10:00:00Z  "))
        );
        assert!(history.contains("rule before-dispatch"), "{history}");
        // A rejection changes nothing and is in no feed; it has its line all the same.
        let is_rejected = |line: &str| {
            line.contains("  rejected                SHIPPED  by STOREFRONT web, request ")
        };
        for role in ["support", "storefront"] {
            let history = printed(t, role, "history A-1").await;
            assert!(
                is_rejected(history.lines().last().unwrap()),
                "{role}: {history}"
            );
        }
        // No terminal, no colours.
        assert!(!history.contains('\x1b'));
    });
}

#[test]
fn a_refusal_and_what_is_open_now_are_explained_with_the_sentence_of_their_source() {
    run_at(MONDAY, async |t| {
        market(t).await;
        t.advance(SignedDuration::from_hours(1)).await;
        let told = printed(t, "support", "explain A-1 --last").await;
        let request = json(t, "support", "explain A-1 --last").await["request_id"].clone();
        let request = request.as_str().unwrap();
        let expected = format!(
            "order A-1, decided at 2026-03-02T10:00:00Z for STOREFRONT web, request {request}: rejected: SHIPPED"
        );
        let lines: Vec<&str> = told.lines().map(str::trim).collect();
        assert_eq!(lines[0], expected);
        assert!(
            lines[1].starts_with("shipment A-1:s1 (line id A-1:l1, quantity 3"),
            "{told}"
        );
        assert_eq!(lines[2], "CANCEL          closed: SHIPPED");
        assert!(
            lines[3].starts_with("asked: destination country DE, paid yes, path CANCEL"),
            "{told}"
        );
        assert_eq!(
            lines[4..7],
            [
                "not before-dispatch: STAGE is not UNRELEASED, PLANNED, PREPARING, READY",
                "not shipped-interceptable: IN_TRANSIT_CANCEL is not true",
                "by rule shipped",
            ]
        );
        assert!(
            lines[7].starts_with("\"If the package cannot be intercepted"),
            "{told}"
        );
        assert_eq!(lines[8], "instead: RETURN_UNOPENED, CONTACT_SUPPORT");

        // By its request, and by when it was: the same.
        for other in [
            format!("explain A-1 --decision {request}"),
            "explain A-1 --at 2026-03-02T10:30:00Z".to_owned(),
        ] {
            assert_eq!(printed(t, "support", &other).await, told, "{other}");
        }
        let none = belay(t, "support", "explain A-1 --at 2026-03-02T09:00:00Z").await;
        assert_eq!(none.code, 3, "{none:?}");

        let now = printed(
            t,
            "support",
            "explain A-3 --as buyer --reason NO_LONGER_WANTED",
        )
        .await;
        let lines: Vec<&str> = now.lines().map(str::trim).collect();
        assert!(lines[0].starts_with("order A-3, as of 2026-03-02T11:00:00Z, policy version 1"));
        assert_eq!(lines[2], "CANCEL          open, would be taken");
        assert_eq!(lines[3], "by rule before-dispatch");
        assert!(lines[5].starts_with("refund 22.49 EUR (goods "), "{now}");
        assert!(
            lines.contains(&"INTERCEPT       closed: NOT_ALLOWED"),
            "{now}"
        );
        assert!(lines.contains(&"instead: CONTACT_SUPPORT"), "{now}");
        // The same for a buyer whom support knows, and nothing for one whom it does not.
        let known = "explain A-3 --buyer ann@example.org --reason NO_LONGER_WANTED";
        assert_eq!(printed(t, "support", known).await, now);
        let unknown = belay(t, "support", "explain A-3 --buyer nobody").await;
        assert_eq!(unknown.code, 3, "{unknown:?}");
    });
}

#[test]
fn a_dry_run_changes_nothing_and_the_exit_code_says_what_failed() {
    run_at(MONDAY, async |t| {
        market(t).await;
        let cancel =
            |order: &str, rest: &str| format!("cancel {order} --reason NO_LONGER_WANTED {rest}");
        let dry = printed(t, "storefront", &cancel("A-3", "--dry-run")).await;
        assert!(
            dry.starts_with("would be accepted\nrefund 22.49 EUR\n"),
            "{dry}"
        );
        let rejected = belay(t, "storefront", &cancel("A-1", "--dry-run")).await;
        assert_eq!(rejected.code, 1);
        assert!(rejected.out.contains("rejected: SHIPPED"), "{rejected:?}");
        let open = printed(t, "support", "orders list --state to-ship").await;
        assert_eq!(rows(&open).len(), 2, "{open}");

        let rejected = belay(t, "storefront", &cancel("A-1", "")).await;
        assert_eq!(rejected.code, 5);
        for told in [
            "belay: SHIPPED: ",
            "by the rule shipped",
            "instead: RETURN_UNOPENED",
        ] {
            assert!(rejected.err.contains(told), "{rejected:?}");
        }
        let done = json(t, "storefront", &cancel("A-3", "--line A-3:l1=1")).await;
        assert_eq!(done["state"], "COMPLETED");

        for (role, arguments, code) in [
            ("support", "orders get A-9", 3),
            ("warehouse", "orders list", 4),
            ("support", "orders get", 2),
            ("support", "orders get bad!id", 2),
            ("support", "refunds nowhere", 2),
        ] {
            let done = belay(t, role, arguments).await;
            assert_eq!(done.code, code, "{role}: {arguments}: {done:?}");
            assert!(done.out.is_empty() && !done.err.is_empty());
        }
        let mut nobody = command("orders list --store demo");
        nobody.env("BELAY_ENDPOINT", "http://127.0.0.1:1");
        assert_eq!(done_code(nobody).await, 6);
        assert_eq!(done_code(command("orders list --store demo")).await, 2);
    });
}

async fn done_code(command: Command) -> i32 {
    done(command).await.code
}

#[test]
fn what_waits_and_what_is_owed_is_listed_and_exported() {
    run_at(MONDAY, async |t| {
        let market = t
            .open_market(FirstPolicy::preset("supplier-agreement"))
            .await;
        market.place_paid("A-1", "standard").await;
        // Until then its card is verified.
        t.advance(SignedDuration::from_hours(24)).await;
        market
            .buyers_request("A-1", "NO_LONGER_NEEDED")
            .await
            .unwrap();
        let waiting = printed(t, "seller", "cancellations awaiting seller --actor acme").await;
        assert_eq!(rows(&waiting)[1][..2], ["A-1:c1", "PENDING"]);
        assert!(waiting.contains("SELLER_CONSENT"), "{waiting}");
        let nothing = printed(t, "support", "cancellations awaiting carrier").await;
        assert_eq!(rows(&nothing).len(), 1);
        market
            .seller()
            .approve_cancellation("A-1:c1")
            .await
            .unwrap();

        let due = printed(t, "payments", "refunds due").await;
        assert_eq!(rows(&due)[1][..2], ["A-1:r1", "DUE"]);
        assert_eq!(
            rows(&printed(t, "payments", "refunds overdue").await).len(),
            1
        );
        t.advance(SignedDuration::from_hours(24 * 60)).await;
        // The server says so as soon as it has looked at what has become due.
        let overdue = until("a refund is overdue", async || {
            let overdue = printed(t, "payments", "refunds overdue").await;
            (rows(&overdue).len() > 1).then_some(overdue)
        });
        let overdue = overdue.await;
        assert_eq!(rows(&overdue)[1][..2], ["A-1:r1", "DUE"]);
        assert_eq!(rows(&printed(t, "support", "incidents").await).len(), 1);
        assert_eq!(
            rows(&printed(t, "support", "stock").await)[0][0],
            "WAREHOUSE"
        );

        let csv = printed(t, "support", "export refunds --format csv").await;
        let lines: Vec<&str> = csv.lines().collect();
        assert_eq!(lines[0], "refund,state,kind,amount,due_by,overdue,failure");
        assert!(
            lines[1].starts_with("A-1:r1,DUE,REFUND,22.49 EUR,2026-"),
            "{csv}"
        );
        let ndjson = printed(t, "support", "export decisions").await;
        let decision: Value = serde_json::from_str(ndjson.lines().next().unwrap()).unwrap();
        assert_eq!(decision["order_id"], "A-1");

        let tail = printed(t, "support", "events tail --from-oldest --count 2 -o json").await;
        let first: Value = serde_json::from_str(tail.lines().next().unwrap()).unwrap();
        assert_eq!(
            (tail.lines().count(), &first["event_type"]),
            (2, &"ORDER_CREATED".into())
        );
        let none = belay(t, "seller", "quality acme --actor acme").await;
        assert_eq!(none.code, 1, "{none:?}");

        // What an incident keeps back is no less overdue.
        market.scan("A-1:s1", TrackingFact::PickedUp).await;
        let overdue = printed(t, "payments", "refunds overdue").await;
        assert_eq!(rows(&overdue)[1][..2], ["A-1:r1", "BLOCKED"]);
    });
}

#[test]
fn many_orders_are_cancelled_at_once() {
    run_at(MONDAY, async |t| {
        market(t).await;
        let sku = json(t, "support", "orders get A-3").await["lines"][0]["sku"].clone();
        let sku = sku.as_str().unwrap();
        let start = |rest: &str| format!("bulk start --sku {sku} --reason NO_LONGER_WANTED {rest}");
        let dry = printed(t, "support", &start("--dry-run")).await;
        assert!(dry.contains("COMPLETED"), "{dry}");
        let done = json(t, "support", &start("")).await;
        assert_eq!(done[0]["completed_orders"], 1);
        let id = done[0]["bulk_cancellation_id"].as_str().unwrap();
        let results = printed(t, "support", &format!("bulk results {id}")).await;
        assert_eq!(rows(&results)[1][..2], ["A-3", "COMPLETED"]);
        let again = printed(t, "support", &format!("bulk watch {id}")).await;
        assert!(again.contains(id));
        let listed = printed(t, "support", "bulk list").await;
        assert_eq!(rows(&listed).len(), 3);
    });
}

#[test]
fn a_policy_is_tested_compared_and_activated() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let folder = std::env::temp_dir().join(format!("belay-people-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let draft = folder.join("draft.yaml");
    let document = belay_tests::market::preset("independent-site");
    let changed = document.replace("expire_after: 24h", "expire_after: 48h");
    std::fs::write(&draft, &changed).unwrap();
    let broken = folder.join("broken.yaml");
    std::fs::write(
        &broken,
        document.replace("path: CANCEL\n", "path: CANCELL\n"),
    )
    .unwrap();
    let (draft, broken) = (draft.to_str().unwrap(), broken.to_str().unwrap());
    run_at(MONDAY, async |t| {
        market(t).await;
        // Without a server.
        let preset = format!("policy test {root}/server/presets/tests/independent-site.yaml");
        let tested = done(command(&preset)).await;
        assert_eq!(tested.code, 0, "{tested:?}");
        assert!(tested.out.contains(" answers are as expected"));
        let valid = done(command(&format!("policy validate {draft}"))).await;
        assert_eq!(
            (valid.code, valid.out.as_str()),
            (0, "valid: independent-site, 10 rules, 9 reasons\n")
        );
        let invalid = done(command(&format!("policy validate {broken}"))).await;
        assert_eq!(invalid.code, 1);
        assert!(invalid.err.contains("rules[0].when.path"), "{invalid:?}");

        let diff = format!("policy diff {draft} --replay-days 366");
        let differs = belay(t, "operator", &diff).await;
        assert_eq!(differs.code, 1, "{differs:?}");
        assert!(differs.out.starts_with("~ unpaid: "), "{differs:?}");
        let activated = json(t, "operator", &format!("policy activate {draft}")).await;
        assert_eq!(activated["version"], 2);
        let same = printed(t, "operator", &format!("policy diff {draft} --version 2")).await;
        assert_eq!(same, "the same as version 2\n");
    });
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn shells_and_readers_get_their_files() {
    let version = done(command("--version")).await;
    let short = done(command("-V")).await;
    assert!(version.out.starts_with("belay ") && version.out == short.out);
    for shell in ["bash", "zsh", "fish"] {
        let completions = done(command(&format!("completions {shell}"))).await;
        assert!(completions.out.contains("cancellations"), "{shell}");
    }
    let page = done(command("man")).await;
    assert!(page.out.contains(".TH belay"), "{}", page.out);
    let page = done(command("man orders list")).await;
    assert!(page.out.contains("\\-\\-state"), "{}", page.out);
    assert_eq!(done(command("man nothing")).await.code, 1);
}

#[test]
fn support_writes_notes_and_keeps_things_with_an_order() {
    run_at(MONDAY, async |t| {
        market(t).await;
        // Words of a shell: a note has spaces.
        let mut note = command("orders note A-2 --public --cancellation A-2:c1");
        note.arg("We are sorry.")
            .env("BELAY_ENDPOINT", format!("http://{}", t.address()))
            .env("BELAY_STORE", MARKET)
            .env("BELAY_ROLE", "support");
        let note = done(note).await;
        assert_eq!(note.code, 0, "{note:?}");
        assert!(note.out.contains("A-2:n1"), "{note:?}");
        printed(t, "support", "orders note A-2 Called.").await;
        let kept = json(
            t,
            "support",
            "orders set A-2 channel=web campaign=spring --reference sap=4711",
        )
        .await;
        assert_eq!(kept["metadata"]["channel"], "web");
        let kept = json(t, "support", "orders set A-2 --delete campaign").await;
        assert_eq!(kept["metadata"], serde_json::json!({"channel": "web"}));
        assert_eq!(kept["external_references"][0]["id"], "4711");
        let kept = json(t, "support", "orders set A-2:c1 case=a=b").await;
        assert_eq!(kept["metadata"]["case"], "a=b");

        let order = printed(t, "support", "orders get A-2").await;
        for told in ["channel web", "4711", "We are sorry.", "Called.", "PRIVATE"] {
            assert!(order.contains(told), "{told}: {order}");
        }
        let order = printed(t, "storefront", "orders get A-2").await;
        assert!(order.contains("We are sorry.") && !order.contains("Called."));
        let history = printed(t, "support", "history A-2").await;
        assert!(history.contains("NOTE_ADDED"), "{history}");
        assert!(history.contains("METADATA_CHANGED"), "{history}");
        assert!(!history.contains("sorry"), "{history}");
        let nothing = belay(t, "support", "orders set A-2").await;
        assert_eq!(nothing.code, 2, "{nothing:?}");
    });
}

/// A load of an operator on this server.
fn load(t: &TestServer, rest: &str) -> Command {
    load_as(t, "operator", rest)
}

fn load_as(t: &TestServer, role: &str, rest: &str) -> Command {
    let mut load = command(&format!("load --role {role} {rest} -o json"));
    // A store that a person works with is not where load goes.
    load.env("BELAY_ENDPOINT", format!("http://{}", t.address()))
        .env("BELAY_STORE", MARKET);
    load
}

fn read(summary: &str) -> Value {
    serde_json::from_str(summary).unwrap_or_else(|error| panic!("{error}: {summary}"))
}

fn answered(summary: &Value, method: &str) -> u64 {
    let calls = summary["calls"].as_array().expect("a list");
    let of = calls.iter().find(|call| call["call"] == method);
    of.map_or(0, |call| call["answered"].as_u64().expect("a number"))
}

#[test]
fn load_is_put_on_a_store_of_its_own_and_counted() {
    run_at(MONDAY, async |t| {
        let market = market(t).await;
        let made = done(load(t, "--duration 1s --callers 4 --connections 2")).await;
        assert_eq!(made.code, 0, "{made:?}");
        let summary = read(&made.out);
        assert_eq!(
            (&summary["store"], &summary["failed"], &summary["failures"]),
            (&"load".into(), &0.into(), &Value::Array(Vec::new()))
        );
        let all: u64 = [
            "CreateOrder",
            "RecordPayment",
            "RequestCancellation",
            "GetOrder",
            "ListOrders",
        ]
        .map(|method| answered(&summary, method))
        .iter()
        .sum();
        assert_eq!(summary["answered"], all);

        // Each call that was counted was made.
        let operator = t.store_as("load", Role::Operator, "ops");
        let orders = operator.summarize_orders().await.unwrap();
        let created = answered(&summary, "CreateOrder");
        assert_eq!(u64::try_from(orders.total.value).unwrap(), created);
        let cancelled = orders.of(OrderState::Cancelled).value;
        let requested = answered(&summary, "RequestCancellation");
        assert_eq!(u64::try_from(cancelled).unwrap(), requested);
        let untouched = market.support().summarize_orders().await.unwrap();
        assert_eq!(untouched.total.value, 3);

        // At a rate, every call that was due was made or is missed.
        let again = done(load(
            t,
            "--duration 2s --callers 2 --rate 20 --mix create=1",
        ))
        .await;
        let summary = read(&again.out);
        let (made, missed) = (answered(&summary, "CreateOrder"), &summary["not_begun"]);
        assert_eq!(made + missed.as_u64().unwrap(), 40, "{summary}");
        assert_eq!(again.code, i32::from(*missed != 0), "{summary}");
        let orders = operator.summarize_orders().await.unwrap();
        assert_eq!(u64::try_from(orders.total.value).unwrap(), created + made);
    });
}

#[test]
fn load_goes_to_no_store_that_has_other_orders() {
    run_at(MONDAY, async |t| {
        market(t).await;
        let others = done(load(t, &format!("--duration 1s --store {MARKET}"))).await;
        assert_eq!(others.code, 5, "{others:?}");
        assert!(others.err.contains("was not made for load"), "{others:?}");

        let own = done(load(t, "--duration 1s --mix create=1")).await;
        assert_eq!(own.code, 0, "{own:?}");
        let operator = t.store_as("load", Role::Operator, "ops");
        new_order(&operator, "A-1").await.unwrap();
        let mixed = done(load(t, "--duration 1s")).await;
        assert_eq!(mixed.code, 5, "{mixed:?}");
        assert!(mixed.err.contains("orders that are not of"), "{mixed:?}");

        for (role, arguments, code) in [
            ("support", "--duration 1s --store load-2", 4),
            ("operator", "--duration 0s", 2),
            ("operator", "--mix order=1", 2),
            ("operator", "--duration 1s --store not/one", 2),
        ] {
            let done = done(load_as(t, role, arguments)).await;
            assert_eq!(done.code, code, "{arguments}: {done:?}");
            assert!(done.out.is_empty() && !done.err.is_empty(), "{done:?}");
        }
        let mut nobody = load(t, "--duration 1s");
        nobody.env("BELAY_ENDPOINT", "http://127.0.0.1:1");
        assert_eq!(done_code(nobody).await, 6);
    });
}

#[test]
fn load_that_is_interrupted_says_what_came_of_it() {
    run_at(MONDAY, async |t| {
        market(t).await;
        let endless = load(t, "--duration 24h --callers 2 --rate 1000");
        let mut endless = Running::start(endless.into_std());
        let begins = |line: &str| line.contains("Ctrl-C ends it").then_some(());
        endless.until_said("load begins", begins).await;
        let operator = t.store_as("load", Role::Operator, "ops");
        until("an order of it is there", async || {
            let orders = operator.summarize_orders().await.unwrap();
            (orders.total.value > 0).then_some(())
        })
        .await;
        endless.interrupt();
        let (status, said) = endless.end().await;
        // Whether two callers could keep up with the rate is no matter here.
        assert!(matches!(status.code(), Some(0 | 1)), "{status}: {said}");
        let summary = read(&said[said.find('{').expect("a summary")..]);
        assert_eq!(summary["interrupted"], true);
        assert_eq!(summary["failed"], 0);
        let orders = operator.summarize_orders().await.unwrap();
        let created = answered(&summary, "CreateOrder");
        assert_eq!(u64::try_from(orders.total.value).unwrap(), created);
    });
}
