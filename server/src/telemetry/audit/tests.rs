//! What a record says, and that it holds nobody up.

use std::sync::{Mutex, PoisonError};

use belay_domain::actor::{Actor, Role};
use belay_domain::ids::SellerId;
use belay_domain::scope::Scope;
use serde_json::{Value, json};

use super::*;

/// A disk with so much room.
#[derive(Clone, Default)]
struct Disk(Arc<Mutex<(usize, Vec<u8>)>>);

impl Disk {
    fn add_room(&self, bytes: usize) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0 += bytes;
    }

    fn text(&self) -> String {
        let disk = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8(disk.1.clone()).unwrap()
    }
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut disk = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = bytes.len().min(disk.0);
        if fits == 0 {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        disk.0 -= fits;
        disk.1.extend_from_slice(&bytes[..fits]);
        Ok(fits)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn record<'a>(caller: Option<&'a Caller>) -> AuditRecord<'a> {
    AuditRecord {
        method: "belay.v1.OrderService/GetOrder",
        is_read: true,
        personal: &[Personal::BuyerId, Personal::Note],
        code: "OK",
        reason: None,
        caller,
        peer: Some(([10, 0, 0, 7], 4321).into()),
        store: None,
        order: None,
        request_id: None,
        trace_id: "t".to_owned(),
    }
}

fn queue(length: usize) -> (Audit, Receiver<Command>, Arc<AtomicU64>) {
    let (commands, waiting) = sync_channel(length);
    let dropped = Arc::<AtomicU64>::default();
    let queue = Queue {
        commands,
        dropped: dropped.clone(),
    };
    (Audit(Some(queue)), waiting, dropped)
}

#[test]
fn a_record_tells_who_what_and_how_far_they_see() {
    let (audit, waiting, _) = queue(1);
    let sellers = (10..30).map(|id| SellerId::parse(format!("s{id}")).unwrap());
    let caller = Caller {
        actor: Actor::new(Role::Seller, "acme"),
        scope: Scope {
            sellers: IdFilter::Only(sellers.collect()),
            ..Scope::EVERYTHING
        },
    };
    audit.record(&record(Some(&caller)));
    let Ok(Command::Write(line)) = waiting.try_recv() else {
        panic!("no record")
    };
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["access"], "READ");
    assert_eq!(line["role"], "SELLER");
    assert_eq!(line["actor"], "acme");
    assert_eq!(line["peer"], "10.0.0.7:4321");
    assert_eq!(line["personal"], json!(["BUYER_ID", "NOTE"]));
    assert_eq!(line["scope"]["stores"], "ALL");
    let sellers = &line["scope"]["sellers"];
    assert_eq!(
        sellers["only"].as_array().unwrap().len(),
        SCOPE_IDS_TOLD_MAX
    );
    assert_eq!(sellers["more"], 4);
}

#[test]
fn a_full_disk_holds_nobody_up_and_loses_nothing_that_waits() {
    let (audit, waiting, dropped) = queue(3);
    let disk = Disk::default();
    let mut writer = Writer::new(Sink::Test(Box::new(disk.clone())), dropped.clone());
    let add_waiting = |writer: &mut Writer| {
        while let Ok(command) = waiting.try_recv() {
            assert!(!writer.obey(command));
        }
    };
    // There is room for the beginning of a record.
    disk.add_room(10);
    audit.record(&record(None));
    add_waiting(&mut writer);
    writer.put();
    assert!(writer.is_failing);
    assert_eq!(disk.text().len(), 10);
    // The queue takes three, and the fourth and the fifth are dropped.
    (0..5).for_each(|_| audit.record(&record(None)));
    assert_eq!(dropped.load(Ordering::Relaxed), 2);
    disk.add_room(1_000_000);
    writer.put();
    assert!(!writer.is_failing);
    add_waiting(&mut writer);
    writer.put();
    let text = disk.text();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("whole records"))
        .collect();
    assert_eq!(lines.len(), 5);
    let gaps: Vec<&Value> = lines
        .iter()
        .filter(|line| line["method"].is_null())
        .collect();
    assert_eq!(gaps.len(), 1);
    assert_eq!(gaps[0]["dropped_records"], 2);
}

#[test]
fn a_file_is_appended_to_and_opened_anew() {
    let file = std::env::temp_dir().join(format!("belay-audit-{}", Uuid::from_u128(7)));
    let moved = file.with_extension("1");
    let _ = std::fs::remove_file(&file);
    let log = AuditLog::start(&AuditTarget::File(file.clone())).unwrap();
    let audit = log.audit();
    audit.record(&record(None));
    std::fs::rename(&file, &moved).unwrap();
    audit.reopen();
    audit.record(&record(None));
    drop(log);
    let lines = |file: &Path| std::fs::read_to_string(file).unwrap().lines().count();
    assert_eq!((lines(&moved), lines(&file)), (1, 1));
    let again = AuditLog::start(&AuditTarget::File(file.clone())).unwrap();
    again.audit().record(&record(None));
    drop(again);
    assert_eq!(lines(&file), 2);
    std::fs::remove_file(&file).unwrap();
    std::fs::remove_file(&moved).unwrap();
    assert!(!AuditLog::start(&AuditTarget::Off).unwrap().audit().is_on());
}

#[test]
fn a_target_is_a_file_standard_output_or_nothing() {
    let of = |text: &str| text.parse::<AuditTarget>();
    assert_eq!(of("off"), Ok(AuditTarget::Off));
    assert_eq!(of("stdout"), Ok(AuditTarget::StandardOutput));
    assert_eq!(of("/var/a"), Ok(AuditTarget::File("/var/a".into())));
    assert!(of("").is_err());
}
