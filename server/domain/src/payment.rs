//! Payments: what the provider reported, and what it adds up to.
//!
//! A payment keeps its facts. Everything else about it is folded from them in the order in which
//! they happened, so that messages which arrive in another order come to the same end.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::ExternalId;
use crate::money::{Currency, Money};
use crate::names::named_enum;
use crate::refund::{Refund, RefundKind};

named_enum! {
    pub enum PaymentState {
        Attempting = "ATTEMPTING",
        Authorized = "AUTHORIZED",
        Captured = "CAPTURED",
        Declined = "DECLINED",
        Voided = "VOIDED",
    }
}

named_enum! {
    /// A fact that a payment provider reports. Facts are recorded, never refused.
    pub enum PaymentFact {
        Attempted = "ATTEMPTED",
        Authorized = "AUTHORIZED",
        Captured = "CAPTURED",
        Declined = "DECLINED",
        /// The authorisation was released or has lapsed.
        Voided = "VOIDED",
        /// Money that went back without Belay.
        RefundedOutside = "REFUNDED_OUTSIDE",
        Chargeback = "CHARGEBACK",
        /// A dispute was won: the money of a chargeback is there again.
        ChargebackReversed = "CHARGEBACK_REVERSED",
    }
}

impl PaymentFact {
    /// Tells of money, and not only of an attempt to pay.
    pub fn is_about_money(self) -> bool {
        match self {
            PaymentFact::Authorized
            | PaymentFact::Captured
            | PaymentFact::Voided
            | PaymentFact::RefundedOutside
            | PaymentFact::Chargeback
            | PaymentFact::ChargebackReversed => true,
            PaymentFact::Attempted | PaymentFact::Declined => false,
        }
    }

    /// May be told in the currency of the buyer's card, where nobody knows it in the order's.
    pub fn may_be_foreign(self) -> bool {
        match self {
            PaymentFact::RefundedOutside
            | PaymentFact::Chargeback
            | PaymentFact::ChargebackReversed => true,
            PaymentFact::Attempted
            | PaymentFact::Authorized
            | PaymentFact::Captured
            | PaymentFact::Declined
            | PaymentFact::Voided => false,
        }
    }
}

/// An amount as a message names it: in minor units of the order's currency, which may be withdrawn
/// later, or of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ReportedAmount {
    Own(i64),
    Foreign(Money),
}

impl ReportedAmount {
    pub fn of(money: Money, order: Currency) -> Self {
        if money.currency == order {
            ReportedAmount::Own(money.minor_units)
        } else {
            ReportedAmount::Foreign(money)
        }
    }

    /// In the order's currency, where it was told so.
    pub fn own(self) -> Option<i64> {
        match self {
            ReportedAmount::Own(amount) => Some(amount),
            ReportedAmount::Foreign(_) => None,
        }
    }
}

/// A message about a payment, as it was recorded. Two messages of one movement count once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedFact {
    /// The provider's id of the message; none for a release that Belay's own refund row brought
    /// about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_event_id: Option<ExternalId>,
    pub fact: PaymentFact,
    /// None for facts that carry no money, and for a release or a reversal of all there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<ReportedAmount>,
    /// The provider's id of the capture, refund or dispute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub movement: Option<ExternalId>,
    /// The refund of Belay's that this is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refund: Option<u32>,
    /// When it happened, by the provider's account, never later than when it was told.
    pub time: Timestamp,
    /// Support has said that this capture is one of its own, although it names no movement.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub confirmed: bool,
}

impl RecordedFact {
    /// Money moved, and nobody has said how much of the order's that was.
    pub(crate) fn is_foreign(&self) -> bool {
        self.amount.is_some_and(|told| told.own().is_none())
    }

    /// A refund row of Belay's has released the authorisation: as long as the row says so, and for
    /// as much.
    pub(crate) fn released(refund: u32, time: Timestamp) -> Self {
        Self {
            provider_event_id: None,
            fact: PaymentFact::Voided,
            amount: None,
            movement: None,
            refund: Some(refund),
            time,
            confirmed: false,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    pub number: u32,
    /// The provider's id of this payment.
    pub provider_payment_id: ExternalId,
    /// An open string such as CREDIT_CARD; policies name methods.
    pub method: String,
    pub create_time: Timestamp,
    pub update_time: Timestamp,
    /// In the order in which they were told.
    pub facts: Vec<RecordedFact>,
    pub balance: Balance,
}

/// The balance of a payment: the sum of its facts, in minor units of the order's currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balance {
    pub state: PaymentState,
    /// All authorisations together.
    pub authorized: i64,
    /// Still authorised: neither captured nor released, lapsed or declined.
    pub held: i64,
    pub captured: i64,
    /// Told as captured above all authorisations, by messages that name no movement: perhaps one
    /// capture told twice. It counts for nothing until support has said that it happened.
    pub unconfirmed: i64,
    /// Refunded without Belay.
    pub returned_outside: i64,
    /// Charged back and not won back.
    pub disputed: i64,
    /// When money was first captured; refunds fill payments in this order.
    pub capture_time: Option<Timestamp>,
}

impl Balance {
    /// Before the first fact.
    pub const NOTHING: Balance = Balance {
        state: PaymentState::Attempting,
        authorized: 0,
        held: 0,
        captured: 0,
        unconfirmed: 0,
        returned_outside: 0,
        disputed: 0,
        capture_time: None,
    };
}

impl Payment {
    pub fn knows(&self, event: &ExternalId) -> bool {
        self.facts
            .iter()
            .any(|fact| fact.provider_event_id.as_ref() == Some(event))
    }

    /// The amount that this payment brings towards what is due.
    pub fn secured(&self) -> i64 {
        self.balance.captured + self.balance.held
    }

    /// Captured, less what went back without a refund of Belay's.
    pub fn captured_net(&self) -> i64 {
        self.balance.captured - self.balance.returned_outside - self.balance.disputed
    }

    /// The facts without those that tell of a movement once more. What names the amount in the
    /// order's currency says more than what does not, and of two amounts the larger one.
    pub(crate) fn counted(&self) -> Vec<&RecordedFact> {
        let mut counted: Vec<&RecordedFact> = Vec::new();
        for fact in &self.facts {
            let is_same = |known: &&mut &RecordedFact| {
                fact.movement.is_some()
                    && known.movement == fact.movement
                    && known.fact == fact.fact
            };
            let own = |fact: &RecordedFact| fact.amount.and_then(ReportedAmount::own);
            match counted.iter_mut().find(is_same) {
                Some(known) if own(fact) > own(known) => *known = fact,
                Some(_) => {}
                None => counted.push(fact),
            }
        }
        counted
    }

    /// Folds the facts anew. `refunds` are the order's: they tell which messages are about Belay's
    /// own.
    pub fn recompute_balance(&mut self, refunds: &[Refund]) {
        self.balance = balance(self, refunds);
    }
}

fn balance(payment: &Payment, refunds: &[Refund]) -> Balance {
    let own: Vec<&Refund> = refunds
        .iter()
        .filter(|refund| refund.payment == payment.number)
        .collect();
    let mut facts: Vec<&RecordedFact> = payment.counted();
    facts.retain(|fact| match fact.fact {
        PaymentFact::Voided => {
            let row = release_row(fact, &own);
            fact.refund.is_none() || row.is_some_and(|row| row.settled_amount.is_some())
        }
        PaymentFact::RefundedOutside => !is_own(payment, fact, &own),
        PaymentFact::Attempted
        | PaymentFact::Authorized
        | PaymentFact::Captured
        | PaymentFact::Declined
        | PaymentFact::Chargeback
        | PaymentFact::ChargebackReversed => true,
    });
    facts.sort_by_key(|fact| fact.time);

    let mut balance = Balance::NOTHING;
    // Captured before its authorisation was told.
    let mut ahead = 0;
    let unconfirmed_amounts = unconfirmed_amounts(&facts);
    for (fact, unconfirmed) in facts.iter().zip(&unconfirmed_amounts) {
        let amount = match release_row(fact, &own) {
            // What the row says was released; all there is, where that is all that was asked.
            Some(row) => row
                .settled_amount
                .filter(|paid| *paid < row.amounts.total()),
            None => fact.amount.and_then(ReportedAmount::own),
        };
        apply(&mut balance, &mut ahead, fact, amount, *unconfirmed);
    }
    balance.unconfirmed = unconfirmed_amounts.iter().sum();
    let settled: i64 = own
        .iter()
        .filter(|refund| refund.kind == RefundKind::Refund)
        .map(|refund| refund.paid())
        .sum();
    let disputes = Disputes::of(&facts);
    balance.disputed = disputes.amount;
    // How much of the order's money moved in another currency, nobody has said. Until somebody
    // does, it is taken for all that the payment still had, so that nothing is promised of it.
    let left = |balance: &Balance| {
        (balance.captured - balance.returned_outside - balance.disputed - settled).max(0)
    };
    let is_foreign = |fact: &&&RecordedFact| fact.is_foreign();
    if facts
        .iter()
        .filter(is_foreign)
        .any(|fact| fact.fact == PaymentFact::RefundedOutside)
    {
        balance.returned_outside += left(&balance);
    }
    if disputes.is_foreign {
        balance.disputed += left(&balance);
    }
    balance
}

/// The disputes of a payment: what the buyer's banks have taken back, less what was won back.
#[derive(Debug, Clone, Copy)]
struct Disputes {
    amount: i64,
    /// One of them is in another currency.
    is_foreign: bool,
}

impl Disputes {
    fn of(facts: &[&RecordedFact]) -> Self {
        let of = |kind: PaymentFact| facts.iter().filter(move |fact| fact.fact == kind);
        let mut open: Vec<OpenDispute<'_>> = of(PaymentFact::Chargeback)
            .map(|fact| OpenDispute {
                fact,
                left: fact.amount.and_then(ReportedAmount::own),
            })
            .collect();
        // What is won by its name is not what another reversal may have won.
        let names_one = |reversal: &&&RecordedFact| {
            let mut disputes = of(PaymentFact::Chargeback);
            reversal.movement.is_some()
                && disputes.any(|dispute| dispute.movement == reversal.movement)
        };
        let (by_name, others): (Vec<_>, Vec<_>) =
            of(PaymentFact::ChargebackReversed).partition(names_one);
        for reversal in by_name.into_iter().chain(others) {
            take_back(&mut open, reversal);
        }
        Self {
            amount: open.iter().filter_map(|dispute| dispute.left).sum(),
            is_foreign: open.iter().any(|dispute| dispute.left.is_none()),
        }
    }
}

/// A chargeback, and how much of it is not won back.
#[derive(Debug)]
struct OpenDispute<'a> {
    fact: &'a RecordedFact,
    /// None in another currency.
    left: Option<i64>,
}

/// A reversal wins the dispute that it names; where it names none, or one that is not known, those
/// without a name; and where it names no amount either, all that was charged back by then.
fn take_back(open: &mut Vec<OpenDispute<'_>>, reversal: &RecordedFact) {
    let won = reversal.amount.and_then(ReportedAmount::own);
    let is_meant = |fact: &RecordedFact| match &reversal.movement {
        Some(_) => fact.movement == reversal.movement,
        None => true,
    };
    let is_known = open.iter().any(|dispute| is_meant(dispute.fact));
    let is_nameless =
        |fact: &RecordedFact| !is_known && reversal.amount.is_some() && fact.movement.is_none();
    let meant = |fact: &RecordedFact| is_meant(fact) || is_nameless(fact);
    let is_exact = |dispute: &OpenDispute<'_>| meant(dispute.fact) && dispute.left.is_some();
    match won.filter(|_| open.iter().any(is_exact)) {
        Some(mut won) => {
            for dispute in open.iter_mut().filter(|dispute| meant(dispute.fact)) {
                let taken = dispute.left.unwrap_or(0).min(won);
                dispute.left = dispute.left.map(|left| left - taken);
                won -= taken;
            }
        }
        None => {
            let was_there =
                |fact: &RecordedFact| reversal.movement.is_some() || fact.time <= reversal.time;
            open.retain(|dispute| !(meant(dispute.fact) && was_there(dispute.fact)));
        }
    }
}

/// The row that asked for this release.
fn release_row<'a>(fact: &RecordedFact, own: &[&'a Refund]) -> Option<&'a Refund> {
    let number = fact.refund.filter(|_| fact.fact == PaymentFact::Voided)?;
    own.iter().find(|row| row.number == number).copied()
}

/// The provider tells of a refund that Belay sent: this message names it, or another one of the
/// same movement, or the row does.
fn is_own(payment: &Payment, fact: &RecordedFact, own: &[&Refund]) -> bool {
    let is_of = |refund: &&Refund| refund.provider_refund_id == fact.movement;
    let names = |other: &RecordedFact| {
        other.fact == fact.fact && other.refund.is_some() && other.movement == fact.movement
    };
    fact.refund.is_some()
        || fact.movement.is_some() && (own.iter().any(is_of) || payment.facts.iter().any(names))
}

/// One total table, state × fact. Money always counts, but for what is unconfirmed; a state never
/// forgets captured money.
fn apply(
    balance: &mut Balance,
    ahead: &mut i64,
    fact: &RecordedFact,
    amount: Option<i64>,
    unconfirmed: i64,
) {
    use PaymentState::{Attempting, Authorized, Captured, Declined, Voided};
    let told = amount.unwrap_or(0) - unconfirmed;
    match fact.fact {
        PaymentFact::Attempted => {
            if matches!(balance.state, Declined | Voided) {
                balance.state = Attempting;
            }
        }
        PaymentFact::Authorized => {
            balance.authorized += told;
            let taken = told.min(*ahead);
            *ahead -= taken;
            balance.held += told - taken;
            if balance.state != Captured {
                balance.state = Authorized;
            }
        }
        PaymentFact::Captured if told == 0 => {}
        PaymentFact::Captured => {
            balance.captured += told;
            let held = told.min(balance.held);
            balance.held -= held;
            *ahead += told - held;
            balance.state = Captured;
            balance.capture_time = balance.capture_time.or(Some(fact.time));
        }
        // What was authorised before holds no more.
        PaymentFact::Declined => {
            balance.held = 0;
            if !matches!(balance.state, Captured | Voided) {
                balance.state = Declined;
            }
        }
        PaymentFact::Voided => {
            balance.held -= amount.unwrap_or(balance.held).min(balance.held);
            if balance.state != Captured && balance.held == 0 {
                balance.state = Voided;
            }
        }
        PaymentFact::RefundedOutside => balance.returned_outside += told,
        // Summed up together, whichever was told first.
        PaymentFact::Chargeback | PaymentFact::ChargebackReversed => {}
    }
}

/// How much of each fact is unconfirmed, since two messages may tell of one capture. A capture
/// after an authorisation, of which neither the movement's id nor support says that it is one of
/// its own, is unconfirmed where it exceeds all that was authorised: whole after another capture,
/// and alone by what it exceeds.
fn unconfirmed_amounts(facts: &[&RecordedFact]) -> Vec<i64> {
    let own = |fact: &RecordedFact| fact.amount.and_then(ReportedAmount::own).unwrap_or(0);
    let authorized: i64 = facts
        .iter()
        .filter(|fact| fact.fact == PaymentFact::Authorized)
        .map(|fact| own(fact))
        .sum();
    let (mut is_authorized, mut captured) = (false, 0);
    let unconfirmed = |fact: &&RecordedFact| {
        is_authorized |= fact.fact == PaymentFact::Authorized;
        if fact.fact != PaymentFact::Captured {
            return 0;
        }
        let is_sure = fact.movement.is_some() || fact.confirmed || !is_authorized;
        let beyond = captured + own(fact) - authorized;
        let unconfirmed = match () {
            () if is_sure || beyond <= 0 => 0,
            () if captured > 0 => own(fact),
            () => beyond,
        };
        captured += own(fact) - unconfirmed;
        unconfirmed
    };
    facts.iter().map(unconfirmed).collect()
}
