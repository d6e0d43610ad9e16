//! The knobs of tokens, as the command line has them.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::{
    Algorithms, CLAIMS_PREFIX_DEFAULT, Jwt, JwtSettings, KeySource, LEEWAY_MAX, REFRESH_MAX,
    REFRESH_MIN,
};
use crate::durations::within;

/// The JSON web tokens of an issuer by which callers are known.
#[derive(Debug, Args)]
pub struct JwtArguments {
    /// Know callers by the JWTs of an issuer whose keys, a JWK set, are in this file or at this
    /// https URL. Beside a key file or without one.
    #[arg(long, env = "BELAY_JWT_JWKS", value_name = "FILE|URL", requires_all = ["jwt_issuer", "jwt_audience"])]
    jwt_jwks: Option<KeySource>,
    /// What `iss` of a JWT must be.
    #[arg(
        long,
        env = "BELAY_JWT_ISSUER",
        value_name = "TEXT",
        requires = "jwt_jwks"
    )]
    jwt_issuer: Option<String>,
    /// What `aud` of a JWT must be, or have among others.
    #[arg(
        long,
        env = "BELAY_JWT_AUDIENCE",
        value_name = "TEXT",
        requires = "jwt_jwks"
    )]
    jwt_audience: Option<String>,
    /// By what a JWT may be signed, 1 to 3 of RS256, RS384, RS512, PS256, PS384, PS512, ES256,
    /// ES384 and EdDSA, with commas in between.
    #[arg(
        long,
        env = "BELAY_JWT_ALGORITHM",
        default_value = "RS256",
        value_name = "NAMES"
    )]
    jwt_algorithm: Algorithms,
    /// How far the issuer's clock may differ: such as 30s, at most 5m.
    #[arg(long, env = "BELAY_JWT_LEEWAY", default_value = "30s", value_parser = jwt_leeway, value_name = "DURATION")]
    jwt_leeway: Duration,
    /// How often the keys are fetched from their URL: such as 10m, from 1m to 24h. A key that is
    /// not known has them fetched sooner.
    #[arg(long, env = "BELAY_JWT_REFRESH", default_value = "10m", value_parser = jwt_refresh, value_name = "DURATION")]
    jwt_refresh: Duration,
    /// What the names of Belay's claims begin with, such as `https://example.com/`.
    #[arg(long, env = "BELAY_JWT_CLAIMS_PREFIX", default_value = CLAIMS_PREFIX_DEFAULT, value_name = "TEXT")]
    jwt_claims_prefix: String,
}

impl JwtArguments {
    /// Whether tokens are to be believed.
    pub fn are_given(&self) -> bool {
        self.jwt_jwks.is_some()
    }

    /// # Errors
    /// Where the keys cannot be had.
    pub async fn open(&self) -> anyhow::Result<Option<Arc<Jwt>>> {
        // The parser has them required together.
        let (Some(source), Some(issuer), Some(audience)) =
            (&self.jwt_jwks, &self.jwt_issuer, &self.jwt_audience)
        else {
            return Ok(None);
        };
        anyhow::ensure!(
            !issuer.is_empty() && !audience.is_empty(),
            "--jwt-issuer and --jwt-audience must not be empty"
        );
        let settings = JwtSettings {
            issuer: issuer.clone(),
            audience: audience.clone(),
            algorithms: self.jwt_algorithm.clone(),
            leeway: self.jwt_leeway,
            refresh: self.jwt_refresh,
            claims_prefix: self.jwt_claims_prefix.clone(),
        };
        Ok(Some(Arc::new(Jwt::start(settings, source.clone()).await?)))
    }
}

fn jwt_leeway(text: &str) -> Result<Duration, String> {
    let malformed = "must be a duration such as 30s, at most 5m";
    within(text, Duration::ZERO..=LEEWAY_MAX).ok_or_else(|| malformed.to_owned())
}

fn jwt_refresh(text: &str) -> Result<Duration, String> {
    let malformed = "must be a duration such as 10m, from 1m to 24h";
    within(text, REFRESH_MIN..=REFRESH_MAX).ok_or_else(|| malformed.to_owned())
}
