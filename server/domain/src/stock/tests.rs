use super::EntryKind::*;
use super::*;

fn contents(units: &[(&str, u32)]) -> Contents {
    let unit = |(sku, quantity): &(&str, u32)| (Sku::parse(*sku).unwrap(), *quantity);
    units.iter().map(unit).collect()
}

fn planned(units: &[(&str, u32)]) -> Fact {
    Fact::Planned {
        contents: contents(units),
    }
}

fn moved(to: Stage, units: &[(&str, u32)]) -> Fact {
    Fact::Moved {
        to,
        contents: contents(units),
    }
}

fn cancelled(cancellation: u32, units: &[(&str, u32)]) -> Fact {
    Fact::Cancelled {
        contents: contents(units),
        cancellation,
        zeroes: false,
        as_opened: false,
    }
}

fn out_of_stock(cancellation: u32, units: &[(&str, u32)]) -> Fact {
    Fact::Cancelled {
        contents: contents(units),
        cancellation,
        zeroes: true,
        as_opened: false,
    }
}

fn received(condition: GoodsCondition, units: &[(&str, u32)]) -> Fact {
    Fact::Received {
        condition,
        contents: contents(units),
    }
}

/// An order that is told of, a write at a time.
#[derive(Default)]
struct Teller {
    holdings: OrderHoldings,
    position: u64,
    ledger: Vec<Entry>,
}

impl Teller {
    /// One write with facts about shipments of the warehouse `main`; the entries that it causes, by
    /// kind, quantity and what they change.
    fn tell(&mut self, facts: Vec<(u32, Fact)>) -> Vec<(EntryKind, u32, i64, i64)> {
        let facts = facts.into_iter().map(|(shipment, fact)| {
            self.position += 1;
            ShipmentFact {
                position: self.position,
                time: Timestamp::UNIX_EPOCH,
                shipment,
                warehouse: WarehouseId::parse("main").unwrap(),
                fact,
            }
        });
        let news = OrderNews {
            store: StoreId::parse("shop").unwrap(),
            order: OrderId::parse("A-1").unwrap(),
            seller: None,
            partition: 3,
            facts: facts.collect(),
        };
        let entries = self.holdings.hear(&news);
        self.ledger.extend(entries.iter().cloned());
        let shown = |entry: &Entry| (entry.kind, entry.quantity, entry.on_hand, entry.reserved);
        entries.iter().map(shown).collect()
    }

    fn one(&mut self, fact: Fact) -> Vec<(EntryKind, u32, i64, i64)> {
        self.tell(vec![(1, fact)])
    }

    fn balance(&self) -> (i64, i64) {
        assert!(self.ledger.is_sorted_by_key(|entry| entry.place));
        let balance = StockBalance::of(&self.ledger);
        (balance.on_hand, balance.reserved)
    }

    /// With three mugs in one shipment that is released.
    fn released() -> Self {
        let mut teller = Self::default();
        assert_eq!(teller.one(planned(&[("MUG", 3)])), []);
        let entries = teller.one(moved(Stage::Planned, &[("MUG", 3)]));
        assert_eq!(entries, [(Reserved, 3, 0, 3)]);
        teller
    }

    fn shipped() -> Self {
        let mut teller = Self::released();
        teller.one(moved(Stage::InTransit, &[("MUG", 3)]));
        teller
    }
}

#[test]
fn what_is_released_is_reserved_and_what_leaves_is_gone() {
    let mut teller = Teller::released();
    assert_eq!(teller.one(moved(Stage::Preparing, &[("MUG", 3)])), []);
    assert_eq!(teller.one(moved(Stage::Ready, &[("MUG", 3)])), []);
    let entries = teller.one(moved(Stage::InTransit, &[("MUG", 3)]));
    assert_eq!(entries, [(Shipped, 3, -3, -3)]);
    assert_eq!(teller.one(moved(Stage::Delivered, &[("MUG", 3)])), []);
    assert_eq!(teller.one(moved(Stage::Lost, &[("MUG", 3)])), []);
    assert_eq!(teller.balance(), (-3, 0), "nobody counted before");
}

#[test]
fn what_is_cancelled_before_it_leaves_is_released() {
    let mut teller = Teller::released();
    assert_eq!(
        teller.one(cancelled(1, &[("MUG", 1)])),
        [(Released, 1, 0, -1)]
    );
    let write = vec![
        (1, cancelled(2, &[("MUG", 2)])),
        (1, moved(Stage::Cancelled, &[])),
    ];
    assert_eq!(teller.tell(write), [(Released, 2, 0, -2)]);
    assert_eq!(teller.balance(), (0, 0));
}

#[test]
fn what_was_never_released_is_not_in_the_ledger() {
    let mut teller = Teller::default();
    teller.one(planned(&[("MUG", 3)]));
    assert_eq!(teller.one(cancelled(1, &[("MUG", 3)])), []);
    assert_eq!(teller.one(moved(Stage::Cancelled, &[])), []);
}

#[test]
fn a_shipment_that_is_held_back_again_holds_nothing() {
    let mut teller = Teller::released();
    let entries = teller.one(moved(Stage::Unreleased, &[("MUG", 3)]));
    assert_eq!(entries, [(Released, 3, 0, -3)]);
    let entries = teller.one(moved(Stage::Planned, &[("MUG", 3)]));
    assert_eq!(entries, [(Reserved, 3, 0, 3)]);
}

#[test]
fn contents_are_as_after_the_write_and_what_it_cancels_later_was_still_in_it() {
    let mut teller = Teller::default();
    teller.one(planned(&[("MUG", 3)]));
    let write = vec![
        (1, moved(Stage::Planned, &[("MUG", 2)])),
        (1, cancelled(1, &[("MUG", 1)])),
    ];
    let entries = teller.tell(write);
    assert_eq!(entries, [(Reserved, 3, 0, 3), (Released, 1, 0, -1)]);
    assert_eq!(teller.balance(), (0, 2));

    // A parcel that nobody dispatched is lost, and with it ends what waited for it.
    let write = vec![
        (1, moved(Stage::Lost, &[])),
        (1, cancelled(2, &[("MUG", 2)])),
    ];
    assert_eq!(teller.tell(write), [(Shipped, 2, -2, -2)]);
}

#[test]
fn what_leaves_although_it_was_cancelled_leaves_whole() {
    let mut teller = Teller::released();
    teller.tell(vec![
        (1, cancelled(1, &[("MUG", 3)])),
        (1, moved(Stage::Cancelled, &[])),
    ]);
    let entries = teller.one(moved(Stage::InTransit, &[]));
    assert_eq!(entries, [(Shipped, 3, -3, 0)]);
    teller.one(received(GoodsCondition::Unopened, &[("MUG", 3)]));
    assert_eq!(teller.balance(), (0, 0));
}

#[test]
fn only_what_came_back_as_it_was_sent_is_put_back() {
    for (condition, kind, on_hand) in [
        (GoodsCondition::Unopened, PutBack, 2),
        (GoodsCondition::Opened, SetAside, 0),
        (GoodsCondition::Damaged, SetAside, 0),
    ] {
        let mut teller = Teller::shipped();
        assert_eq!(teller.one(cancelled(1, &[("MUG", 2)])), [], "it is outside");
        let entries = teller.one(received(condition, &[("MUG", 2)]));
        assert_eq!(entries, [(kind, 2, on_hand, 0)]);
        assert_eq!(teller.balance(), (-3 + on_hand, 0));
    }
}

#[test]
fn a_split_moves_what_is_reserved_and_changes_nothing() {
    let mut teller = Teller::released();
    let entries = teller.tell(vec![
        (2, moved(Stage::Planned, &[("MUG", 2)])),
        (3, moved(Stage::Planned, &[("MUG", 1)])),
        (1, moved(Stage::Split, &[])),
    ]);
    let expected = [
        (Reserved, 2, 0, 2),
        (Reserved, 1, 0, 1),
        (Released, 3, 0, -3),
    ];
    assert_eq!(entries, expected);
    assert_eq!(teller.balance(), (0, 3));
}

#[test]
fn out_of_stock_zeroes_once_a_cancellation_and_sku() {
    let mut teller = Teller::default();
    teller.tell(vec![
        (1, planned(&[("MUG", 2), ("PEN", 1)])),
        (2, planned(&[("MUG", 1)])),
    ]);
    let entries = teller.one(out_of_stock(1, &[("MUG", 2), ("PEN", 1)]));
    assert_eq!(entries, [(Zeroed, 0, 0, 0), (Zeroed, 0, 0, 0)]);
    let entries = teller.tell(vec![(2, out_of_stock(1, &[("MUG", 1)]))]);
    assert_eq!(entries, [], "the same cancellation, in the same warehouse");
    teller.one(planned(&[("MUG", 2)]));
    let entries = teller.one(out_of_stock(2, &[("MUG", 2)]));
    assert_eq!(
        entries,
        [(Zeroed, 0, 0, 0)],
        "another cancellation says it anew"
    );
}

#[test]
fn a_count_and_a_zero_say_how_much_it_is_and_all_others_add() {
    let key = StockKey {
        store: StoreId::parse("shop").unwrap(),
        warehouse: WarehouseId::parse("main").unwrap(),
        sku: Sku::parse("MUG").unwrap(),
    };
    let entry = |kind, quantity, (on_hand, reserved)| Entry {
        key: key.clone(),
        place: EntryPlace::FIRST,
        kind,
        quantity,
        on_hand,
        reserved,
        source: Source::Told(Actor::system()),
    };
    let mut entries = vec![
        entry(Counted, 10, (0, 0)),
        entry(Reserved, 3, (0, 3)),
        entry(Shipped, 2, (-2, -2)),
    ];
    let balance = StockBalance::of(&entries);
    assert_eq!(
        (balance.on_hand, balance.reserved, balance.available()),
        (8, 1, 7)
    );
    entries.push(entry(Zeroed, 0, (0, 0)));
    assert_eq!(
        StockBalance::of(&entries).available(),
        -1,
        "what is promised stays"
    );
    entries.push(entry(Archived, 0, (0, 0)));
    assert_eq!(StockBalance::of(&entries).available(), 0);
    entries.push(entry(Counted, 5, (0, 0)));
    let balance = StockBalance::of(&entries);
    assert_eq!((balance.available(), balance.is_archived), (4, false));
}

#[test]
fn places_are_in_the_order_of_time_and_of_the_feed_before_what_is_told() {
    let (early, late) = (Timestamp::UNIX_EPOCH, Timestamp::constant(1, 0));
    let event = EntryPlace::of_event;
    let places = [
        EntryPlace::FIRST,
        event(early, 0, 1, 0),
        event(early, 0, 1, 1),
        event(early, 0, 2, 0),
        event(early, 1, 1, 0),
        EntryPlace::of_telling(early),
        event(late, 0, 1, 0),
    ];
    assert!(places.is_sorted());
    assert_eq!(event(late, 7, 8, 9).time(), late);
}

#[test]
fn what_a_receipt_cancels_as_opened_is_set_aside_however_it_looks() {
    let mut teller = Teller::shipped();
    let as_opened = Fact::Cancelled {
        contents: contents(&[("MUG", 2)]),
        cancellation: 1,
        zeroes: false,
        as_opened: true,
    };
    let write = vec![
        (1, received(GoodsCondition::Unopened, &[("MUG", 3)])),
        (1, cancelled(2, &[("MUG", 1)])),
        (1, as_opened.clone()),
    ];
    let entries = teller.tell(write);
    assert_eq!(entries, [(PutBack, 1, 1, 0), (SetAside, 2, 0, 0)]);
    // Of another shipment nothing is said.
    let write = vec![
        (1, received(GoodsCondition::Unopened, &[("MUG", 3)])),
        (2, as_opened),
    ];
    assert_eq!(teller.tell(write), [(PutBack, 3, 3, 0)]);
}
