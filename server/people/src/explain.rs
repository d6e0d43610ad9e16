//! `belay explain`: of every path whether it is open, by which rule, and why not; and the same of
//! what was decided.

use belay_client::calls::OnBehalfOf;
use belay_client::model::{
    CancellationPath, CancellationPreview, EvaluatedPath, GatePreview, PathOption, PolicyDecision,
    RefundAmount,
};
use belay_client::{RequestId, Role, Store, Units};
use clap::Args;
use jiff::Timestamp;
use serde_json::Value;

use crate::connection::{Connection, role};
use crate::failure::{Class, Failure};
use crate::output::{Paint, line, painted, value};
use crate::sources::Sources;
use crate::text;

#[derive(Debug, Args)]
pub struct Explain {
    #[command(flatten)]
    connection: Connection,
    /// The order.
    order: String,
    /// As whom it is asked: buyer, storefront, seller, support and so on. The caller's own role
    /// where it is not given.
    #[arg(long = "as", value_parser = asker, value_name = "ROLE")]
    asker: Option<Role>,
    /// To the buyer whom support knows by the e-mail address or the user name of the order.
    #[arg(long, value_name = "EMAIL_OR_USERNAME", conflicts_with_all = ["asker", "decision", "last"])]
    buyer: Option<String>,
    /// For which reason, as a code of the policy.
    #[arg(long)]
    reason: Option<String>,
    /// When: of an instant to come what would be answered then; of one that has gone by, the
    /// decision that was the last one then.
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// The decision of this request, by the request id that its caller was given.
    #[arg(long, value_parser = request_id, value_name = "REQUEST_ID", conflicts_with_all = ["at", "asker", "reason"])]
    decision: Option<RequestId>,
    /// The last decision on the order, rejected or not.
    #[arg(long, conflicts_with_all = ["at", "asker", "reason", "decision"])]
    last: bool,
}

/// What a buyer asks, the storefront asks for it.
fn asker(name: &str) -> Result<Role, String> {
    if name.eq_ignore_ascii_case("buyer") {
        return Ok(Role::Storefront);
    }
    role(name)
}

fn request_id(text: &str) -> Result<RequestId, String> {
    RequestId::parse(text).map_err(|error| error.to_string())
}

impl Explain {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let store = self.connection.store()?;
        let past = match self.at {
            Some(at) => at < now(),
            None => false,
        };
        if past || self.last || self.decision.is_some() {
            return self.past(&store).await;
        }
        let asking = match self.asker {
            Some(role) => self.connection.store_as(role)?,
            None => store.clone(),
        };
        let mut preview = asking.preview_cancellation(self.order.as_str(), Units::all());
        preview = preview.paths(ALL_PATHS);
        if let Some(reason) = self.reason {
            preview = preview.reason(reason);
        }
        if let Some(at) = self.at {
            preview = preview.at_time(at);
        }
        if let Some(buyer) = self.buyer {
            preview = preview.on_behalf_of(if buyer.contains('@') {
                OnBehalfOf::email(buyer)
            } else {
                OnBehalfOf::username(buyer)
            });
        }
        let preview = preview.await?;
        if !self.connection.output.is_for_people() {
            return self.connection.output.one(&preview);
        }
        line(&format!(
            "order {}, as of {}, policy version {}",
            self.order,
            text::instant(preview.decide_time),
            preview.policy_version
        ))?;
        reasons(&preview)?;
        let sources = sources_of(&store, preview.policy_version).await?;
        options(&preview, &sources)
    }

    async fn past(self, store: &Store) -> Result<(), Failure> {
        let mut list = store.list_decisions().order_id(self.order.as_str());
        if let Some(request_id) = self.decision {
            list = list.request_id(request_id);
        }
        if let Some(at) = self.at {
            list = list.end_time(at);
        }
        let found = list.stream().try_next().await?;
        let Some(decision) = found else {
            let message = "no decision on this order is on record, or the caller does not see it";
            return Err(Failure::new(Class::NotFound, message));
        };
        if !self.connection.output.is_for_people() {
            return self.connection.output.one(&decision);
        }
        self::decision(store, &decision).await
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "whether a person means the past is a matter of their own clock"
)]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

/// In the order in which goods go.
const ALL_PATHS: [CancellationPath; 5] = [
    CancellationPath::Cancel,
    CancellationPath::Intercept,
    CancellationPath::RefuseDelivery,
    CancellationPath::ReturnUnopened,
    CancellationPath::ReturnOpened,
];

/// The sentences of a version's rules; none where the caller may not read policies.
async fn sources_of(store: &Store, version: i32) -> Result<Sources, Failure> {
    match store.get_policy().version(version).await {
        Ok(policy) => Ok(Sources::read(&policy.document)),
        Err(error) => match Failure::from(error) {
            failure if failure.class == Class::NotAllowed => Ok(Sources::default()),
            failure => Err(failure),
        },
    }
}

/// Everything that a request would be rejected for.
pub(crate) fn reasons(preview: &CancellationPreview) -> Result<(), Failure> {
    for rejection in &preview.rejections {
        let reason = painted(Paint::Bad, rejection.reason.as_str());
        line(&format!("rejected: {reason}: {}", rejection.message))?;
    }
    Ok(())
}

/// Every path of every shipment.
pub(crate) fn options(preview: &CancellationPreview, sources: &Sources) -> Result<(), Failure> {
    let mut shipment = None;
    for option in &preview.options {
        if shipment != Some(&option.shipment_id) {
            shipment = Some(&option.shipment_id);
            let contents = text::text(&value(&option.contents)?);
            line(&format!("shipment {} ({contents})", option.shipment_id))?;
        }
        tell(option, sources)?;
    }
    Ok(())
}

fn tell(option: &PathOption, sources: &Sources) -> Result<(), Failure> {
    let verdict = match &option.refused_reason {
        None if option.chosen => painted(Paint::Good, "open, would be taken"),
        None => painted(Paint::Good, "open"),
        Some(reason) => painted(Paint::Bad, &format!("closed: {reason}")),
    };
    line(&format!("  {:<16}{verdict}", option.path.to_string()))?;
    by_rule(option.rule.as_deref(), sources)?;
    for gate in &option.gates {
        line(&format!("      waits for {}", gate_told(gate)?))?;
    }
    if let Some(refund) = &option.expected_refund {
        line(&format!("      refund {}", components(refund)?))?;
    }
    if let Some(due) = &option.refund_due {
        let due = if due.immediate {
            "at once".to_owned()
        } else {
            text::text(text::at(&value(due)?, "due_by"))
        };
        if !due.is_empty() {
            line(&format!("      refund due {due}"))?;
        }
    }
    actions(&value(&option.next_actions)?)?;
    for (word, at) in [
        ("opens", option.available_from),
        ("closes", option.available_until),
    ] {
        if let Some(at) = at {
            line(&format!("      {word} at {}", text::instant(at)))?;
        }
    }
    Ok(())
}

fn by_rule(rule: Option<&str>, sources: &Sources) -> Result<(), Failure> {
    match rule {
        Some(rule) => {
            line(&format!("      by rule {rule}"))?;
            match sources.of(rule) {
                Some(sentence) => line(&format!("      {}", painted(Paint::Dim, sentence))),
                None => Ok(()),
            }
        }
        None => Ok(()),
    }
}

fn actions(actions: &Value) -> Result<(), Failure> {
    let told = text::text(actions);
    if told.is_empty() {
        return Ok(());
    }
    line(&format!("      instead: {told}"))
}

fn gate_told(gate: &GatePreview) -> Result<String, Failure> {
    let told = value(gate)?;
    let by = text::text(text::at(&told, "respond_by"));
    let within = text::text(text::at(&told, "respond_within"));
    let silence = text::text(text::at(&told, "on_timeout"));
    let mut words = format!("{} of {}", gate.kind, gate.party);
    for (word, fact) in [
        (" until ", by),
        (" within ", within),
        ("; silence: ", silence),
    ] {
        if !fact.is_empty() {
            words.push_str(word);
            words.push_str(&fact);
        }
    }
    Ok(words)
}

/// The total, and what of it is what.
fn components(refund: &RefundAmount) -> Result<String, Failure> {
    let parts = [
        ("goods", &refund.goods),
        ("tax", &refund.tax),
        ("shipping", &refund.shipping),
        ("excess", &refund.excess),
    ];
    let parts = parts.iter().filter(|(_, amount)| amount.minor_units != 0);
    let parts: Vec<String> = parts
        .map(|(name, amount)| format!("{name} {amount}"))
        .collect();
    Ok(match parts.len() {
        0 => refund.total.to_string(),
        _ => format!("{} ({})", refund.total, parts.join(", ")),
    })
}

/// A decision, for people.
async fn decision(store: &Store, decision: &PolicyDecision) -> Result<(), Failure> {
    let verdict = match &decision.rejected_reason {
        Some(reason) => painted(Paint::Bad, &format!("rejected: {reason}")),
        None if decision.accepted => painted(Paint::Good, "accepted"),
        None => painted(Paint::Bad, "rejected"),
    };
    let id = decision.caller.id.as_ref();
    let id = id.map(|id| format!(" {id}")).unwrap_or_default();
    line(&format!(
        "order {}, decided at {} for {}{id}, request {}: {verdict}",
        decision.order_id,
        text::instant(decision.decision_time),
        decision.caller.role,
        decision.request_id
    ))?;
    if decision.earlier_format {
        return line("an earlier release recorded it, in a form that is not read any more");
    }
    for evaluation in &decision.evaluations {
        let contents = text::text(&value(&evaluation.contents)?);
        line(&format!(
            "shipment {} ({contents}), {}, policy version {}",
            evaluation.shipment_id, evaluation.occasion, evaluation.policy_version
        ))?;
        let sources = sources_of(store, evaluation.policy_version).await?;
        for path in &evaluation.paths {
            evaluated(path, &sources)?;
        }
        let untried = text::text(&value(&evaluation.untried_paths)?);
        if !untried.is_empty() {
            line(&format!("  not asked about: {untried}"))?;
        }
    }
    Ok(())
}

fn evaluated(path: &EvaluatedPath, sources: &Sources) -> Result<(), Failure> {
    let answer = &path.answer;
    let verdict = match &answer.denied_reason {
        Some(reason) => painted(Paint::Bad, &format!("closed: {reason}")),
        None => painted(Paint::Good, "open"),
    };
    line(&format!("  {:<16}{verdict}", answer.path.to_string()))?;
    let question = value(&path.question)?;
    let asked = question.as_object().map(text::facts).unwrap_or_default();
    line(&format!("      asked: {asked}"))?;
    for rule in &path.passed_over {
        let unmet = rule.unmet.iter();
        let unmet = unmet.map(|unmet| format!("{} is not {}", unmet.condition, unmet.wanted));
        let unmet: Vec<String> = unmet.collect();
        line(&format!("      not {}: {}", rule.rule, unmet.join("; ")))?;
    }
    if path.passed_over_left_out > 0 {
        line(&format!("      and not {} more", path.passed_over_left_out))?;
    }
    match answer.rule.as_deref() {
        None => line("      no rule matched")?,
        rule => by_rule(rule, sources)?,
    }
    for gate in &answer.gates {
        line(&format!("      waits for {}", gate_told(gate)?))?;
    }
    if answer.allowed {
        line(&format!("      refund {}", answer.refund))?;
    }
    actions(&value(&answer.next_actions)?)?;
    match path.turn_time {
        Some(at) if answer.allowed => line(&format!("      closes at {}", text::instant(at))),
        Some(at) => line(&format!("      opens at {}", text::instant(at))),
        None => Ok(()),
    }
}
