//! What calls answer with, beyond the things themselves.

use std::ops::Deref;

use crate::ids::RequestId;
use crate::wire::{FromWire, Malformed, read, read_all, text_if_set};

/// What a write answered: the thing as it stands after it, and the key under which it was sent.
///
/// It can be used as the thing itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written<T> {
    /// The thing as it stands.
    pub value: T,
    /// The write's idempotency key.
    pub request_id: RequestId,
}

impl<T> Deref for Written<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

pub(crate) fn read_written<T: FromWire>(
    message: Option<T::Message>,
    field: &'static str,
    request_id: &str,
) -> Result<Written<T>, Malformed> {
    Ok(Written {
        value: read(message, field)?,
        request_id: read_request_id(request_id)?,
    })
}

pub(crate) fn read_request_id(text: &str) -> Result<RequestId, Malformed> {
    RequestId::parse(text).map_err(|_| Malformed("request_id"))
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The entries. There may be fewer than were asked for, even where more follow.
    pub items: Vec<T>,
    /// What to give to `page_token` for the next page, with the same filters. `None`: this was the
    /// last.
    pub next_page_token: Option<String>,
}

pub(crate) fn read_page<T: FromWire>(
    messages: Vec<T::Message>,
    next_page_token: String,
) -> Result<Page<T>, Malformed> {
    Ok(Page {
        items: read_all(messages)?,
        next_page_token: text_if_set(next_page_token),
    })
}

impl<T> IntoIterator for Page<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.items.into_iter()
    }
}
