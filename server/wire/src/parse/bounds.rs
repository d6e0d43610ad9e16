//! The bounds of everything in a request. The protos say the same in words.

use std::ops::{Range, RangeInclusive};

use belay_domain::order::SHIPMENTS_MAX;
use jiff::{SignedDuration, Timestamp};

/// Field violations that are told at once.
pub const VIOLATIONS_MAX: usize = 200;
/// Of a product's title, a region and a city; in characters, as all strings are counted.
pub const TITLE_CHARS_MAX: usize = 256;
pub const PLACE_CHARS_MAX: usize = 128;
pub const DISPLAY_NAME_CHARS_MAX: usize = 128;
pub const EMAIL_CHARS_MAX: usize = 254;
pub const USERNAME_CHARS_MAX: usize = 128;
pub const NOTE_CHARS_MAX: usize = 2_000;
pub const EVIDENCE_MAX: usize = 10;
pub const EVIDENCE_CHARS_MAX: usize = 512;
/// Of a quote; those that we make are far shorter, and a request takes four times as much in all.
pub const QUOTE_CHARS_MAX: usize = 262_144;
/// Shipments that one is split into.
pub const PARCELS: RangeInclusive<usize> = 2..=SHIPMENTS_MAX;
/// Of a reason, a payment method, or the word that says why.
pub const CODE_CHARS_MAX: usize = 63;
/// Why a provider refused, in its words.
pub const FAILURE_CODE_CHARS_MAX: usize = 128;
pub const TIME_ZONE_CHARS_MAX: usize = 64;
pub const PRESET_CHARS_MAX: usize = 64;
/// Countries that a carrier has return labels for; there are some 250 countries.
pub const RETURN_LABELS_MAX: usize = 300;
/// Days off in a week, for a calendar must have a day to work on.
pub const WEEKEND_DAYS_MAX: usize = 6;
/// Entries of a page where the caller names no number, and at most.
pub const PAGE_SIZE_DEFAULT: u16 = 50;
pub const PAGE_SIZE_MAX: u16 = 1_000;
/// Entries of a page of FindOrders, the same.
pub const FOUND_SIZE_DEFAULT: u16 = 20;
pub const FOUND_SIZE_MAX: u16 = 100;
/// Languages that a requester of reasons may name.
pub const LANGUAGES_MAX: usize = 8;
/// How far back SummarizeActions looks where the caller names no instant, and at most.
pub const AUTO_APPROVED_DEFAULT: SignedDuration = SignedDuration::from_hours(7 * 24);
pub const AUTO_APPROVED_MAX: SignedDuration = SignedDuration::from_hours(31 * 24);
/// Refunds that one worker may claim at once, and how many it gets where it names no number.
pub const CLAIM_MAX: u16 = 100;
/// Sellers, warehouses or carriers that one filter of events names.
pub const FILTER_IDS_MAX: usize = 200;
pub const CLAIM_DEFAULT: u16 = 10;
pub const LEASE_MIN: SignedDuration = SignedDuration::from_secs(10);
pub const LEASE_MAX: SignedDuration = SignedDuration::from_mins(15);
pub const LEASE_DEFAULT: SignedDuration = SignedDuration::from_secs(60);
/// How far the manual clock may be moved at once.
pub const ADVANCE_MIN: SignedDuration = SignedDuration::from_micros(1);
pub const ADVANCE_MAX: SignedDuration = SignedDuration::from_hours(3_660 * 24);
/// How long a time range may be whose decisions are simulated.
pub const SIMULATED_MAX: SignedDuration = SignedDuration::from_hours(366 * 24);
/// Cases that a simulation reports where the caller names no number, and at most.
pub const SIMULATED_CASES_DEFAULT: u32 = 1_000;
pub const SIMULATED_CASES_MAX: u32 = 10_000;
/// Decisions that a simulation replays where the caller names no number, and at most.
pub const SIMULATED_DECISIONS_MAX: u32 = 1_000_000;
/// The years 1970 to 2199. What lies outside is a mistake in somebody's units.
pub const TIMES: Range<Timestamp> = Timestamp::UNIX_EPOCH..Timestamp::constant(7_258_118_400, 0);
