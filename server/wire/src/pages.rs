//! Pages of lists: how long they are, and the tokens that say where a list goes on. A token works
//! only for the list, the store and the filters that it was given out for. Nobody else can make
//! one, and nobody else reads where it stands: it is made from the last entry that was shown.

use std::collections::{HashMap, HashSet};

use aes_gcm_siv::aead::{Aead, KeyInit, Payload};
use aes_gcm_siv::{Aes256GcmSiv, Nonce};
use belay_domain::ids::OrderKey;
use belay_domain::order::Order;
use belay_domain::query::ListPosition;
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use jiff::Timestamp;
use prost::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::status::CallError;

const TOKEN_VERSION: u8 = 2;
/// Of a page's entries together, as they are sent: well below the 4 MiB that clients take where
/// nobody told them otherwise. The first entry is shown whatever it has.
pub const PAGE_BYTES_MAX: usize = 1024 * 1024;
/// Records of the orders that a page's entries belong to, each order counted once; see
/// [`Order::records`]. The first order is shown whatever it has.
pub const PAGE_RECORDS_MAX: usize = 2_000;
const SEAL_BYTES: usize = 16;
/// Longest token, in characters; those that we make are far shorter.
const TOKEN_CHARS_MAX: usize = 1024;

/// The tokens of one list with its filters.
#[derive(Debug)]
pub struct PageTokens {
    envelope: TokenCipher,
    filters: Vec<u8>,
}

/// The seal by which what was sealed here is told from what others made. What it marks can be read.
#[derive(Debug, Clone)]
pub(crate) struct Seal([u8; 32]);

/// The cipher of what is handed out and comes back, which keeps it from being read and changed:
/// AES-256-GCM-SIV. Its nonce may be the same for all, for it gives away no more than that two
/// texts are equal: so the same place has the same token on every server.
#[derive(Clone)]
pub(crate) struct TokenCipher(Aes256GcmSiv);

impl std::fmt::Debug for TokenCipher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenCipher")
    }
}

impl TokenCipher {
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
            envelope: TokenCipher::new("belay 2026 page tokens", identity_key),
            filters,
        }
    }

    /// The token for the page after `last`.
    pub fn seal<P: Serialize>(&self, last: &P) -> String {
        let place = serde_json::to_vec(last)
            .unwrap_or_else(|error| panic!("a place is plain data: {error}"));
        let closed = self.envelope.close(&place, &self.filters);
        HEXLOWER.encode(&[&[TOKEN_VERSION], closed.as_slice()].concat())
    }

    /// Where the page begins that a token asks for; `None` for the first.
    pub fn open<P: DeserializeOwned>(&self, token: &str) -> Result<Option<P>, CallError> {
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
type KeptPosition = (i64, [u8; 16], u32);

/// A page as it grows, an entry after the other.
#[derive(Debug)]
pub struct PageCut<Entry> {
    entries: Vec<Entry>,
    bytes: usize,
    taken: usize,
    /// Where among those taken.
    last_shown: Option<usize>,
}

impl<Entry: Message> PageCut<Entry> {
    /// Takes the next entry, which is `None` where nothing is shown of it. False where the page is
    /// full without it.
    #[must_use]
    pub fn add(&mut self, entry: Option<Entry>) -> bool {
        if let Some(entry) = entry {
            let bytes = self.bytes + entry.encoded_len();
            if bytes > PAGE_BYTES_MAX && !self.entries.is_empty() {
                return false;
            }
            self.bytes = bytes;
            self.entries.push(entry);
            self.last_shown = Some(self.taken);
        }
        self.taken += 1;
        true
    }
}

impl<Entry> Default for PageCut<Entry> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            bytes: 0,
            taken: 0,
            last_shown: None,
        }
    }
}

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
    pub fn after_place(&self) -> Result<Option<ListPosition>, CallError> {
        let Some((micros, key, number)) = self.after::<KeptPosition>()? else {
            return Ok(None);
        };
        let create_time =
            Timestamp::from_microsecond(micros).map_err(|_| CallError::PageTokenInvalid)?;
        Ok(Some(ListPosition {
            create_time,
            order_key: OrderKey(key),
            number,
        }))
    }

    /// The places that a page may take of those that were found: as many as it asks for, and those
    /// whose orders have few enough records. Which of them fit shows as they are rendered.
    pub fn take_positions<'a>(
        &self,
        found: &'a [ListPosition],
        records_of: impl Fn(&OrderKey) -> usize,
    ) -> &'a [ListPosition] {
        let (mut known, mut records) = (HashSet::new(), 0);
        let asked = &found[..found.len().min(self.size.into())];
        let over = asked.iter().position(|position| {
            if known.insert(position.order_key) {
                records += records_of(&position.order_key);
            }
            records > PAGE_RECORDS_MAX && known.len() > 1
        });
        &asked[..over.unwrap_or(asked.len())]
    }

    /// The page, and the token for what follows of the places that were found.
    pub fn end_cut<Entry>(
        &self,
        cut: PageCut<Entry>,
        found: &[ListPosition],
    ) -> (Vec<Entry>, String) {
        let kept = |position: &ListPosition| -> KeptPosition {
            let micros = position.create_time.as_microsecond();
            (micros, position.order_key.0, position.number)
        };
        self.end(cut, found, kept)
    }

    /// Cuts the page from what orders hold.
    pub fn cut_positions<Entry: Message>(
        &self,
        positions: &[ListPosition],
        orders: &HashMap<OrderKey, Order>,
        render: impl Fn(&Order, u32) -> Option<Entry>,
    ) -> (Vec<Entry>, String) {
        let records_of = |key: &OrderKey| orders.get(key).map_or(0, Order::records);
        let mut cut = PageCut::default();
        for position in self.take_positions(positions, records_of) {
            let order = orders.get(&position.order_key);
            if !cut.add(order.and_then(|order| render(order, position.number))) {
                break;
            }
        }
        self.end_cut(cut, positions)
    }

    /// Renders the page from so many records as [`Self::limit`] says, without what `render` leaves
    /// out, and makes the token for what follows the last one that is shown. A page ends early
    /// where its messages grow larger than callers take. `key` is what the list is sorted by and
    /// begins again after.
    pub fn cut<Record, Key: Serialize, Entry: Message>(
        &self,
        records: &[Record],
        render: impl Fn(&Record) -> Option<Entry>,
        key: impl Fn(&Record) -> Key,
    ) -> (Vec<Entry>, String) {
        let mut cut = PageCut::default();
        for record in records.iter().take(self.size.into()) {
            if !cut.add(render(record)) {
                break;
            }
        }
        self.end(cut, records, key)
    }

    fn end<Record, Key: Serialize, Entry>(
        &self,
        cut: PageCut<Entry>,
        found: &[Record],
        key: impl Fn(&Record) -> Key,
    ) -> (Vec<Entry>, String) {
        let is_over = cut.taken == found.len();
        // Where none is shown, the list goes on all the same.
        let last = cut.last_shown.or(cut.taken.checked_sub(1));
        let last = last.map(|last| &found[last]).filter(|_| !is_over);
        let token = last.map(|last| self.tokens.seal(&key(last)));
        (cut.entries, token.unwrap_or_default())
    }
}

/// The bytes of a token in hex, of either case. One that is too long is not looked at.
pub(crate) fn unhex(text: &str, chars_max: usize) -> Option<Vec<u8>> {
    let text = (text.len() <= chars_max).then_some(text)?;
    HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()
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

    fn page(size: u16) -> PageRequest {
        PageRequest {
            size,
            token: String::new(),
            tokens: tokens("ListOrders", "s1"),
        }
    }

    /// Places of these orders, from new to old.
    fn positions(orders: &[u8]) -> Vec<ListPosition> {
        let position = |(number, order): (u32, &u8)| ListPosition {
            create_time: Timestamp::UNIX_EPOCH,
            order_key: OrderKey([*order; 16]),
            number,
        };
        (1..).zip(orders).map(position).collect()
    }

    #[test]
    fn a_page_takes_orders_up_to_its_records_and_one_at_least() {
        let taken = |orders: &[u8], records: usize| {
            let positions = positions(orders);
            page(100).take_positions(&positions, |_| records).len()
        };
        assert_eq!(taken(&[], 1), 0);
        assert_eq!(taken(&[1, 2, 3], PAGE_RECORDS_MAX / 2), 2);
        assert_eq!(taken(&[1, 2, 3], PAGE_RECORDS_MAX / 2 + 1), 1);
        assert_eq!(
            taken(&[1, 2], PAGE_RECORDS_MAX + 1),
            1,
            "or nobody got past it"
        );
        assert_eq!(
            taken(&[1, 1, 1, 2], PAGE_RECORDS_MAX / 2),
            4,
            "an order counts once"
        );
        let many = positions(&[1; 30]);
        assert_eq!(page(29).take_positions(&many, |_| 0).len(), 29);
    }

    #[test]
    fn a_page_takes_entries_up_to_its_bytes_and_one_at_least() {
        let entry = |bytes: usize| pb::Order {
            order_id: "x".repeat(bytes),
            ..Default::default()
        };
        let large = entry(PAGE_BYTES_MAX / 2 - 8);
        let cut = |records: &[&pb::Order]| {
            let (entries, token) = page(10).cut(records, |order| Some((**order).clone()), |_| 7);
            (entries.len(), page(10).tokens.open::<i32>(&token).unwrap())
        };
        assert_eq!(cut(&[&large, &large]), (2, None));
        assert_eq!(cut(&[&large, &large, &entry(100)]), (2, Some(7)));
        assert_eq!(cut(&[&entry(PAGE_BYTES_MAX + 1)]), (1, None));
        assert_eq!(cut(&[&entry(PAGE_BYTES_MAX + 1), &large]), (1, Some(7)));
        assert_eq!(cut(&[&large, &entry(PAGE_BYTES_MAX)]), (1, Some(7)));
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
