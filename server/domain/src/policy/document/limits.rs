//! The limits of a policy document, in all its dimensions. A document is read whole and asked on
//! every request.

use jiff::SignedDuration;

pub use crate::document::ERRORS_MAX;
use crate::order::LINE_QUANTITY_MAX;

/// Of the whole text, in bytes.
pub const DOCUMENT_BYTES_MAX: usize = 256 * 1024;
/// Lists and mappings inside each other. The language itself needs six.
pub const DEPTH_MAX: usize = 16;
pub const RULES_MAX: usize = 200;
pub const REASONS_MAX: usize = 200;
/// Entries of any one list in a rule's condition, and of payment methods that are verified.
pub const CONDITION_ENTRIES_MAX: usize = 100;
/// Countries that have a calendar of their own; there are some 250 countries.
pub const CALENDARS_MAX: usize = 300;
/// Within which a refund must have reached the buyer, or somebody must have answered.
pub const WORKING_DAYS_MAX: u32 = 90;
/// Within which somebody must have answered: a year.
pub const CALENDAR_DAYS_MAX: u32 = 366;
/// Ten years. No wait of the business is longer, and no deadline can leave the range of the clock.
pub const DURATION_MAX: SignedDuration = SignedDuration::from_hours(10 * 365 * 24);
/// Steps of the schedule by which returns are refunded.
pub const RETURN_RATES_MAX: usize = 100;
/// Of one SKU in one shipment: as many as a line may have.
pub const IDENTICAL_UNITS_MAX: u32 = LINE_QUANTITY_MAX;
/// Channels that the evidence for one reason may come from.
pub const EVIDENCE_CHANNELS_MAX: usize = 20;
/// Days of a window of quality, and days that it may lag behind: a year.
pub const QUALITY_DAYS_MAX: u32 = 366;
pub const QUALITY_THRESHOLDS_MAX: usize = 10;
/// Of a policy's name.
pub const NAME_CHARS_MAX: usize = 100;
pub const SOURCE_CHARS_MAX: usize = 1000;
/// Of a label of a state or a reason.
pub const LABEL_CHARS_MAX: usize = 100;
/// Languages that one reason has labels in.
pub const LANGUAGES_MAX: usize = 50;
/// Of what a buyer is told who gets no return label.
pub const WITHOUT_LABEL_CHARS_MAX: usize = 1000;
/// Of reason codes, payment methods, evidence channels, thresholds and rule ids; all of them ASCII.
pub const CODE_CHARS_MAX: usize = 63;
