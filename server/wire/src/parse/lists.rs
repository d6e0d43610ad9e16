//! The fields that requests for lists share, and their parsers.

use belay_domain::ids::StoreId;

use super::bounds::{FOUND_SIZE_DEFAULT, FOUND_SIZE_MAX, PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX};
use super::envelope::store_id;
use super::{Parsed, Violations, parse, positive_or};
use crate::pages::{PageRequest, PageTokens};

/// A page of a list of a store's records.
#[derive(Debug)]
pub struct ListRequest<F> {
    pub store: StoreId,
    pub filter: F,
    pub page: PageRequest,
}

/// The page that a request asks for, not checked yet.
pub(super) struct AskedPage {
    pub(super) size: i32,
    pub(super) token: String,
    pub(super) tokens: PageTokens,
}

/// Takes the page out of a request; what is left of it are its filters, to which its tokens belong.
macro_rules! asked_page {
    ($list:literal, $request:ident, $reader:expr) => {{
        let size = std::mem::take(&mut $request.page_size);
        let token = std::mem::take(&mut $request.page_token);
        let tokens = crate::pages::PageTokens::new($reader.identity_key, $list, &$request);
        crate::parse::lists::AskedPage {
            size,
            token,
            tokens,
        }
    }};
}
pub(super) use asked_page;

impl AskedPage {
    /// Reads the store, the page and the filters, so that all that is wrong is told at once.
    pub(super) fn list<F>(
        self,
        store: &str,
        filter: impl FnOnce(&mut Violations, Option<StoreId>) -> Option<F>,
    ) -> Parsed<ListRequest<F>> {
        self.sized(page_size, store, filter)
    }

    /// Of a search, whose pages are smaller.
    pub(super) fn search<F>(
        self,
        store: &str,
        filter: impl FnOnce(&mut Violations, Option<StoreId>) -> Option<F>,
    ) -> Parsed<ListRequest<F>> {
        let size = |v: &mut Violations, size| {
            positive_or(v, "page_size", size, FOUND_SIZE_MAX, FOUND_SIZE_DEFAULT)
        };
        self.sized(size, store, filter)
    }

    fn sized<F>(
        self,
        size: impl FnOnce(&mut Violations, i32) -> Option<u16>,
        store: &str,
        filter: impl FnOnce(&mut Violations, Option<StoreId>) -> Option<F>,
    ) -> Parsed<ListRequest<F>> {
        let (store, filter, size) = parse(|v| {
            let store = store_id(v, store);
            let size = size(v, self.size);
            let filter = filter(v, store.clone());
            Some((store?, filter?, size?))
        })?;
        Ok(ListRequest {
            store,
            filter,
            page: PageRequest {
                size,
                token: self.token,
                tokens: self.tokens,
            },
        })
    }

    /// Of a list that is of no store.
    pub(super) fn page(self) -> Parsed<PageRequest> {
        Ok(PageRequest {
            size: parse(|v| page_size(v, self.size))?,
            token: self.token,
            tokens: self.tokens,
        })
    }
}

pub(super) fn page_size(v: &mut Violations, page_size: i32) -> Option<u16> {
    positive_or(v, "page_size", page_size, PAGE_SIZE_MAX, PAGE_SIZE_DEFAULT)
}
