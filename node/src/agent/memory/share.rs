//! Sharing: the row that wraps a record's key travels first, then what is stored of the record, as
//! sealed messages between the two agents. So it crosses networks where their policy lets mail
//! cross, exactly once and in order, and no relay learns what is shared.

use std::rc::Rc;

use data_encoding::BASE64_NOPAD;
use entente_lexicon::api::SendMessage;
use entente_lexicon::api::memory::RecordView;
use entente_lexicon::message::SharePart;
use entente_lexicon::{Content, Did, MessageId, Recipient, RecordPath};
use entente_trust::memory::share::{self, RecipientKey};
use entente_trust::memory::{Act, Level};
use wasm_bindgen_futures::spawn_local;
use worker::console_warn;

use crate::agent::contacts::Contact;
use crate::agent::core::{Core, address};
use crate::agent::identity::Me;
use crate::agent::memory::keys::place;
use crate::agent::memory::path_of;
use crate::agent::memory::records::asked;
use crate::agent::memory::share_store::StoredShare;
use crate::agent::memory::store::StoredRecord;
use crate::error::ApiError;
use crate::internal;

/// Bytes of a record's block in one message: what fits in a message's content as base64.
const PART_BYTES: usize = 36 * 1024;
/// Agents that a record is shared with at most.
const MAX_SHARES: usize = 100;
/// What could not be sent is tried again after this.
const RETRY_MS: u64 = 30_000;
/// Shares sent in one go.
const BATCH: u32 = 50;

impl Core {
    /// Shares a record with one more agent. Shared with it already, it is sent to it again.
    pub(super) async fn share_record(
        self: &Rc<Self>,
        id: &str,
        with: &str,
    ) -> Result<RecordView, ApiError> {
        let me = self.identity()?;
        let recipient: Recipient = with.parse().map_err(|error: entente_lexicon::IdError| {
            ApiError::bad_request("MALFORMED_ADDRESS", format!("`with`: {error}."))
        })?;
        let path = path_of(id)?;
        self.known(&path, None)?;
        let contact = self.contact_of(&recipient).await?;
        if contact.did == me.did {
            return Err(ApiError::bad_request(
                "SHARE_WITH_SELF",
                "A record is its owner's anyway: name another agent.",
            ));
        }
        // Whatever was awaited, the record may have changed meanwhile.
        let record = self.known(&path, None)?;
        let (level, _effect) = record.level.after(Act::Share).map_err(asked)?;
        let shares = self.memory.store.shares(&path)?;
        if shares.len() >= MAX_SHARES {
            return Err(ApiError::new(
                409,
                "TOO_MANY_SHARES",
                "A record is shared with at most 100 agents: make it public, or take a share back.",
            ));
        }
        let before = shares.iter().find(|share| share.recipient == contact.did);
        let share = StoredShare {
            recipient: contact.did.clone(),
            host: contact.host.to_string(),
            at: before.map_or(internal::now(), |share| share.at),
            attempt: before.map_or(0, |share| share.attempt.saturating_add(1)),
        };
        self.wake_in(RETRY_MS);
        self.memory.store.transaction(|| {
            self.memory.store.keep_share(&path, &share)?;
            let revision = self.next_revision()?;
            Ok::<_, ApiError>(self.memory.store.set_level(&path, level, revision)?)
        })?;
        let sent = self.send_share(&me, &record, &share, &contact).await;
        if let Err(error) = sent
            && error.status < 500
            && error.status != 429
        {
            if before.is_none() {
                self.undo_share(&record, &contact.did)?;
            }
            return Err(error);
        }
        self.view(&me, &self.known(&path, None)?)
    }

    /// A share that never left leaves no trace, and nobody has its key.
    fn undo_share(&self, record: &StoredRecord, with: &Did) -> Result<(), ApiError> {
        let path = &record.path;
        self.memory.store.transaction(|| {
            self.memory.store.drop_share(path, with)?;
            self.memory.store.drop_told(path, with)?;
            let alone = self.memory.store.shares(path)?.is_empty();
            let level = if alone { Level::Private } else { record.level };
            let revision = self.next_revision()?;
            Ok(self.memory.store.set_level(path, level, revision)?)
        })
    }

    /// Takes a share back: a new key and a new ciphertext, which those who keep their share get.
    /// What the other has read it may have kept.
    pub(super) fn unshare_record(
        self: &Rc<Self>,
        id: &str,
        with: &str,
    ) -> Result<RecordView, ApiError> {
        let me = self.identity()?;
        let path = path_of(id)?;
        let record = self.known(&path, None)?;
        let shares = self.memory.store.shares(&path)?;
        let named = |share: &&StoredShare| {
            let did = share.recipient.as_str();
            with == did || with == format!("{did}@{}", share.host)
        };
        let Some(share) = shares.iter().find(named) else {
            return Err(ApiError::not_found(
                "NOT_SHARED",
                "The record is not shared with this agent: `sharedWith` lists DIDs.",
            ));
        };
        let left = shares.len().saturating_sub(1);
        let (level, effect) = record.level.after(Act::Unshare { left }).map_err(asked)?;
        self.memory.store.transaction(|| {
            self.memory.store.drop_share(&path, &share.recipient)?;
            self.apply(&me, &record, level, effect).map(|_new| ())
        })?;
        self.tell_sharers();
        self.view(&me, &self.known(&path, None)?)
    }

    /// Sends every share what it does not have yet, beside other work.
    pub(in crate::agent) fn tell_sharers(self: &Rc<Self>) {
        if self.memory.telling.replace(true) {
            return;
        }
        let core = Rc::clone(self);
        spawn_local(async move {
            let sent = core.send_shares().await;
            core.memory.telling.set(false);
            if let Err(error) = sent {
                console_warn!("shared records wait to be sent: {error}");
                core.wake_in(RETRY_MS);
            }
        });
    }

    /// Goes on until nobody waits, whatever is written meanwhile.
    async fn send_shares(self: &Rc<Self>) -> Result<(), ApiError> {
        if !self.memory.is_used()? {
            return Ok(());
        }
        self.memory.prepare()?;
        let me = self.identity()?;
        loop {
            let waiting = self.memory.store.unsent_shares(BATCH)?;
            if waiting.is_empty() {
                return self.send_withdrawals().await;
            }
            self.send_all(&me, waiting).await?;
        }
    }

    async fn send_all(
        self: &Rc<Self>,
        me: &Me,
        waiting: Vec<(RecordPath, StoredShare)>,
    ) -> Result<(), ApiError> {
        for (path, share) in waiting {
            let Some(record) = self.memory.store.record(&path)? else {
                continue;
            };
            let to = format!("{}@{}", share.recipient, share.host);
            let recipient: Recipient = to.parse().map_err(ApiError::internal)?;
            let mut contact = self.contact_of(&recipient).await?;
            if share.attempt > 0 {
                // Its keys may have been rotated since its card was fetched.
                contact = self.refresh(&contact).await?;
            }
            self.send_share(me, &record, &share, &contact).await?;
        }
        Ok(())
    }

    /// Hands a record over to one of those it is shared with. Sent again, it is the same mail.
    async fn send_share(
        self: &Rc<Self>,
        me: &Me,
        record: &StoredRecord,
        share: &StoredShare,
        contact: &Rc<Contact>,
    ) -> Result<(), ApiError> {
        let dek = record
            .dek
            .ok_or_else(|| ApiError::internal("a public record has no key"))?;
        let dek = self.open_dek(me, &record.path, dek)?;
        let key = RecipientKey::Hybrid(&contact.hybrid);
        let rng = &mut internal::rng();
        let place = place(me, &record.path);
        let row = share::make(&place, &dek, &me.signing, &contact.did, key, rng);
        let row = row.map_err(|error| ApiError::new(502, error.code(), format!("{error}.")))?;
        // Before anything leaves: forgetting must know of everybody who may have it.
        let store = &self.memory.store;
        store.keep_told(&record.path, Some(&share.recipient), &share.host)?;
        let cid = record.cid.to_string();
        let mut mail = None;
        let parts: Vec<_> = record.block.chunks(PART_BYTES).collect();
        for (number, data) in parts.iter().enumerate() {
            let first = number == 0;
            let part = SharePart {
                uri: format!("at://{}/{}", me.did, record.path),
                cid: cid.clone(),
                version: record.version,
                dek: dek.id().to_string(),
                row: first.then(|| BASE64_NOPAD.encode(&row)),
                part: u8::try_from(number).map_err(ApiError::internal)?,
                parts: u8::try_from(parts.len()).map_err(ApiError::internal)?,
                data: Some(BASE64_NOPAD.encode(data)),
            };
            let message = SendMessage {
                to: address(&contact.did, &contact.host),
                content: Content::Share(part),
                thread: None,
                priority: None,
                expires_at: None,
                idempotency_key: Some(share_key(&cid, share, number)),
                asynchronous: None,
            };
            mail = Some(self.send_part(message).await?);
        }
        let mail = mail.ok_or_else(|| ApiError::internal("a record without a block"))?;
        self.memory.store.transaction(|| {
            let store = &self.memory.store;
            store.sent_share(record, share, &row, &mail)?;
            Ok(store.touch(&record.path, self.next_revision()?)?)
        })
    }

    /// Sends a part, or finds that it was sent before: under another row for the same key, since
    /// rows are made with fresh entropy.
    async fn send_part(self: &Rc<Self>, message: SendMessage) -> Result<MessageId, ApiError> {
        let key = message.idempotency_key.clone().unwrap_or_default();
        match self.send_own(message).await {
            Ok(sent) => sent.id.parse().map_err(ApiError::internal),
            Err(error) if error.code == "IDEMPOTENCY_MISMATCH" => {
                let mut known = self.store.by_requests(&[&key])?;
                known.remove(&key).map(|earlier| earlier.id).ok_or(error)
            }
            Err(error) => Err(error),
        }
    }
}

fn share_key(cid: &str, share: &StoredShare, part: usize) -> String {
    format!("share/{cid}/{}/{}/{part}", share.recipient, share.attempt)
}
