//! Reasons for a cancellation, as the presets declare them. A reason is an open word: a store's own
//! policy may declare others, which are given as text. (The reason of a refused call is an
//! [`ErrorReason`](crate::ErrorReason).)

/// `independent-site`: the buyer does not want it any more.
pub const NO_LONGER_WANTED: &str = "NO_LONGER_WANTED";

/// `independent-site`: the buyer bought the wrong thing.
pub const WRONG_PURCHASE: &str = "WRONG_PURCHASE";

/// `independent-site`: the buyer found something better.
pub const FOUND_BETTER: &str = "FOUND_BETTER";

/// Belay's own, under every policy: an unpaid order closed by itself.
pub const PAYMENT_EXPIRED: &str = "PAYMENT_EXPIRED";
