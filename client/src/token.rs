//! Tokens that change: where they come from, and how long one is used.

use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};
use tonic::metadata::{Ascii, MetadataValue};

use crate::error::{BoxError, Error};
use crate::retry::after;

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

    /// The time after which the server does not take it any more. Another is asked for a minute
    /// before, or when half of it has passed if that is later.
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
/// long as it is good; after that calls fail with [`Kind::Unavailable`](crate::Kind::Unavailable),
/// and nothing is sent.
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
    /// The source at work: a call that is given up leaves it to the next.
    asking: Option<TokenFuture<'static>>,
    asked_at: Option<Instant>,
    /// The token that is known was refused, and the source has no other.
    has_refused: bool,
}

struct Known {
    header: MetadataValue<Ascii>,
    ask_at: Instant,
    /// None where nobody knows.
    expires_at: Option<Instant>,
}

impl Known {
    fn is_good(&self) -> bool {
        self.expires_at.is_none_or(|at| at > Instant::now())
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

    /// The header of the token that is good now.
    pub(crate) async fn header(&self) -> Result<MetadataValue<Ascii>, Error> {
        let mut state = self.state.lock().await;
        match &state.known {
            Some(known) if known.ask_at > Instant::now() => Ok(known.header.clone()),
            Some(_) | None => self.ask(&mut state).await,
        }
    }

    /// Asks the source. A source that fails or is silent is not waited for while the token that is
    /// known is good.
    async fn ask(&self, state: &mut State) -> Result<MetadataValue<Ascii>, Error> {
        let source = self.source.clone();
        let asking = state
            .asking
            .get_or_insert_with(|| Box::pin(async move { source.token().await }));
        let is_good = state.known.as_ref().is_some_and(Known::is_good);
        let patience = if is_good { PATIENCE } else { Duration::MAX };
        let asked = match timeout_at(after(patience), asking).await {
            Ok(asked) => {
                state.asking = None;
                asked.and_then(|token| Ok((bearer(&token.secret)?, token.expires_in)))
            }
            Err(_) => Err("its source does not answer".into()),
        };
        state.asked_at = Some(Instant::now());
        match asked {
            Ok((header, expires_in)) => {
                let ask_in = expires_in.map_or(ASK_AGAIN, |expires_in| {
                    let before = expires_in.saturating_sub(REFRESH_BEFORE);
                    before.max(expires_in / 2)
                });
                let is_new = state
                    .known
                    .as_ref()
                    .is_none_or(|known| known.header != header);
                state.has_refused &= !is_new;
                state.known = Some(Known {
                    header: header.clone(),
                    ask_at: after(ask_in),
                    expires_at: expires_in.map(after),
                });
                Ok(header)
            }
            Err(error) => {
                let Some(good) = state.known.as_mut().filter(|known| known.is_good()) else {
                    return Err(Error::no_token(&*error));
                };
                tracing::warn!(target: "belay_client", error, "the token is not renewed");
                good.ask_at = after(AFTER_FAILURE);
                Ok(good.header.clone())
            }
        }
    }

    /// The server did not take this one: asks the source, unless it was asked a moment ago. Says
    /// whether there is another.
    pub(crate) async fn refused(&self, header: &MetadataValue<Ascii>) -> bool {
        let mut state = self.state.lock().await;
        if state
            .known
            .as_ref()
            .is_some_and(|known| known.header != *header)
        {
            // Somebody else has found out before.
            return true;
        }
        if state
            .asked_at
            .is_some_and(|at| at.elapsed() < AFTER_FAILURE)
            && state.has_refused
        {
            return false;
        }
        state.has_refused = true;
        let asked = self.ask(&mut state).await;
        asked.is_ok_and(|another| another != *header)
    }
}
