//! A status in as few bytes as every proxy lets through. What is cut is lists and texts, each with
//! a count of what was left out; code, reason, domain and all other metadata are never cut.

use std::collections::HashMap;
use std::time::Duration;

use belay_domain::error_reason::ErrorReason;
use http::HeaderMap;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::rejections::{LIST_KEYS, TEXT_KEYS, left_out_key};

use super::DOMAIN;

/// Largest error status, in bytes: of `grpc-message`, percent-encoded, and
/// `grpc-status-details-bin`, in base64, together, as both are sent. nginx takes the whole header
/// of an answer into one page of memory, 4 KiB, and takes a server whose header is larger for a
/// broken one.
pub(super) const STATUS_BYTES_MAX: usize = 2_560;
/// Of the message, percent-encoded. It is sent twice, for it is part of the details as well.
const MESSAGE_BYTES_MAX: usize = 480;
/// Of one entry of a list of violations.
const FIELD_BYTES_MAX: usize = 160;
const DESCRIPTION_BYTES_MAX: usize = 240;
/// A text is cut in pieces of so many characters.
const TEXT_PIECE_CHARS: usize = 32;

/// Everything that there is to say of an error.
#[derive(Debug, Clone)]
pub(super) struct StatusDraft {
    pub(super) code: Code,
    pub(super) reason: ErrorReason,
    pub(super) message: String,
    pub(super) metadata: HashMap<String, String>,
    pub(super) violations: StatusViolations,
    pub(super) retry_delay: Option<Duration>,
}

/// The rejections of the call, the decisive one first.
#[derive(Debug, Clone)]
pub(super) enum StatusViolations {
    None,
    /// Field and description, and how many more there are that nobody kept.
    BadRequest(Vec<(String, String)>, usize),
    /// Type, subject and description.
    Preconditions(Vec<[String; 3]>),
}

/// The numbers of entries of a draft that are kept.
#[derive(Debug, Clone, Copy)]
struct Kept {
    /// Entries of each list, and pieces of each text, of the metadata.
    of_metadata: usize,
    violations: usize,
}

impl StatusDraft {
    /// As much of it as fits: of all lists the same number of entries first, then of the violations
    /// as many as there is room for.
    pub(super) fn fit(self) -> Status {
        let all = self.entries();
        let whole = self.status(Kept {
            of_metadata: all,
            violations: all,
        });
        if bytes(&whole) <= STATUS_BYTES_MAX {
            return whole;
        }
        let fits = |kept| bytes(&self.status(kept)) <= STATUS_BYTES_MAX;
        let equal = largest(all, |entries| {
            fits(Kept {
                of_metadata: entries,
                violations: entries,
            })
        });
        let violations = largest(all, |violations| {
            fits(Kept {
                of_metadata: equal,
                violations,
            })
        });
        let of_metadata = largest(all, |of_metadata| {
            fits(Kept {
                of_metadata,
                violations,
            })
        });
        self.status(Kept {
            of_metadata,
            violations,
        })
    }

    /// Of the longest list.
    fn entries(&self) -> usize {
        let violations = match &self.violations {
            StatusViolations::None => 0,
            StatusViolations::BadRequest(entries, _) => entries.len(),
            StatusViolations::Preconditions(entries) => entries.len(),
        };
        let of_metadata = self
            .metadata
            .iter()
            .filter_map(|(key, value)| pieces(key, value))
            .map(|all| all.len());
        of_metadata.max().unwrap_or(0).max(violations)
    }

    fn status(&self, kept: Kept) -> Status {
        let mut metadata = HashMap::new();
        for (key, value) in &self.metadata {
            // A count is made again, where its list or text is.
            if LIST_KEYS
                .iter()
                .chain(TEXT_KEYS)
                .any(|cut| left_out_key(cut) == *key)
            {
                continue;
            }
            let Some(all) = pieces(key, value) else {
                metadata.insert(key.clone(), value.clone());
                continue;
            };
            let (told, left) = all.split_at(kept.of_metadata.min(all.len()));
            let is_list = LIST_KEYS.contains(&key.as_str());
            metadata.insert(key.clone(), told.join(if is_list { "," } else { "" }));
            let left: usize = if is_list {
                left.len()
            } else {
                left.iter().map(|piece| piece.chars().count()).sum()
            };
            let before = self
                .metadata
                .get(&left_out_key(key))
                .and_then(|count| count.parse().ok())
                .unwrap_or(0);
            if left + before > 0 {
                metadata.insert(left_out_key(key), (left + before).to_string());
            }
        }
        let mut details = ErrorDetails::with_error_info(self.reason.name(), DOMAIN, metadata);
        match &self.violations {
            StatusViolations::None => {}
            StatusViolations::BadRequest(entries, beyond) => {
                for (field, description) in entries.iter().take(kept.violations) {
                    let field = beginning(field, FIELD_BYTES_MAX);
                    details.add_bad_request_violation(
                        field,
                        beginning(description, DESCRIPTION_BYTES_MAX),
                    );
                }
                if let Some(more) = more(entries.len() + beyond, kept.violations.min(entries.len()))
                {
                    details.add_bad_request_violation("", more);
                }
            }
            StatusViolations::Preconditions(entries) => {
                for [reason, subject, description] in entries.iter().take(kept.violations) {
                    let subject = beginning(subject, FIELD_BYTES_MAX);
                    let description = beginning(description, DESCRIPTION_BYTES_MAX);
                    details.add_precondition_failure_violation(reason, subject, description);
                }
                if let Some(more) = more(entries.len(), kept.violations) {
                    details.add_precondition_failure_violation("", more.clone(), more);
                }
            }
        }
        if let Some(delay) = self.retry_delay {
            details.set_retry_info(Some(delay));
        }
        Status::with_error_details(self.code, short_message(&self.message), details)
    }
}

/// The two headers in which a status travels.
pub(super) fn bytes(status: &Status) -> usize {
    let mut headers = HeaderMap::new();
    // It fails where a message cannot be a header's value; percent-encoded, every message can.
    if status.add_header(&mut headers).is_err() {
        return usize::MAX;
    }
    let sent = ["grpc-message", "grpc-status-details-bin"];
    sent.iter()
        .filter_map(|name| headers.get(*name))
        .map(http::HeaderValue::len)
        .sum()
}

/// The largest number up to `max` for which this holds, where it holds for 0 and, from some number
/// on, for none.
fn largest(max: usize, holds: impl Fn(usize) -> bool) -> usize {
    let (mut held, mut failed) = (0, max + 1);
    while held + 1 < failed {
        let middle = held + (failed - held) / 2;
        if holds(middle) {
            held = middle
        } else {
            failed = middle
        }
    }
    held
}

/// The parts of a value that may be left out from its end: the entries of a list, pieces of a text.
/// `None` for any other value, which is told whole.
fn pieces(key: &str, value: &str) -> Option<Vec<String>> {
    if LIST_KEYS.contains(&key) {
        return Some(
            value
                .split(',')
                .filter(|entry| !entry.is_empty())
                .map(str::to_owned)
                .collect(),
        );
    }
    if TEXT_KEYS.contains(&key) {
        let characters: Vec<char> = value.chars().collect();
        return Some(
            characters
                .chunks(TEXT_PIECE_CHARS)
                .map(|piece| piece.iter().collect())
                .collect(),
        );
    }
    None
}

fn more(total: usize, told: usize) -> Option<String> {
    let left = total.saturating_sub(told);
    (left > 0).then(|| format!("and {left} more"))
}

/// As much of a text as so many bytes hold.
fn beginning(text: &str, bytes_max: usize) -> &str {
    let mut ends = (0..=bytes_max.min(text.len())).rev();
    let end = ends.find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    &text[..end]
}

/// As much of a message as [`MESSAGE_BYTES_MAX`] holds once it is percent-encoded.
fn short_message(message: &str) -> String {
    const CUT: &str = "...";
    let encoded = |c: char| match c {
        'A'..='Z'
        | 'a'..='z'
        | '0'..='9'
        | '-'
        | '_'
        | '.'
        | ','
        | ':'
        | ';'
        | '\''
        | '('
        | ')'
        | '['
        | ']'
        | '/'
        | '=' => 1,
        _ => 3 * c.len_utf8(),
    };
    if message.chars().map(encoded).sum::<usize>() <= MESSAGE_BYTES_MAX {
        return message.to_owned();
    }
    let mut bytes = CUT.len();
    let fits = message.chars().take_while(|c| {
        bytes += encoded(*c);
        bytes <= MESSAGE_BYTES_MAX
    });
    fits.collect::<String>() + CUT
}
