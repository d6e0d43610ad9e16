//! Policies and presets: for operators.

pub(crate) mod decisions;
pub(crate) mod simulation;

use belay_proto::v1 as pb;
use jiff::Timestamp;

use super::macros::{call, list};
use crate::argument_errors::ArgumentErrors;
use crate::belay::Belay;
use crate::call::Call;
use crate::model::{Policy, Preset};
use crate::store::Store;
use crate::wire::{read, read_all, time_to_wire};

/// # Presets
impl Belay {
    /// Lists the policy documents that ship with the server, by name.
    ///
    /// ```no_run
    /// # async fn example(belay: belay_client::Belay) -> Result<(), belay_client::Error> {
    /// for preset in belay.list_presets().await? {
    ///     println!("{}: {}", preset.preset, preset.description);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn list_presets(&self) -> ListPresets {
        ListPresets(Call::new(
            self,
            pb::ListPresetsRequest {},
            ArgumentErrors::default(),
        ))
    }
}

/// # Policies
impl Store {
    /// Creates the store's next policy version from a document, YAML or JSON, at most 256 KiB. It
    /// is not in force until it is activated.
    ///
    /// Idempotent: a repeat with the document of the newest version returns that version. Fails
    /// with `PolicyInvalid`, whose field violations list every error with its path in the document.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store, document: String) -> Result<(), belay_client::Error> {
    /// let policy = store.create_policy(document).await?;
    /// println!("version {}", policy.version);
    /// # Ok(())
    /// # }
    /// ```
    pub fn create_policy(&self, document: impl Into<String>) -> CreatePolicy {
        let (store_id, errors) = self.begin();
        let request = pb::CreatePolicyRequest {
            store_id,
            document: document.into(),
            ..Default::default()
        };
        CreatePolicy(Call::new(&self.belay, request, errors))
    }

    /// Gets the active policy version, or another one. Fails with `PolicyNotFound`.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
    /// println!("{}", store.get_policy().await?.document);
    /// # Ok(())
    /// # }
    /// ```
    pub fn get_policy(&self) -> GetPolicy {
        let (store_id, errors) = self.begin();
        GetPolicy(Call::new(
            &self.belay,
            pb::GetPolicyRequest {
                store_id,
                ..Default::default()
            },
            errors,
        ))
    }

    /// Lists the store's policy versions, newest first, each with its activations and without its
    /// document.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
    /// for policy in store.list_policies().await? {
    ///     println!("{}: {} activations", policy.version, policy.activations.len());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn list_policies(&self) -> ListPolicies {
        let (store_id, errors) = self.begin();
        ListPolicies(Call::new(
            &self.belay,
            pb::ListPoliciesRequest {
                store_id,
                ..Default::default()
            },
            errors,
        ))
    }

    /// Activates a policy version, 1 or greater, in place of the one before, from an instant on.
    /// Pending cancellations continue under the version that they were requested under. Fails with
    /// `PolicyNotFound`, with `InvalidField` for an instant that is too near, and with
    /// `SecondPersonNeeded` where the server asks for two persons and the caller is the author.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
    /// let policy = store.activate_policy(2).await?;
    /// println!("decides from {:?}", policy.effective_time);
    /// # Ok(())
    /// # }
    /// ```
    pub fn activate_policy(&self, version: i32) -> ActivatePolicy {
        let (store_id, errors) = self.begin();
        let request = pb::ActivatePolicyRequest {
            store_id,
            version,
            ..Default::default()
        };
        ActivatePolicy(Call::new(&self.belay, request, errors))
    }
}

call! {
    /// Made by [`Belay::list_presets`].
    ListPresets(pb::ListPresetsRequest) -> Vec<Preset>;
    |response| read_all(response.presets)
}
call! {
    /// Made by [`Store::create_policy`].
    CreatePolicy(pb::CreatePolicyRequest) -> Policy;
    |response| read(response.policy, "policy")
}
call! {
    /// Made by [`Store::get_policy`].
    GetPolicy(pb::GetPolicyRequest) -> Policy;
    |response| read(response.policy, "policy")
}
list! {
    /// Made by [`Store::list_policies`].
    ListPolicies(pb::ListPoliciesRequest) -> Policy;
    policies
}
call! {
    /// Made by [`Store::activate_policy`].
    ActivatePolicy(pb::ActivatePolicyRequest) -> Policy;
    |response| read(response.policy, "policy")
}

impl CreatePolicy {
    /// Only validates the document: the response is as if the version were created, with version 0.
    pub fn validate_only(mut self) -> Self {
        self.0.request.validate_only = true;
        self
    }
}

impl GetPolicy {
    /// This version, 1 or greater, instead of the active one.
    pub fn version(mut self, version: i32) -> Self {
        self.0.request.version = version;
        self
    }
}

impl ActivatePolicy {
    /// The instant from which it is in force. The earliest allowed unless set, some seconds from
    /// now.
    pub fn effective_time(mut self, instant: Timestamp) -> Self {
        self.0.request.effective_time = Some(time_to_wire(instant));
        self
    }
}
