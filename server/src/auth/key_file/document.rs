//! Reads a key file and says everything that is wrong with it. Nothing is guessed: an unknown key,
//! an empty list or a key without a value is an error, because a limit that quietly falls away lets
//! its caller see more than was meant.

use std::collections::{BTreeMap, BTreeSet};

use belay_domain::document::{self, DocumentError, Errors, Node};
use jiff::Timestamp;
use serde_json::Value;

use super::known::{Entry, Secret};
use super::{CALLERS_MAX, CERTIFICATES_MAX, HASH_PREFIX, SECRETS_MAX};
use crate::auth::described;
use crate::auth::peer::PeerName;

/// A file needs five levels; what is nested deeper is no key file.
const DEPTH_MAX: usize = 8;

const KEYS: [&str; 9] = [
    described::KEYS[0],
    described::KEYS[1],
    described::KEYS[2],
    described::KEYS[3],
    described::KEYS[4],
    described::KEYS[5],
    "secrets",
    "certificates",
    "require_both",
];

/// Every error is listed; a text that is no YAML at all has one.
pub(super) fn parse(text: &[u8]) -> Result<Vec<Entry>, Vec<DocumentError>> {
    let mut reader = Reader::default();
    let callers = match yaml(text) {
        Ok(value) => reader.callers(&Node::root(&value)),
        Err(description) => {
            reader.errors.add("", description);
            None
        }
    };
    match callers {
        Some(callers) if reader.errors.count() == 0 => Ok(callers),
        Some(_) | None => Err(reader.errors.into_list()),
    }
}

fn yaml(text: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(text).map_err(|_| "is no UTF-8".to_owned())?;
    document::read(text, DEPTH_MAX).map_err(|description| format!("is no YAML: {description}"))
}

/// A reader that goes on after an error, so that all are found.
#[derive(Default)]
struct Reader {
    errors: Errors,
    /// Where each secret, each certificate and each caller was met first.
    secrets: BTreeMap<String, String>,
    certificates: BTreeMap<PeerName, String>,
    names: BTreeMap<String, String>,
}

impl Reader {
    fn callers(&mut self, root: &Node<'_>) -> Option<Vec<Entry>> {
        let document = root.object(&["callers"], &mut self.errors)?;
        let list = document.require("callers", &mut self.errors)?;
        let entries = list.filled_list(CALLERS_MAX, &mut self.errors);
        Some(
            entries
                .iter()
                .filter_map(|entry| self.caller(entry))
                .collect(),
        )
    }

    fn caller(&mut self, node: &Node<'_>) -> Option<Entry> {
        let entry = node.object(&KEYS, &mut self.errors)?;
        let caller = described::caller(&entry, &mut self.errors);
        let secrets = entry.get("secrets").map(|list| self.secrets(&list));
        let certificates = entry
            .get("certificates")
            .map(|list| self.certificates(&list));
        if secrets.is_none() && certificates.is_none() {
            let description = "must have secrets, or certificates: nothing else tells who it is";
            node.error(description, &mut self.errors);
        }
        let both = entry.get("require_both");
        // One that cannot be read is an error, and so is what follows from it.
        let requires_both = both
            .as_ref()
            .is_some_and(|node| node.boolean(&mut self.errors) == Some(true));
        if requires_both
            && let Some(node) = &both
            && (secrets.is_none() || certificates.is_none())
        {
            node.error("needs secrets and certificates", &mut self.errors);
        }
        let caller = caller?;
        let name = format!("{}/{}", caller.actor.role, caller.actor.id);
        let first = self.names.entry(name).or_insert_with(|| node.path.clone());
        if *first != node.path {
            node.error(
                format!("is the same role and id as {first}; one caller may have several secrets"),
                &mut self.errors,
            );
        }
        Some(Entry {
            caller,
            secrets: secrets.unwrap_or_default(),
            certificates: certificates.unwrap_or_default(),
            requires_both,
        })
    }

    fn secrets(&mut self, list: &Node<'_>) -> Vec<Secret> {
        let entries = list.filled_list(SECRETS_MAX, &mut self.errors);
        let secrets = entries.iter().filter_map(|node| self.secret(node));
        secrets.collect()
    }

    /// A line of `belay hash-secret`, alone or beside the end of its time.
    fn secret(&mut self, node: &Node<'_>) -> Option<Secret> {
        if let Some(text) = node.as_text() {
            let hash = self.hash(node, text)?;
            let expires = None;
            return Some(Secret { hash, expires });
        }
        let entry = node.object(&["hash", "expires"], &mut self.errors)?;
        let hash = entry.require("hash", &mut self.errors).and_then(|node| {
            let text = node.raw_text("a text", &mut self.errors)?;
            self.hash(&node, text)
        });
        let expires = entry.require("expires", &mut self.errors).and_then(|node| {
            let text = node.raw_text("an instant", &mut self.errors)?;
            let instant = text.parse::<Timestamp>();
            let wanted = "must be an instant such as 2027-01-31T00:00:00Z";
            instant
                .map_err(|_| node.error(wanted, &mut self.errors))
                .ok()
        });
        Some(Secret {
            hash: hash?,
            expires: Some(expires?),
        })
    }

    fn hash(&mut self, node: &Node<'_>, text: &str) -> Option<blake3::Hash> {
        let hex = text
            .strip_prefix(HASH_PREFIX)
            .filter(|hex| !hex.bytes().any(|byte| byte.is_ascii_uppercase()));
        let Some(hash) = hex.and_then(|hex| blake3::Hash::from_hex(hex).ok()) else {
            // What stands there instead may be the secret itself.
            let description = "must be a line that `belay hash-secret` prints";
            node.error(description, &mut self.errors);
            return None;
        };
        let first = self
            .secrets
            .entry(text.to_owned())
            .or_insert_with(|| node.path.clone());
        if *first != node.path {
            node.error(format!("is the same secret as {first}"), &mut self.errors);
        }
        Some(hash)
    }

    fn certificates(&mut self, list: &Node<'_>) -> BTreeSet<PeerName> {
        let mut names = BTreeSet::new();
        for node in list.filled_list(CERTIFICATES_MAX, &mut self.errors) {
            let Some(text) = node.raw_text("a text", &mut self.errors) else {
                continue;
            };
            let name = match PeerName::parse(text) {
                Ok(name) => name,
                Err(description) => {
                    node.error(description, &mut self.errors);
                    continue;
                }
            };
            let first = self
                .certificates
                .entry(name.clone())
                .or_insert_with(|| node.path.clone());
            if *first != node.path {
                node.error(format!("is the same name as {first}"), &mut self.errors);
            }
            names.insert(name);
        }
        names
    }
}
