//! The error of one kind of call: it knows the call, and the reasons that its RPC documents.

use std::fmt;
use std::ops::Deref;

use crate::error::Error;
use crate::error_reason::ErrorReason;

/// A kind of call, with the reasons for which its RPC fails. The types of [`calls`](crate::calls)
/// that are sent implement it, and nothing else can.
pub trait Operation: sealed::Sealed {
    /// The reasons that the documentation of the RPC names, an enum.
    type Reason;

    /// The reason of an error of this call.
    #[doc(hidden)]
    fn reason_of(reason: &ErrorReason) -> Self::Reason;
}

pub(crate) mod sealed {
    /// The seal that keeps [`Operation`](super::Operation) to this crate.
    pub trait Sealed {}
}

/// The error of a call of the type `C`. It is an [`Error`], whose methods it has, and turns into
/// one with `?`. Besides, it names the reasons that this call can fail for, and can send the call
/// again.
///
/// ```no_run
/// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
/// use belay_client::Units;
/// use belay_client::calls::RequestCancellationReason as Reason;
///
/// match store.request_cancellation("A-1", Units::all()).await {
///     Ok(requested) => println!("{}", requested.cancellation.state),
///     // It has happened or not; under the same request id it happens once.
///     Err(error) if error.is_outcome_unknown() => println!("{}", error.resume().await?.cancellation.state),
///     Err(error) => match error.why() {
///         Some(Reason::Shipped | Reason::Delivered) => println!("it has left already"),
///         Some(Reason::QuoteExpired | Reason::QuoteMismatch) => println!("look at the preview again"),
///         Some(_) | None => return Err(error.into()),
///     },
/// }
/// # Ok(())
/// # }
/// ```
pub struct CallError<C> {
    error: Error,
    call: Box<C>,
}

impl<C> CallError<C> {
    pub(crate) fn new(error: Error, call: C) -> Self {
        Self {
            error,
            call: Box::new(call),
        }
    }

    /// The call, to be sent again: a write to an order with the same request id and content, so
    /// that it has one effect however often it is sent, for as long as the server keeps its answer
    /// (90 days unless its operator says otherwise). Where the outcome is unknown
    /// ([`is_outcome_unknown`](Error::is_outcome_unknown)) its answer tells what has happened.
    ///
    /// A [`ClaimRefunds`](crate::calls::ClaimRefunds) has no request id: sent again it claims other
    /// refunds, and those of a reply that was lost come back when their lease ends.
    pub fn resume(self) -> C {
        *self.call
    }

    /// The error without the call.
    pub fn into_error(self) -> Error {
        self.error
    }
}

impl<C: Operation> CallError<C> {
    /// The reason, as one of those that the call's RPC documents. `None` if the error does not come
    /// from Belay, such as that of a broken connection.
    pub fn why(&self) -> Option<C::Reason> {
        self.error.reason().map(C::reason_of)
    }
}

impl<C> Deref for CallError<C> {
    type Target = Error;

    fn deref(&self) -> &Error {
        &self.error
    }
}

impl<C> From<CallError<C>> for Error {
    fn from(error: CallError<C>) -> Self {
        error.error
    }
}

impl<C> fmt::Display for CallError<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.error, f)
    }
}

/// As the [`Error`]: nothing of the call, whose content belongs in no log.
impl<C> fmt::Debug for CallError<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.error, f)
    }
}

impl<C> std::error::Error for CallError<C> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}
