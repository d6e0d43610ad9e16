use belay_domain::feed::PartitionEnds;

use super::*;

const PLAN: RetryPlan = RetryPlan {
    attempts_max: 3,
    delay: Duration::from_secs(1),
    delay_max: Duration::from_secs(60),
};

fn order(number: u8) -> OrderKey {
    OrderKey([number; 16])
}

/// A partition that has read events of these orders, at the positions 1, 2, 3 …
fn with(orders: &[u8]) -> Partition {
    let mut partition = Partition::new(0, 1, 0, 0);
    read(&mut partition, orders);
    partition
}

fn read(partition: &mut Partition, orders: &[u8]) {
    let from = partition.read_to;
    let events = (from + 1..).zip(orders);
    let events = events.map(|(position, number)| (position, order(*number), pb::Event::default()));
    let to = from + u64::try_from(orders.len()).unwrap();
    partition.read(events.collect(), to, None);
}

fn failed() -> SendOutcome {
    SendOutcome::Failed {
        failure: "HTTP 503".to_owned(),
        retry_after: None,
        is_throttled: false,
    }
}

fn refused() -> SendOutcome {
    SendOutcome::Refused("HTTP 410".to_owned())
}

/// All that may be sent now.
fn sent(partition: &mut Partition, now: Instant) -> Vec<Letter> {
    std::iter::from_fn(|| partition.next(now, Held::First)).collect()
}

fn positions(letters: &[Letter]) -> Vec<u64> {
    letters.iter().map(|letter| letter.position).collect()
}

fn store(partition: &mut Partition, now: Instant) -> (u64, Vec<u64>) {
    let settlement = partition.settlement();
    let (to, held) = (settlement.to, &settlement.held);
    let held = held.iter().map(|(position, ..)| *position).collect();
    partition.stored(settlement, now);
    (to, held)
}

fn end(partition: &mut Partition, letter: &Letter, outcome: SendOutcome, now: Instant) {
    partition.ended(letter, outcome, &PLAN, now);
}

#[test]
fn orders_go_side_by_side_and_events_of_one_after_each_other() {
    let now = Instant::now();
    let mut partition = with(&[1, 2, 1]);
    let letters = sent(&mut partition, now);
    assert_eq!(positions(&letters), [1, 2]);
    // The second one is done; the position waits for the first.
    end(&mut partition, &letters[1], SendOutcome::Taken, now);
    assert!(!partition.has_news());
    end(&mut partition, &letters[0], SendOutcome::Taken, now);
    assert_eq!(store(&mut partition, now), (2, vec![]));
    let letters = sent(&mut partition, now);
    assert_eq!(positions(&letters), [3]);
    end(&mut partition, &letters[0], SendOutcome::Taken, now);
    assert_eq!(store(&mut partition, now), (3, vec![]));
    assert!(!partition.can_move() && !partition.is_sending());
}

#[test]
fn what_is_not_taken_holds_back_its_order_and_no_other() {
    let now = Instant::now();
    let mut partition = with(&[1, 2, 1, 2]);
    let letters = sent(&mut partition, now);
    end(&mut partition, &letters[0], failed(), now);
    end(&mut partition, &letters[1], SendOutcome::Taken, now);
    let letters = sent(&mut partition, now);
    assert_eq!(positions(&letters), [4]);
    end(&mut partition, &letters[0], SendOutcome::Taken, now);
    assert_eq!(store(&mut partition, now), (4, vec![1, 3]));
    assert_eq!(partition.waiting(), 2);
    // One that is read later waits behind them.
    read(&mut partition, &[1]);
    assert!(sent(&mut partition, now).is_empty());
    assert_eq!(store(&mut partition, now), (5, vec![5]));
    // In their order, once the first is due again.
    let later = now + PLAN.delay;
    for position in [1, 3, 5] {
        let letters = sent(&mut partition, later);
        assert_eq!(positions(&letters), [position]);
        assert!(letters[0].is_held);
        end(&mut partition, &letters[0], SendOutcome::Taken, later);
    }
    let settlement = partition.settlement();
    let changes: Vec<u64> = settlement.changes.keys().copied().collect();
    assert_eq!(changes, [1, 3, 5]);
    partition.stored(settlement, later);
    assert_eq!(partition.waiting(), 0);
    assert!(partition.queues.is_empty());
}

#[test]
fn what_is_held_and_has_no_row_yet_is_overtaken_by_nothing() {
    let now = Instant::now();
    // The event of order 2 is on its way, so that nothing behind it can be stored.
    let mut partition = with(&[1]);
    let letters = sent(&mut partition, now);
    end(&mut partition, &letters[0], failed(), now);
    store(&mut partition, now);
    read(&mut partition, &[2, 1]);
    let slow = sent(&mut partition, now);
    assert_eq!(positions(&slow), [2]);
    let later = now + PLAN.delay;
    let first = sent(&mut partition, later);
    assert_eq!(positions(&first), [1]);
    end(&mut partition, &first[0], SendOutcome::Taken, later);
    // Position 3 is held, without a row: the next one of its order stays behind it.
    read(&mut partition, &[1]);
    assert!(sent(&mut partition, later).is_empty());
    end(&mut partition, &slow[0], SendOutcome::Taken, later);
    assert_eq!(store(&mut partition, later), (4, vec![3, 4]));
    assert_eq!(positions(&sent(&mut partition, later)), [3]);
}

#[test]
fn behind_a_dead_letter_its_order_goes_on() {
    let now = Instant::now();
    let mut partition = with(&[1, 1]);
    let letters = sent(&mut partition, now);
    end(&mut partition, &letters[0], refused(), now);
    let letters = sent(&mut partition, now);
    assert_eq!(positions(&letters), [2]);
    end(&mut partition, &letters[0], SendOutcome::Taken, now);
    assert_eq!(store(&mut partition, now), (2, vec![1]));
    assert_eq!((partition.waiting(), partition.dead()), (0, 1));
}

#[test]
fn after_the_last_attempt_it_is_a_dead_letter() {
    let mut now = Instant::now();
    let mut partition = with(&[1, 1]);
    for attempt in 1..=PLAN.attempts_max {
        let letters = sent(&mut partition, now);
        assert_eq!(positions(&letters), [1], "attempt {attempt}");
        end(&mut partition, &letters[0], failed(), now);
        store(&mut partition, now);
        now += PLAN.delay_max;
    }
    assert_eq!((partition.waiting(), partition.dead()), (1, 1));
    assert_eq!(positions(&sent(&mut partition, now)), [2]);
}

#[test]
fn what_is_sent_again_comes_before_what_is_new() {
    let now = Instant::now();
    let mut partition = with(&[1, 1]);
    let letters = sent(&mut partition, now);
    // Somebody has a dead letter of this order sent again.
    let row = Found {
        position: 0,
        order: order(1),
        state: HeldState::Waiting,
        attempts: 0,
        due: now,
    };
    partition.found([row].into_iter());
    assert!(sent(&mut partition, now).is_empty());
    end(&mut partition, &letters[0], SendOutcome::Taken, now);
    let letters = sent(&mut partition, now);
    assert_eq!(positions(&letters), [0]);
    // It is there no more, and the one that was held behind it goes on as soon as it has its row.
    partition.vanished(&letters[0]);
    assert!(sent(&mut partition, now).is_empty());
    assert_eq!(store(&mut partition, now), (2, vec![2]));
    assert_eq!(positions(&sent(&mut partition, now)), [2]);
}

#[test]
fn what_could_not_be_sent_is_sent_next() {
    let now = Instant::now();
    let mut partition = with(&[1]);
    let letters = sent(&mut partition, now);
    partition.unsent(&letters[0]);
    let letters = sent(&mut partition, now);
    assert_eq!(positions(&letters), [1]);
    end(&mut partition, &letters[0], failed(), now);
    store(&mut partition, now);
    let later = now + PLAN.delay;
    let letters = sent(&mut partition, later);
    partition.unsent(&letters[0]);
    assert_eq!(positions(&sent(&mut partition, later)), [1]);
}

#[test]
fn nothing_is_read_or_sent_of_what_is_given_back() {
    let mut partition = with(&[1]);
    assert_eq!(partition.read_from(), Some(1));
    partition.is_leaving = true;
    assert_eq!(partition.read_from(), None);
    assert!(partition.next(Instant::now(), Held::First).is_none());
}

#[test]
fn the_window_has_its_bound() {
    let mut partition = with(&[1; WINDOW_MAX - 1]);
    assert!(partition.read_from().is_some());
    read(&mut partition, &[1]);
    assert!(partition.read_from().is_none());
}

#[test]
fn what_is_held_has_its_bound() {
    let now = Instant::now();
    let row = |position| Found {
        position,
        order: order(1),
        state: if position % 2 == 0 {
            HeldState::Dead
        } else {
            HeldState::Waiting
        },
        attempts: 1,
        due: now,
    };
    let rows = |count: usize| (1..=u64::try_from(count).unwrap()).map(row);
    let mut partition = Partition::new(0, 1, 5_000, 0);
    partition.found(rows(HELD_MAX - 1));
    assert!(partition.read_from().is_some() && !partition.is_full());
    partition.found(rows(HELD_MAX));
    assert!(partition.read_from().is_none() && partition.is_full());
}

/// Whatever fails and whenever it is stored: of each order the events are taken in their order,
/// each once, but for those that become dead letters.
#[test]
fn every_order_keeps_its_order() {
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..200 {
        let mut now = Instant::now();
        let orders: Vec<u8> = (0..40).map(|_| random.u8(0..4)).collect();
        let mut partition = Partition::new(0, 1, 0, 0);
        let mut unread = orders.as_slice();
        let mut sending: Vec<Letter> = Vec::new();
        let (mut taken, mut dead) = (Vec::new(), 0);
        let plan = RetryPlan {
            attempts_max: 100,
            ..PLAN
        };
        while !unread.is_empty() || partition.has_news() || partition.waiting() > 0 || {
            sending.extend(sent(&mut partition, now));
            !sending.is_empty()
        } {
            now += Duration::from_secs(random.u64(0..60));
            if !unread.is_empty() && random.bool() {
                let (next, rest) = unread.split_at(random.usize(1..=unread.len()));
                read(&mut partition, next);
                unread = rest;
            }
            sending.extend(sent(&mut partition, now));
            if !sending.is_empty() {
                let letter = sending.swap_remove(random.usize(0..sending.len()));
                let outcome = match random.u8(0..10) {
                    0..4 => failed(),
                    4 => refused(),
                    _ => SendOutcome::Taken,
                };
                let (is_taken, is_dead) = (
                    outcome == SendOutcome::Taken,
                    matches!(outcome, SendOutcome::Refused(_)),
                );
                partition.ended(&letter, outcome, &plan, now);
                if is_taken {
                    taken.push((letter.order, letter.position));
                }
                dead += usize::from(is_dead);
            }
            if random.u8(0..4) == 0 {
                store(&mut partition, now);
            }
        }
        store(&mut partition, now);
        assert_eq!(taken.len() + dead, orders.len());
        assert_eq!(partition.position(), 40);
        assert!(partition.queues.is_empty());
        for number in 0..4 {
            let of_order = taken.iter().filter(|(key, _)| *key == order(number));
            let positions: Vec<u64> = of_order.map(|(_, position)| *position).collect();
            assert!(positions.is_sorted_by(|a, b| a < b), "{positions:?}");
        }
    }
}

#[test]
fn what_may_be_stored_already_gives_way_to_what_somebody_did_since() {
    let now = Instant::now();
    let mut partition = with(&[1]);
    let letters = sent(&mut partition, now);
    end(&mut partition, &letters[0], refused(), now);
    assert!(!partition.settlement().is_overtaken(1));
    assert!(!partition.is_outdated(0) && partition.is_outdated(1));
    // It is stored, or not: what is held is not read before that is known.
    partition.unanswered();
    let settlement = partition.settlement();
    assert!(!settlement.is_overtaken(0) && settlement.is_overtaken(1));
    assert!(!partition.is_outdated(1));
    assert_eq!(
        (settlement.fresh(0).count(), settlement.fresh(1).count()),
        (1, 0)
    );
    partition.stored(settlement, now);
    assert!(partition.is_outdated(1));
    assert!(!partition.settlement().is_overtaken(1));
}

#[test]
fn a_feed_that_went_back_is_known_by_its_end_or_by_the_mark_of_it() {
    let mark = |number: u8| Some(Mark([number; 32]));
    let end = |last, mark| MarkedEnds {
        ends: PartitionEnds {
            last,
            pruned: 0,
            expiring: 0,
        },
        mark,
    };
    let mut partition = with(&[1, 2]);
    assert_eq!(partition.last_read(), None, "a release without marks");
    assert!(!partition.is_ahead(&end(2, mark(2))));
    partition.read(Vec::new(), 3, mark(3));
    for (last, there, is_ahead) in [
        (2, mark(2), true),
        (3, mark(3), false),
        (3, mark(9), true),
        (3, None, false),
        // Who reads on there asks for the row.
        (4, mark(9), false),
    ] {
        assert_eq!(partition.is_ahead(&end(last, there)), is_ahead, "{last}");
    }
    let place = Place {
        partition: 0,
        position: 3,
        mark: Mark([3; 32]),
    };
    assert_eq!(partition.last_read(), Some(place));
    let settlement = partition.settlement();
    assert_eq!((settlement.from, settlement.read), (0, Some(place)));
    partition.skip_to(5);
    assert_eq!(partition.last_read(), None, "nobody has read what is there");
}

#[test]
fn a_held_event_may_have_to_wait_while_others_go() {
    let now = Instant::now();
    let mut partition = with(&[1]);
    let letter = partition.next(now, Held::First).unwrap();
    end(&mut partition, &letter, failed(), now);
    store(&mut partition, now);
    read(&mut partition, &[2]);
    let due = now + PLAN.delay_max;
    let next = partition.next(due, Held::Not).unwrap();
    assert_eq!((next.position, next.is_held), (2, false));
    assert!(partition.next(due, Held::Not).is_none());
    let next = partition.next(due, Held::First).unwrap();
    assert_eq!((next.position, next.is_held), (1, true));
}
