//! What is saved of a watch, and when.

use super::*;

fn begins() -> Script {
    Script::new([vec![Batch("0", &[]), Batch("1", &[1]), Silence]])
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_open_has_saved_where_it_begins() {
    let place = Place::default();
    let watch = plain().checkpoint(place.clone());
    drop(begins().watch(watch.clone()).await.unwrap());
    assert_eq!(place.saved(), ["0"]);

    // Whoever goes on after a crash gets what was committed meanwhile.
    let script = begins();
    drop(script.watch(watch).await.unwrap());
    assert_eq!(script.tokens(), [Some("0".to_owned())]);
    assert_eq!(place.saved(), ["0"], "once");
}

#[tokio::test(start_paused = true)]
async fn opening_waits_for_the_save_and_no_longer_than_its_time() {
    let place = Place::default();
    place.0.lock().unwrap().takes = Duration::from_secs(7);
    let watch = plain().checkpoint(place.clone());
    let begun = Instant::now();
    let subscription = begins().watch(watch.clone()).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(7));
    assert_eq!(place.saved(), ["0"]);
    drop(subscription);

    let slow = Place::default();
    slow.0.lock().unwrap().takes = Duration::from_secs(20);
    let error = begins().watch(plain().checkpoint(slow)).await.unwrap_err();
    assert!(
        matches!(&error, WatchError::Call(error) if error.is_timeout()),
        "{error:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_place_that_cannot_be_written_is_told_when_the_watch_is_opened() {
    let place = Place::default();
    place.0.lock().unwrap().fails = true;
    let error = begins().watch(plain().checkpoint(place)).await.unwrap_err();
    assert_eq!(error.to_string(), "the checkpoint failed: the disk is full");
}

#[tokio::test(start_paused = true)]
async fn the_checkpoint_is_saved_now_and_then_and_at_the_end() {
    let place = Place::default();
    let script = Script::new([vec![
        Batch("0", &[]),
        Batch("1", &[1]),
        Batch("2", &[2]),
        Batch("3", &[3]),
        Silence,
    ]]);
    let watch = plain().checkpoint(place.clone());
    let mut subscription = script.watch(watch.clone()).await.unwrap();
    let one = subscription.try_next().await.unwrap().unwrap();
    assert_eq!(place.saved(), ["0"], "where it began");
    let two = subscription.try_next().await.unwrap().unwrap();
    two.ack();
    let three = subscription.try_next().await.unwrap().unwrap();
    one.ack();
    // A second is not over.
    for _ in 0..10 {
        assert!(poll_once(pin!(subscription.try_next())).is_pending());
    }
    assert_eq!(place.saved(), ["0"]);
    let wait = tokio::time::timeout(Duration::from_secs(5), subscription.try_next());
    assert!(wait.await.is_err());
    assert_eq!(place.saved(), ["0", "2"]);
    three.ack();
    subscription.close().await.unwrap();
    assert_eq!(place.saved(), ["0", "2", "3"]);

    // The next one goes on there.
    let script = Script::new([vec![Batch("3", &[]), Silence]]);
    let subscription = script.watch(watch).await.unwrap();
    assert_eq!(script.tokens(), [Some("3".to_owned())]);
    subscription.close().await.unwrap();
    assert_eq!(place.saved().len(), 3, "it is saved already");
}

#[tokio::test(start_paused = true)]
async fn bookmarks_move_the_checkpoint_once_everything_before_is_acknowledged() {
    let place = Place::default();
    let script = Script::new([vec![
        Batch("0", &[]),
        Batch("1", &[1]),
        Batch("1+", &[]),
        Silence,
    ]]);
    let mut subscription = script
        .watch(plain().checkpoint(place.clone()))
        .await
        .unwrap();
    let delivered = subscription.try_next().await.unwrap().unwrap();
    let minute = Duration::from_secs(60);
    assert!(
        tokio::time::timeout(minute, subscription.try_next())
            .await
            .is_err()
    );
    assert_eq!(place.saved(), ["0"]);
    delivered.ack();
    subscription.close().await.unwrap();
    assert_eq!(place.saved(), ["0", "1+"]);
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_checkpoint_ends_the_watch() {
    let place = Place::default();
    place.0.lock().unwrap().first = Some("0".to_owned());
    place.0.lock().unwrap().fails = true;
    let script = Script::new([vec![Batch("1", &[]), Silence]]);
    let watch = plain().checkpoint(place.clone());
    let mut subscription = script.watch(watch).await.unwrap();
    let error = subscription.try_next().await.unwrap_err();
    assert_eq!(error.to_string(), "the checkpoint failed: the disk is full");
    assert!(subscription.try_next().await.unwrap().is_none());
    assert!(matches!(
        subscription.close().await,
        Err(WatchError::Checkpoint(_))
    ));
}

#[tokio::test(start_paused = true)]
async fn a_delivery_before_its_stream_has_caught_up_has_no_token() {
    let script = Script::new([
        vec![
            Spread("a", &[], &[(0, 1), (1, 4)]),
            Spread("b", &[(0, 2)], &[]),
            Spread("c", &[(1, 7)], &[]),
            End,
        ],
        vec![
            Spread("early", &[], &[(0, 1), (1, 4)]),
            Spread("d", &[(0, 2), (0, 3)], &[]),
            Spread("e", &[(1, 7), (1, 8)], &[]),
            Silence,
        ],
    ]);
    let mut subscription = script.subscription().await;
    for (position, token) in [(2, Some("b")), (7, Some("c")), (3, None), (8, Some("e"))] {
        // What is given back comes again as it was.
        for is_handled in [false, true] {
            let delivered = subscription.try_next().await.unwrap().unwrap();
            assert_eq!(positions(&delivered), [position]);
            let told = delivered.resume_token().map(ResumeToken::as_str);
            assert_eq!(told, token, "{position}");
            if is_handled {
                delivered.ack();
            }
        }
        // The checkpoint keeps the token before.
        let kept = at(&subscription);
        assert_eq!(kept.as_deref(), token.or(Some("c")), "{position}");
    }
    subscription.close().await.unwrap();
}
