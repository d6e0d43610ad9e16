//! How large anything in a request may be. The protos say the same in words.

use std::ops::Range;

use jiff::{SignedDuration, Timestamp};

/// Field violations that are told at once.
pub(crate) const VIOLATIONS_MAX: usize = 200;
/// Of a product's title, a region and a city; in characters, as all strings are counted.
pub(crate) const TITLE_CHARS_MAX: usize = 256;
pub(crate) const PLACE_CHARS_MAX: usize = 128;
pub(crate) const DISPLAY_NAME_CHARS_MAX: usize = 128;
pub(crate) const EMAIL_CHARS_MAX: usize = 254;
pub(crate) const USERNAME_CHARS_MAX: usize = 128;
pub(crate) const NOTE_CHARS_MAX: usize = 2_000;
pub(crate) const EVIDENCE_MAX: usize = 10;
pub(crate) const EVIDENCE_CHARS_MAX: usize = 512;
/// Of a reason or a payment method.
pub(crate) const CODE_CHARS_MAX: usize = 63;
/// Why a provider refused, in its words.
pub(crate) const FAILURE_CODE_CHARS_MAX: usize = 128;
pub(crate) const TIME_ZONE_CHARS_MAX: usize = 64;
pub(crate) const PRESET_CHARS_MAX: usize = 64;
/// Entries of a page where the caller names no number, and at most.
pub(crate) const PAGE_SIZE_DEFAULT: u16 = 50;
pub(crate) const PAGE_SIZE_MAX: u16 = 1_000;
/// How far back SummarizeActions looks where the caller names no instant, and at most.
pub(crate) const AUTO_APPROVED_DEFAULT: SignedDuration = SignedDuration::from_hours(7 * 24);
pub(crate) const AUTO_APPROVED_MAX: SignedDuration = SignedDuration::from_hours(31 * 24);
/// Refunds that one worker may claim at once, and how many it gets where it names no number.
pub(crate) const CLAIM_MAX: u16 = 100;
pub(crate) const CLAIM_DEFAULT: u16 = 10;
pub(crate) const LEASE_MIN: SignedDuration = SignedDuration::from_secs(10);
pub(crate) const LEASE_MAX: SignedDuration = SignedDuration::from_mins(15);
pub(crate) const LEASE_DEFAULT: SignedDuration = SignedDuration::from_secs(60);
/// The years 1970 to 2199. What lies outside is a mistake in somebody's units.
pub(crate) const TIMES: Range<Timestamp> = Timestamp::UNIX_EPOCH..Timestamp::constant(7_258_118_400, 0);
