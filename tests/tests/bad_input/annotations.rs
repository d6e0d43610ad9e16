//! Metadata, external references and notes that cannot be.

use std::collections::BTreeMap;

use belay_proto::v1 as pb;
use belay_tests::run;

use super::{Row, create_order, each_is_an_invalid_field, is_taken, long};

fn entry(key: &str, value: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(key.to_owned(), value.to_owned())])
}

/// So many entries, each as long as it may be.
fn entries(count: usize) -> BTreeMap<String, String> {
    let entry = |number| (format!("{number:k>64}"), "é".repeat(256));
    (0..count).map(entry).collect()
}

fn reference(system: &str) -> pb::ExternalReference {
    pb::ExternalReference {
        system: system.to_owned(),
        id: "4711".to_owned(),
        url: String::new(),
    }
}

/// So many references, each as long as it may be.
fn references(count: usize) -> Vec<pb::ExternalReference> {
    let reference = |number| pb::ExternalReference {
        system: format!("{number:s>64}"),
        id: "~".repeat(128),
        url: format!("https://{}", "u".repeat(2_040)),
    };
    (0..count).map(reference).collect()
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("n{number}")).collect()
}

#[test]
fn what_an_order_begins_with_is_checked() {
    const METHOD: &str = "OrderService/CreateOrder";
    let rows: Vec<Row<pb::CreateOrderRequest>> = vec![
        ("metadata", |r| r.metadata = entries(17)),
        ("metadata", |r| r.metadata = entry("", "v")),
        ("metadata", |r| r.metadata = entry("a b", "v")),
        ("metadata", |r| r.metadata = entry("é", "v")),
        ("metadata", |r| r.metadata = entry(&long(65), "v")),
        ("metadata", |r| r.metadata = entry("k", "")),
        ("metadata", |r| r.metadata = entry("k", "a\nb")),
        // In bytes, and not in characters.
        ("metadata", |r| r.metadata = entry("k", &long(513))),
        ("metadata", |r| {
            r.metadata = entry("k", &("é".repeat(256) + "x"));
        }),
        ("external_references", |r| {
            r.external_references = references(11)
        }),
        ("external_references[0].system", |r| {
            r.external_references = vec![reference("")];
        }),
        ("external_references[0].system", |r| {
            r.external_references = vec![reference(&long(65))];
        }),
        ("external_references[1].system", |r| {
            r.external_references = vec![reference("sap"), reference("sap")];
        }),
        ("external_references[0].id", |r| {
            r.external_references = references(1);
            r.external_references[0].id.clear();
        }),
        ("external_references[0].id", |r| {
            r.external_references = references(1);
            r.external_references[0].id = long(129);
        }),
        ("external_references[0].url", |r| {
            r.external_references = references(1);
            r.external_references[0].url = "javascript:alert(1)".to_owned();
        }),
        ("external_references[0].url", |r| {
            r.external_references = references(1);
            r.external_references[0].url = "https://".to_owned();
        }),
        ("external_references[0].url", |r| {
            r.external_references = references(1);
            r.external_references[0].url = "https://a b".to_owned();
        }),
        ("external_references[0].url", |r| {
            r.external_references = references(1);
            r.external_references[0].url.push('u');
        }),
    ];
    run(async |t| {
        each_is_an_invalid_field(t, "storefront", METHOD, &create_order("A-1"), &rows).await;
        let mut at_the_bounds = create_order("A-1");
        at_the_bounds.metadata = entries(16);
        at_the_bounds.external_references = references(10);
        let created: pb::CreateOrderResponse =
            is_taken(&t.raw(), "storefront", METHOD, at_the_bounds.clone()).await;
        let order = created.order.unwrap();
        assert_eq!(order.metadata, at_the_bounds.metadata);
        assert_eq!(order.external_references, at_the_bounds.external_references);
    });
}

#[test]
fn a_change_is_checked() {
    const METHOD: &str = "OrderService/UpdateOrderMetadata";
    let right = || pb::UpdateOrderMetadataRequest {
        store_id: "shop".to_owned(),
        order_id: "A-1".to_owned(),
        set_metadata: entry("k", "v"),
        ..Default::default()
    };
    let rows: Vec<Row<pb::UpdateOrderMetadataRequest>> = vec![
        ("store_id", |r| r.store_id = long(65)),
        ("order_id", |r| r.order_id.clear()),
        ("request_id", |r| r.request_id = "1".to_owned()),
        ("etag", |r| r.etag = "1".to_owned()),
        ("set_metadata", |r| r.set_metadata.clear()),
        ("set_metadata", |r| r.set_metadata = entries(17)),
        ("set_metadata", |r| r.set_metadata = entry("k", "")),
        ("delete_metadata", |r| r.delete_metadata = names(17)),
        ("delete_metadata[1]", |r| {
            r.delete_metadata = vec!["a".to_owned(), "a".to_owned()];
        }),
        ("delete_metadata[0]", |r| {
            r.delete_metadata = vec!["a b".to_owned()]
        }),
        ("delete_metadata", |r| {
            r.delete_metadata = vec!["k".to_owned()]
        }),
        ("set_external_references", |r| {
            r.set_external_references = references(11);
        }),
        ("set_external_references[1].system", |r| {
            r.set_external_references = vec![reference("a"), reference("a")];
        }),
        ("delete_external_references", |r| {
            r.delete_external_references = names(11);
        }),
        ("delete_external_references[0]", |r| {
            r.delete_external_references = vec![String::new()];
        }),
        ("delete_external_references", |r| {
            r.set_external_references = vec![reference("a")];
            r.delete_external_references = vec!["a".to_owned()];
        }),
    ];
    run(async |t| {
        t.place_paid("A-1").await;
        each_is_an_invalid_field(t, "seller", METHOD, &right(), &rows).await;
        let mut at_the_bounds = right();
        at_the_bounds.set_metadata = entries(16);
        at_the_bounds.delete_metadata = names(16);
        at_the_bounds.set_external_references = references(10);
        at_the_bounds.delete_external_references = names(10);
        let updated: pb::UpdateOrderMetadataResponse =
            is_taken(&t.raw(), "seller", METHOD, at_the_bounds.clone()).await;
        assert_eq!(updated.metadata, at_the_bounds.set_metadata);
        assert_eq!(
            updated.external_references,
            at_the_bounds.set_external_references
        );
    });
}

#[test]
fn a_note_is_checked() {
    const METHOD: &str = "OrderService/AddNote";
    let right = || pb::AddNoteRequest {
        store_id: "shop".to_owned(),
        order_id: "A-1".to_owned(),
        text: "Called back.".to_owned(),
        visibility: pb::NoteVisibility::Public.into(),
        shipment_id: "A-1:s1".to_owned(),
        ..Default::default()
    };
    let rows: Vec<Row<pb::AddNoteRequest>> = vec![
        ("store_id", |r| r.store_id.clear()),
        ("order_id", |r| {
            r.order_id = long(65);
            r.shipment_id.clear();
        }),
        ("request_id", |r| r.request_id = "1".to_owned()),
        ("etag", |r| r.etag = "x".to_owned()),
        ("text", |r| r.text.clear()),
        ("text", |r| r.text = " \n ".to_owned()),
        ("text", |r| r.text = "é".repeat(2_001)),
        ("text", |r| r.text = "a\0b".to_owned()),
        ("visibility", |r| r.visibility = 0),
        ("visibility", |r| r.visibility = 9),
        ("cancellation_id", |r| {
            r.shipment_id.clear();
            r.cancellation_id = "A-1:s1".to_owned();
        }),
        ("shipment_id", |r| r.shipment_id = "A-2:s1".to_owned()),
        ("shipment_id", |r| r.cancellation_id = "A-1:c1".to_owned()),
    ];
    run(async |t| {
        t.place_paid("A-1").await;
        each_is_an_invalid_field(t, "storefront", METHOD, &right(), &rows).await;
        let mut at_the_bounds = right();
        at_the_bounds.text = "é\n".repeat(1_000);
        let added: pb::AddNoteResponse =
            is_taken(&t.raw(), "storefront", METHOD, at_the_bounds.clone()).await;
        assert_eq!(added.note.unwrap().text, at_the_bounds.text);
    });
}
