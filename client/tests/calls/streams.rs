//! Lists followed to their end: when a page is asked for, and what an error in the middle leaves
//! behind.

use std::sync::Arc;

use belay_client::model::Refund;
use belay_client::{Error, ErrorReason, Items, Kind};
use futures_util::StreamExt;
use tokio::sync::Notify;
use tonic::Code;
use tonic_types::ErrorDetails;

use crate::support::{Fake, Step, rejection};

/// Three pages: two entries, none, one.
fn three_pages() -> [Step; 3] {
    [
        Step::Refunds(&["A:r1", "A:r2"], "2"),
        Step::Refunds(&[], "3"),
        Step::Refunds(&["B:r1"], ""),
    ]
}

fn aborted() -> Step {
    Step::Fail(rejection(Code::Aborted, "CONTENTION", ErrorDetails::new()))
}

fn ids(entries: &[Result<Refund, Error>]) -> Vec<&str> {
    entries
        .iter()
        .map(|entry| entry.as_ref().unwrap().refund_id.as_str())
        .collect()
}

fn asked(fake: &Fake) -> Vec<String> {
    fake.script
        .seen()
        .into_iter()
        .map(|seen| seen.page_token)
        .collect()
}

#[tokio::test]
async fn a_stream_goes_on_to_the_last_entry_over_empty_pages() {
    let fake = Fake::start(three_pages()).await;
    let entries: Vec<_> = fake.store().list_refunds().stream().collect().await;
    assert_eq!(ids(&entries), ["A:r1", "A:r2", "B:r1"]);
    assert_eq!(asked(&fake), ["", "2", "3"]);

    let fake = Fake::start(three_pages()).await;
    let sizes: Vec<usize> = fake
        .store()
        .list_refunds()
        .pages()
        .map(|page| page.unwrap().items.len())
        .collect()
        .await;
    assert_eq!(sizes, [2, 0, 1]);
}

#[tokio::test]
async fn a_page_is_asked_for_when_it_is_wanted() {
    let fake = Fake::start(three_pages()).await;
    let mut entries = fake.store().list_refunds().stream();
    assert_eq!((asked(&fake).len(), entries.resume_token()), (0, Some("")));
    entries.try_next().await.unwrap().unwrap();
    assert_eq!(
        entries.resume_token(),
        Some(""),
        "the second is still to come"
    );
    entries.try_next().await.unwrap().unwrap();
    assert_eq!((asked(&fake).len(), entries.resume_token()), (1, Some("2")));
    entries.try_next().await.unwrap().unwrap();
    assert_eq!((asked(&fake).len(), entries.resume_token()), (3, None));
    assert!(entries.try_next().await.unwrap().is_none());
    assert_eq!(asked(&fake).len(), 3);
}

#[tokio::test]
async fn an_error_in_the_middle_comes_once_and_the_stream_is_taken_up_by_its_token() {
    let [first, second, third] = three_pages();
    let fake = Fake::start([first, second, aborted(), third]).await;
    let mut entries: Items<Refund> = fake.store().list_refunds().stream();
    let before: Vec<_> = entries.by_ref().take(2).collect().await;
    assert_eq!(ids(&before), ["A:r1", "A:r2"]);
    let error = entries.try_next().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.reason()),
        (Kind::Aborted, Some(&ErrorReason::Contention))
    );
    assert!(entries.try_next().await.unwrap().is_none());
    assert!(entries.next().await.is_none());
    assert_eq!(asked(&fake), ["", "2", "3"]);

    let token = entries.resume_token().unwrap();
    let rest: Vec<_> = fake
        .store()
        .list_refunds()
        .page_token(token)
        .stream()
        .collect()
        .await;
    assert_eq!(ids(&rest), ["B:r1"]);
    assert_eq!(asked(&fake), ["", "2", "3", "3"]);
}

#[tokio::test]
async fn a_wait_that_is_given_up_loses_no_page() {
    let let_go = Arc::<Notify>::default();
    let fake = Fake::start([Step::Held(&["A:r1"], let_go.clone())]).await;
    let mut entries = fake.store().list_refunds().stream();
    tokio::select! {
        entry = entries.try_next() => panic!("it is held: {entry:?}"),
        () = fake.script.until_seen(1) => {}
    }
    let_go.notify_one();
    assert_eq!(entries.try_next().await.unwrap().unwrap().refund_id, "A:r1");
    assert_eq!(asked(&fake).len(), 1);
}

#[tokio::test]
async fn what_is_no_id_is_an_error_of_the_stream_and_not_sent() {
    let fake = Fake::start([Step::Answer]).await;
    let mut entries = fake.store().list_refunds().order_id("no order").stream();
    assert_eq!(
        entries.try_next().await.unwrap_err().kind(),
        Kind::InvalidArgument
    );
    assert!(entries.try_next().await.unwrap().is_none());
    assert!(asked(&fake).is_empty());
}

#[tokio::test]
async fn a_stream_may_move_to_another_task() {
    fn is_send<T: Send + Unpin>(_: &T) {}
    let fake = Fake::start(three_pages()).await;
    let entries = fake.store().list_refunds().stream();
    is_send(&entries);
    let collected = tokio::task::JoinSet::from_iter([entries.collect::<Vec<_>>()])
        .join_all()
        .await;
    assert_eq!(collected[0].len(), 3);
}
