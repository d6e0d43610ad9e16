//! `belay identity-key`: how the identity key of an older database gets out of it, and how another
//! one is taken.

use anyhow::Context as _;
use clap::{Args, Subcommand};

use crate::command_line::database::DatabaseArguments;
use crate::db::{Conn, DbError, migrate, pool, settings, transaction};
use crate::identity_keys::{
    IdentityArguments, IdentityKeyError, IdentityKeys, check_value, key_id,
};

/// The arguments of `belay identity-key`.
#[derive(Debug, Args)]
pub struct IdentityKeyArguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print the key that is in the database, as a line for the file.
    Show(DatabaseArguments),
    /// Take the key out of the database, which keeps a check value. The keys that are given must
    /// hold it.
    MoveOut(Given),
    /// From now on the first key that is given is the database's, and a server may go without those
    /// from before. Orders that they were hashed by are then found by no e-mail address.
    Rotate(Given),
}

#[derive(Debug, Args)]
struct Given {
    #[command(flatten)]
    database: DatabaseArguments,
    #[command(flatten)]
    identity: IdentityArguments,
}

async fn connect(database: &DatabaseArguments) -> anyhow::Result<Conn> {
    let mut conn = pool::connect(&database.url()?)
        .await
        .context("the database cannot be reached")?;
    migrate::check(&mut conn).await?;
    Ok(conn)
}

impl IdentityKeyArguments {
    /// # Errors
    /// Where the keys are not the database's, or it cannot be written to.
    pub async fn run(&self) -> anyhow::Result<()> {
        match &self.action {
            Action::Show(database) => {
                let stored = settings::read(&mut connect(database).await?).await?;
                let key = stored.identity.key.ok_or(IdentityKeyError::Moved)?;
                #[expect(clippy::print_stdout, reason = "the key is what was asked for")]
                {
                    println!("{}", blake3::Hash::from_bytes(key).to_hex());
                }
                Ok(())
            }
            Action::MoveOut(given) => {
                let mut conn = connect(&given.database).await?;
                let stored = settings::read(&mut conn).await?.identity;
                let Some(key) = stored.key else {
                    return Err(IdentityKeyError::Moved.into());
                };
                IdentityKeys::of(&stored, Some(given.keys()?))?;
                settle(&mut conn, check_value(&key)).await?;
                tracing::info!(key = key_id(&key), "the identity key is outside");
                Ok(())
            }
            Action::Rotate(given) => {
                let mut conn = connect(&given.database).await?;
                let stored = settings::read(&mut conn).await?.identity;
                let (keys, _) = IdentityKeys::of(&stored, Some(given.keys()?))?;
                settle(&mut conn, check_value(keys.first())).await?;
                tracing::info!(key = key_id(keys.first()), "another identity key");
                Ok(())
            }
        }
    }
}

impl Given {
    fn keys(&self) -> Result<IdentityKeys, IdentityKeyError> {
        self.identity.read()?.ok_or(IdentityKeyError::Missing)
    }
}

async fn settle(conn: &mut Conn, check: [u8; 32]) -> Result<(), DbError> {
    transaction::begin_write(conn).await?;
    match settings::forget_identity_key(conn, check).await {
        Ok(()) => transaction::commit(conn).await,
        Err(error) => {
            transaction::rollback(conn).await?;
            Err(error)
        }
    }
}
