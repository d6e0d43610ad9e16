//! The caller's identity and scope, in the headers of every call.

use tonic::metadata::{Ascii, MetadataMap, MetadataValue};

use crate::error::Error;
use crate::ids::{CarrierId, IdError, IntoId, SellerId, StoreId, WarehouseId, WorkerId};
use crate::model::Role;
use crate::token::{Tokens, bearer};

const ROLE: &str = "belay-role";
const ACTOR: &str = "belay-actor";
const AUTHORIZATION: &str = "authorization";

/// The part of the data that a caller sees. The server answers as if everything outside did not
/// exist. A kind of object that no list names is not limited.
///
/// It is sent in the headers `belay-stores`, `belay-sellers`, `belay-warehouses` and
/// `belay-carriers`, which a server believes only where it believes the role. Without a list of its
/// own kind, a seller, a warehouse or a carrier sees what belongs to the id that it calls as.
///
/// ```
/// use belay_client::Scope;
///
/// let scope = Scope::default().stores(["demo"]).sellers(["acme", "emca"]);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Scope {
    lists: Vec<(&'static str, Result<Vec<String>, IdError>)>,
}

impl Scope {
    /// Only these stores; at least one.
    pub fn stores<I: IntoId<StoreId>>(self, stores: impl IntoIterator<Item = I>) -> Self {
        let stores = stores.into_iter().map(|id| Ok(id.into_id()?.to_string()));
        self.narrowed("belay-stores", stores.collect())
    }

    /// Only orders of these sellers; at least one.
    pub fn sellers<I: IntoId<SellerId>>(self, sellers: impl IntoIterator<Item = I>) -> Self {
        let sellers = sellers.into_iter().map(|id| Ok(id.into_id()?.to_string()));
        self.narrowed("belay-sellers", sellers.collect())
    }

    /// Only shipments from these warehouses, and orders that have one; at least one.
    pub fn warehouses<I: IntoId<WarehouseId>>(
        self,
        warehouses: impl IntoIterator<Item = I>,
    ) -> Self {
        let warehouses = warehouses
            .into_iter()
            .map(|id| Ok(id.into_id()?.to_string()));
        self.narrowed("belay-warehouses", warehouses.collect())
    }

    /// Only shipments with these carriers, and orders that have one; at least one.
    pub fn carriers<I: IntoId<CarrierId>>(self, carriers: impl IntoIterator<Item = I>) -> Self {
        let carriers = carriers.into_iter().map(|id| Ok(id.into_id()?.to_string()));
        self.narrowed("belay-carriers", carriers.collect())
    }

    fn narrowed(mut self, header: &'static str, ids: Result<Vec<String>, IdError>) -> Self {
        self.lists.retain(|(present, _)| *present != header);
        self.lists.push((header, ids));
        self
    }
}

/// The headers of one caller: identity and scope.
#[derive(Debug, Clone, Default)]
pub(crate) struct Caller {
    identity: Vec<(&'static str, MetadataValue<Ascii>)>,
    scope: Vec<(&'static str, MetadataValue<Ascii>)>,
    /// Of a caller whose token changes.
    tokens: Option<Tokens>,
}

/// The token that a request was sent with, of those that change.
#[derive(Debug)]
pub(crate) struct Shown {
    tokens: Tokens,
    header: MetadataValue<Ascii>,
}

impl Shown {
    /// The server did not take it. Says whether there is another one by now; fails where its source
    /// does.
    pub(crate) async fn refused(&self) -> Result<bool, Error> {
        self.tokens.refused(&self.header).await
    }
}

impl Caller {
    pub(crate) fn in_role(role: Role, actor: &str) -> Result<Self, Error> {
        let role = match role {
            Role::Storefront => "storefront",
            Role::Seller => "seller",
            Role::Warehouse => "warehouse",
            Role::Carrier => "carrier",
            Role::Payments => "payments",
            Role::Support => "support",
            Role::Operator => "operator",
            Role::Auditor => "auditor",
            Role::Buyer | Role::System | Role::Unrecognized(_) => {
                return Err(Error::setup(format!("nobody calls in the role {role}")));
            }
        };
        // A name is an id like those of workers, and what is one is a header's value too.
        let actor = WorkerId::parse(actor)
            .map_err(|error| Error::setup(format!("the caller's name {error}")))?;
        let actor = actor
            .as_str()
            .parse()
            .map_err(|_| Error::setup("the caller's name is no header's value"))?;
        Ok(Self {
            identity: vec![(ROLE, MetadataValue::from_static(role)), (ACTOR, actor)],
            ..Self::default()
        })
    }

    pub(crate) fn with_token(token: &str) -> Result<Self, Error> {
        Ok(Self {
            identity: vec![(AUTHORIZATION, bearer(token)?)],
            ..Self::default()
        })
    }

    pub(crate) fn with_tokens(tokens: Tokens) -> Self {
        Self {
            tokens: Some(tokens),
            ..Self::default()
        }
    }

    /// The same caller with this scope.
    pub(crate) fn within(self, scope: Scope) -> Result<Self, Error> {
        let mut identity = self.identity.iter();
        let has_token = identity.any(|(header, _)| *header == AUTHORIZATION);
        if has_token || self.tokens.is_some() {
            return Err(Error::setup(
                "what the holder of a token sees is known to the server",
            ));
        }
        let mut headers = Vec::with_capacity(scope.lists.len());
        for (header, ids) in scope.lists {
            let ids = ids.map_err(|error| Error::setup(format!("an id in {header} {error}")))?;
            if ids.is_empty() {
                return Err(Error::setup(format!("{header} must name at least one id")));
            }
            let ids = ids
                .join(",")
                .parse()
                .map_err(|_| Error::setup(format!("{header} is no header's value")))?;
            headers.push((header, ids));
        }
        Ok(Self {
            scope: headers,
            ..self
        })
    }

    /// Writes the headers of a request.
    pub(crate) async fn write(&self, metadata: &mut MetadataMap) -> Result<Option<Shown>, Error> {
        for (header, value) in self.identity.iter().chain(&self.scope) {
            metadata.insert(*header, value.clone());
        }
        let Some(tokens) = self.tokens.clone() else {
            return Ok(None);
        };
        let header = tokens.header().await?;
        metadata.insert(AUTHORIZATION, header.clone());
        Ok(Some(Shown { tokens, header }))
    }
}
