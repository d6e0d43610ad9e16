//! The audit log: each call that writes, that is refused or that reads personal data has its
//! record, with who, what and what came of it, and never what was sent.

use std::collections::BTreeSet;
use std::path::PathBuf;

use belay_client::calls::OnBehalfOf;
use belay_client::{RequestId, Role, Units, reason};
use belay_proto::rpc::Idempotency;
use belay_proto::v1 as pb;
use belay_server::rpc::personal::personal;
use belay_server::telemetry::Telemetry;
use belay_server::telemetry::audit::{AuditLog, AuditTarget, Personal};
use belay_tests::instance::{Service, literal};
use belay_tests::raw::Raw;
use belay_tests::shop::{new_order_of, pay};
use belay_tests::{SHOP, TestServer, descriptors, run};
use prost::Message as _;
use prost_types::{DescriptorProto, FileDescriptorSet};
use serde_json::Value;

use crate::callers;

/// The records of what `work` has a server do, as text.
async fn audited(t: &TestServer, work: impl AsyncFnOnce(&Service)) -> String {
    let file: PathBuf = std::env::temp_dir().join(format!("belay-audit-{}", RequestId::mint()));
    let log = AuditLog::start(&AuditTarget::File(file.clone())).expect("a file");
    let telemetry = Telemetry::local().auditing(log.audit());
    let url = t.database.serve_url().await;
    let service = Service::start(url, |settings| settings.telemetry = telemetry).await;
    work(&service).await;
    service.stop().await;
    drop(log);
    let text = std::fs::read_to_string(&file).expect("the log");
    std::fs::remove_file(&file).expect("it was there");
    text
}

fn records(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).expect("an object a line"))
        .collect()
}

/// What a record holds, and nothing else.
const FIELDS: &[&str] = &[
    "time",
    "access",
    "method",
    "code",
    "reason",
    "role",
    "actor",
    "scope",
    "peer",
    "store",
    "order",
    "request_id",
    "personal",
    "trace_id",
];

#[test]
fn every_rpc_has_its_records_whether_it_is_taken_or_refused() {
    run(async |t| {
        t.place_paid("A-1").await;
        let text = audited(t, async |service| {
            let belay = literal(service.address());
            let operator = belay.with_role(Role::Operator, "ops").expect("a role");
            let auditor = belay.with_role(Role::Auditor, "eve").expect("a role");
            let raw = Raw::to(service.address());
            for rpc in descriptors::rpcs() {
                let path = rpc.path();
                let unknown = raw.send::<(), ()>("king", &path, ()).await;
                assert!(unknown.is_err(), "{path}");
                for belay in [&auditor, &operator] {
                    // Whatever comes of it is in its record.
                    let _ = callers::send(&path, belay, SHOP, "A-1").await;
                }
            }
        })
        .await;
        let records = records(&text);
        let mut good_writes = 0;
        for rpc in pb::RPCS {
            let method = rpc.path.trim_start_matches('/');
            let found: Vec<&Value> = records
                .iter()
                .filter(|record| record["method"] == method)
                .collect();
            let is_read = rpc.idempotency == Idempotency::Read;
            let personal = personal(rpc.path);
            for record in &found {
                let access = if is_read { "READ" } else { "WRITE" };
                assert_eq!(record["access"], access, "{record}");
                assert!(record["time"].is_string() && record["trace_id"].is_string());
                let peer = record["peer"].as_str().unwrap_or_default();
                assert!(peer.starts_with("127.0.0.1:"), "{record}");
                let is_good = record["code"] == "OK";
                // A stream that its caller gave up has no reason.
                if record["code"] != "CANCELLED" {
                    assert_eq!(record["reason"].is_string(), !is_good, "{record}");
                }
                assert_eq!(
                    record["personal"].as_array().map_or(0, Vec::len),
                    personal.len()
                );
                assert!(
                    !(is_good && is_read && personal.is_empty()),
                    "{record} is no write, no refusal and about nobody"
                );
                for (field, _) in record.as_object().expect("an object") {
                    assert!(FIELDS.contains(&field.as_str()), "{field} in {record}");
                }
            }
            let of = |role: &str| -> Vec<&&Value> {
                found
                    .iter()
                    .filter(|record| record["role"] == role)
                    .collect()
            };
            let unknown: Vec<_> = found
                .iter()
                .filter(|record| record["actor"].is_null())
                .collect();
            assert_eq!(unknown.len(), 1, "{method}: {found:?}");
            assert_eq!(unknown[0]["code"], "PERMISSION_DENIED", "{}", unknown[0]);
            if is_read && personal.is_empty() {
                continue;
            }
            let by_operator = of("OPERATOR");
            assert!(!by_operator.is_empty(), "{method}: {found:?}");
            for record in by_operator {
                assert_eq!(record["actor"], "ops", "{record}");
                assert_eq!(record["scope"]["stores"], "ALL", "{record}");
                if !is_read && record["code"] == "OK" {
                    good_writes += 1;
                }
            }
            for record in of("AUDITOR") {
                assert_eq!(record["actor"], "eve", "{record}");
                if !is_read {
                    assert_eq!(record["code"], "PERMISSION_DENIED", "{record}");
                }
            }
        }
        assert!(good_writes > 10, "{good_writes} writes were taken");
        let names: BTreeSet<&str> = records
            .iter()
            .filter(|record| record["method"] == "belay.v1.OrderService/RecordPayment")
            .filter(|record| record["code"] == "OK")
            .flat_map(|record| ["store", "order", "request_id"].map(|field| &record[field]))
            .filter_map(Value::as_str)
            .collect();
        assert_eq!(names.len(), 3, "{names:?}");
        assert!(names.contains(SHOP) && names.contains("A-1"), "{names:?}");
    });
}

#[test]
fn no_record_holds_a_text_or_says_who_the_buyer_is() {
    run(async |t| {
        let (note, evidence) = ("the mug is for my sister", "chat:4711-secret");
        let text = audited(t, async |service| {
            let shop = service.storefront();
            new_order_of(&shop, "A-1", "ann-the-buyer")
                .await
                .expect("an order");
            pay(&service.payments(), "A-1").await;
            let cancel = shop.request_cancellation("A-1", Units::all());
            let cancelled = cancel
                .reason(reason::NO_LONGER_WANTED)
                .note(note)
                .evidence([evidence])
                .await;
            cancelled.expect("a cancellation");
            let order = shop.get_order("A-1").await.expect("an order");
            assert_eq!(order.buyer_id.as_str(), "ann-the-buyer");
            let page = shop.list_orders().buyer_id("ann-the-buyer").await;
            assert_eq!(page.expect("a page").items.len(), 1);
            let support = service
                .belay()
                .with_role(Role::Support, "sam")
                .expect("a role");
            let preview = support
                .store(SHOP)
                .preview_cancellation("A-1", Units::all());
            let _ = preview
                .on_behalf_of(OnBehalfOf::email("ann-the-buyer@example.org"))
                .await;
        })
        .await;
        let methods: BTreeSet<String> = records(&text)
            .iter()
            .map(|record| record["method"].to_string())
            .collect();
        assert_eq!(methods.len(), 6, "{methods:?}");
        for told in [note, evidence, "sister", "4711", "ann-the-buyer"] {
            assert!(!text.contains(told), "{told} is in the audit log");
        }
    });
}

/// The fields and messages that a message holds, however deep.
#[derive(Debug, Default)]
struct Reach {
    fields: BTreeSet<String>,
    messages: BTreeSet<String>,
}

impl Reach {
    fn add(&mut self, files: &FileDescriptorSet, name: &str) {
        if !self.messages.insert(name.to_owned()) {
            return;
        }
        let Some(message) = find(files, name) else {
            return;
        };
        for field in &message.field {
            self.fields.insert(field.name().to_owned());
            if let Some(inner) = &field.type_name {
                self.add(files, inner);
            }
        }
    }

    fn of(files: &FileDescriptorSet, name: &str) -> Self {
        let mut reach = Self::default();
        reach.add(files, name);
        reach
    }
}

fn find<'a>(files: &'a FileDescriptorSet, name: &str) -> Option<&'a DescriptorProto> {
    let name = name.strip_prefix(".belay.v1.")?;
    let mut messages = files
        .file
        .iter()
        .filter(|file| file.package() == "belay.v1")
        .flat_map(|file| &file.message_type);
    let (outer, inner) = name.split_once('.').unwrap_or((name, ""));
    let found = messages.find(|message| message.name() == outer)?;
    if inner.is_empty() {
        return Some(found);
    }
    found
        .nested_type
        .iter()
        .find(|nested| nested.name() == inner)
}

#[test]
fn the_table_of_personal_data_is_what_the_protos_say() {
    let files = FileDescriptorSet::decode(belay_proto::FILE_DESCRIPTOR_SET).expect("descriptors");
    let services = files
        .file
        .iter()
        .filter(|file| file.package() == "belay.v1")
        .flat_map(|file| &file.service);
    let mut reads = 0;
    for service in services {
        for method in &service.method {
            let path = format!("/belay.v1.{}/{}", service.name(), method.name());
            let rpc = pb::RPCS
                .iter()
                .find(|rpc| rpc.path == path)
                .expect("an RPC");
            if rpc.idempotency != Idempotency::Read {
                assert!(personal(&path).is_empty(), "{path} has a record anyway");
                continue;
            }
            reads += 1;
            let answer = Reach::of(&files, method.output_type());
            let asked = find(&files, method.input_type()).expect("a request");
            let asks = |name: &str| asked.field.iter().any(|field| field.name() == name);
            let holds = |name: &str| answer.messages.contains(&format!(".belay.v1.{name}"));
            let expected: BTreeSet<Personal> = [
                (
                    holds("Buyer") || holds("Cancellation") || holds("Event"),
                    Personal::BuyerId,
                ),
                (
                    answer.fields.contains("note") || answer.fields.contains("notes"),
                    Personal::Note,
                ),
                (holds("ExternalReference"), Personal::Metadata),
                (answer.fields.contains("evidence"), Personal::Evidence),
                (
                    asks("buyer_id") || asks("buyer_email") || asks("on_behalf_of"),
                    Personal::BuyerLookup,
                ),
            ]
            .into_iter()
            .filter_map(|(is_there, kind)| is_there.then_some(kind))
            .collect();
            let told: BTreeSet<Personal> = personal(&path).iter().copied().collect();
            assert_eq!(told, expected, "{path}");
        }
    }
    assert!(reads > 20, "{reads} reads");
}
