//! Profiles of what the processors are busy with, for those who run the server: one at a time, of
//! so many seconds at most, in the format of pprof. What samples the stacks is in programs that are
//! built with the feature `profiling`, and at rest until somebody asks.

#[cfg(feature = "profiling")]
mod format;
#[cfg(feature = "profiling")]
mod sampler;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

/// Where the admin port gives them out, as those who read pprof expect it.
pub const PATH: &str = "/debug/pprof/profile";
/// How long a profile takes where nothing is said, in seconds.
pub const SECONDS_DEFAULT: u32 = 10;
pub const SECONDS_MAX: u32 = 60;
/// How long it may take beyond that to name the functions.
pub const NAMING_MAX: Duration = Duration::from_secs(60);
/// Samples a second of each thread that is busy. Not a round number, so that nothing that recurs is
/// always met, or never.
#[cfg(feature = "profiling")]
const HERTZ: i32 = 99;

/// The choice whether the admin port gives out profiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profiling {
    On,
    Off,
}

/// Whether this program can take them.
pub const IS_BUILT_IN: bool = cfg!(feature = "profiling");

/// The reason why there is no profile.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ProfileError {
    /// Not so many seconds.
    Malformed,
    /// One is being taken.
    Busy,
    /// The program is built without, or the machine does not let it.
    Failed(String),
}

/// The one place for a profile of this process.
#[derive(Debug, Clone)]
pub(crate) struct Profiles(Arc<Semaphore>);

impl Profiles {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }

    /// A profile of so many seconds from now. Dropping the future ends it.
    pub(crate) async fn take(&self, seconds: u32) -> Result<Vec<u8>, ProfileError> {
        let _place = self.0.try_acquire().map_err(|_| ProfileError::Busy)?;
        tracing::info!(seconds, "a profile of the processors is taken");
        sample(seconds).await.map_err(ProfileError::Failed)
    }
}

#[cfg(feature = "profiling")]
async fn sample(seconds: u32) -> Result<Vec<u8>, String> {
    sampler::sample(seconds).await
}

#[cfg(not(feature = "profiling"))]
async fn sample(_seconds: u32) -> Result<Vec<u8>, String> {
    Err("this program is built without the feature `profiling`".to_owned())
}

/// The seconds that a query asks for; what else it says is for others to know.
pub(crate) fn seconds(query: Option<&str>) -> Result<u32, ProfileError> {
    let fields = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let mut asked = fields.filter(|(name, _)| name == "seconds");
    let Some((_, value)) = asked.next() else {
        return Ok(SECONDS_DEFAULT);
    };
    let seconds = value.parse().ok();
    let seconds = seconds.filter(|seconds| (1..=SECONDS_MAX).contains(seconds));
    seconds.ok_or(ProfileError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_has_its_bounds() {
        assert_eq!(seconds(None), Ok(SECONDS_DEFAULT));
        assert_eq!(seconds(Some("debug=0")), Ok(SECONDS_DEFAULT));
        assert_eq!(seconds(Some("seconds=1")), Ok(1));
        assert_eq!(seconds(Some("debug=0&seconds=60")), Ok(60));
        for odd in [
            "seconds=0",
            "seconds=61",
            "seconds=",
            "seconds=1.5",
            "seconds=-1",
        ] {
            assert_eq!(seconds(Some(odd)), Err(ProfileError::Malformed), "{odd}");
        }
    }

    #[tokio::test]
    async fn one_is_taken_at_a_time() {
        let profiles = Profiles::new();
        let place = profiles.0.try_acquire().unwrap();
        assert_eq!(profiles.take(1).await, Err(ProfileError::Busy));
        drop(place);
        assert_ne!(profiles.take(1).await, Err(ProfileError::Busy));
    }
}
