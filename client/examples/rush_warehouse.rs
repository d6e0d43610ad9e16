//! A rush, seen by the warehouse: it watches what is released and what is to be stopped, packs,
//! answers stops with what it puts back, and dispatches with the fence that it packed under. One
//! parcel in five leaves over a ramp whose scanner is out of reach: Belay hears of it later,
//! whatever was cancelled meanwhile. Beside `make run`, and before `rush_storefront`:
//!
//! ```sh
//! cargo run -p belay-client --example rush_warehouse
//! ```
//!
//! It closes with the last parcel of the day, and fails where what left the house and what Belay
//! has on record differ. `BELAY_ADDRESS` names another server than `http://127.0.0.1:50051`.

#![allow(clippy::print_stdout, reason = "an example tells what it does")]

mod rush;

use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use belay_client::calls::Stopped;
use belay_client::model::{Event, EventDetail, EventType, ShipmentStage, TrackingFact};
use belay_client::watch::Stop;
use belay_client::{BoxError, Error, ErrorReason, Kind, Role, ShipmentId, Store};
use jiff::Timestamp;
use rush::{LAST, STORE, a_moment};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Parcels that the scanner remembers while it is out of reach.
const SCANNER_MAX: usize = 10_000;
/// How long it is out of reach.
const OUT_OF_REACH: Duration = Duration::from_secs(1);

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(0) => ExitCode::SUCCESS,
        Ok(differences) => {
            eprintln!("rush_warehouse: {differences} differences");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("rush_warehouse: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A parcel that the scanner saw leave.
struct Scan {
    shipment_id: ShipmentId,
    /// The fence that it was packed under.
    fence: i64,
    at: Timestamp,
}

/// The events in the house, whatever Belay knows of them.
#[derive(Default)]
struct House {
    left: Vec<ShipmentId>,
    put_back: Vec<ShipmentId>,
    stops: usize,
    stale: usize,
    /// Parcels that the scanner told of too late: they were stopped or cancelled meanwhile.
    late: usize,
}

#[derive(Clone)]
struct Warehouse {
    store: Store,
    house: Arc<Mutex<House>>,
    scanner: mpsc::Sender<Scan>,
}

async fn run() -> Result<usize, BoxError> {
    let (belay, address) = rush::connect()?;
    rush::open_store(&belay).await?;
    let belay = belay.with_role(Role::Warehouse, "main")?;
    let (scanner, scans) = mpsc::channel(SCANNER_MAX);
    let warehouse = Warehouse {
        store: belay.store(STORE),
        house: Arc::default(),
        scanner,
    };
    println!("Belay at {address}, store {STORE}: the warehouse main");
    tokio::select! {
        day = warehouse.watch() => day?,
        day = warehouse.catch_up(scans) => day?,
    }
    Ok(warehouse.report().await?)
}

impl Warehouse {
    fn note(&self, note: impl FnOnce(&mut House)) {
        note(&mut self.house.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Watches for ever, over whatever happens to server and connection: nothing is missed, and
    /// what comes again after a restart was done already.
    async fn watch(&self) -> Result<(), BoxError> {
        let moves = self.store.watch();
        let mut moves = moves.event_types([EventType::ShipmentStageChanged]).await?;
        let mut stops = self.store.stops_for("main").await?;
        println!("The warehouse is open");
        let mut work = JoinSet::new();
        self.take_up_what_waits(&mut work).await?;
        loop {
            tokio::select! {
                delivered = moves.try_next() => {
                    let Some(delivered) = delivered? else { return Ok(()) };
                    for event in delivered.events() {
                        if let Some(id) = released(event) {
                            let warehouse = self.clone();
                            work.spawn(async move { warehouse.pack(id).await });
                        }
                    }
                    delivered.ack();
                }
                stop = stops.try_next() => {
                    let Some(stop) = stop? else { return Ok(()) };
                    let warehouse = self.clone();
                    work.spawn(async move { warehouse.stop(stop).await });
                }
                Some(done) = work.join_next(), if !work.is_empty() => {
                    done.expect("nobody panics at work")?;
                }
            }
        }
    }

    /// What was released before anybody watched.
    async fn take_up_what_waits(&self, work: &mut JoinSet<Result<(), Error>>) -> Result<(), Error> {
        let planned = self
            .store
            .list_shipments()
            .warehouse_id("main")
            .stage(ShipmentStage::Planned);
        let mut planned = planned.stream();
        while let Some(shipment) = planned.try_next().await? {
            let warehouse = self.clone();
            work.spawn(async move { warehouse.pack(shipment.shipment_id).await });
        }
        Ok(())
    }

    async fn pack(&self, id: ShipmentId) -> Result<(), Error> {
        a_moment(200).await;
        // Cancelled before anybody began, or taken up already.
        let Some(_) = done(self.store.start_preparation(&id).await)? else {
            return Ok(());
        };
        a_moment(200).await;
        let Some(ready) = done(self.store.mark_ready(&id).await)? else {
            return self.put_back(&id).await;
        };
        let is_last = id.as_str().starts_with(LAST);
        if is_last || fastrand::u8(..5) == 0 {
            self.note(|house| house.left.push(id.clone()));
            let scan = Scan {
                shipment_id: id,
                fence: ready.fence,
                at: ready.update_time,
            };
            // The scanner works for as long as the warehouse is open.
            let _ = self.scanner.send(scan).await;
            return Ok(());
        }
        a_moment(100).await;
        self.dispatch(&id, ready.fence).await
    }

    /// Hands a parcel over, unless something keeps it in.
    async fn dispatch(&self, id: &ShipmentId, mut fence: i64) -> Result<(), Error> {
        loop {
            match self.store.dispatch_shipment(id, fence).await {
                Ok(_) => {
                    self.note(|house| house.left.push(id.clone()));
                    return Ok(());
                }
                // Something was stopped or cancelled since it was packed: look again.
                Err(error) if error.has_reason(&ErrorReason::FenceStale) => {
                    self.note(|house| house.stale += 1);
                }
                // A stop is open; it is answered at the desk.
                Err(error) if error.has_reason(&ErrorReason::ShipmentBarred) => {}
                Err(error) if error.kind() == Kind::Rejected => return self.put_back(id).await,
                Err(error) => return Err(error.into()),
            }
            a_moment(100).await;
            let now = self.store.get_shipment(id).await?;
            if now.do_not_hand_over {
                return self.put_back(id).await;
            }
            fence = now.fence;
        }
    }

    async fn put_back(&self, id: &ShipmentId) -> Result<(), Error> {
        self.note(|house| house.put_back.push(id.clone()));
        Ok(())
    }

    /// The desk takes the parcel off the shelf, as far as it can see; what has left over the ramp
    /// it does not know.
    async fn stop(&self, stop: Stop) -> Result<(), Error> {
        a_moment(150).await;
        let id = &stop.shipment_id;
        let seen = self.store.get_shipment(id).await?;
        let units = stop.contents.iter().map(|of| (&of.line_id, of.quantity));
        let stopped = Stopped::all().stage_seen(seen.stage).put_back(units);
        if done(self.store.answer_stop(id, stopped).await)?.is_some() {
            self.note(|house| house.stops += 1);
        }
        Ok(())
    }

    /// The scanner comes into reach now and then, and tells what it saw in its order. What cannot
    /// be dispatched any more has left all the same: that is a fact, and Belay says what follows.
    async fn catch_up(&self, mut scans: mpsc::Receiver<Scan>) -> Result<(), Error> {
        loop {
            tokio::time::sleep(OUT_OF_REACH).await;
            while let Ok(scan) = scans.try_recv() {
                let id = &scan.shipment_id;
                let dispatched = self.store.dispatch_shipment(id, scan.fence).await;
                if done(dispatched)?.is_none() {
                    self.note(|house| house.late += 1);
                    self.store
                        .record_tracking(id, format!("ramp-{id}"), TrackingFact::PickedUp)
                        .occurred_time(scan.at)
                        .await?;
                }
                if id.as_str().starts_with(LAST) {
                    return Ok(());
                }
            }
        }
    }

    /// Holds what left the house against Belay's record. Says how much differs.
    async fn report(&self) -> Result<usize, Error> {
        let house = std::mem::take(&mut *self.house.lock().unwrap_or_else(PoisonError::into_inner));
        let mut differences = 0;
        for (ids, has_left) in [(&house.left, true), (&house.put_back, false)] {
            for id in ids {
                let shipment = self.store.get_shipment(id).await?;
                if shipment.dispatch_time.is_some() != has_left {
                    differences += 1;
                    println!(
                        "  {id} has left: {has_left}, and is on record as {}",
                        shipment.stage
                    );
                }
            }
        }
        println!("The warehouse closes");
        println!("  {:>4} parcels left the house", house.left.len());
        println!("  {:>4} of them the scanner told of too late", house.late);
        println!(
            "  {:>4} parcels were put back on the shelves",
            house.put_back.len()
        );
        println!("  {:>4} stops were answered", house.stops);
        println!("  {:>4} dispatches came with a stale fence", house.stale);
        println!("  {differences:>4} parcels are elsewhere than on record");
        Ok(differences)
    }
}

/// The shipment that a move has released to be packed.
fn released(event: &Event) -> Option<ShipmentId> {
    match &event.detail {
        Some(EventDetail::ShipmentStageChanged {
            shipment_id,
            to_stage: ShipmentStage::Planned,
            ..
        }) => Some(shipment_id.clone()),
        _ => None,
    }
}

/// What a call did; None where it is too late for it, for that is no error here.
fn done<T, E: Into<Error>>(outcome: Result<T, E>) -> Result<Option<T>, Error> {
    match outcome.map_err(Into::into) {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == Kind::Rejected || error.is_conflict() => Ok(None),
        Err(error) => Err(error),
    }
}
