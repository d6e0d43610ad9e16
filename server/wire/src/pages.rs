//! Pages of lists: how long they are, and the tokens that say where a list goes on. A token works
//! only for the list, the store and the filters that it was given out for. Nobody else can make one,
//! and nobody else reads where it stands: it is made from the last entry that was shown.

use std::collections::HashMap;

use aes_gcm_siv::aead::{Aead, KeyInit, Payload};
use aes_gcm_siv::{Aes256GcmSiv, Nonce};
use belay_domain::ids::OrderKey;
use belay_domain::order::Order;
use belay_domain::query::Place;
use jiff::Timestamp;
use prost::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::status::CallError;

const TOKEN_VERSION: u8 = 2;
/// Of a page's entries together: clients take messages of 4 MiB where nobody told them otherwise.
const PAGE_BYTES_MAX: usize = 3 * 1024 * 1024;
const SEAL_BYTES: usize = 16;
/// Longest token, in characters; those that we make are far shorter.
const TOKEN_CHARS_MAX: usize = 1024;

/// The tokens of one list with its filters.
#[derive(Debug)]
pub struct PageTokens {
    envelope: Envelope,
    filters: Vec<u8>,
}

/// Tells what was sealed here from what others made. What it marks can be read.
#[derive(Debug, Clone)]
pub(crate) struct Seal([u8; 32]);

/// Keeps what is handed out and comes back from being read and changed: AES-256-GCM-SIV. Its nonce may
/// be the same for all, for it gives away no more than that two texts are equal: so the same place has
/// the same token on every server.
#[derive(Clone)]
pub(crate) struct Envelope(Aes256GcmSiv);

impl std::fmt::Debug for Envelope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Envelope")
    }
}

impl Envelope {
    /// `context` is what it is for.
    pub(crate) fn new(context: &str, identity_key: &[u8; 32]) -> Self {
        let key = blake3::derive_key(context, identity_key);
        Self(Aes256GcmSiv::new(&key.into()))
    }

    /// `about` is not in it, and must be the same when it is opened.
    pub(crate) fn close(&self, text: &[u8], about: &[u8]) -> Vec<u8> {
        let payload = Payload {
            msg: text,
            aad: about,
        };
        let closed = self.0.encrypt(&Nonce::default(), payload);
        closed.unwrap_or_else(|_| panic!("a text of {} bytes is too long", text.len()))
    }

    /// None of what was not closed with this key, or about something else.
    pub(crate) fn open(&self, closed: &[u8], about: &[u8]) -> Option<Vec<u8>> {
        let payload = Payload {
            msg: closed,
            aad: about,
        };
        self.0.decrypt(&Nonce::default(), payload).ok()
    }
}

impl Seal {
    /// `context` is what the seal is for.
    pub(crate) fn new(context: &str, identity_key: &[u8; 32]) -> Self {
        Self(blake3::derive_key(context, identity_key))
    }

    pub(crate) fn mac(&self, parts: &[&[u8]]) -> [u8; SEAL_BYTES] {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        for part in parts {
            hasher.update(part);
        }
        let mut mac = [0; SEAL_BYTES];
        hasher.finalize_xof().fill(&mut mac);
        mac
    }
}

impl PageTokens {
    /// `list` is the name of the RPC; `request` has its page_size and page_token cleared.
    pub fn new(identity_key: &[u8; 32], list: &str, request: &impl Message) -> Self {
        let mut filters = list.as_bytes().to_vec();
        filters.push(0);
        filters.extend(request.encode_to_vec());
        Self {
            envelope: Envelope::new("belay 2026 page tokens", identity_key),
            filters,
        }
    }

    /// The token for the page after `last`.
    pub fn seal<Place: Serialize>(&self, last: &Place) -> String {
        let place = serde_json::to_vec(last)
            .unwrap_or_else(|error| panic!("a place is plain data: {error}"));
        let closed = self.envelope.close(&place, &self.filters);
        hex(&[&[TOKEN_VERSION], closed.as_slice()].concat())
    }

    /// Where the page begins that a token asks for; `None` for the first.
    pub fn open<Place: DeserializeOwned>(&self, token: &str) -> Result<Option<Place>, CallError> {
        if token.is_empty() {
            return Ok(None);
        }
        let place = unhex(token, TOKEN_CHARS_MAX).and_then(|token| {
            let (version, closed) = token.split_first()?;
            let closed = (*version == TOKEN_VERSION).then_some(closed)?;
            let place = self.envelope.open(closed, &self.filters)?;
            serde_json::from_slice(&place).ok()
        });
        place.map(Some).ok_or(CallError::PageTokenInvalid)
    }
}

/// A place in a list, as a token keeps it: the instant in microseconds, the order and the number of
/// its child.
type KeptPlace = (i64, [u8; 16], u32);

/// The page of a list that a request asks for.
#[derive(Debug)]
pub struct PageRequest {
    pub size: u16,
    pub token: String,
    pub tokens: PageTokens,
}

impl PageRequest {
    /// How many records to read: one more than asked, which tells whether the list goes on.
    pub fn limit(&self) -> u16 {
        self.size + 1
    }

    /// What the page begins after, by what the list is sorted by; `None` for the first page.
    pub fn after<Key: DeserializeOwned>(&self) -> Result<Option<Key>, CallError> {
        self.tokens.open(&self.token)
    }

    /// The same of a list that goes from new to old.
    pub fn after_place(&self) -> Result<Option<Place>, CallError> {
        let Some((micros, key, number)) = self.after::<KeptPlace>()? else {
            return Ok(None);
        };
        let create_time =
            Timestamp::from_microsecond(micros).map_err(|_| CallError::PageTokenInvalid)?;
        Ok(Some(Place {
            create_time,
            order_key: OrderKey(key),
            number,
        }))
    }

    /// Cuts the page from what orders hold.
    pub fn cut_places<Entry: Message>(
        &self,
        places: &[Place],
        orders: &HashMap<OrderKey, Order>,
        render: impl Fn(&Order, u32) -> Option<Entry>,
    ) -> (Vec<Entry>, String) {
        let kept = |place: &Place| -> KeptPlace {
            let micros = place.create_time.as_microsecond();
            (micros, place.order_key.0, place.number)
        };
        let render = |place: &Place| {
            let order = orders.get(&place.order_key);
            order.and_then(|order| render(order, place.number))
        };
        self.cut(places, render, kept)
    }

    /// Renders the page from so many records as [`Self::limit`] says, without what `render` leaves
    /// out, and makes the token for what follows the last one that is shown. A page ends early where
    /// its messages grow larger than callers take. `key` is what the list is sorted by and begins again after.
    pub fn cut<Record, Key: Serialize, Entry: Message>(
        &self,
        records: &[Record],
        render: impl Fn(&Record) -> Option<Entry>,
        key: impl Fn(&Record) -> Key,
    ) -> (Vec<Entry>, String) {
        let (mut entries, mut bytes, mut taken) = (Vec::new(), 0, 0);
        let mut last_shown = None;
        for record in records.iter().take(self.size.into()) {
            if let Some(entry) = render(record) {
                bytes += entry.encoded_len();
                if bytes > PAGE_BYTES_MAX && !entries.is_empty() {
                    break;
                }
                entries.push(entry);
                last_shown = Some(record);
            }
            taken += 1;
        }
        let is_over = taken == records.len();
        // Where none is shown, the list goes on all the same.
        let last = last_shown.or(records[..taken].last());
        let last = last.filter(|_| !is_over);
        let token = last.map(|last| self.tokens.seal(&key(last)));
        (entries, token.unwrap_or_default())
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn unhex(text: &str, chars_max: usize) -> Option<Vec<u8>> {
    if text.len() > chars_max
        || !text.len().is_multiple_of(2)
        || !text.bytes().all(|byte| byte.is_ascii_hexdigit())
    {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use belay_proto::v1 as pb;

    use super::*;

    fn tokens(list: &str, seller_id: &str) -> PageTokens {
        let request = pb::ListOrdersRequest {
            seller_id: seller_id.to_owned(),
            ..pb::ListOrdersRequest::default()
        };
        PageTokens::new(&[1; 32], list, &request)
    }

    #[test]
    fn a_token_opens_for_its_own_list_and_filters_only() {
        let ours = tokens("ListOrders", "s1");
        let token = ours.seal(&(12_i64, "A-1"));
        assert_eq!(
            ours.open::<(i64, String)>(&token).unwrap(),
            Some((12, "A-1".to_owned()))
        );
        assert_eq!(ours.open::<(i64, String)>("").unwrap(), None);
        for other in [
            tokens("ListOrders", "s2"),
            tokens("ListRefunds", "s1"),
            tokens("ListOrders", ""),
        ] {
            assert!(matches!(
                other.open::<(i64, String)>(&token),
                Err(CallError::PageTokenInvalid)
            ));
        }
        let other_key = PageTokens::new(
            &[2; 32],
            "ListOrders",
            &pb::ListOrdersRequest {
                seller_id: "s1".into(),
                ..Default::default()
            },
        );
        assert!(other_key.open::<(i64, String)>(&token).is_err());
    }

    #[test]
    fn a_token_does_not_say_where_it_stands() {
        let ours = tokens("ListOrders", "s1");
        let token = unhex(&ours.seal(&"carrier-of-others"), TOKEN_CHARS_MAX).unwrap();
        let (place, sealed) = (b"others".as_slice(), token.as_slice());
        assert!(!sealed.windows(place.len()).any(|bytes| bytes == place));
        // The same on every server.
        assert_eq!(ours.seal(&7), tokens("ListOrders", "s1").seal(&7));
    }

    #[test]
    fn a_token_stands_behind_what_was_shown() {
        let page = PageRequest {
            size: 3,
            token: String::new(),
            tokens: tokens("ListOrders", "s1"),
        };
        let shown = |shown: fn(u32) -> bool| {
            let render = |number: &u32| shown(*number).then(|| i64::from(*number));
            let (entries, token) = page.cut(&[1, 2, 3, 4], render, |number| *number);
            (entries, page.tokens.open::<u32>(&token).unwrap())
        };
        assert_eq!(shown(|_| true), (vec![1, 2, 3], Some(3)));
        assert_eq!(shown(|number| number < 3), (vec![1, 2], Some(2)));
        assert_eq!(shown(|_| false), (vec![], Some(3)));
    }

    #[test]
    fn garbage_is_refused() {
        let ours = tokens("ListOrders", "s1");
        let token = ours.seal(&(12_i64, "A-1"));
        let (begin, end) = token.split_at(token.len() - 1);
        let touched = format!("{begin}{}", if end == "0" { "1" } else { "0" });
        let long = "0".repeat(TOKEN_CHARS_MAX + 2);
        for odd in [
            "x",
            "00",
            "garbage!",
            "é1",
            &token[2..],
            begin,
            &touched,
            &long,
            "' OR 1=1",
        ] {
            assert!(
                matches!(
                    ours.open::<(i64, String)>(odd),
                    Err(CallError::PageTokenInvalid)
                ),
                "{odd:?}"
            );
        }
    }
}
