//! Where a watch begins is saved before it is open.

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
