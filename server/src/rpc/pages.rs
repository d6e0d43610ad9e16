//! Page tokens: where a list goes on. A token works only for the list, the store and the filters
//! that it was given out for, and nobody else can make one.

use belay_domain::ids::OrderKey;
use belay_domain::order::Order;
use belay_domain::query::Place;
use jiff::Timestamp;
use prost::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::read::Page;
use super::status::Failure;
use crate::App;

const TOKEN_VERSION: u8 = 1;
/// Of a page's entries together: clients take messages of 4 MiB where nobody told them otherwise.
const PAGE_BYTES_MAX: usize = 3 * 1024 * 1024;
const SEAL_BYTES: usize = 16;
/// Longest token, in characters; those that we make are far shorter.
const TOKEN_CHARS_MAX: usize = 1024;

/// A list with its filters. Made from the request itself, without what differs between its pages.
#[derive(Debug)]
pub(super) struct Scope {
    key: [u8; 32],
    filters: Vec<u8>,
}

impl Scope {
    /// `list` is the name of the RPC; `request` has its page_size and page_token cleared.
    pub(super) fn new(app: &App, list: &str, request: &impl Message) -> Self {
        Self::with_key(&app.identity_key, list, request)
    }

    fn with_key(identity_key: &[u8; 32], list: &str, request: &impl Message) -> Self {
        let mut filters = list.as_bytes().to_vec();
        filters.push(0);
        filters.extend(request.encode_to_vec());
        Self {
            key: blake3::derive_key("belay 2026 page tokens", identity_key),
            filters,
        }
    }

    /// The token for the page after `last`.
    pub(super) fn seal<Place: Serialize>(&self, last: &Place) -> String {
        let place = serde_json::to_vec(last)
            .unwrap_or_else(|error| panic!("a place is plain data: {error}"));
        let token = [
            &[TOKEN_VERSION],
            self.mac(&place).as_slice(),
            place.as_slice(),
        ]
        .concat();
        token.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Where the page begins that a token asks for; `None` for the first.
    pub(super) fn open<Place: DeserializeOwned>(
        &self,
        token: &str,
    ) -> Result<Option<Place>, Failure> {
        if token.is_empty() {
            return Ok(None);
        }
        let place = unhex(token).and_then(|token| {
            let (version, sealed) = token.split_first()?;
            let (seal, place) = sealed.split_at_checked(SEAL_BYTES)?;
            let is_ours = *version == TOKEN_VERSION && self.mac(place) == *seal;
            is_ours.then(|| serde_json::from_slice(place).ok())?
        });
        place.map(Some).ok_or(Failure::PageTokenInvalid)
    }

    fn mac(&self, place: &[u8]) -> [u8; SEAL_BYTES] {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        // The length keeps filters and place apart.
        hasher
            .update(&self.filters.len().to_be_bytes())
            .update(&self.filters)
            .update(place);
        let mut seal = [0; SEAL_BYTES];
        hasher.finalize_xof().fill(&mut seal);
        seal
    }
}

/// A place in a list, as a token keeps it: the instant in microseconds, the order and the number of
/// its child.
type KeptPlace = (i64, [u8; 16], u32);

/// Where the page begins that a token asks for.
pub(super) fn place(scope: &Scope, token: &str) -> Result<Option<Place>, Failure> {
    let Some((micros, key, number)) = scope.open::<KeptPlace>(token)? else {
        return Ok(None);
    };
    let create_time = Timestamp::from_microsecond(micros).map_err(|_| Failure::PageTokenInvalid)?;
    Ok(Some(Place {
        create_time,
        order_key: OrderKey(key),
        number,
    }))
}

/// Cuts a page of what orders hold.
pub(super) fn cut<Entry: Message>(
    scope: &Scope,
    page: &Page,
    page_size: u16,
    render: impl Fn(&Order, u32) -> Option<Entry>,
) -> (Vec<Entry>, String) {
    let kept = |place: &Place| -> KeptPlace {
        (
            place.create_time.as_microsecond(),
            place.order_key.0,
            place.number,
        )
    };
    let render = |place: &Place| {
        page.orders
            .get(&place.order_key)
            .and_then(|order| render(order, place.number))
    };
    cut_by_key(scope, &page.places, page_size, render, kept)
}

/// Renders a page that was read with one record more than asked, without what `render` leaves out,
/// and makes the token for what follows. A page ends early where its messages grow larger than
/// callers take. `key` is what the list is sorted by and begins again after.
pub(super) fn cut_by_key<Record, Key: Serialize, Entry: Message>(
    scope: &Scope,
    records: &[Record],
    page_size: u16,
    render: impl Fn(&Record) -> Option<Entry>,
    key: impl Fn(&Record) -> Key,
) -> (Vec<Entry>, String) {
    let (mut entries, mut bytes, mut taken) = (Vec::new(), 0, 0);
    for record in records.iter().take(page_size.into()) {
        if let Some(entry) = render(record) {
            bytes += entry.encoded_len();
            if bytes > PAGE_BYTES_MAX && !entries.is_empty() {
                break;
            }
            entries.push(entry);
        }
        taken += 1;
    }
    let is_over = taken == records.len();
    let last = records[..taken].last().filter(|_| !is_over);
    let next_page_token = last.map(|last| scope.seal(&key(last))).unwrap_or_default();
    (entries, next_page_token)
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if text.len() > TOKEN_CHARS_MAX
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

    fn scope(list: &str, seller_id: &str) -> Scope {
        let request = pb::ListOrdersRequest {
            seller_id: seller_id.to_owned(),
            ..pb::ListOrdersRequest::default()
        };
        Scope::with_key(&[1; 32], list, &request)
    }

    #[test]
    fn a_token_opens_for_its_own_list_and_filters_only() {
        let ours = scope("ListOrders", "s1");
        let token = ours.seal(&(12_i64, "A-1"));
        assert_eq!(
            ours.open::<(i64, String)>(&token).unwrap(),
            Some((12, "A-1".to_owned()))
        );
        assert_eq!(ours.open::<(i64, String)>("").unwrap(), None);
        for other in [
            scope("ListOrders", "s2"),
            scope("ListRefunds", "s1"),
            scope("ListOrders", ""),
        ] {
            assert!(matches!(
                other.open::<(i64, String)>(&token),
                Err(Failure::PageTokenInvalid)
            ));
        }
        let other_key = Scope::with_key(
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
    fn garbage_is_refused() {
        let ours = scope("ListOrders", "s1");
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
                    Err(Failure::PageTokenInvalid)
                ),
                "{odd:?}"
            );
        }
    }
}
