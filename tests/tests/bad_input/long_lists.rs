//! Every list of every request has its bound, which is looked at before the list is walked.

use belay_tests::raw::Encoded;
use belay_tests::{descriptors, run};
use belay_wire::auth::access;
use tonic::Code;

use super::Refused;

/// More than any list may have.
const ENTRIES: usize = 20_000;

#[test]
fn every_list_of_every_request_is_bounded() {
    run(async |t| {
        let raw = t.raw();
        let lists = descriptors::long_lists(ENTRIES);
        let paths: Vec<String> = lists
            .iter()
            .map(|list| format!("{} {}", list.method, list.path))
            .collect();
        // That the protos were really read.
        for known in [
            "CancellationService/PreviewCancellation paths",
            "OrderService/CreateOrder shipments[0].contents",
            "EventService/WatchEvents positions.partitions",
        ] {
            assert!(paths.contains(&known.to_owned()), "{paths:#?}");
        }
        for list in lists {
            let (method, path) = (&*list.method, &*list.path);
            let allowed = access(&format!("/belay.v1.{method}"))
                .expect("a method")
                .roles;
            let role = allowed[0].name().to_lowercase();
            let request = Encoded(list.request);
            let refused = if list.streams {
                let status = raw.open(&role, method, request).await;
                Refused::of(&status.expect_err("too many"))
            } else {
                raw.refused(&role, method, request).await
            };
            assert_eq!(
                refused.what(),
                (Code::InvalidArgument, "INVALID_FIELD"),
                "{method} {path}: {refused:?}"
            );
            // By its own bound, or by that of all such lists of the request together.
            let is_bound = |field: &str, said: &str| {
                said.ends_with(&ENTRIES.to_string())
                    && (field == path && said.contains(" entries, has ")
                        || path.starts_with(&format!("{field}[")) && said.contains(" together, "))
            };
            let mut violations = refused.violations.iter();
            assert!(
                violations.any(|(field, said)| is_bound(field, said)),
                "{method} {path}: {refused:?}"
            );
            assert!(
                !refused
                    .fields
                    .iter()
                    .any(|field| field.starts_with(&format!("{path}["))),
                "{method} {path} was walked: {refused:?}"
            );
        }
    });
}
