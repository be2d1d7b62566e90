//! What ceases to be public is hidden from timelines before its owner is answered.
//!
//! Timelines are read from the directory, which the replica brings up to date a moment later: too late
//! for what was taken back. If this object is lost in between, or the directory fails, the replica is what
//! hides it.

use std::rc::Rc;

use entente_lexicon::RecordPath;
use entente_trust::memory::Level;
use wasm_bindgen_futures::spawn_local;
use worker::console_warn;

use crate::agent::core::Core;
use crate::error::ApiError;
use crate::store::d1::Directory;
use crate::store::timeline::Hidden;

impl Core {
    /// Notes that a record may not be public any more. Part of the write's transaction.
    pub(super) fn unpublished(&self, path: &RecordPath) {
        let mut waiting = self.memory.unpublished.borrow_mut();
        let _ = waiting.insert(path.clone());
    }

    /// Hides what ceased to be public. To be called before a write is answered.
    pub(in crate::agent) async fn hide_unpublished(&self) {
        let paths = self.memory.unpublished.take();
        if paths.is_empty() {
            return;
        }
        if let Err(error) = self.hide(paths).await {
            console_warn!("what is not public any more is hidden a little later: {error}");
        }
    }

    /// Hides what ceased to be public without anybody asking. Called by the alarm.
    pub(super) fn tend_unpublished(self: &Rc<Self>) {
        let core = Rc::clone(self);
        spawn_local(async move { core.hide_unpublished().await });
    }

    async fn hide(&self, paths: impl IntoIterator<Item = RecordPath>) -> Result<(), ApiError> {
        let mut hidden = Vec::new();
        for path in paths {
            let record = self.memory.store.record(&path)?;
            let revision = match &record {
                // The write that was to take it back was rolled back.
                Some(record) if record.level == Level::Public => continue,
                Some(record) => record.revision,
                None => self.last_revision()?,
            };
            hidden.push(Hidden {
                collection: path.collection().to_string(),
                rkey: path.rkey().to_string(),
                revision,
            });
        }
        if hidden.is_empty() {
            return Ok(());
        }
        let did = self.identity()?.did.clone();
        Directory::open(&self.env)?.hide(&did, &hidden).await
    }
}
