//! Every response has a bound below what a client takes, and each has its reason here.

use belay_proto::v1 as pb;
use prost_reflect::{DescriptorPool, Kind, MessageDescriptor};

/// The bound of a response.
#[derive(Debug, PartialEq)]
enum Bound {
    /// A page is cut at 3 MiB (`pages.rs`), and one entry is an order or less.
    Page,
    /// It shows one order, or what an order holds: its weight.
    Order,
    /// The rows of a few writes, which `events.rs` measures, and 1 MiB before them at most.
    Events,
    /// Something else; what, the table says.
    Other(&'static str),
}

/// The responses that neither hold pages nor parts of an order, and why they are small.
const OTHERS: &[(&str, &str)] = &[
    ("ActivatePolicyResponse", "one activation"),
    ("AddNoteResponse", "one note"),
    ("ArchiveSkuResponse", "one balance"),
    ("ClaimRefundsResponse", "100 refunds, each of some 1.5 KB"),
    (
        "CommitPositionResponse",
        "one consumer: a token of 2,048 characters",
    ),
    (
        "CreatePolicyResponse",
        "one policy: a document of 256 KiB and its errors",
    ),
    ("CreateStoreResponse", "one store, with 100 activations"),
    ("DeleteConsumerResponse", "nothing"),
    (
        "GetBulkCancellationResponse",
        "one job: its filter and counts",
    ),
    ("GetConsumerResponse", "one consumer"),
    ("GetPolicyResponse", "one policy"),
    ("GetSellerQualityResponse", "one rate with 10 thresholds"),
    ("GetStockResponse", "one balance"),
    ("GetStoreResponse", "one store"),
    ("ListPresetsResponse", "the documents that ship"),
    (
        "ListReasonsResponse",
        "200 reasons, each with labels and one rejection, whose metadata is 1,024 bytes a key",
    ),
    (
        "PreviewCancellationResponse",
        "5 paths of 100 portions, and a quote of 262,144 characters",
    ),
    ("PutCarrierResponse", "one carrier with 300 countries"),
    ("PutWarehouseResponse", "one warehouse with 1,000 days off"),
    ("SetStockResponse", "one balance"),
    (
        "SimulatePolicyResponse",
        "cases of 256 KiB and one more, or a summary by reason and rule",
    ),
    ("StartBulkCancellationResponse", "one job"),
    ("StopBulkCancellationResponse", "one job"),
    ("SummarizeActionsResponse", "counts"),
    ("SummarizeOrdersResponse", "counts"),
    (
        "UpdateOrderMetadataResponse",
        "16 entries and 10 references",
    ),
    ("UpdateStoreResponse", "one store"),
    ("WatchBulkCancellationResponse", "one job"),
];

const OF_AN_ORDER: &[&str] = &["Order", "Shipment", "Cancellation", "Refund", "Incident"];

fn bound(response: &MessageDescriptor) -> Option<Bound> {
    let is_page = response
        .fields()
        .any(|field| field.name() == "next_page_token");
    let shows = |name: &str| {
        let is_it = |kind: Kind| kind.as_message().is_some_and(|of| of.name() == name);
        response.fields().any(|field| is_it(field.kind()))
    };
    if shows("Event") {
        Some(Bound::Events)
    } else if is_page {
        Some(Bound::Page)
    } else if let Some((_, reason)) = OTHERS.iter().find(|(name, _)| *name == response.name()) {
        Some(Bound::Other(reason))
    } else {
        OF_AN_ORDER
            .iter()
            .any(|name| shows(name))
            .then_some(Bound::Order)
    }
}

#[test]
fn every_response_has_a_bound() {
    let pool = DescriptorPool::decode(belay_proto::FILE_DESCRIPTOR_SET).unwrap();
    let methods = || {
        pool.services()
            .flat_map(|service| service.methods().collect::<Vec<_>>())
    };
    assert_eq!(methods().count(), pb::RPCS.len());
    let unbounded: Vec<String> = methods()
        .filter(|method| bound(&method.output()).is_none())
        .map(|method| method.output().name().to_owned())
        .collect();
    assert_eq!(unbounded, Vec::<String>::new());
    for (name, reason) in OTHERS {
        let response = methods()
            .map(|method| method.output())
            .find(|output| output.name() == *name);
        let response = response.unwrap_or_else(|| panic!("no RPC answers with {name}"));
        assert_eq!(bound(&response), Some(Bound::Other(reason)), "{name}");
    }
}
