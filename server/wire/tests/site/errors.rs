//! The catalogue of errors: each reason with its code, what to do about it and which calls give it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use belay_domain::error_reason::ErrorReason;
use belay_domain::order::OrderState;
use belay_domain::shipment::Stage;
use belay_wire::status::code_of;
use prost_types::FileDescriptorProto;
use tonic::Code;

use crate::protos::{ENUMS, Rpc, VALUES, blocks, comment, files, markdown, rpcs, services};
use crate::{MADE, Pages, escaped};

/// The reasons whose names stand in a text.
fn reasons_in(text: &str) -> BTreeSet<ErrorReason> {
    let words = text.split(|c: char| !c.is_ascii_uppercase() && c != '_');
    words.filter_map(ErrorReason::parse).collect()
}

/// The file of `ErrorReason`, and where in it.
fn found() -> (&'static FileDescriptorProto, i32) {
    let found = files().iter().find_map(|file| {
        let mut enums = file.enum_type.iter().zip(0..);
        let (_, at) = enums.find(|(found, _)| found.name() == "ErrorReason")?;
        Some((file, at))
    });
    found.expect("there is an ErrorReason")
}

/// The comment of a reason without the code that it begins with.
fn comment_of(reason: ErrorReason) -> String {
    let (file, at) = found();
    let at_usize = usize::try_from(at).expect("an index");
    let name = format!("ERROR_REASON_{}", reason.name());
    let mut values = file.enum_type[at_usize].value.iter().zip(0..);
    let (_, value) = values
        .find(|(value, _)| value.name() == name)
        .unwrap_or_else(|| panic!("no {name}"));
    comment(file, &[ENUMS, at, VALUES, value])
}

/// The first sentence has the code; what comes behind it says the rest.
fn without_code(comment: &str) -> String {
    let rest = comment
        .split_once(['.', ':'])
        .map_or("", |(_, rest)| rest.trim());
    let mut letters = rest.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

/// What the comment says of metadata: the keys, up to the end of the sentence.
fn metadata(comment: &str) -> String {
    let text = blocks(comment).join(" ");
    let Some((_, after)) = text.split_once("Metadata: ") else {
        return "none".to_owned();
    };
    let sentence = after.split(". ").next().unwrap_or_default();
    sentence.trim_end_matches('.').to_owned()
}

/// Whether the call may be sent again.
fn again(code: Code, comment: &str) -> &'static str {
    let waits = comment
        .split('.')
        .next()
        .is_some_and(|first| first.contains("with RetryInfo"));
    match code {
        Code::Unavailable => "yes, with the same `request_id`, after the delay of RetryInfo",
        Code::ResourceExhausted if waits => "yes, after the delay of RetryInfo: nothing was done",
        Code::ResourceExhausted => "no: send less",
        Code::DeadlineExceeded => "yes, with the same `request_id`",
        Code::Aborted => "not as it is: read again, then decide again",
        Code::Unauthenticated => "with a token that holds",
        Code::Internal => "it does no harm; report the trace id",
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::FailedPrecondition
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::DataLoss => "no, until it or what it is about has changed",
    }
}

/// What a comment names as reasons. Where an order or a parcel stands may have the name of a
/// reason: that is one where it says what the call fails with.
fn named_in(text: &str) -> BTreeSet<ErrorReason> {
    let (before, fails) = text.split_at(text.find("Fails").unwrap_or(text.len()));
    let is_state = |reason: &ErrorReason| {
        Stage::parse(reason.name()).is_some() || OrderState::parse(reason.name()).is_some()
    };
    let mut reasons = reasons_in(before);
    reasons.retain(|reason| !is_state(reason));
    reasons.extend(reasons_in(fails));
    reasons
}

/// What an RPC says that it fails with, and the RPC that it fails as.
fn said(rpc: &Rpc, all: &[Rpc]) -> BTreeSet<ErrorReason> {
    let text = blocks(&rpc.comment).join(" ");
    let mut reasons = named_in(&text);
    let like = text.split("Fails as ").nth(1);
    let like = like.and_then(|rest| rest.split([' ', '.', ',']).next());
    if let Some(other) = all
        .iter()
        .find(|other| other.service == rpc.service && Some(other.name) == like)
    {
        reasons.extend(named_in(&blocks(&other.comment).join(" ")));
    }
    reasons
}

/// The calls that may fail with a reason, in words.
fn given_by(reason: ErrorReason, any: &BTreeSet<ErrorReason>, all: &[Rpc]) -> String {
    if any.contains(&reason) {
        let is_of_writes = reason == ErrorReason::OutcomeUnknown;
        return if is_of_writes {
            "every write"
        } else {
            "every call"
        }
        .to_owned();
    }
    let shared = services();
    let of_services: Vec<&str> = shared
        .iter()
        .filter(|(_, comment)| reasons_in(comment).contains(&reason))
        .map(|(name, _)| *name)
        .collect();
    if of_services.len() == shared.len() {
        return "every call".to_owned();
    }
    let mut parts: Vec<String> = of_services
        .iter()
        .map(|service| format!("every call of {service}"))
        .collect();
    let single = all
        .iter()
        .filter(|rpc| !of_services.contains(&rpc.service) && said(rpc, all).contains(&reason));
    parts.extend(single.map(|rpc| format!("`{}`", rpc.path())));
    if parts.is_empty() {
        parts.push(if comment_of(reason).contains("nds a part") {
            "no call: it ends a part, or explains one".to_owned()
        } else {
            "what its comment says".to_owned()
        });
    }
    parts.join(", ")
}

/// The delay of a reason. How long who is shed waits follows from the load, and this is where it
/// begins.
fn delay(reason: ErrorReason, delay: Option<Duration>) -> String {
    let at_first = if reason == ErrorReason::Overloaded {
        " at first"
    } else {
        ""
    };
    delay.map_or_else(String::new, |delay| {
        format!(" ({} ms{at_first})", delay.as_millis())
    })
}

pub(crate) fn write(pages: &mut Pages) {
    let (file, at) = found();
    let general = comment(file, &[ENUMS, at]);
    let any = blocks(&general)
        .into_iter()
        .find(|block| block.starts_with("Beyond what its comment names"))
        .map(|block| reasons_in(&block))
        .expect("it says what any call may fail with");
    let rpcs = rpcs();
    assert!(rpcs.iter().any(Rpc::is_write), "there are writes");
    let mut out = format!(
        "# Errors\n\n{MADE}\n{}\n\n## All of them\n\n",
        markdown(&general)
    );
    out.push_str("In order of precedence: where several apply, a call fails with the first.\n\n");
    out.push_str("| Reason | Code | Send it again |\n|---|---|---|\n");
    for reason in ErrorReason::ALL {
        let (name, (code, _)) = (reason.name(), code_of(*reason));
        let again = again(code, &comment_of(*reason));
        let anchor = name.to_lowercase();
        let _ = writeln!(
            out,
            "| [{name}](#{anchor}) | {} | {again} |",
            code_name(code)
        );
    }
    for reason in ErrorReason::ALL {
        let (code, retry) = code_of(*reason);
        let comment = comment_of(*reason);
        let _ = write!(
            out,
            "\n## {}\n\n{}\n\n| | |\n|---|---|\n| Code | {} |\n| Send it again | {}{} |\n| Metadata | {} |\n| Given by | {} |\n",
            reason.name(),
            escaped(&blocks(&without_code(&comment)).join("\n\n")),
            code_name(code),
            again(code, &comment),
            delay(*reason, retry),
            metadata(&comment).replace('|', "\\|"),
            given_by(*reason, &any, &rpcs),
        );
    }
    pages.insert("reference/errors.md".to_owned(), out);
}

/// The code as the protos and all of gRPC write it.
fn code_name(code: Code) -> String {
    let mut name = String::new();
    for letter in format!("{code:?}").chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}
