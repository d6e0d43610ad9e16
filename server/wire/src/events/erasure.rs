//! Stored events without whom they were about: a buyer appears in them as the actor, or as whom
//! somebody acted for.

use belay_domain::erasure::ERASED;
use belay_proto::v1 as pb;
use prost::Message;

use super::EventError;

/// The payload of a row without ids of buyers; none where it has none, or none any more.
///
/// # Errors
/// Where it cannot be read.
pub fn without_buyer(mut payload: &[u8]) -> Result<Option<Vec<u8>>, EventError> {
    let mut erased = Vec::with_capacity(payload.len());
    let mut has_changed = false;
    while !payload.is_empty() {
        let mut event = pb::Event::decode_length_delimited(&mut payload)?;
        has_changed |= erase(&mut event);
        erased.extend(event.encode_length_delimited_to_vec());
    }
    Ok(has_changed.then_some(erased))
}

/// The same of one event by itself, as deliverers hold it.
///
/// # Errors
/// Where it cannot be read.
pub fn event_without_buyer(payload: &[u8]) -> Result<Option<Vec<u8>>, EventError> {
    let mut event = pb::Event::decode(payload)?;
    Ok(erase(&mut event).then(|| event.encode_to_vec()))
}

fn erase(event: &mut pb::Event) -> bool {
    let mut has_changed = false;
    for actor in [&mut event.actor, &mut event.on_behalf_of]
        .into_iter()
        .flatten()
    {
        if actor.role() == pb::Role::Buyer && actor.id != ERASED {
            ERASED.clone_into(&mut actor.id);
            has_changed = true;
        }
    }
    has_changed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn actor(role: pb::Role, id: &str) -> Option<pb::Actor> {
        Some(pb::Actor {
            role: role.into(),
            id: id.to_owned(),
        })
    }

    #[test]
    fn buyers_are_erased_once_and_nobody_else() {
        let by_shop = pb::Event {
            order_id: "A-1".to_owned(),
            actor: actor(pb::Role::Storefront, "web"),
            on_behalf_of: actor(pb::Role::Buyer, "ann"),
            ..Default::default()
        };
        let by_seller = pb::Event {
            actor: actor(pb::Role::Seller, "ann"),
            ..Default::default()
        };
        let payload: Vec<u8> = [&by_shop, &by_seller]
            .into_iter()
            .flat_map(Message::encode_length_delimited_to_vec)
            .collect();
        let erased = without_buyer(&payload).unwrap().unwrap();
        let mut rest = erased.as_slice();
        let first = pb::Event::decode_length_delimited(&mut rest).unwrap();
        assert_eq!(first.on_behalf_of.unwrap().id, ERASED);
        assert_eq!(first.actor, by_shop.actor);
        let second = pb::Event::decode_length_delimited(&mut rest).unwrap();
        assert_eq!(second, by_seller);
        assert_eq!(without_buyer(&erased).unwrap(), None);
        assert!(
            event_without_buyer(&by_shop.encode_to_vec())
                .unwrap()
                .is_some()
        );
        assert_eq!(
            event_without_buyer(&by_seller.encode_to_vec()).unwrap(),
            None
        );
        assert!(without_buyer(&payload[1..]).is_err());
    }
}
