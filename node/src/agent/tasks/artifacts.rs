//! What a task brought forth, where it is a record of the worker's memory: checked, and shared with
//! those who may read the result.

use std::rc::Rc;

use entente_lexicon::records::comms::{Artifact, Visibility};
use entente_lexicon::{Recipient, RecordPath};
use entente_trust::memory::Level;

use crate::agent::core::Core;
use crate::agent::identity::Me;
use crate::agent::memory::Named;
use crate::agent::tasks::record;
use crate::agent::tasks::store::StoredTask;
use crate::error::ApiError;

impl Core {
    /// Checks every artifact that is a record of this agent's, then shares them with whoever may
    /// read the result.
    pub(super) async fn pass_on(
        self: &Rc<Self>,
        me: &Me,
        stored: &StoredTask,
        artifacts: &[Artifact],
    ) -> Result<(), ApiError> {
        let own = format!("at://{}/", me.did);
        let paths: Vec<_> = artifacts
            .iter()
            .filter_map(|artifact| {
                let path = artifact.uri.as_deref()?.strip_prefix(&own)?;
                Some((path.to_owned(), artifact.cid.as_str()))
            })
            .collect();
        if paths.is_empty() {
            return Ok(());
        }
        let request = record::request(&self.request_of(me, stored)?)?;
        let visibility = request.result_visibility;
        let mut sealed = Vec::new();
        for (path, cid) in paths {
            let path = RecordPath::parse(&path).map_err(|_error| unknown(&path))?;
            match self.named_record(&path, cid)? {
                Named::Own(Level::Public) => {}
                Named::Own(Level::Private | Level::Shared) if visibility == Visibility::Public => {
                    return Err(not_public(&path));
                }
                Named::Own(Level::Private | Level::Shared) => sealed.push(path),
                Named::Changed => return Err(changed(&path)),
                Named::Unknown => return Err(unknown(&path.to_string())),
            }
        }
        // Who asked by A2A has no key that a record could be shared for.
        let requester = stored.via.is_none();
        let requester = requester.then(|| format!("{}@{}", stored.peer, stored.host));
        let mut readers: Vec<String> = requester.into_iter().collect();
        if visibility == Visibility::Shared {
            readers.extend(self.tasks.store.helpers(stored.n)?);
        }
        for reader in &readers {
            let recipient: Recipient = reader.parse().map_err(ApiError::internal)?;
            let contact = self.contact_of(&recipient).await?;
            for path in &sealed {
                self.share_named(path, &contact.did, reader).await?;
            }
        }
        Ok(())
    }
}

fn unknown(path: &str) -> ApiError {
    ApiError::new(
        422,
        "TASK_ARTIFACT_UNKNOWN",
        format!("`/artifacts`: this agent's memory has no record {path}: store it first."),
    )
}

fn changed(path: &RecordPath) -> ApiError {
    ApiError::new(
        409,
        "TASK_ARTIFACT_CHANGED",
        format!("`/artifacts`: the record {path} has another CID by now: read it again."),
    )
}

fn not_public(path: &RecordPath) -> ApiError {
    ApiError::new(
        409,
        "TASK_ARTIFACT_NOT_PUBLIC",
        format!(
            "`/artifacts`: the result is to be public, and the record {path} is not: publish it with POST …/memory/:id/public."
        ),
    )
}
