//! Snapshots of this link, and becoming again what one says.
//!
//! The protocol finds out by itself how far the peer has come since: a link that was put back begins a
//! new epoch where the peer has more than it says, and offers everything again.

use std::rc::Rc;

use worker::{Request, Response};

use crate::agent::wire;
use crate::error::ApiError;
use crate::link::driver::Driver;
use crate::link::object::PEER;
use crate::shapes::InitLink;

impl Driver {
    /// Has the relay told of changes that no backup has.
    pub(super) fn watch(self: &Rc<Self>) {
        let told = Rc::downgrade(self);
        self.backups.watch(move || {
            let Some(driver) = told.upgrade() else { return };
            let named = Rc::clone(&driver);
            driver.backups.tell_soon(move || {
                let text = named.store.meta(PEER).ok()??;
                let record: InitLink = serde_json::from_str(&text).ok()?;
                Some(format!("link/{}", record.peer_did))
            });
        });
    }

    /// `POST /backup` and `POST /restore`, without waking the machine.
    pub(super) async fn route_backup(&self, mut request: Request) -> Result<Response, ApiError> {
        if request.path() == "/backup" {
            let wish = wire::read(&mut request).await?;
            return wire::respond(&self.backups.take(&wish).await?);
        }
        let wish = wire::read(&mut request).await?;
        let back = self.backups.put_back(&wish, || Ok(())).await?;
        self.machine.replace(None);
        self.peer.replace(None);
        wire::respond(&back)
    }
}
