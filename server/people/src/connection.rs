//! The connection of a command: to which server, for which store, as whom.

use belay_client::{Belay, BelayBuilder, Role, Store};
use clap::Args;

use crate::failure::Failure;
use crate::output::Output;

/// The arguments of all commands that call a server. The server is named by BELAY_ENDPOINT, the
/// secret by BELAY_TOKEN_FILE, TLS by BELAY_TLS_CA, BELAY_TLS_CERT and BELAY_TLS_KEY.
#[derive(Debug, Clone, Args)]
pub(crate) struct Connection {
    /// The store.
    #[arg(long, env = "BELAY_STORE", global = true, value_name = "STORE")]
    store: Option<String>,
    #[command(flatten)]
    caller: Caller,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// The caller that commands call as.
#[derive(Debug, Clone, Args)]
pub(crate) struct Caller {
    /// The role to call in, where the server believes callers: such as support. Otherwise the token
    /// says it.
    #[arg(long, env = "BELAY_ROLE", global = true, value_parser = role, value_name = "ROLE")]
    role: Option<Role>,
    /// The id within that role.
    #[arg(
        long,
        env = "BELAY_ACTOR",
        global = true,
        default_value = "belay-cli",
        value_name = "ID"
    )]
    actor: String,
}

pub(crate) fn role(name: &str) -> Result<Role, String> {
    const CALLERS: [Role; 8] = [
        Role::Storefront,
        Role::Seller,
        Role::Warehouse,
        Role::Carrier,
        Role::Payments,
        Role::Support,
        Role::Operator,
        Role::Auditor,
    ];
    let named = CALLERS.into_iter().find(|role| {
        let known = role.to_string();
        known.eq_ignore_ascii_case(name)
    });
    named.ok_or_else(|| {
        let names = CALLERS.map(|role| role.to_string().to_lowercase());
        format!("must be one of {}", names.join(", "))
    })
}

impl Caller {
    /// A client of theirs, of what the builder says otherwise.
    pub(crate) fn belay(&self, builder: BelayBuilder) -> Result<Belay, Failure> {
        let belay = builder.build()?;
        match self.role {
            Some(role) => Ok(belay.with_role(role, &self.actor)?),
            None => Ok(belay),
        }
    }
}

impl Connection {
    pub(crate) fn belay(&self) -> Result<Belay, Failure> {
        self.caller.belay(BelayBuilder::from_env()?)
    }

    pub(crate) fn store(&self) -> Result<Store, Failure> {
        Ok(self.belay()?.store(self.store_id()?))
    }

    pub(crate) fn store_id(&self) -> Result<&str, Failure> {
        let store = self.store.as_deref();
        store.ok_or_else(|| Failure::usage("name the store, by --store or BELAY_STORE"))
    }

    /// The same store as somebody else.
    pub(crate) fn store_as(&self, role: Role) -> Result<Store, Failure> {
        if std::env::var_os("BELAY_TOKEN_FILE").is_some_and(|path| !path.is_empty()) {
            return Err(Failure::usage(
                "the token says who calls: --as is for servers that believe callers; --buyer explains it to a buyer",
            ));
        }
        Ok(self.store()?.with_role(role, &self.caller.actor)?)
    }
}
