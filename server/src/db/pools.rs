//! A pool for each share of the connections.

use std::sync::Arc;

use secrecy::SecretString;

use super::address::Address;
use super::error::DbError;
use super::pool::{Pool, PoolSettings};
use super::shares::{Share, Shares};
use crate::outage::Notes;
use crate::telemetry::Telemetry;

/// A pool for each share. Cloning it is cheap and shares them.
#[derive(Debug, Clone)]
pub struct Pools {
    pub writes: Pool,
    pub upkeep: Pool,
    pub background: Pool,
    pub reads: Pool,
}

impl Pools {
    /// Pools for a database, each with the connections of its share; their failures are noted in
    /// one place. Connects to nothing yet; see [`Pools::warm`].
    pub fn new(
        url: &SecretString,
        shares: Shares,
        settings: PoolSettings,
        telemetry: &Telemetry,
    ) -> Result<Self, DbError> {
        let notes = Arc::<Notes>::default();
        let address = Address::parse(url)?;
        let pool = |share| {
            let settings = PoolSettings {
                size: shares.size(share),
                ..settings
            };
            let pool = Pool::at(address.clone(), settings, telemetry.clone())?;
            Ok::<_, DbError>(pool.noting(notes.clone()))
        };
        Ok(Self {
            writes: pool(Share::Writes)?,
            upkeep: pool(Share::Upkeep)?,
            background: pool(Share::Background)?,
            reads: pool(Share::Reads)?,
        })
    }

    /// A pool for each of the secondaries that a URL names, by its host and port. What fails there
    /// is no outage of the database. Connects to nothing yet.
    pub fn of_secondaries(
        url: &SecretString,
        settings: PoolSettings,
        telemetry: &Telemetry,
    ) -> Result<Vec<(String, Pool)>, DbError> {
        let addresses = Address::parse_secondaries(url)?.into_iter();
        let pools = addresses
            .map(|(name, address)| Ok((name, Pool::at(address, settings, telemetry.clone())?)));
        pools.collect()
    }

    pub fn of(&self, share: Share) -> &Pool {
        match share {
            Share::Writes => &self.writes,
            Share::Upkeep => &self.upkeep,
            Share::Background => &self.background,
            Share::Reads => &self.reads,
        }
    }

    /// Opens all connections, so that the first callers don't wait for them.
    pub async fn warm(&self) -> Result<(), DbError> {
        for share in Share::ALL {
            self.of(share).warm().await?;
        }
        Ok(())
    }

    /// What fails because the database does is noted here, whichever share it is of.
    pub fn notes(&self) -> &Notes {
        self.upkeep.notes()
    }
}
