//! The batches of the feed, over as many streams as it takes. It knows neither acknowledgements nor
//! checkpoints.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::Stream;
use tokio::time::{Instant, Sleep, sleep_until};

use super::progress::{Progress, Received};
use crate::error::Error;
use crate::ids::ResumeToken;
use crate::model::EventBatch;
use crate::retry::{Backoff, after};

/// A stream that lasted so long was a success, whatever it brought.
const LASTED: Duration = Duration::from_secs(10);

/// The messages of one stream.
pub(super) type Messages = Pin<Box<dyn Stream<Item = Result<EventBatch, Error>> + Send>>;
/// A stream to be.
pub(super) type Opening = Pin<Box<dyn Future<Output = Result<Messages, Error>> + Send>>;
/// The opener of a stream behind a token; without one, where the watch begins.
pub(super) type OpenStream = Box<dyn Fn(Option<ResumeToken>) -> Opening + Send + Sync>;

/// The feed behind a position, over reconnects. All that is under way is kept here, so a wait for
/// the next batch may be given up at any time.
pub(super) struct Feed {
    open_stream: OpenStream,
    heartbeat_timeout: Duration,
    backoff: Backoff,
    progress: Progress,
    link: Link,
    /// The time for the next message, or for the next attempt.
    timer: Pin<Box<Sleep>>,
    /// Whether the timer counts the silence since the last message.
    is_listening: bool,
    /// When the present stream was begun.
    begun: Instant,
    /// The error that the last stream ended with.
    last_error: Option<Error>,
}

enum Link {
    Opening(Opening),
    Open(Messages),
    Waiting,
}

impl Feed {
    pub(super) fn new(
        open_stream: OpenStream,
        token: Option<ResumeToken>,
        heartbeat_timeout: Duration,
        backoff: Backoff,
    ) -> Self {
        let opening = open_stream(token.clone());
        Self {
            open_stream,
            heartbeat_timeout,
            backoff,
            progress: Progress::behind(token),
            link: Link::Opening(opening),
            timer: Box::pin(sleep_until(after(heartbeat_timeout))),
            is_listening: false,
            begun: Instant::now(),
            last_error: None,
        }
    }

    /// The error that the last stream ended with, if the feed has not come back since.
    pub(super) fn take_last_error(&mut self) -> Option<Error> {
        self.last_error.take()
    }

    /// The next batch, a bookmark among them. It holds what is new alone.
    ///
    /// Fails with what does not pass by itself; it must not be polled after that.
    pub(super) fn poll_batch(&mut self, cx: &mut Context<'_>) -> Poll<Result<Received, Error>> {
        loop {
            match &mut self.link {
                Link::Opening(opening) => match opening.as_mut().poll(cx) {
                    Poll::Ready(Ok(messages)) => self.link = Link::Open(messages),
                    Poll::Ready(Err(error)) => self.lose(Some(error))?,
                    Poll::Pending => {
                        ready!(self.timer.as_mut().poll(cx));
                        self.lose(None)?;
                    }
                },
                Link::Open(messages) => match messages.as_mut().poll_next(cx) {
                    Poll::Ready(Some(Ok(batch))) => return Poll::Ready(Ok(self.receive(batch))),
                    Poll::Ready(Some(Err(error))) => self.lose(Some(error))?,
                    // The server stops, or the stream has had its time.
                    Poll::Ready(None) => self.lose(None)?,
                    Poll::Pending => {
                        // Silence counts while somebody listens: a caller that was away for long
                        // finds what came meanwhile.
                        if !std::mem::replace(&mut self.is_listening, true) {
                            self.timer.as_mut().reset(after(self.heartbeat_timeout));
                        }
                        ready!(self.timer.as_mut().poll(cx));
                        self.lose(None)?;
                    }
                },
                Link::Waiting => {
                    ready!(self.timer.as_mut().poll(cx));
                    self.begun = Instant::now();
                    self.is_listening = false;
                    self.timer.as_mut().reset(after(self.heartbeat_timeout));
                    let token = self.progress.token().cloned();
                    self.link = Link::Opening((self.open_stream)(token));
                }
            }
        }
    }

    fn receive(&mut self, batch: EventBatch) -> Received {
        self.is_listening = false;
        // A bookmark alone is no success: a server could open and end streams for ever.
        if !batch.events.is_empty() {
            self.backoff.reset();
        }
        self.last_error = None;
        self.progress.advance(batch)
    }

    /// Gives the stream up, and waits before the next.
    fn lose(&mut self, error: Option<Error>) -> Result<(), Error> {
        self.link = Link::Waiting;
        if self.begun.elapsed() >= LASTED {
            self.backoff.reset();
        }
        let servers = match error {
            Some(error) if !error.is_transient() => return Err(error),
            Some(error) => self.last_error.insert(error).retry_after(),
            None => None,
        };
        let delay = self.backoff.next_delay(servers);
        self.timer.as_mut().reset(after(delay));
        Ok(())
    }
}
