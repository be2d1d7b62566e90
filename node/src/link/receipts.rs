//! Tells our agents what became of the messages they sent. A message leaves the outbox only once
//! its sender has committed that.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use entente_lexicon::ReceiptStatus;
use serde_bytes::ByteBuf;
use wasm_bindgen_futures::spawn_local;
use worker::{Delay, console_warn};

use crate::agent::wire::{self, Receipt, Receipts};
use crate::error::ApiError;
use crate::internal;
use crate::link::driver::Driver;
use crate::link::store::Ended;

/// Messages told of at a time.
const MAX_BATCH: u32 = 512;
/// Between two attempts at an agent that fails.
const RETRY_MS: u64 = 1_000;

impl Driver {
    /// Starts telling senders, unless that is under way already.
    pub(super) fn tell_senders(self: &Rc<Self>) {
        if self.telling.replace(true) {
            return;
        }
        let driver = Rc::clone(self);
        spawn_local(async move {
            while let Err(error) = driver.tell_all().await {
                console_warn!("a sender did not take its receipts, trying again: {error}");
                Delay::from(Duration::from_millis(RETRY_MS)).await;
            }
            driver.telling.set(false);
        });
    }

    /// Tells every sender of every message that ended, until none is left.
    pub(super) async fn tell_all(&self) -> Result<(), ApiError> {
        loop {
            let ended = self.store.ended(MAX_BATCH)?;
            if ended.is_empty() {
                return Ok(());
            }
            let mut failed = None;
            let mut told = Vec::new();
            let mut doubts = Vec::new();
            for ((object, by_peer), batch) in by_sender(&ended) {
                if let Err(error) = self.tell(&object, by_peer, &batch).await {
                    failed = Some(error);
                    continue;
                }
                for ended in batch {
                    let list = if ended.is_final {
                        &mut told
                    } else {
                        &mut doubts
                    };
                    list.push(ended.seq);
                }
            }
            self.store.transaction(|| {
                self.store.told_doubts(&doubts)?;
                self.store.told(&told)
            })?;
            if let Some(error) = failed {
                return Err(error);
            }
        }
    }

    async fn tell(&self, object: &str, by_peer: bool, batch: &[&Ended]) -> Result<(), ApiError> {
        let by = if by_peer {
            self.peer()?.peer_did.clone()
        } else {
            self.own()?.did.clone()
        };
        let mut places = BTreeMap::new();
        let mut proofs = Vec::new();
        for n in batch.iter().filter_map(|ended| ended.proof) {
            if !places.contains_key(&n)
                && let Some(proof) = self.store.proof(n)?
            {
                places.insert(n, proofs.len());
                proofs.push(ByteBuf::from(proof));
            }
        }
        let items = batch.iter().map(|ended| Receipt {
            id: ByteBuf::from(ended.id.as_slice()),
            status: status(ended),
            at: ended.at,
            code: ended.code.clone(),
            sent: ended.sent,
            proof: ended.proof.and_then(|n| places.get(&n).copied()),
        });
        let receipts = Receipts {
            by: by.to_string(),
            items: items.collect(),
            proofs,
            from: None,
        };
        let stub = internal::agent(&self.env, object)?;
        match wire::call::<()>(&stub, "/receipts", &receipts).await {
            // A sender that was deleted meanwhile needs no receipts.
            Err(error) if error.status == 410 => Ok(()),
            outcome => outcome,
        }
    }
}

/// What became of a message, as its sender is told.
fn status(ended: &Ended) -> ReceiptStatus {
    match ended.code.as_deref() {
        _ if !ended.is_final => ReceiptStatus::Unconfirmed,
        code => ending(code),
    }
}

/// The status that a code of a receipt stands for.
pub(super) fn ending(code: Option<&str>) -> ReceiptStatus {
    match code {
        None => ReceiptStatus::Delivered,
        Some("QUARANTINED") => ReceiptStatus::Quarantined,
        Some("EXPIRED" | "UNCONFIRMED") => ReceiptStatus::Expired,
        Some(_) => ReceiptStatus::Refused,
    }
}

fn by_sender(ended: &[Ended]) -> BTreeMap<(String, bool), Vec<&Ended>> {
    let mut groups: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for one in ended {
        groups
            .entry((one.object.clone(), one.by_peer))
            .or_default()
            .push(one);
    }
    groups
}
