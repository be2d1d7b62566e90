//! A link whose peer's keys changed unproven: nothing crosses it until an admin has looked.

use std::rc::Rc;

use entente_federation::Input;
use entente_lexicon::api::NewEvent;
use entente_lexicon::keys::{FrozenLink, Unfreeze};
use worker::console_error;

use crate::error::ApiError;
use crate::guard;
use crate::internal;
use crate::link::driver::Driver;
use crate::link::own::peer_document;
use crate::shapes::Broken;

const FROZEN: &str = "frozen";

impl Driver {
    /// Returns why the link is frozen, if it is.
    pub(super) fn frozen(&self) -> Result<Option<FrozenLink>, ApiError> {
        let text = self.store.meta(FROZEN)?;
        Ok(text.map(|text| serde_json::from_str(&text)).transpose()?)
    }

    /// Freezes the link. What waits in the outbox stays there.
    pub(super) fn freeze(self: &Rc<Self>, broken: Broken) {
        if let Err(error) = self.try_freeze(broken) {
            console_error!("the link could not be frozen and starts over: {error}");
            self.reset();
        }
    }

    fn try_freeze(self: &Rc<Self>, broken: Broken) -> Result<(), ApiError> {
        let earlier = self.frozen()?;
        let frozen = FrozenLink {
            since: earlier
                .as_ref()
                .map_or_else(internal::now, |earlier| earlier.since),
            reason: broken.reason,
            explanation: broken.explanation,
            known_fingerprint: self.fingerprint.borrow().clone(),
            served_fingerprint: broken.served_fingerprint,
        };
        self.store
            .set_meta(FROZEN, &serde_json::to_string(&frozen)?)?;
        self.feed(Input::Freeze)?;
        if earlier.is_none() {
            self.show("link.frozen", Some("KEY_CHANGED"));
        }
        Ok(())
    }

    /// Goes on, if the peer now serves a whole log that leads to the key whose fingerprint the
    /// admin trusts. That log is the pin from here on.
    pub(super) async fn unfreeze(self: &Rc<Self>, wish: &Unfreeze) -> Result<(), ApiError> {
        if self.frozen()?.is_none() {
            return Err(ApiError::new(
                409,
                "NOT_FROZEN",
                "This link is not frozen: there is nothing to decide.",
            ));
        }
        let host = self.peer()?.host.clone();
        let target = guard::target(self.config()?, &host)?;
        let fetched = guard::fetch_document(&target, None).await?;
        let served = &fetched.verified.fingerprint;
        if *served != wish.fingerprint.trim().to_ascii_lowercase() {
            return Err(ApiError::new(
                409,
                "FINGERPRINT_MISMATCH",
                format!(
                    "The peer serves a key with the fingerprint {served}, not the one given: compare it with the peer's admin."
                ),
            ));
        }
        self.store.transaction(|| {
            self.keep_document(&fetched)?;
            Ok::<_, ApiError>(self.store.drop_meta(FROZEN)?)
        })?;
        self.feed(Input::Thaw(peer_document(
            &fetched.verified,
            internal::now(),
        )))?;
        self.list_document(&fetched).await;
        self.show("link.thawed", None);
        Ok(())
    }

    fn show(&self, kind: &str, code: Option<&str>) {
        let host = self.peer().ok().map(|peer| peer.host.to_string());
        self.reporter.report(NewEvent {
            kind: kind.to_owned(),
            at: internal::now(),
            peer: host,
            code: code.map(str::to_owned),
            ..NewEvent::default()
        });
    }
}
