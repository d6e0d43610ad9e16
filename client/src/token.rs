//! Tokens that change: where they come from, and how long one is used.

use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;
use tonic::metadata::{Ascii, MetadataValue};

use crate::caller::bearer;
use crate::error::{BoxError, Error};

/// So much of a token's life is left when another is asked for.
const REFRESH_BEFORE: Duration = Duration::from_secs(60);
/// A token without an expiry is asked for again after so long.
const ASK_AGAIN: Duration = Duration::from_secs(60);
/// And after so long where the source failed.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// A secret that a caller shows for a while.
#[derive(Clone)]
pub struct Token {
    secret: String,
    expires_in: Option<Duration>,
}

impl Token {
    /// A token whose source says when it changes by being asked: about every minute, and whenever the
    /// server does not know the token any more.
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

/// The future of a [`TokenSource`].
pub type TokenFuture<'a> = Pin<Box<dyn Future<Output = Result<Token, BoxError>> + Send + 'a>>;

/// A source of tokens, such as a file that a platform renews or a service that gives them out.
///
/// One call at a time asks it. While it fails, the token that is known is used for as long as it is
/// good; after that calls fail with [`Kind::Unauthenticated`](crate::Kind::Unauthenticated).
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
pub(crate) struct Tokens(Arc<Inner>);

struct Inner {
    source: Box<dyn TokenSource>,
    known: Mutex<Option<Known>>,
}

struct Known {
    header: MetadataValue<Ascii>,
    ask_at: Instant,
    /// None where nobody knows.
    expires_at: Option<Instant>,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens")
    }
}

impl Tokens {
    pub(crate) fn of(source: impl TokenSource) -> Self {
        Self(Arc::new(Inner {
            source: Box::new(source),
            known: Mutex::default(),
        }))
    }

    /// The header of the token that is good now.
    pub(crate) async fn header(&self) -> Result<MetadataValue<Ascii>, Error> {
        let mut known = self.0.known.lock().await;
        match known.as_ref().filter(|known| known.ask_at > Instant::now()) {
            Some(known) => Ok(known.header.clone()),
            None => self.ask(&mut known).await,
        }
    }

    async fn ask(&self, known: &mut Option<Known>) -> Result<MetadataValue<Ascii>, Error> {
        let asked = self.0.source.token().await;
        let now = Instant::now();
        match asked {
            Ok(token) => {
                let header = bearer(&token.secret)?;
                let ask_in = token.expires_in.map_or(ASK_AGAIN, |expires_in| {
                    let before = expires_in.saturating_sub(REFRESH_BEFORE);
                    before.max(expires_in / 2)
                });
                *known = Some(Known {
                    header: header.clone(),
                    ask_at: now + ask_in,
                    expires_at: token.expires_in.map(|expires_in| now + expires_in),
                });
                Ok(header)
            }
            Err(error) => {
                let is_good = |known: &&mut Known| known.expires_at.is_none_or(|at| at > now);
                let Some(good) = known.as_mut().filter(is_good) else {
                    return Err(Error::no_token(&*error));
                };
                tracing::warn!(target: "belay_client", error, "the token is not renewed");
                good.ask_at = now + AFTER_FAILURE;
                Ok(good.header.clone())
            }
        }
    }

    /// The server did not take this one: asks the source at once. Says whether there is another.
    pub(crate) async fn refused(&self, header: &MetadataValue<Ascii>) -> bool {
        let mut known = self.0.known.lock().await;
        if known.as_ref().is_some_and(|known| known.header != *header) {
            // Somebody else has found out before.
            return true;
        }
        *known = None;
        let asked = self.ask(&mut known).await;
        asked.is_ok_and(|another| another != *header)
    }
}
