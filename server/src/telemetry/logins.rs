//! The causes of failed logins, as the log and the counter tell them.

/// The cause of a failed login. For the log and the counter alone: a caller is told of none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Cause {
    /// The call brings neither a token nor a certificate that is known.
    NoToken,
    /// The header is no bearer token, or stands there twice.
    TokenMalformed,
    /// No key file has it.
    TokenUnknown,
    /// A secret of the key file or a JWT whose time has passed.
    TokenExpired,
    /// A JWT that is not valid yet.
    TokenTooEarly,
    /// A JWT that is larger than any that is read.
    TokenTooLarge,
    /// A JWT by an algorithm that is not among those that are taken.
    AlgorithmRefused,
    /// No key has the `kid` of the JWT, or it has none.
    KeyUnknown,
    SignatureWrong,
    IssuerWrong,
    AudienceWrong,
    /// The claims do not say who calls, in which role and how far it sees.
    ClaimsWrong,
    /// The caller's entry requires a certificate as well.
    CertificateMissing,
    /// Token and certificate, or two names of a certificate, stand for different callers.
    CallersDiffer,
    /// The address has had too many failures for a JWT to be verified.
    Throttled,
}

impl Cause {
    pub(crate) const ALL: [Self; 15] = [
        Self::NoToken,
        Self::TokenMalformed,
        Self::TokenUnknown,
        Self::TokenExpired,
        Self::TokenTooEarly,
        Self::TokenTooLarge,
        Self::AlgorithmRefused,
        Self::KeyUnknown,
        Self::SignatureWrong,
        Self::IssuerWrong,
        Self::AudienceWrong,
        Self::ClaimsWrong,
        Self::CertificateMissing,
        Self::CallersDiffer,
        Self::Throttled,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Cause::NoToken => "no_token",
            Cause::TokenMalformed => "token_malformed",
            Cause::TokenUnknown => "token_unknown",
            Cause::TokenExpired => "token_expired",
            Cause::TokenTooEarly => "token_too_early",
            Cause::TokenTooLarge => "token_too_large",
            Cause::AlgorithmRefused => "algorithm_refused",
            Cause::KeyUnknown => "key_unknown",
            Cause::SignatureWrong => "signature_wrong",
            Cause::IssuerWrong => "issuer_wrong",
            Cause::AudienceWrong => "audience_wrong",
            Cause::ClaimsWrong => "claims_wrong",
            Cause::CertificateMissing => "certificate_missing",
            Cause::CallersDiffer => "callers_differ",
            Cause::Throttled => "throttled",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_have_names_of_their_own() {
        let mut names: Vec<_> = Cause::ALL.iter().map(|cause| cause.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Cause::ALL.len());
    }
}
