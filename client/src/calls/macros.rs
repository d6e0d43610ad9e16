//! The declaration of a call: its type, its setters, and how its response is read.
//!
//! Each call is a type of its own, so that its page and an editor's completion show the setters of
//! this call and of no other.

/// Declares the type of one call. The names in brackets are setters that several calls have in
/// common: see [`setter!`].
macro_rules! call {
    (
        $(#[$doc:meta])*
        $name:ident(pb::$request:ident) -> $output:ty $(, [$($setter:ident),+])?;
        |$response:ident $(, $position:ident)?| $read:expr
    ) => {
        $(#[$doc])*
        #[must_use = "a call does nothing until it is awaited or sent"]
        #[derive(Debug, Clone)]
        pub struct $name($crate::call::Call<belay_proto::v1::$request>);

        impl $name {
            $($($crate::calls::macros::setter!($setter);)+)?

            /// The time for this call, its repeats included, instead of the client's time-out. At
            /// most a day.
            pub fn timeout(mut self, timeout: std::time::Duration) -> Self {
                self.0.timeout = timeout;
                self
            }

            /// The time for one attempt of this call, instead of the client's. A call that must not
            /// be repeated has one attempt and all of the time.
            pub fn attempt_timeout(mut self, attempt_timeout: std::time::Duration) -> Self {
                self.0.attempt_timeout = attempt_timeout;
                self
            }

            /// The policy by which this call is repeated, instead of the client's. The budget stays
            /// that of all calls together.
            pub fn retry(mut self, retry: $crate::RetryPolicy) -> Self {
                self.0.retry = Some(retry);
                self
            }

            /// Sends the call and waits for its response. To await the call does the same.
            ///
            /// # Errors
            /// [`CallError`](crate::CallError) says what went wrong, and can send the call again;
            /// the method that made the call says what can go wrong.
            pub async fn send(self) -> Result<$output, $crate::CallError<Self>> {
                let sent = self.0.send($crate::calls::macros::reader!(|$response $(, $position)?| $read));
                let sent = sent.await;
                sent.map_err(|error| $crate::CallError::new(error, self))
            }
        }

        impl IntoFuture for $name {
            type Output = Result<$output, $crate::CallError<Self>>;
            type IntoFuture = std::pin::Pin<Box<dyn Future<Output = Self::Output> + Send>>;

            fn into_future(self) -> Self::IntoFuture {
                Box::pin(self.send())
            }
        }
    };
}

/// What reads a response: with the position of the write, where it is about one.
macro_rules! reader {
    (|$response:ident| $read:expr) => {
        |$response, _| $read
    };
    (|$response:ident, $position:ident| $read:expr) => {
        |$response, $position| $read
    };
}

/// Declares the type of a call that lists: the response's field with the entries is named last.
macro_rules! list {
    (
        $(#[$doc:meta])*
        $name:ident(pb::$request:ident) -> $item:ty $(, [$($setter:ident),+])?;
        $entries:ident
    ) => {
        $crate::calls::macros::call! {
            $(#[$doc])*
            $name(pb::$request) -> $crate::model::Page<$item> $(, [$($setter),+])?;
            |response| $crate::model::read_page(response.$entries, response.next_page_token)
        }

        impl $name {
            /// The number of entries of a page, at most: 1 to 1,000; 50 unless set.
            pub fn page_size(mut self, page_size: i32) -> Self {
                self.0.request.page_size = page_size;
                self
            }

            /// The `next_page_token` of the page before, with the same filters. A stream begins
            /// there.
            pub fn page_token(mut self, page_token: impl Into<String>) -> Self {
                self.0.request.page_token = page_token.into();
                self
            }

            /// This page and all that follow. Each is requested when it is wanted.
            pub fn pages(self) -> $crate::Pages<$item> {
                let first = self.0.request.page_token.clone();
                let request_page = move |token| -> $crate::pages::PageFuture<$item> {
                    let page = self.clone().page_token(token);
                    Box::pin(async { Ok(page.send().await?) })
                };
                $crate::Pages::new(first, Box::new(request_page))
            }

            /// The entries of this page and of all that follow. The next page is requested when the
            /// one before is used up.
            pub fn stream(self) -> $crate::Items<$item> {
                $crate::Items::new(self.pages())
            }
        }
    };
}

/// A setter that several calls have in common, by the field of the request that it sets.
macro_rules! setter {
    (request_id) => {
        /// The request id to send, instead of the one that the call was given when it was made.
        pub fn request_id(mut self, request_id: impl Into<$crate::RequestId>) -> Self {
            self.0.request_id = Some(request_id.into());
            self
        }
    };
    (freshness) => {
        /// How old the answer may be: 1 ms to 1 h. A server that has secondaries of its database
        /// may then answer from one of them; else, and where none is fresh enough, the primary
        /// answers. Unless set, the primary does, and nothing that was told before is missing.
        pub fn max_staleness(mut self, max_staleness: std::time::Duration) -> Self {
            self.0.freshness.max_staleness = Some(max_staleness);
            self
        }

        /// A write that the answer must show, whatever [`max_staleness`](Self::max_staleness)
        /// allows. May be given up to 16 times; the last write of a caller will do, for it shows
        /// those before.
        pub fn read_after(mut self, position: &$crate::WritePosition) -> Self {
            self.0.freshness.after.push(position.clone());
            self
        }
    };
    (etag) => {
        /// The order's etag that the decision is based on. The call fails with `EtagMismatch` if
        /// the order has changed since.
        pub fn etag(mut self, etag: impl Into<$crate::Etag>) -> Self {
            self.0.request.etag = etag.into().into();
            self
        }
    };
    (fence) => {
        /// The fence that the caller last saw, 1 or greater. The call fails with `FenceStale` if it
        /// has grown since. Not compared unless set.
        pub fn fence(mut self, fence: i64) -> Self {
            self.0.request.fence = fence;
            self
        }
    };
    (note) => {
        /// Free text by the person who makes the call: at most 2,000 characters. Some reasons
        /// require it of a cancellation request.
        pub fn note(mut self, note: impl Into<String>) -> Self {
            self.0.request.note = note.into();
            self
        }
    };
    (evidence) => {
        /// References to proof, such as links or document ids: at most 10, each of 1 to 512
        /// characters. Some reasons require it of a cancellation request.
        pub fn evidence(mut self, evidence: impl IntoIterator<Item = impl Into<String>>) -> Self {
            self.0.request.evidence = evidence.into_iter().map(Into::into).collect();
            self
        }
    };
    (reason) => {
        /// The reason: a word declared by the store's policy, `[A-Z][A-Z0-9_]{0,62}`, such as those
        /// of [`reason`](crate::reason). Some policies require one.
        pub fn reason(mut self, reason: impl Into<String>) -> Self {
            self.0.request.reason = reason.into();
            self
        }
    };
    (paths) => {
        /// The paths to take, best first, none twice. [`CancellationPath::Cancel`] alone unless
        /// set.
        pub fn paths(mut self, paths: impl IntoIterator<Item = CancellationPath>) -> Self {
            self.0.request.paths = paths.into_iter().map(CancellationPath::to_wire).collect();
            self
        }
    };
    (on_ineligible_units) => {
        /// The treatment of units that cannot be cancelled. [`OnIneligibleUnits::Refuse`] unless
        /// set.
        pub fn on_ineligible_units(mut self, on_ineligible_units: OnIneligibleUnits) -> Self {
            self.0.request.on_ineligible_units = on_ineligible_units.to_wire();
            self
        }
    };
    (metadata) => {
        /// What to keep with it, by key: at most 16 entries, keys `[A-Za-z0-9._-]{1,64}`, values of
        /// 1 to 512 bytes.
        pub fn metadata(
            mut self,
            entries: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>,
        ) -> Self {
            let entries = entries.into_iter();
            let entries = entries.map(|(key, value)| (key.into(), value.into()));
            self.0.request.metadata = entries.collect();
            self
        }
    };
    (external_references) => {
        /// What other systems know it by: at most 10, no system twice.
        pub fn external_references(
            mut self,
            references: impl IntoIterator<Item = $crate::model::ExternalReference>,
        ) -> Self {
            let references = references.into_iter();
            let references = references.map($crate::model::ExternalReference::into_wire);
            self.0.request.external_references = references.collect();
            self
        }
    };
    (set) => {
        /// Sets an entry: the key `[A-Za-z0-9._-]{1,64}`, the value 1 to 512 bytes.
        pub fn set(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
            self.0.request.set_metadata.insert(key.into(), value.into());
            self
        }
    };
    (delete) => {
        /// Deletes an entry. What is not there needs not be.
        pub fn delete(mut self, key: impl Into<String>) -> Self {
            self.0.request.delete_metadata.push(key.into());
            self
        }
    };
    (set_external_reference) => {
        /// Sets what a system knows it by, in the place of what was there for that system.
        pub fn set_external_reference(mut self, reference: ExternalReference) -> Self {
            let references = &mut self.0.request.set_external_references;
            references.push(reference.into_wire());
            self
        }
    };
    (delete_external_reference) => {
        /// Deletes what a system knows it by.
        pub fn delete_external_reference(mut self, system: impl Into<String>) -> Self {
            let systems = &mut self.0.request.delete_external_references;
            systems.push(system.into());
            self
        }
    };
    (on_behalf_of) => {
        /// The buyer for whom support or an operator makes the request. Other roles may not set it.
        pub fn on_behalf_of(mut self, buyer: OnBehalfOf) -> Self {
            self.0.request.on_behalf_of = Some(buyer.0);
            self
        }
    };
}

/// Declares the reasons of one call.
macro_rules! reasons {
    ($call:ident, $name:ident: [$($variant:ident),*]) => {
        #[doc = concat!("The reasons for which [`", stringify!($call), "`](super::", stringify!($call), ") fails.")]
        #[non_exhaustive]
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub enum $name {
            $(
                #[doc = concat!("See [`ErrorReason::", stringify!($variant), "`](crate::ErrorReason::", stringify!($variant), ").")]
                $variant,
            )*
            /// One that any call may fail for, or that this version of the client does not know.
            Other($crate::ErrorReason),
        }

        impl $crate::call_error::sealed::Sealed for super::$call {}

        impl $crate::Operation for super::$call {
            type Reason = $name;

            fn reason_of(reason: &$crate::ErrorReason) -> $name {
                match reason {
                    $($crate::ErrorReason::$variant => $name::$variant,)*
                    other => $name::Other(other.clone()),
                }
            }
        }
    };
}

pub(crate) use {call, list, reader, reasons, setter};
