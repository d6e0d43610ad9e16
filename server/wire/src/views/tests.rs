//! The table, held against the descriptors: every field of every message that somebody is answered
//! with who sees parcels has a row, and is seen or not as the row says.

use std::collections::{BTreeMap, BTreeSet};

use belay_domain::actor::Role::{Carrier, Warehouse};
use belay_proto::rpc::Rpc as _;
use prost::Message;
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor,
    ReflectMessage as _, Value,
};

use super::*;
use crate::auth::{access, paths};

const OWN: &str = "A-1:s1";

fn pool() -> DescriptorPool {
    DescriptorPool::decode(belay_proto::FILE_DESCRIPTOR_SET).unwrap()
}

/// What the methods give back that this role may call.
fn responses(pool: &DescriptorPool, role: Role) -> Vec<MessageDescriptor> {
    let methods = pool.services().flat_map(|service| {
        let methods: Vec<_> = service.methods().collect();
        methods
    });
    let may_call = |path: &str| access(path).is_ok_and(|access| access.roles.contains(&role));
    methods
        .filter(|method| {
            let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
            assert!(paths().any(|known| known == path), "{path}");
            may_call(&path)
        })
        .map(|method| method.output())
        .collect()
}

/// The row of a field: by its own name, or by that of the `oneof` that it is in.
fn group_of(field: &FieldDescriptor) -> Option<Group> {
    let rows = table().filter(|row| row.message == field.parent_message().name());
    let fields: BTreeMap<&str, Group> = rows.flat_map(|row| row.fields.iter().copied()).collect();
    let of_oneof = || fields.get(field.containing_oneof()?.name()).copied();
    fields.get(field.name()).copied().or_else(of_oneof)
}

fn submessage(field: &FieldDescriptor) -> Option<MessageDescriptor> {
    let kind = field.kind();
    let message = kind.as_message()?;
    let is_ours = message.full_name().starts_with("belay.") && !field.is_map();
    is_ours.then(|| message.clone())
}

/// A message with every field set. Where something is told apart by who or what it is about, it is
/// the viewer's own, or not.
fn filled(message: &MessageDescriptor, is_own: bool, role: Role) -> DynamicMessage {
    let mut made = DynamicMessage::new(message.clone());
    for field in message.fields() {
        let value = match (field.name(), field.kind()) {
            ("shipment_id" | "subject_id", _) => {
                Value::String(if is_own { OWN } else { "A-1:s2" }.to_owned())
            }
            ("line_id", _) => Value::String(if is_own { "A-1:l1" } else { "A-1:l2" }.to_owned()),
            // The role of an actor, and the party of a gate.
            ("role", Kind::Enum(_)) if is_own => Value::EnumNumber(role.number()),
            ("party", Kind::Enum(_)) if is_own => {
                let party = super::party_of(role);
                Value::EnumNumber(party.unwrap().into())
            }
            (_, Kind::Enum(_)) => Value::EnumNumber(1),
            (_, Kind::Message(of)) if of.full_name() == "google.protobuf.Timestamp" => {
                let mut time = DynamicMessage::new(of);
                time.set_field_by_name("seconds", Value::I64(7));
                Value::Message(time)
            }
            (_, Kind::Message(of)) if !field.is_map() => Value::Message(filled(&of, is_own, role)),
            (_, Kind::String) => Value::String("x".to_owned()),
            (_, Kind::Bool) => Value::Bool(true),
            (_, Kind::Int32) => Value::I32(7),
            (_, Kind::Int64) => Value::I64(7),
            (name, kind) => {
                assert!(field.is_map(), "{name}: {kind:?}");
                let entry = (
                    MapKey::String("x".to_owned()),
                    Value::String("y".to_owned()),
                );
                made.set_field(&field, Value::Map([entry].into()));
                continue;
            }
        };
        let value = if field.is_list() {
            Value::List(vec![value])
        } else {
            value
        };
        made.set_field(&field, value);
    }
    made
}

/// The message as the server shows it.
fn cut(message: &DynamicMessage, viewer: &Viewer<'_>) -> DynamicMessage {
    fn through<M: Message + Default + Viewed>(bytes: &[u8], viewer: &Viewer<'_>) -> Vec<u8> {
        viewer.shown(M::decode(bytes).unwrap()).encode_to_vec()
    }
    let bytes = message.encode_to_vec();
    macro_rules! by_name {
        ($($Message:ident),* $(,)?) => {
            match message.descriptor().name() {
                $(stringify!($Message) => through::<pb::$Message>(&bytes, viewer),)*
                other => panic!("{other} has no line here"),
            }
        };
    }
    let shown = by_name![
        GetOrderResponse,
        Order,
        ListOrderHistoryResponse,
        PreviewCancellationResponse,
        ListReasonsResponse,
        RequestCancellationResponse,
        GetCancellationResponse,
        ListCancellationsResponse,
        WithdrawCancellationResponse,
        ListIncidentsResponse,
        SummarizeActionsResponse,
        GetShipmentResponse,
        ListShipmentsResponse,
        StartPreparationResponse,
        MarkReadyResponse,
        DispatchShipmentResponse,
        RecordTrackingResponse,
        SplitShipmentResponse,
        AnswerStopResponse,
        AnswerInterceptResponse,
        ReceiveParcelResponse,
        GetStoreResponse,
        ListCarriersResponse,
        ListWarehousesResponse,
        SetStockResponse,
        ArchiveSkuResponse,
        GetStockResponse,
        ListStockResponse,
        ListStockEntriesResponse,
        ListStockHoldersResponse,
        WatchEventsResponse,
        ListEventsResponse,
        CommitPositionResponse,
        DeleteConsumerResponse,
        GetConsumerResponse,
        ListConsumersResponse,
    ];
    DynamicMessage::decode(message.descriptor(), shown.as_slice()).unwrap()
}

/// The cells of a message: each field, however deep, is there as its row says.
fn check(shown: &DynamicMessage, is_own: bool, role: Role, seen: &mut BTreeSet<String>) {
    let descriptor = shown.descriptor();
    for field in descriptor.fields() {
        let cell = format!("{} {role} own={is_own}", field.full_name());
        let group = group_of(&field).unwrap_or_else(|| panic!("{} has no row", field.full_name()));
        let expected = match group.seen_by(role) {
            Visibility::Seen => true,
            Visibility::Own => is_own,
            Visibility::Hidden => false,
        };
        // Of a `oneof` the last kind is there.
        let is_other_kind = field
            .containing_oneof()
            .is_some_and(|of| of.fields().any(|kind| shown.has_field(&kind)))
            && !shown.has_field(&field);
        // Rows of others are not there.
        let is_foreign_list = !is_own
            && submessage(&field).is_some_and(|of| {
                let own = [
                    "Line",
                    "Shipment",
                    "Cancellation",
                    "CancellationPart",
                    "Incident",
                ];
                own.contains(&of.name()) || of.name() == "PathOption"
            });
        if !is_other_kind && !is_foreign_list {
            let oneof_is_hidden = field
                .containing_oneof()
                .is_some_and(|of| of.fields().all(|kind| !shown.has_field(&kind)));
            if !oneof_is_hidden || !expected {
                assert_eq!(shown.has_field(&field), expected, "{cell}");
            }
        }
        if is_foreign_list {
            assert!(!shown.has_field(&field), "{cell}: it is of others");
        }
        seen.insert(field.full_name().to_owned());
        let value = shown.get_field(&field);
        if submessage(&field).is_none() || !shown.has_field(&field) {
            continue;
        }
        let one = value.as_message().into_iter();
        let many = value.as_list().into_iter().flatten();
        for inner in one.chain(many.filter_map(Value::as_message)) {
            check(inner, is_own, role, seen);
        }
    }
}

#[test]
fn every_field_that_somebody_is_answered_with_is_seen_as_its_row_says() {
    let pool = pool();
    let mut seen = BTreeSet::new();
    for role in [Warehouse, Carrier] {
        let actor = Actor::new(role, "x");
        for is_own in [true, false] {
            let mut viewer = Viewer::of_no_order(&actor);
            if let Some(parcels) = &mut viewer.parcels {
                parcels.shipments.insert(OWN.to_owned());
                parcels.lines.insert("A-1:l1".to_owned());
            }
            for response in responses(&pool, role) {
                let whole = filled(&response, is_own, role);
                check(&cut(&whole, &viewer), is_own, role, &mut seen);
            }
        }
    }
    // A `oneof` holds one kind, and what is hidden is not gone into: the rest of the rows is looked
    // at by themselves.
    let rows: BTreeSet<String> = table()
        .flat_map(|row| {
            let fields = row.fields.iter();
            fields.map(move |(field, _)| format!("belay.v1.{}.{field}", row.message))
        })
        .collect();
    for row in &rows {
        let (message, field) = row.rsplit_once('.').unwrap();
        let message = pool.get_message_by_name(message).unwrap();
        let is_field = message.get_field_by_name(field).is_some();
        let is_oneof = message.oneofs().any(|oneof| oneof.name() == field);
        assert!(is_field || is_oneof, "{row} is no field");
    }
    assert!(seen.len() > 200, "{} fields were looked at", seen.len());
}

#[test]
fn every_kind_of_detail_is_seen_as_its_row_says() {
    let pool = pool();
    let event = pool.get_message_by_name("belay.v1.Event").unwrap();
    let list = pool
        .get_message_by_name("belay.v1.ListEventsResponse")
        .unwrap();
    for role in [Warehouse, Carrier] {
        let actor = Actor::new(role, "x");
        let viewer = Viewer::of_no_order(&actor);
        let detail = event
            .oneofs()
            .find(|oneof| oneof.name() == "detail")
            .unwrap();
        for kind in detail.fields() {
            let mut one = filled(&event, true, role);
            let of = submessage(&kind).unwrap();
            one.set_field(&kind, Value::Message(filled(&of, true, role)));
            let mut page = DynamicMessage::new(list.clone());
            page.set_field_by_name("events", Value::List(vec![Value::Message(one)]));
            let shown = cut(&page, &viewer);
            let events = shown.get_field_by_name("events").unwrap().into_owned();
            let Value::List(events) = events else {
                panic!("a list");
            };
            let shown = events[0].as_message().unwrap();
            let expected = group_of(&kind).unwrap().seen_by(role) == Visibility::Seen;
            assert_eq!(shown.has_field(&kind), expected, "{} {role}", kind.name());
            if expected {
                let inner = shown.get_field(&kind).into_owned();
                check(
                    inner.as_message().unwrap(),
                    true,
                    role,
                    &mut BTreeSet::new(),
                );
            }
        }
    }
}

#[test]
fn who_sees_orders_whole_sees_every_group() {
    for role in Role::CALLERS {
        for group in Group::ALL {
            let is_whole = View::of(*role) == View::Whole;
            let is_seen = group.seen_by(*role) == Visibility::Seen;
            let sees_parcels = matches!(
                (group, role),
                (Group::Parcel, _) | (Group::Incidents, Warehouse)
            );
            assert_eq!(is_seen, is_whole || sees_parcels, "{group:?} {role}");
        }
    }
}

#[test]
fn every_answer_to_a_command_has_a_view_or_no_role_that_would_need_one() {
    // Those of `answers::seen`, by the paths of their RPCs.
    let viewed = [
        pb::RequestCancellationRequest::PATH,
        pb::WithdrawCancellationRequest::PATH,
        pb::StartPreparationRequest::PATH,
        pb::MarkReadyRequest::PATH,
        pb::DispatchShipmentRequest::PATH,
        pb::RecordTrackingRequest::PATH,
        pb::SplitShipmentRequest::PATH,
        pb::AnswerStopRequest::PATH,
        pb::AnswerInterceptRequest::PATH,
        pb::ReceiveParcelRequest::PATH,
    ];
    let commands = paths().filter(|path| {
        let of_orders = [
            "OrderService",
            "CancellationService",
            "FulfillmentService",
            "RefundService",
        ];
        let rpc = path.rsplit('/').next().unwrap();
        let is_read = ["Get", "List", "Summarize", "Preview"]
            .iter()
            .any(|verb| rpc.starts_with(verb));
        of_orders.iter().any(|service| path.contains(service)) && !is_read
    });
    for path in commands {
        let roles = access(path).unwrap().roles;
        let sees_parcels = roles.iter().any(|role| View::of(*role) == View::Parcels);
        assert_eq!(viewed.contains(&path), sees_parcels, "{path}");
    }
}
