//! The PolicyService.

use std::pin::Pin;
use std::sync::Arc;

use belay_domain::query::DecisionPlace;
use belay_domain::store::{PolicyHead, StoredPolicy};
use belay_domain::{policy, presets};
use belay_proto::v1 as pb;
use belay_proto::v1::policy_service_server::PolicyService;
use belay_wire::parse::decisions;
use belay_wire::parse::simulation::simulate_policy;
use belay_wire::parse::stores as parse;
use belay_wire::render::administration as render;
use belay_wire::render::decision::{self, decision as render_decision};
use belay_wire::status::CallError;
use futures_util::{Stream, TryStreamExt as _};
use tonic::{Request, Status};

use super::call::{MethodResult, answer, read_from, respond, status};
use crate::across_orders::{self, StoredDecision};
use crate::admin::policies::{self, PolicyView};
use crate::{App, simulation};

#[derive(Debug)]
pub(super) struct Policies {
    pub(super) app: Arc<App>,
}

type SimulationStream =
    Pin<Box<dyn Stream<Item = Result<pb::SimulatePolicyResponse, Status>> + Send>>;

#[tonic::async_trait]
impl PolicyService for Policies {
    async fn list_presets(
        &self,
        _: Request<pb::ListPresetsRequest>,
    ) -> MethodResult<pb::ListPresetsResponse> {
        answer(async {
            let preset = |(name, document): &(&str, &str)| {
                let policy = policy::parse(document).map_err(|_| {
                    CallError::Internal(format!(
                        "the preset {name} has errors: a test keeps it from that"
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
                .collect::<Result<Vec<_>, CallError>>()?;
            presets.sort_by(|a, b| a.preset.cmp(&b.preset));
            Ok(pb::ListPresetsResponse { presets })
        })
        .await
    }

    async fn create_policy(
        &self,
        request: Request<pb::CreatePolicyRequest>,
    ) -> MethodResult<pb::CreatePolicyResponse> {
        answer(async {
            let (call, asked) = self.app.read(request, parse::create_policy)?;
            self.app.config(&call, &asked.store).await?;
            let name = policies::validate(&asked.document)?.name;
            let policy = if asked.validate_only {
                pb::Policy {
                    store_id: asked.store.to_string(),
                    name,
                    document: asked.document,
                    ..pb::Policy::default()
                }
            } else {
                shown(
                    &policies::create(
                        &self.app,
                        &asked.store,
                        &call.caller.actor,
                        (name, asked.document),
                    )
                    .await?,
                )
            };
            Ok(pb::CreatePolicyResponse {
                policy: Some(policy),
            })
        })
        .await
    }

    async fn get_policy(
        &self,
        request: Request<pb::GetPolicyRequest>,
    ) -> MethodResult<pb::GetPolicyResponse> {
        answer(async {
            let (call, (store, version)) = self.app.read(request, parse::get_policy)?;
            self.app.config(&call, &store).await?;
            let policy = Some(shown(&policies::get(&self.app, &store, version).await?));
            Ok(pb::GetPolicyResponse { policy })
        })
        .await
    }

    async fn list_policies(
        &self,
        request: Request<pb::ListPoliciesRequest>,
    ) -> MethodResult<pb::ListPoliciesResponse> {
        answer(async {
            let (call, list) = self.app.read(request, parse::list_policies)?;
            let (store, page) = (&list.store, &list.page);
            self.app.config(&call, store).await?;
            let _turn = self.app.page_turn(&call).await?;
            let view = policies::list(&self.app, store, page.after()?, page.limit()).await?;
            let rendered = |head: &PolicyHead| {
                Some(render::policy_head(
                    store,
                    head,
                    &view.activations,
                    view.now,
                ))
            };
            let (policies, next_page_token) = page.cut(&view.found, rendered, |head| head.version);
            Ok(pb::ListPoliciesResponse {
                policies,
                next_page_token,
            })
        })
        .await
    }

    async fn activate_policy(
        &self,
        request: Request<pb::ActivatePolicyRequest>,
    ) -> MethodResult<pb::ActivatePolicyResponse> {
        answer(async {
            let (call, asked) = self.app.read(request, parse::activate_policy)?;
            self.app.config(&call, &asked.store).await?;
            let policy = Some(shown(
                &policies::activate(&self.app, &call.caller.actor, asked).await?,
            ));
            Ok(pb::ActivatePolicyResponse { policy })
        })
        .await
    }

    async fn list_decisions(
        &self,
        request: Request<pb::ListDecisionsRequest>,
    ) -> MethodResult<pb::ListDecisionsResponse> {
        respond(async {
            let (call, list) = self.app.read(request, decisions::list_decisions)?;
            let config = self.app.config(&call, &list.store).await?;
            let after = decisions::after(&list.page)?;
            let limit = list.page.limit();
            let _turn = self.app.page_turn(&call).await?;
            let mut reading = self.app.reading(&call);
            let found = across_orders::decisions(&mut reading, &list.filter, after, limit).await?;
            let show = |stored: &StoredDecision| {
                let lines = found.lines.get(&stored.key.order_key);
                Some(render_decision(
                    &decision::DecisionRecord {
                        order: &stored.order,
                        lines: lines.map_or(&[], Vec::as_slice),
                        key: &stored.key,
                        decision_time: stored.decision_time,
                        accepted: stored.accepted,
                        record: &stored.record,
                    },
                    &config.policies,
                ))
            };
            let (decisions, next_page_token) = decisions::cut(
                &list.page,
                &found.decisions,
                found.left_off,
                show,
                |stored| DecisionPlace {
                    time: stored.decision_time,
                    key: stored.key.clone(),
                },
            );
            let page = pb::ListDecisionsResponse {
                decisions,
                next_page_token,
            };
            Ok(read_from(reading.read_from(), page))
        })
        .await
    }

    type SimulatePolicyStream = SimulationStream;

    async fn simulate_policy(
        &self,
        request: Request<pb::SimulatePolicyRequest>,
    ) -> MethodResult<SimulationStream> {
        answer(async {
            let (call, asked) = self.app.read(request, simulate_policy)?;
            self.app.config(&call, &asked.store).await?;
            let draft = policies::draft(&self.app, &asked.store, &asked.draft).await?;
            let messages = simulation::begin(&self.app, asked, draft)?;
            let messages: SimulationStream = Box::pin(messages.map_err(status));
            Ok(messages)
        })
        .await
    }
}

fn shown(view: &PolicyView<StoredPolicy>) -> pb::Policy {
    render::policy(&view.found, &view.activations, view.now)
}
