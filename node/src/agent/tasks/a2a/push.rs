//! Push notifications: each word of the worker's is sent to where its caller wants it, by what sends
//! webhooks: guarded, signed, again until it is taken or a dead letter.

use entente_a2a::params::{PushConfig, PushParams};
use entente_a2a::rpc::RpcError;
use entente_a2a::task;
use entente_lexicon::api::tasks::TaskEntry;
use entente_lexicon::{MessageId, Timestamp};
use entente_tasks::Word;
use serde_json::{Value, json};

use crate::agent::core::Core;
use crate::agent::identity::Me;
use crate::agent::tasks::store::StoredTask;
use crate::agent::webhooks::courier::{Push, TargetConfig};
use crate::error::ApiError;
use crate::internal;

/// Places that one task is told to, at most.
const MAX_PLACES: usize = 8;
/// The longest token, credentials and name of a place, in bytes.
const MAX_SECRET_BYTES: usize = 4_096;
const MAX_NAME_BYTES: usize = 200;
/// Whose targets these are.
const OWNER: &str = "a2a";
const CONTENT_TYPE: &str = "application/a2a+json";
const TOKEN_HEADER: &str = "x-a2a-notification-token";

impl Core {
    /// Has a task told to a place from now on. The same name again replaces the place.
    pub(super) fn a2a_set_push(
        &self,
        me: &Me,
        caller: u64,
        config: PushConfig,
    ) -> Result<Value, RpcError> {
        let stored = self.a2a_task(me, caller, &config.task_id)?;
        let work = || self.a2a_add_push(&stored, config);
        let config = self.tasks.store.transaction(work)?;
        Ok(json!(config))
    }

    /// As [`Core::a2a_set_push`], in the caller's transaction.
    pub(super) fn a2a_add_push(
        &self,
        stored: &StoredTask,
        mut config: PushConfig,
    ) -> Result<PushConfig, RpcError> {
        let headers = headers(&config)?;
        config.task_id = stored.id.to_string();
        if config.id.is_empty() {
            config.id.clone_from(&config.task_id);
        }
        let store = &self.tasks.a2a.store;
        if let Some(target) = store.remove_place(stored.n, &config.id)? {
            self.remove_target(&target)?;
        }
        if store.places(stored.n)?.len() >= MAX_PLACES {
            return Err(RpcError::unsupported(
                "A task is told to 8 places at most: delete one first.",
            )
            .with_code("A2A_TOO_MANY_PLACES"));
        }
        let target = self.add_target(
            OWNER,
            &TargetConfig {
                url: config.url.clone(),
                content_type: CONTENT_TYPE.to_owned(),
                headers,
                settings: json!(config),
            },
        )?;
        store.add_place(stored.n, &config.id, &target)?;
        Ok(config)
    }

    pub(super) fn a2a_get_push(
        &self,
        me: &Me,
        caller: u64,
        params: &PushParams,
    ) -> Result<Value, RpcError> {
        let stored = self.a2a_task(me, caller, &params.task_id)?;
        let places = self.tasks.a2a.store.places(stored.n)?;
        let found = places.into_iter().find(|(id, _)| id == name(params));
        let (_, target) = found.ok_or_else(|| {
            RpcError::params("The task is told to no place of that name: ListTaskPushNotificationConfigs shows those there are.")
                .with_code("A2A_PLACE_UNKNOWN")
        })?;
        Ok(self.a2a_place_of(&target)?)
    }

    pub(super) fn a2a_list_pushes(
        &self,
        me: &Me,
        caller: u64,
        params: &PushParams,
    ) -> Result<Value, RpcError> {
        let stored = self.a2a_task(me, caller, &params.task_id)?;
        let places = self.tasks.a2a.store.places(stored.n)?;
        let places = places.iter().map(|(_, target)| self.a2a_place_of(target));
        let places: Vec<Value> = places.collect::<Result<_, ApiError>>()?;
        Ok(json!({ "configs": places, "nextPageToken": "" }))
    }

    /// Tells a place no more; what waits for it goes with it.
    pub(super) fn a2a_delete_push(
        &self,
        me: &Me,
        caller: u64,
        params: &PushParams,
    ) -> Result<Value, RpcError> {
        let stored = self.a2a_task(me, caller, &params.task_id)?;
        self.tasks.store.transaction(|| {
            let store = &self.tasks.a2a.store;
            if let Some(target) = store.remove_place(stored.n, name(params))? {
                self.remove_target(&target)?;
            }
            Ok::<_, RpcError>(Value::Null)
        })
    }

    /// Forgets what A2A keeps of a task. Part of the caller's transaction.
    pub(in crate::agent::tasks) fn a2a_forget(&self, task: u64) -> Result<(), ApiError> {
        let store = &self.tasks.a2a.store;
        for (id, target) in store.places(task)? {
            store.remove_place(task, &id)?;
            self.remove_target(&target)?;
        }
        Ok(self.tasks.a2a.remotes.forget_call(task)?)
    }

    fn a2a_place_of(&self, target: &str) -> Result<Value, ApiError> {
        self.target_settings(target)?
            .ok_or_else(|| ApiError::internal("a place without a target"))
    }

    /// Writes down what a word of the worker's tells, for every place. Part of the word's transaction.
    pub(in crate::agent::tasks) fn a2a_push(
        &self,
        me: &Me,
        stored: &StoredTask,
        (word, record): (&Word, &Value),
        at: Timestamp,
    ) -> Result<(), ApiError> {
        let places = self.tasks.a2a.store.places(stored.n)?;
        if places.is_empty() {
            return Ok(());
        }
        let view = self.brief_view(me, stored)?;
        let entry = TaskEntry {
            direction: "out".to_owned(),
            at,
            attempt: word.attempt,
            n: word.n,
            late: false,
            undelivered: None,
            record: record.clone(),
        };
        for event in task::events(&view, &entry) {
            let body = serde_json::to_vec(&event)?;
            for (_, target) in &places {
                let push = Push {
                    id: &MessageId::from_parts(at.0, internal::random()),
                    event: "a2a.task",
                    subject: &view.id,
                    body: &body,
                };
                self.push(target, &push)?;
            }
        }
        Ok(())
    }
}

fn name(params: &PushParams) -> &str {
    if params.id.is_empty() {
        &params.task_id
    } else {
        &params.id
    }
}

/// What the receiver knows us by: credentials where there are any, and the token.
fn headers(config: &PushConfig) -> Result<Vec<(String, String)>, RpcError> {
    let authentication = config.authentication.clone().unwrap_or_default();
    let texts = [
        &config.token,
        &authentication.scheme,
        &authentication.credentials,
    ];
    let plain = |text: &String| {
        text.len() <= MAX_SECRET_BYTES && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
    };
    if config.id.len() > MAX_NAME_BYTES || !texts.into_iter().all(plain) {
        return Err(RpcError::params(
            "`id` is at most 200 bytes long; `token`, and `scheme` and `credentials` of `authentication`, are at most 4,096 printable characters.",
        ));
    }
    let mut headers = Vec::new();
    if !authentication.scheme.is_empty() && !authentication.credentials.is_empty() {
        let value = format!("{} {}", authentication.scheme, authentication.credentials);
        headers.push(("authorization".to_owned(), value));
    }
    if !config.token.is_empty() {
        headers.push((TOKEN_HEADER.to_owned(), config.token.clone()));
    }
    Ok(headers)
}
