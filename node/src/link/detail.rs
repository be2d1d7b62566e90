//! Everything that the admin is shown of one link, and the test of an upgrade.

use entente_lexicon::api::LinkState;
use entente_lexicon::link_view::{LinkDetail, Stage};
use worker::Response;

use crate::error::ApiError;
use crate::internal::now;
use crate::link::driver::Driver;
use crate::link::why::{self, Facts, explain};

impl Driver {
    pub(super) fn respond_with_detail(&self) -> Result<Response, ApiError> {
        let peer = self.peer()?;
        let now = now();
        let machine = self.machine.borrow();
        let view = machine.as_ref().map(|machine| machine.view(now));
        let oldest = self.store.oldest()?;
        let last_error = view.as_ref().and_then(|view| view.last_error.clone());
        let code = last_error.as_ref().map(|code| code.as_str());
        let facts = Facts {
            host: &peer.host,
            state: view
                .as_ref()
                .map_or(LinkState::Connecting, |view| view.state),
            since: view.as_ref().map_or(now, |view| view.since),
            level: peer.policy.level,
            queued: view.as_ref().map_or(0, |view| view.queued),
            oldest_age_ms: oldest.map(|at| now.since(at)),
            last_error: code,
            next_retry: view.as_ref().and_then(|view| view.next_retry),
        };
        let detail = LinkDetail {
            why: why::why(&facts, now),
            error: code.map(explain),
            attempts: self.keeper.attempts.get(),
            unacknowledged_bytes: self.keeper.unacknowledged.get(),
            undelivered_bytes: self.keeper.undelivered.get(),
            penalty: self.penalty()?,
            history: self.history()?,
            messages: self.messages()?,
            events: self.event_tallies()?,
        };
        Ok(Response::from_json(&detail)?)
    }

    /// Tries whether the peer takes an upgrade, and lets the socket go again.
    pub(super) async fn try_upgrade(&self) -> Result<Response, ApiError> {
        let stage = match self.open().await {
            Ok(socket) => {
                let closed = socket
                    .accept()
                    .and_then(|()| socket.close(Some(1000), Some("test")));
                Stage {
                    stage: "upgrade".to_owned(),
                    ok: closed.is_ok(),
                    found: "the peer takes our signed upgrade".to_owned(),
                    code: None,
                    next: None,
                }
            }
            Err(code) => {
                let explained = explain(code.as_str());
                Stage {
                    stage: "upgrade".to_owned(),
                    ok: false,
                    found: explained.meaning,
                    code: Some(explained.code),
                    next: Some(explained.next),
                }
            }
        };
        Ok(Response::from_json(&stage)?)
    }
}
