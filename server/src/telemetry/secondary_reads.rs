//! The outcomes of reads that a secondary might have answered, as they are counted.

/// The result of a read that a secondary might have answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SecondaryRead {
    /// A secondary has answered.
    Secondary,
    /// None answers.
    Unavailable,
    /// Those that answer are further behind than is allowed.
    Stale,
    /// Those that are fresh enough lack a write that is to be shown.
    Behind,
    /// One has begun and failed.
    Failed,
}

impl SecondaryRead {
    pub(crate) const ALL: [Self; 5] = [
        Self::Secondary,
        Self::Unavailable,
        Self::Stale,
        Self::Behind,
        Self::Failed,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            SecondaryRead::Secondary => "secondary",
            SecondaryRead::Unavailable => "unavailable",
            SecondaryRead::Stale => "stale",
            SecondaryRead::Behind => "behind",
            SecondaryRead::Failed => "failed",
        }
    }
}
