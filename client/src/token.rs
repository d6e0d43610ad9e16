//! Tokens that change: where they come from, and how long one is used.

use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::Shared;
use tokio::time::{Instant, timeout_at};
use tonic::metadata::{Ascii, MetadataValue};

use crate::error::{BoxError, Error};
use crate::retry::{WAIT_MAX, after};

/// So much of a token's life is left when another is asked for.
const REFRESH_BEFORE: Duration = Duration::from_secs(60);
/// A token without an expiry is asked for again after so long.
const ASK_AGAIN: Duration = Duration::from_secs(60);
/// And after so long where the source failed.
const AFTER_FAILURE: Duration = Duration::from_secs(1);
/// How long a source is waited for while the token that is known is good.
const PATIENCE: Duration = Duration::from_secs(1);

/// A secret that a caller shows for a while.
#[derive(Clone)]
pub struct Token {
    secret: String,
    expires_in: Option<Duration>,
}

impl Token {
    /// A token whose source says when it changes by being asked: about every minute, and whenever
    /// the server does not know the token any more.
    pub fn new(secret: impl Into<String>) -> Self {
        Self {
            secret: secret.into(),
            expires_in: None,
        }
    }

    /// The time after which the server does not take it any more, from when the source was asked.
    /// Another is asked for a minute before, or when half of it has passed if that is later.
    pub fn expires_in(mut self, expires_in: Duration) -> Self {
        self.expires_in = Some(expires_in);
        self
    }
}

/// Nothing of the secret.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("expires_in", &self.expires_in)
            .finish_non_exhaustive()
    }
}

/// The header of a token.
pub(crate) fn bearer(token: &str) -> Result<MetadataValue<Ascii>, Error> {
    if token.is_empty() || !token.chars().all(|c| c.is_ascii_graphic()) {
        return Err(Error::setup("a token is printable ASCII without spaces"));
    }
    let value: Result<MetadataValue<Ascii>, _> = format!("Bearer {token}").parse();
    let mut value = value.map_err(|_| Error::setup("the token is no header's value"))?;
    // Never shown, and not kept in the connection's table of headers.
    value.set_sensitive(true);
    Ok(value)
}

/// The future of a [`TokenSource`].
pub type TokenFuture<'a> = Pin<Box<dyn Future<Output = Result<Token, BoxError>> + Send + 'a>>;

/// A source of tokens, such as a file that a platform renews or a service that gives them out.
///
/// One call at a time asks it. While it fails or is silent, the token that is known is used for as
/// long as it is good: until it expires, or the server refuses it. After that calls wait for the
/// source, and where it fails, or is silent for the time of the call, they fail with
/// [`Kind::Unavailable`](crate::Kind::Unavailable), and nothing is sent.
///
/// ```
/// use std::time::Duration;
///
/// use belay_client::{Token, TokenFuture, TokenSource};
///
/// struct Vault;
///
/// impl TokenSource for Vault {
///     fn token(&self) -> TokenFuture<'_> {
///         Box::pin(async {
///             // Asks the vault.
///             Ok(Token::new("s3cret").expires_in(Duration::from_secs(3600)))
///         })
///     }
/// }
/// ```
pub trait TokenSource: Send + Sync + 'static {
    /// The token to show from now on.
    fn token(&self) -> TokenFuture<'_>;
}

/// A file with a token, which is read again when it may have changed.
#[derive(Debug)]
pub(crate) struct TokenFile(pub(crate) PathBuf);

impl TokenSource for TokenFile {
    fn token(&self) -> TokenFuture<'_> {
        Box::pin(async move {
            let path = self.0.clone();
            let read = tokio::task::spawn_blocking(move || std::fs::read_to_string(path));
            let read = read.await.map_err(BoxError::from)?;
            let text = read.map_err(|error| format!("{}: {error}", self.0.display()))?;
            Ok(Token::new(text.trim()))
        })
    }
}

/// The tokens of one caller. Clones share the one that is used.
#[derive(Clone)]
pub(crate) struct Tokens {
    source: Arc<dyn TokenSource>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    known: Option<Known>,
    /// The source at work. A call that is given up, or is not polled for a while, leaves it to the
    /// others.
    asking: Option<Asking>,
    /// The token that is known was refused, and the source has not answered since.
    is_refused: bool,
    /// When the source gave the token again that was refused.
    no_other_at: Option<Instant>,
}

struct Known {
    header: MetadataValue<Ascii>,
    ask_at: Instant,
    /// None where nobody knows.
    expires_at: Option<Instant>,
}

/// A source at work, since when. Whoever waits for it drives it.
#[derive(Clone)]
struct Asking {
    answer: Shared<Pin<Box<dyn Future<Output = Answer> + Send>>>,
    begun: Instant,
}

type Answer = Arc<Result<Token, BoxError>>;

impl Asking {
    fn begin(source: Arc<dyn TokenSource>) -> Self {
        let answer: Pin<Box<dyn Future<Output = Answer> + Send>> =
            Box::pin(async move { Arc::new(source.token().await) });
        Self {
            answer: answer.shared(),
            begun: Instant::now(),
        }
    }
}

impl State {
    /// The token that is known, if the server should take it.
    fn good(&mut self) -> Option<&mut Known> {
        let is_good = |known: &&mut Known| known.expires_at.is_none_or(|at| at > Instant::now());
        self.known
            .as_mut()
            .filter(is_good)
            .filter(|_| !self.is_refused)
    }

    /// The token that is known, if it is not time for another.
    fn fresh(&self) -> Option<&Known> {
        let is_fresh = |known: &&Known| known.ask_at > Instant::now();
        self.known.as_ref().filter(is_fresh)
    }

    /// The source has answered: its token is known from now on, unless another call has heard the
    /// same answer before.
    fn hear(&mut self, asking: &Asking, answer: &Token) -> Result<MetadataValue<Ascii>, BoxError> {
        let header = bearer(&answer.secret)?;
        if !self.end(asking) {
            return Ok(header);
        }
        let begun = asking.begun;
        let ask_in = answer.expires_in.map_or(ASK_AGAIN, |expires_in| {
            let before = expires_in.saturating_sub(REFRESH_BEFORE);
            before.max(expires_in / 2)
        });
        let known = self.known.as_ref();
        let is_same = known.is_some_and(|known| known.header == header);
        let was_refused = std::mem::take(&mut self.is_refused);
        self.no_other_at = (was_refused && is_same).then(Instant::now);
        // It may be as old as the question.
        self.known = Some(Known {
            header: header.clone(),
            ask_at: begun + ask_in.min(WAIT_MAX),
            expires_at: answer
                .expires_in
                .map(|expires_in| begun + expires_in.min(WAIT_MAX)),
        });
        Ok(header)
    }

    /// Nobody waits for this question any more. Says whether it was the present one.
    fn end(&mut self, asking: &Asking) -> bool {
        let present = self.asking.as_ref();
        let is_present = present.is_some_and(|present| present.answer.ptr_eq(&asking.answer));
        if is_present {
            self.asking = None;
        }
        is_present
    }

    /// The token to go on with where the source gives none.
    fn without(&mut self, error: Error) -> Result<MetadataValue<Ascii>, Error> {
        let Some(good) = self.good() else {
            return Err(error);
        };
        let error = error.message();
        tracing::warn!(target: "belay_client", error, "the token is not renewed");
        good.ask_at = after(AFTER_FAILURE);
        Ok(good.header.clone())
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens")
    }
}

impl Tokens {
    pub(crate) fn of(source: impl TokenSource) -> Self {
        Self {
            source: Arc::new(source),
            state: Arc::default(),
        }
    }

    /// Locked for a moment, and never over a wait: whoever waits may be polled no more.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The header of the token that is good now.
    pub(crate) async fn header(&self) -> Result<MetadataValue<Ascii>, Error> {
        let fresh = self.state().fresh().map(|known| known.header.clone());
        match fresh {
            Some(header) => Ok(header),
            None => self.ask().await,
        }
    }

    /// Asks the source. What a call has left behind may have been asked for long ago, and is asked
    /// for again where it is as old as that.
    async fn ask(&self) -> Result<MetadataValue<Ascii>, Error> {
        let is_asked = self.state().asking.is_some();
        if is_asked {
            let asked = self.ask_once().await;
            if asked.is_ok() && self.state().fresh().is_some() {
                return asked;
            }
        }
        self.ask_once().await
    }

    /// A source that fails or is silent is not waited for while the token that is known is good.
    async fn ask_once(&self) -> Result<MetadataValue<Ascii>, Error> {
        let (asking, patience) = {
            let mut state = self.state();
            let patience = state.good().map_or(Duration::MAX, |_| PATIENCE);
            let begin = || Asking::begin(self.source.clone());
            (state.asking.get_or_insert_with(begin).clone(), patience)
        };
        let answer = timeout_at(after(patience), asking.answer.clone()).await;
        let mut state = self.state();
        let Ok(answer) = answer else {
            return state.without(Error::silent_source());
        };
        let heard = match &*answer {
            Ok(token) => state.hear(&asking, token),
            Err(error) => Err(error.to_string().into()),
        };
        heard.or_else(|error| {
            state.end(&asking);
            state.without(Error::no_token(&*error))
        })
    }

    /// The server did not take this one: asks the source, unless it has said a moment ago that it
    /// has no other. Says whether there is another.
    ///
    /// # Errors
    /// Where the source fails: whether there is another will show.
    pub(crate) async fn refused(&self, header: &MetadataValue<Ascii>) -> Result<bool, Error> {
        let is_left = {
            let mut state = self.state();
            let known = state.known.as_ref();
            if known.is_some_and(|known| known.header != *header) {
                // Another call has found out before.
                return Ok(true);
            }
            let no_other_at = state.no_other_at;
            if no_other_at.is_some_and(|at| at.elapsed() < AFTER_FAILURE) {
                return Ok(false);
            }
            state.is_refused = true;
            if let Some(known) = &mut state.known {
                known.ask_at = Instant::now();
            }
            // Asked for before the refusal, it may be the same.
            state.asking.is_some()
        };
        let mut another = self.ask().await?;
        if is_left && another == *header {
            self.state().is_refused = true;
            another = self.ask_once().await?;
        }
        Ok(another != *header)
    }
}
