//! The ids that must be new: the only place where chance comes in.

use uuid::Uuid;

/// An id for a request whose caller named none.
pub fn request_id() -> Uuid {
    #[expect(clippy::disallowed_methods, reason = "this is the one home of ids")]
    Uuid::new_v4()
}

/// An id for one of several processes under one name.
pub fn instance_id() -> Uuid {
    #[expect(clippy::disallowed_methods, reason = "this is the one home of ids")]
    Uuid::new_v4()
}
