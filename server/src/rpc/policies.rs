//! The PolicyService.

use std::mem;
use std::sync::Arc;

use belay_domain::ids::StoreId;
use belay_domain::policy;
use belay_domain::rejection::FieldViolation;
use belay_domain::store::{Activation, NewPolicy, PolicyHead, StoredPolicy, active, is_activated};
use belay_proto::v1 as pb;
use belay_proto::v1::policy_service_server::PolicyService;
use jiff::Timestamp;
use tonic::{Request, Response, Status};

use super::call::{Call, facts, store_and_page_size, store_id};
use super::pages::{self, Scope};
use super::read::{self, Snapshot};
use super::status::Failure;
use super::stores::{refresh, written};
use crate::App;
use crate::db::error::DbError;
use crate::db::{Conn, policies, transaction};
use crate::presets;
use crate::wire::parse;
use crate::wire::parse::stores::policy_version;
use crate::wire::render::administration as render;

#[derive(Debug)]
pub(super) struct Policies {
    pub(super) app: Arc<App>,
}

#[tonic::async_trait]
impl PolicyService for Policies {
    async fn list_presets(
        &self,
        _: Request<pb::ListPresetsRequest>,
    ) -> Result<Response<pb::ListPresetsResponse>, Status> {
        let preset = |(name, document): &(&str, &str)| {
            let policy = policy::parse(document).map_err(|_| {
                Failure::Internal(format!(
                    "the preset {name} has faults: a test keeps it from that"
                ))
            })?;
            Ok(pb::Preset {
                preset: (*name).to_owned(),
                description: policy.source,
                document: (*document).to_owned(),
            })
        };
        let mut presets = presets::ALL
            .iter()
            .map(preset)
            .collect::<Result<Vec<_>, Failure>>()?;
        presets.sort_by(|a, b| a.preset.cmp(&b.preset));
        Ok(Response::new(pb::ListPresetsResponse { presets }))
    }

    async fn create_policy(
        &self,
        request: Request<pb::CreatePolicyRequest>,
    ) -> Result<Response<pb::CreatePolicyResponse>, Status> {
        let (call, request) = Call::of(request)?;
        let store = parse::parse(|v| store_id(v, &request.store_id)).map_err(Failure::from)?;
        facts(&self.app, &call, &store).await?;
        let document = request.document;
        let policy = policy::parse(&document).map_err(|faults| Failure::PolicyInvalid {
            field: "document",
            faults,
        })?;
        if request.validate_only {
            let validated = pb::Policy {
                store_id: store.to_string(),
                name: policy.name,
                document,
                ..pb::Policy::default()
            };
            return Ok(Response::new(pb::CreatePolicyResponse {
                policy: Some(validated),
            }));
        }

        let created = self.create(&store, policy.name, document).await?;
        let Standing {
            activations,
            now,
            policy: _,
        } = self.standing(&store, Some(created.version)).await?;
        refresh(&self.app, &store).await;
        let policy = Some(render::policy(&created, &activations, now));
        Ok(Response::new(pb::CreatePolicyResponse { policy }))
    }

    async fn get_policy(
        &self,
        request: Request<pb::GetPolicyRequest>,
    ) -> Result<Response<pb::GetPolicyResponse>, Status> {
        let (call, request) = Call::of(request)?;
        let (store, asked) = parse::parse(|v| {
            let store = store_id(v, &request.store_id);
            let version = policy_version(v, request.version);
            Some((store?, version?))
        })
        .map_err(Failure::from)?;
        facts(&self.app, &call, &store).await?;

        let Standing {
            activations,
            now,
            policy,
        } = self.standing(&store, asked).await?;
        let Some(policy) = policy else {
            return Err(Failure::PolicyNotFound {
                version: asked.unwrap_or(0),
            }
            .into());
        };
        Ok(Response::new(pb::GetPolicyResponse {
            policy: Some(render::policy(&policy, &activations, now)),
        }))
    }

    async fn list_policies(
        &self,
        request: Request<pb::ListPoliciesRequest>,
    ) -> Result<Response<pb::ListPoliciesResponse>, Status> {
        let (call, mut request) = Call::of(request)?;
        let (page_size, page_token) = (
            mem::take(&mut request.page_size),
            mem::take(&mut request.page_token),
        );
        let scope = Scope::new(&self.app, "ListPolicies", &request);
        let (store, page_size) = store_and_page_size(&request.store_id, page_size)?;
        facts(&self.app, &call, &store).await?;
        let before: Option<u32> = scope.open(&page_token)?;

        let mut snapshot = Snapshot::begin(&self.app).await.map_err(Failure::from)?;
        let read = async {
            let now = read::now(&self.app, snapshot.conn()).await?;
            let activations = policies::activations(snapshot.conn(), &store).await?;
            Ok((
                policies::list(snapshot.conn(), &store, before, page_size + 1).await?,
                activations,
                now,
            ))
        }
        .await;
        let (versions, activations, now) = snapshot.end(read).await?;
        let rendered =
            |version: &PolicyHead| Some(render::policy_head(&store, version, &activations, now));
        let (policies, next_page_token) =
            pages::cut_by_key(&scope, &versions, page_size, rendered, |version| {
                version.version
            });
        Ok(Response::new(pb::ListPoliciesResponse {
            policies,
            next_page_token,
        }))
    }

    async fn activate_policy(
        &self,
        request: Request<pb::ActivatePolicyRequest>,
    ) -> Result<Response<pb::ActivatePolicyResponse>, Status> {
        let (call, request) = Call::of(request)?;
        let (store, version, asked_time) = parse::parse(|v| {
            let store = store_id(v, &request.store_id);
            let version = parse::positive(
                v,
                "version",
                request.version.into(),
                i32::MAX.unsigned_abs(),
            );
            let effective_time = parse::time(v, "effective_time", request.effective_time);
            Some((store?, version?, effective_time?))
        })
        .map_err(Failure::from)?;
        facts(&self.app, &call, &store).await?;

        let Standing {
            activations,
            now,
            policy,
        } = self.standing(&store, Some(version)).await?;
        let Some(policy) = policy else {
            return Err(Failure::PolicyNotFound { version }.into());
        };
        let earliest = self.app.stores.earliest_activation(now);
        if is_activated(&activations, version, asked_time, now, earliest) {
            let policy = Some(render::policy(&policy, &activations, now));
            return Ok(Response::new(pb::ActivatePolicyResponse { policy }));
        }
        let effective_time = asked_time.unwrap_or(earliest);
        if effective_time < earliest {
            let description =
                format!("must not be before {earliest}: every server must know of it in time");
            let violation = FieldViolation {
                field: "effective_time".to_owned(),
                description,
            };
            return Err(Failure::invalid_fields(vec![violation]).into());
        }
        let activations = self
            .activate(
                &store,
                Activation {
                    effective_time,
                    version,
                },
                earliest,
            )
            .await?;
        refresh(&self.app, &store).await;
        let policy = Some(render::policy(&policy, &activations, now));
        Ok(Response::new(pb::ActivatePolicyResponse { policy }))
    }
}

/// A store's activations, and one version of its policy, if there is such a one.
struct Standing {
    activations: Vec<Activation>,
    now: Timestamp,
    policy: Option<StoredPolicy>,
}

impl Policies {
    /// The active version where none is asked for.
    async fn standing(&self, store: &StoreId, version: Option<u32>) -> Result<Standing, Failure> {
        let mut snapshot = Snapshot::begin(&self.app).await?;
        let read = async {
            let now = read::now(&self.app, snapshot.conn()).await?;
            let activations = policies::activations(snapshot.conn(), store).await?;
            let policy = match version.or(active(&activations, now).map(|active| active.version)) {
                Some(version) => policies::get(snapshot.conn(), store, version).await?,
                None => None,
            };
            Ok(Standing {
                activations,
                now,
                policy,
            })
        }
        .await;
        snapshot.end(read).await
    }

    async fn create(
        &self,
        store: &StoreId,
        name: String,
        document: String,
    ) -> Result<StoredPolicy, Failure> {
        let mut conn = self.app.pool.checkout().await?;
        let write = async {
            transaction::begin_write(&mut conn).await?;
            let created = async {
                let create_time = read::now(&self.app, &mut conn).await?;
                policies::create(
                    &mut conn,
                    NewPolicy {
                        store: store.clone(),
                        name,
                        document,
                        create_time,
                    },
                )
                .await
            }
            .await;
            ended(&mut conn, created).await
        }
        .await;
        conn.finish_with(write).map_err(written)
    }

    /// Replaces what is to come after `earliest`; what is nearer stays, because some server may
    /// already count on it.
    async fn activate(
        &self,
        store: &StoreId,
        activation: Activation,
        earliest: Timestamp,
    ) -> Result<Vec<Activation>, Failure> {
        let mut conn = self.app.pool.checkout().await?;
        let write = async {
            transaction::begin_write(&mut conn).await?;
            let activated = async {
                policies::activate(&mut conn, store, activation, earliest).await?;
                policies::activations(&mut conn, store).await
            }
            .await;
            ended(&mut conn, activated).await
        }
        .await;
        conn.finish_with(write).map_err(written)
    }
}

/// Ends a transaction as its writes went.
async fn ended<T>(conn: &mut Conn, written: Result<T, DbError>) -> Result<T, DbError> {
    match &written {
        Ok(_) => transaction::commit(conn).await?,
        Err(error) if error.class().ends_connection() => {}
        Err(_) => transaction::rollback(conn).await?,
    }
    written
}
