//! The deadline of a call.

use std::time::Duration;

use http::HeaderMap;
use tokio::time::Instant;

/// For callers that name none.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
/// However long a caller would wait.
const TIMEOUT_MAX: Duration = Duration::from_secs(60);
/// What an answer needs on its way back. It also keeps us ahead of tonic's own timer, which answers
/// CANCELLED.
const ANSWER_MARGIN: Duration = Duration::from_millis(10);

#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline {
    /// Commands that are not begun by then are dropped.
    pub(super) decide_by: Instant,
    /// A little later, so that what the engine knows of a command at its deadline can still be
    /// told.
    pub(super) answer_by: Instant,
    /// The caller leaves no time at all.
    pub(super) is_over: bool,
}

impl Deadline {
    pub(super) fn of(headers: &HeaderMap, now: Instant) -> Self {
        let asked = headers
            .get("grpc-timeout")
            .and_then(|value| value.to_str().ok())
            .and_then(parse);
        let timeout = asked.unwrap_or(TIMEOUT_DEFAULT).min(TIMEOUT_MAX);
        Self {
            decide_by: now + timeout.saturating_sub(ANSWER_MARGIN),
            answer_by: now + timeout.saturating_sub(ANSWER_MARGIN / 2),
            is_over: timeout.is_zero(),
        }
    }
}

/// `1*8DIGIT` and a unit, as the gRPC protocol has it. What cannot be read counts as not given.
fn parse(text: &str) -> Option<Duration> {
    let unit = text.chars().last()?;
    let digits = text.strip_suffix(unit)?;
    if !(1..=8).contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    match unit {
        'H' => Some(Duration::from_secs(number * 3600)),
        'M' => Some(Duration::from_secs(number * 60)),
        'S' => Some(Duration::from_secs(number)),
        'm' => Some(Duration::from_millis(number)),
        'u' => Some(Duration::from_micros(number)),
        'n' => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_digits_and_a_unit() {
        assert_eq!(parse("2S"), Some(Duration::from_secs(2)));
        assert_eq!(parse("1500m"), Some(Duration::from_millis(1500)));
        assert_eq!(
            parse("99999999H"),
            Some(Duration::from_secs(99_999_999 * 3600))
        );
        for odd in ["", "S", "2", "2s", "-2S", "2.5S", "123456789S", "2é", "2 S"] {
            assert_eq!(parse(odd), None, "{odd:?}");
        }
    }

    #[test]
    fn a_deadline_has_a_default_and_a_cap_and_leaves_time_for_the_answer() {
        let after = |timeout: Option<&str>| {
            let mut headers = HeaderMap::new();
            if let Some(timeout) = timeout {
                headers.insert("grpc-timeout", timeout.parse().unwrap());
            }
            let now = Instant::now();
            let deadline = Deadline::of(&headers, now);
            assert!(deadline.decide_by <= deadline.answer_by);
            deadline.decide_by - now
        };
        assert_eq!(after(None), TIMEOUT_DEFAULT - ANSWER_MARGIN);
        assert_eq!(after(Some("1H")), TIMEOUT_MAX - ANSWER_MARGIN);
        assert_eq!(after(Some("250m")), Duration::from_millis(240));
        assert_eq!(after(Some("1n")), Duration::ZERO);
    }
}
