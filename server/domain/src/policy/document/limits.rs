//! How large a policy document may be, in all its dimensions. A document is read whole and asked on every request.

use jiff::SignedDuration;

/// Of the whole text, in bytes.
pub const DOCUMENT_BYTES_MAX: usize = 256 * 1024;
/// Lists and mappings inside each other. The language itself needs six.
pub const DEPTH_MAX: usize = 16;
/// Faults told at once; a last one says how many more there are.
pub const FAULTS_MAX: usize = 100;
pub const RULES_MAX: usize = 200;
pub const REASONS_MAX: usize = 200;
/// Entries of any one list in a rule's condition, and of payment methods that are verified.
pub const CONDITION_ENTRIES_MAX: usize = 100;
/// Countries that have a calendar of their own; there are some 250 countries.
pub const CALENDARS_MAX: usize = 300;
/// Of one calendar.
pub const HOLIDAYS_MAX: usize = 1000;
/// Within which a refund must have reached the buyer.
pub const WORKING_DAYS_MAX: u32 = 90;
/// Ten years. No wait of the business is longer, and no deadline can leave the range of the clock.
pub const DURATION_MAX: SignedDuration = SignedDuration::from_hours(10 * 365 * 24);
/// Of a policy's name.
pub const NAME_CHARS_MAX: usize = 100;
pub const SOURCE_CHARS_MAX: usize = 1000;
pub const LABEL_CHARS_MAX: usize = 100;
/// Of reason codes, payment methods and rule ids; all of them ASCII.
pub const CODE_CHARS_MAX: usize = 63;
