//! The policies that ship, side by side and each on a page of its own: what each marketplace says,
//! rule by rule, and what its document answers.

use std::fmt::Write as _;

use belay_domain::actor::Role;
use belay_domain::period::Period;
use belay_domain::policy::{
    self, CarrierCapabilities, Policy, Question, RefundDue, Verdict, sources,
};
use belay_domain::presets;
use belay_domain::shipment::Stage;
use belay_domain::terms::{GateKind, GateSpec, Path, RefundPlan};
use jiff::SignedDuration;

use crate::{MADE, Pages, cell};

/// A preset with what its document comes to.
struct Preset {
    name: &'static str,
    document: &'static str,
    policy: Policy,
}

fn presets() -> Vec<Preset> {
    let read = |(name, document): &(&'static str, &'static str)| Preset {
        name,
        document,
        policy: policy::parse(document).unwrap_or_else(|errors| panic!("{name}: {errors:?}")),
    };
    presets::ALL.iter().map(read).collect()
}

/// The case of a question: who asks for what, while the parcel is where.
struct Asked {
    who: &'static str,
    role: Role,
    path: Path,
    stage: Stage,
    is_paid: bool,
    says: &'static str,
}

const fn asked(
    (who, role): (&'static str, Role),
    path: Path,
    stage: Stage,
    says: &'static str,
) -> Asked {
    Asked {
        who,
        role,
        path,
        stage,
        is_paid: true,
        says,
    }
}

const BUYER: (&str, Role) = ("buyer", Role::Buyer);
const SELLER: (&str, Role) = ("seller", Role::Seller);
const SUPPORT: (&str, Role) = ("support", Role::Support);
const CARRIER: (&str, Role) = ("carrier", Role::Carrier);

/// What is compared, in the order of a parcel's way.
const ASKED: &[Asked] = &[
    Asked {
        is_paid: false,
        ..asked(BUYER, Path::Cancel, Stage::Unreleased, "not paid yet")
    },
    asked(BUYER, Path::Cancel, Stage::Planned, "paid, to be packed"),
    asked(BUYER, Path::Cancel, Stage::Preparing, "being packed"),
    asked(BUYER, Path::Cancel, Stage::Ready, "packed"),
    asked(BUYER, Path::Cancel, Stage::InTransit, "on its way"),
    asked(
        BUYER,
        Path::Intercept,
        Stage::InTransit,
        "on its way: to be brought back",
    ),
    asked(
        BUYER,
        Path::RefuseDelivery,
        Stage::InTransit,
        "on its way: to be refused at the door",
    ),
    asked(BUYER, Path::Cancel, Stage::Delivered, "delivered"),
    asked(
        BUYER,
        Path::ReturnUnopened,
        Stage::Delivered,
        "delivered: to be sent back unopened",
    ),
    asked(
        BUYER,
        Path::ReturnOpened,
        Stage::Delivered,
        "delivered: to be sent back opened",
    ),
    asked(SELLER, Path::Cancel, Stage::Planned, "paid, to be packed"),
    asked(SELLER, Path::Cancel, Stage::Ready, "packed"),
    asked(SELLER, Path::Cancel, Stage::InTransit, "on its way"),
    asked(SELLER, Path::Cancel, Stage::Lost, "lost"),
    asked(SUPPORT, Path::Cancel, Stage::Planned, "paid, to be packed"),
    asked(SUPPORT, Path::Cancel, Stage::Ready, "packed"),
    asked(SUPPORT, Path::Cancel, Stage::Lost, "lost"),
    asked(
        CARRIER,
        Path::RefuseDelivery,
        Stage::Returned,
        "comes home by itself",
    ),
];

/// The question as it is mostly put: paid an hour ago, delivered an hour ago, with a carrier that
/// can do all that carriers can.
fn question(asked: &Asked, reason: Option<&str>) -> Question {
    let hour = SignedDuration::from_hours(1);
    Question {
        actor: asked.role,
        stage: asked.stage,
        path: asked.path,
        reason: reason.map(str::to_owned),
        paid: asked.is_paid,
        payment_methods: Vec::new(),
        since_placed: hour,
        since_paid: asked.is_paid.then_some(hour),
        since_delivered: (asked.stage == Stage::Delivered).then_some(hour),
        value: 10_000,
        currency: "EUR".to_owned(),
        destination_country: "DE".to_owned(),
        carrier: CarrierCapabilities {
            in_transit_cancel: true,
            partner_delivery: true,
            return_label: true,
        },
        verified_in: None,
        customs_flagged: false,
    }
}

/// The answers by the reasons that the requester may give: those that are the same together.
fn answers(preset: &Preset, asked: &Asked) -> String {
    let policy = &preset.policy;
    let given = policy
        .reasons
        .iter()
        .filter(|reason| reason.actors.contains(&asked.role));
    let mut reasons: Vec<Option<&str>> = given.map(|reason| Some(&*reason.code)).collect();
    if reasons.is_empty() || !policy.reason_required.contains(&asked.role) {
        reasons.push(None);
    }
    let mut found: Vec<(String, Vec<Option<&str>>)> = Vec::new();
    for reason in reasons {
        let text = answer(preset, &question(asked, reason));
        match found.iter_mut().find(|(known, _)| *known == text) {
            Some((_, reasons)) => reasons.push(reason),
            None => found.push((text, vec![reason])),
        }
    }
    if let [(text, _)] = &found[..] {
        return text.clone();
    }
    let told = found.iter().map(|(text, reasons)| {
        let names = reasons.iter().map(|reason| reason.unwrap_or("no reason"));
        format!("{}: {text}", names.collect::<Vec<_>>().join(", "))
    });
    told.collect::<Vec<_>>().join("<br>")
}

fn answer(preset: &Preset, question: &Question) -> String {
    let answer = preset.policy.answer(question);
    let rule = match &answer.rule {
        Some(rule) => format!(" ([{rule}]({}.md#{rule}))", preset.name),
        None => String::new(),
    };
    match answer.verdict {
        Verdict::Allow { gates, refund } => {
            let gates: Vec<String> = gates.iter().map(gate).collect();
            let waits = if gates.is_empty() {
                String::new()
            } else {
                format!(", after {}", gates.join(", then "))
            };
            format!("**yes**{waits}{}{rule}", share(&refund))
        }
        Verdict::Deny {
            code, next_actions, ..
        } => {
            let instead: Vec<&str> = next_actions.iter().map(|action| action.name()).collect();
            let instead = if instead.is_empty() {
                String::new()
            } else {
                format!(", instead {}", instead.join(", "))
            };
            format!("no: {}{instead}{rule}", code.name())
        }
    }
}

fn share(plan: &RefundPlan) -> String {
    if *plan == RefundPlan::FULL {
        return String::new();
    }
    format!(
        "; refund {}, the way out is the {}'s, the way back the {}'s",
        plan.share,
        plan.outbound_shipping.name().to_lowercase(),
        plan.return_shipping.name().to_lowercase()
    )
}

fn period(period: Period) -> String {
    match period {
        Period::Time(time) => duration(time),
        Period::CalendarDays(days) => format!("{days} calendar {}", in_days(days)),
        Period::WorkingDays(days) => format!("{days} working {}", in_days(days)),
    }
}

fn in_days(days: u32) -> &'static str {
    if days == 1 { "day" } else { "days" }
}

/// In the words of documents: whole days, else hours.
fn duration(time: SignedDuration) -> String {
    let (hours, minutes) = (time.as_hours(), time.as_mins());
    match (hours, minutes) {
        (hours, _) if hours > 48 && hours % 24 == 0 => format!("{} d", hours / 24),
        (hours, minutes) if minutes == hours * 60 => format!("{hours} h"),
        (_, minutes) => format!("{minutes} min"),
    }
}

/// A gate with its time and what silence means.
fn gate(gate: &GateSpec) -> String {
    let within = gate
        .respond_within
        .map_or_else(String::new, |time| format!(" within {}", period(time)));
    format!("{}{within}, else {}", gate.kind, gate.on_timeout)
}

fn side_by_side(out: &mut String, presets: &[Preset]) {
    let names = presets
        .iter()
        .map(|preset| format!("[{0}]({0}.md)", preset.name));
    let names = names.collect::<Vec<_>>().join(" | ");
    let _ = writeln!(out, "| Who | The parcel | Path | {names} |");
    let _ = writeln!(out, "|---|---|---|{}", "---|".repeat(presets.len()));
    for asked in ASKED {
        let cells = presets.iter().map(|preset| answers(preset, asked));
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} |",
            asked.who,
            asked.says,
            asked.path,
            cells.collect::<Vec<_>>().join(" | ")
        );
    }
}

type Row = (&'static str, fn(&Policy) -> String);

/// What else is the same question to all of them.
const AROUND: &[Row] = &[
    ("an unpaid order closes after", |policy| {
        duration(policy.unpaid.expire_after)
    }),
    ("payments that are verified first", |policy| {
        policy
            .verification
            .as_ref()
            .map_or("none".to_owned(), |it| {
                format!("{} for {}", it.methods.join(", "), duration(it.wait))
            })
    }),
    ("preparation begins within", |policy| {
        policy
            .preparation_within
            .map_or("any time".to_owned(), duration)
    }),
    ("who must give a reason", |policy| {
        let roles = policy.reason_required.iter().map(|role| role.name());
        none_or(roles.collect())
    }),
    ("reasons that ask for evidence", |policy| {
        let asking = policy.reasons.iter().filter(|it| it.evidence_required);
        none_or(asking.map(|reason| &*reason.code).collect())
    }),
    ("a refund is due", |policy| match policy.refunds.due {
        RefundDue::Immediate => "at once".to_owned(),
        RefundDue::WorkingDays(days) => format!("by the end of working day {days}"),
    }),
    ("the shipping charge comes back", |policy| {
        policy.refunds.shipping.to_string()
    }),
    ("customs flag a shipment above", |policy| {
        policy.customs.as_ref().map_or("never".to_owned(), |it| {
            format!("{} identical units", it.identical_units_max)
        })
    }),
    ("the quality of a seller", |policy| {
        policy
            .quality
            .as_ref()
            .map_or("not counted".to_owned(), |it| {
                let thresholds = it.thresholds.iter();
                let thresholds = thresholds.map(|at| format!("{} at {} %", at.name, at.percent));
                format!(
                    "{} ÷ {} in {} days: {}",
                    it.numerator,
                    it.denominator,
                    it.window_days,
                    thresholds.collect::<Vec<_>>().join(", ")
                )
            })
    }),
];

fn none_or(words: Vec<&str>) -> String {
    if words.is_empty() {
        "none".to_owned()
    } else {
        words.join(", ")
    }
}

fn around(out: &mut String, presets: &[Preset]) {
    let names: Vec<&str> = presets.iter().map(|preset| preset.name).collect();
    let _ = writeln!(out, "| | {} |", names.join(" | "));
    let _ = writeln!(out, "|---|{}", "---|".repeat(presets.len()));
    for (says, tell) in AROUND {
        let cells = presets.iter().map(|preset| tell(&preset.policy));
        let _ = writeln!(
            out,
            "| {says} | {} |",
            cells.collect::<Vec<_>>().join(" | ")
        );
    }
}

fn index(presets: &[Preset]) -> String {
    let mut out = format!(
        "# Five policies side by side\n\n{MADE}\n\
         What each marketplace says about a cancellation, as its document answers. Each question is put as it mostly comes: the order was\n\
         placed, paid or delivered an hour ago, and the carrier can do all that a carrier can: bring parcels back, deliver as the\n\
         marketplace's partner, and give out return labels. Where the answer depends on the reason, each reason stands before its answer.\n\
         A gate says whom the cancellation waits for, how long, and what silence comes to; the rule behind an answer leads to the sentence\n\
         that it is taken from.\n\n\
         | Policy | Taken from |\n|---|---|\n"
    );
    for preset in presets {
        let _ = writeln!(
            out,
            "| [{0}]({0}.md) | {1} |",
            preset.name,
            cell(&preset.policy.source)
        );
    }
    out.push_str("\n## May it be cancelled\n\n");
    side_by_side(&mut out, presets);
    out.push_str("\n## Around the rules\n\n");
    around(&mut out, presets);
    let _ = write!(
        out,
        "\n## Gates\n\n| Gate | Waits for | Is a |\n|---|---|---|\n"
    );
    for kind in GateKind::ALL {
        let is = if kind.is_consent() { "consent" } else { "fact" };
        let _ = writeln!(out, "| {kind} | {} | {is} |", kind.party());
    }
    out
}

/// The lines of a rule in its document, from its id to what comes after it.
fn lines_of<'a>(document: &'a str, id: &str) -> Vec<&'a str> {
    let first = format!("  - id: {id}");
    let mut lines = document.lines().skip_while(|line| *line != first);
    let mut rule: Vec<&str> = lines.next().into_iter().collect();
    assert!(!rule.is_empty(), "no rule {id} in the document");
    rule.extend(lines.take_while(|line| line.starts_with("    ")));
    rule
}

fn page(preset: &Preset) -> String {
    let (policy, sources) = (&preset.policy, sources(preset.document));
    let mut out = format!(
        "# {}\n\n{MADE}\n{}\n\n\
         What stands behind [implied] is not in the source and is what its readers would expect. The first rule that matches answers.\n\n\
         ## Reasons\n\n| Reason | Who may give it | Whose fault | Asks for | Counts against the seller |\n|---|---|---|---|---|\n",
        preset.name,
        cell(&policy.source)
    );
    for reason in &policy.reasons {
        let asks = [
            (reason.note_required, "a note"),
            (reason.evidence_required, "evidence"),
        ];
        let asks: Vec<&str> = asks
            .into_iter()
            .filter(|(is, _)| *is)
            .map(|(_, it)| it)
            .collect();
        let actors: Vec<&str> = reason.actors.iter().map(|role| role.name()).collect();
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} |",
            reason.code,
            actors.join(", "),
            reason.fault,
            asks.join(", "),
            if reason.counted { "yes" } else { "" }
        );
    }
    for rule in &policy.rules {
        let _ = write!(out, "\n## {}\n\n", rule.id);
        if let Some(sentence) = sources.get(&rule.id) {
            let _ = write!(out, "> {}\n\n", crate::escaped(sentence));
        }
        let lines = lines_of(preset.document, &rule.id);
        let _ = write!(out, "```yaml\n{}\n```\n", lines.join("\n"));
    }
    let _ = write!(
        out,
        "\n## The document\n\n```yaml\n{{{{#include ../../../server/presets/{}.yaml}}}}\n```\n",
        preset.name
    );
    out
}

pub(crate) fn write(pages: &mut Pages) {
    let presets = presets();
    pages.insert("policies/index.md".to_owned(), index(&presets));
    for preset in &presets {
        pages.insert(format!("policies/{}.md", preset.name), page(preset));
    }
}
