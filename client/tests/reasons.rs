//! The reasons of each call, generated from what the protos say that its RPC fails with.
//! `make proto` runs this with `BELAY_PROTO_WRITE` set, which writes the file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::{env, fs};

use belay_proto::v1 as pb;
use prost::Message as _;
use prost_types::FileDescriptorSet;

const GENERATED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/calls/reasons.rs");

/// `SHIPPED_LATE` as `ShippedLate`.
fn variant(name: &str) -> String {
    let words = name.split('_').map(|word| {
        let (first, rest) = word.split_at(1);
        format!("{first}{}", rest.to_ascii_lowercase())
    });
    words.collect()
}

/// The reasons that a comment names, in their order of precedence.
fn named(comment: &str) -> Vec<String> {
    let words = comment.split(|c: char| !c.is_ascii_uppercase() && c != '_');
    let found: BTreeSet<(i32, &str)> = words
        .filter_map(|word| {
            let reason = pb::ErrorReason::from_str_name(&format!("ERROR_REASON_{word}"))?;
            Some((reason.into(), word))
        })
        .collect();
    found.into_iter().map(|(_, word)| word.to_owned()).collect()
}

/// What each RPC says, by its name; and the names of those that are unary.
fn comments() -> (BTreeMap<String, String>, BTreeSet<String>) {
    const SERVICE: i32 = 6;
    const METHOD: i32 = 2;
    let set = FileDescriptorSet::decode(belay_proto::FILE_DESCRIPTOR_SET).unwrap();
    let (mut comments, mut unary) = (BTreeMap::new(), BTreeSet::new());
    for file in set.file.iter().filter(|file| file.package() == "belay.v1") {
        for location in &file.source_code_info.as_ref().unwrap().location {
            let &[SERVICE, service, METHOD, method] = location.path.as_slice() else {
                continue;
            };
            let service = &file.service[usize::try_from(service).unwrap()];
            let method = &service.method[usize::try_from(method).unwrap()];
            let comment = location.leading_comments().to_owned();
            comments.insert(method.name().to_owned(), comment);
            if !method.server_streaming() {
                unary.insert(method.name().to_owned());
            }
        }
    }
    (comments, unary)
}

/// What an RPC says, with the words of the RPC that it fails like.
fn said(comments: &BTreeMap<String, String>, rpc: &str) -> String {
    let comment = &comments[rpc];
    let like = comment
        .split_once("Fails as ")
        .and_then(|(_, rest)| rest.split_whitespace().next());
    let like = like.map(|like| said(comments, like));
    format!("{comment} {}", like.unwrap_or_default())
}

fn generated() -> String {
    let mut file = String::from(
        "//! The reasons for which each call fails, as the documentation of its RPC names them.\n\
         // Generated from the protos by `make proto`; a test keeps it current.\n\n\
         use super::macros::reasons;\n\n",
    );
    let (comments, unary) = comments();
    for rpc in &unary {
        let said = said(&comments, rpc);
        let variants: Vec<String> = named(&said).iter().map(|name| variant(name)).collect();
        let list = variants.join(", ");
        writeln!(file, "reasons! {{ {rpc}, {rpc}Reason: [{list}] }}").unwrap();
    }
    file
}

#[test]
fn the_reasons_of_each_call_are_those_of_the_protos() {
    let generated = generated();
    if env::var_os("BELAY_PROTO_WRITE").is_some() {
        fs::write(GENERATED, &generated).unwrap();
    }
    let present = fs::read_to_string(GENERATED).unwrap();
    assert!(
        present == generated,
        "calls/reasons.rs is out of date: run `make proto`"
    );
}
