//! The parts of responses that many calls have in common: a page, and the outcome of a write.

use std::ops::Deref;

use crate::freshness::{WritePosition, equal_but_for_position};
use crate::ids::RequestId;
use crate::wire::{FromWire, Malformed, read, read_all, text_if_set};

/// The outcome of a write: the object as it is after the write, and the request id.
///
/// It can be used as the object itself.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Written<T> {
    /// The object.
    pub value: T,
    /// The request id that the write was sent with.
    pub request_id: RequestId,
    /// The position of the write, for lists that must show it: see
    /// [`read_after`](crate::calls::ListOrders::read_after). `None` from a server that tells none.
    /// No part of what is compared: the answer to a repetition is the same, and its position may be
    /// a later one.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub position: Option<WritePosition>,
}

equal_but_for_position!(Written<T> { value, request_id });

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
    position: Option<WritePosition>,
) -> Result<Written<T>, Malformed> {
    Ok(Written {
        value: read(message, field)?,
        request_id: read_request_id(request_id)?,
        position,
    })
}

pub(crate) fn read_request_id(text: &str) -> Result<RequestId, Malformed> {
    RequestId::parse(text).map_err(|_| Malformed("request_id"))
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Page<T> {
    /// The entries. There may be fewer than the page size, even if more follow.
    pub items: Vec<T>,
    /// The token of the next page, for `page_token` with the same filters. `None`: this is the last
    /// page.
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
