//! Streams over lists: page by page, or entry by entry.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::vec;

use futures_util::Stream;

use crate::error::Error;
use crate::model::Page;

/// The response of one page, to be awaited.
pub(crate) type PageFuture<T> = Pin<Box<dyn Future<Output = Result<Page<T>, Error>> + Send>>;
/// The request for the page of a token.
type RequestPage<T> = Box<dyn Fn(String) -> PageFuture<T> + Send + Sync>;

/// A stream of the pages of a list. Made by `pages` of a list's call.
///
/// It is a [`Stream`]; [`try_next`](Self::try_next) reads it without that trait. A page is
/// requested when it is wanted, one at a time. Each is a call of its own, with time-out and
/// repeats. An error comes once and ends the stream; [`resume_token`](Self::resume_token) says
/// where to continue.
///
/// ```no_run
/// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
/// let mut pages = store.list_orders().buyer_id("b-7").page_size(200).pages();
/// while let Some(page) = pages.try_next().await? {
///     println!("{} orders", page.items.len());
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "a stream does nothing until it is polled"]
pub struct Pages<T> {
    request_page: RequestPage<T>,
    /// The token of the next page; empty for the first. `None`: there is no next page.
    token: Option<String>,
    under_way: Option<PageFuture<T>>,
    has_failed: bool,
}

impl<T> Pages<T> {
    pub(crate) fn new(first: String, request_page: RequestPage<T>) -> Self {
        Self {
            request_page,
            token: Some(first),
            under_way: None,
            has_failed: false,
        }
    }

    /// The next page; `None` after the last one, and after an error. If the future is dropped, the
    /// next call waits for the same page.
    ///
    /// # Errors
    /// As the call of one page.
    pub async fn try_next(&mut self) -> Result<Option<Page<T>>, Error> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx))
            .await
            .transpose()
    }

    /// The token of the next page, for `page_token` of the same call. After an error it is that of
    /// the page that failed. Empty: the first page. `None`: there is no next page.
    pub fn resume_token(&self) -> Option<&str> {
        self.token.as_deref()
    }
}

impl<T> Stream for Pages<T> {
    type Item = Result<Page<T>, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let Some(token) = this.token.as_ref().filter(|_| !this.has_failed) else {
            return Poll::Ready(None);
        };
        let under_way = this
            .under_way
            .get_or_insert_with(|| (this.request_page)(token.clone()));
        let answer = ready!(under_way.as_mut().poll(cx));
        this.under_way = None;
        match &answer {
            Ok(page) => this.token.clone_from(&page.next_page_token),
            Err(_) => this.has_failed = true,
        }
        Poll::Ready(Some(answer))
    }
}

impl<T> fmt::Debug for Pages<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages")
            .field("resume_token", &self.token)
            .finish_non_exhaustive()
    }
}

/// A stream of the entries of a list. Made by `stream` of a list's call.
///
/// It is a [`Stream`]; [`try_next`](Self::try_next) reads it without that trait. A page is
/// requested when the one before is used up, so that at most one page is in memory. An error comes
/// once and ends the stream; [`resume_token`](Self::resume_token) says where to continue.
///
/// ```no_run
/// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
/// use belay_client::model::OrderState;
///
/// let mut to_ship = store.list_orders().seller_id("acme").state(OrderState::ToShip).stream();
/// while let Some(order) = to_ship.try_next().await? {
///     println!("{}", order.order_id);
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "a stream does nothing until it is polled"]
pub struct Items<T> {
    pages: Pages<T>,
    /// The token of the page whose entries come now.
    token: String,
    entries: vec::IntoIter<T>,
}

impl<T> Items<T> {
    pub(crate) fn new(pages: Pages<T>) -> Self {
        Self {
            pages,
            token: String::new(),
            entries: Vec::new().into_iter(),
        }
    }

    /// The next entry; `None` after the last one, and after an error. If the future is dropped, the
    /// next call waits for the same entry.
    ///
    /// # Errors
    /// As the call of one page.
    pub async fn try_next(&mut self) -> Result<Option<T>, Error>
    where
        T: Unpin,
    {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx))
            .await
            .transpose()
    }

    /// The token of the page of the next entry, for `page_token` of the same call. Entries of that
    /// page that came already come again. Empty: the first page. `None`: there is no next entry.
    pub fn resume_token(&self) -> Option<&str> {
        match self.entries.len() {
            0 => self.pages.resume_token(),
            _ => Some(&self.token),
        }
    }
}

impl<T: Unpin> Stream for Items<T> {
    type Item = Result<T, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(entry) = this.entries.next() {
                return Poll::Ready(Some(Ok(entry)));
            }
            let token = this.pages.resume_token().unwrap_or_default().to_owned();
            match ready!(Pin::new(&mut this.pages).poll_next(cx)) {
                // A page may be empty even where more follow.
                Some(Ok(page)) => (this.token, this.entries) = (token, page.into_iter()),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }
}

impl<T> fmt::Debug for Items<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Items")
            .field("resume_token", &self.resume_token())
            .finish_non_exhaustive()
    }
}
