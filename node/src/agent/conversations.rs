//! Conversation epochs. Those this agent sends in live in memory only, so that no restart and no
//! restored backup ever uses a key twice; those it receives in are kept, sealed.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use entente_lexicon::{Did, MessageId, Timestamp};
use entente_trust::message::origin::sign_origin;
use entente_trust::message::{Body, EpochId, Header, Prekey, Receiving, SealError, Sending};

use crate::agent::core::Core;
use crate::agent::identity::Me;
use crate::error::ApiError;
use crate::internal;

/// Conversations kept in memory, in each direction; beyond them all are begun anew.
const MAX_KEPT: usize = 512;

/// The conversations of an agent.
#[derive(Default)]
pub(super) struct Conversations {
    sending: RefCell<BTreeMap<Did, Talk>>,
    receiving: RefCell<BTreeMap<(Did, EpochId), Receiving>>,
    /// Whose prekey must be fetched anew, past every cache.
    stale: RefCell<BTreeSet<Did>>,
}

/// A conversation that this agent leads.
struct Talk {
    prekey: Prekey,
    /// Whether the link must see who sent a message.
    needs_origin: bool,
    epoch: Option<Sending>,
    /// Messages of the epoch that carry its opening: when one of them is delivered, no more need to.
    unheard: BTreeSet<MessageId>,
}

/// Epochs that a batch of incoming messages changed, until they are committed.
pub(super) type Touched = BTreeMap<(Did, EpochId), Receiving>;

impl Conversations {
    /// Takes up a recipient's prekey.
    pub(super) fn begin(&self, prekey: Prekey, needs_origin: bool) {
        self.stale.borrow_mut().remove(&prekey.did);
        let mut sending = self.sending.borrow_mut();
        if sending.len() >= MAX_KEPT {
            sending.clear();
        }
        let talk = Talk {
            prekey,
            needs_origin,
            epoch: None,
            unheard: BTreeSet::new(),
        };
        sending.insert(talk.prekey.did.clone(), talk);
    }

    /// Tells whether a message to `to` can be sealed now.
    pub(super) fn is_ready(&self, to: &Did, now: Timestamp) -> bool {
        let sending = self.sending.borrow();
        sending
            .get(to)
            .is_some_and(|talk| talk.prekey.not_after > now)
    }

    /// Seals a message, opening an epoch if need be; `None` if that needs a newer prekey.
    pub(super) fn seal(
        &self,
        me: &Me,
        id: &MessageId,
        header: &Header,
        body: &Body,
        now: Timestamp,
    ) -> Result<Option<Vec<u8>>, SealError> {
        let mut sending = self.sending.borrow_mut();
        let Some(talk) = sending
            .get_mut(&header.to)
            .filter(|talk| talk.prekey.not_after > now)
        else {
            return Ok(None);
        };
        let rng = &mut internal::rng();
        let epoch = match &mut talk.epoch {
            Some(epoch) if epoch.is_usable(now) => epoch,
            spent => {
                talk.unheard.clear();
                let opened = Sending::open(&me.did, &me.signing, &talk.prekey, now, rng)?;
                spent.insert(opened)
            }
        };
        let bytes = epoch.seal(header, body, rng)?;
        if epoch.is_opening() {
            talk.unheard.insert(id.clone());
        }
        if talk.needs_origin {
            return sign_origin(&bytes, &me.signing)
                .map(Some)
                .map_err(|_error| SealError::Field);
        }
        Ok(Some(bytes))
    }

    /// Ends every epoch that we send in: they were opened under a key that is replaced.
    pub(super) fn close_epochs(&self) {
        for talk in self.sending.borrow_mut().values_mut() {
            talk.epoch = None;
            talk.unheard.clear();
        }
    }

    /// Notes that a message was delivered: its recipient has the epoch it belongs to.
    pub(super) fn heard(&self, to: &Did, id: &MessageId) {
        let mut sending = self.sending.borrow_mut();
        if let Some(talk) = sending.get_mut(to)
            && talk.unheard.contains(id)
        {
            talk.unheard.clear();
            if let Some(epoch) = &mut talk.epoch {
                epoch.acknowledged();
            }
        }
    }

    /// Ends a conversation whose recipient does not know its keys; the next message begins anew,
    /// with a prekey that is fetched past every cache.
    pub(super) fn end(&self, to: &Did) {
        self.sending.borrow_mut().remove(to);
        self.stale.borrow_mut().insert(to.clone());
    }

    /// Tells whether the prekey of `to` must be fetched past every cache.
    pub(super) fn is_stale(&self, to: &Did) -> bool {
        self.stale.borrow().contains(to)
    }

    /// Keeps epochs in memory after they were committed.
    pub(super) fn keep(&self, touched: Touched) {
        let mut receiving = self.receiving.borrow_mut();
        if receiving.len().saturating_add(touched.len()) > MAX_KEPT {
            receiving.clear();
        }
        receiving.extend(touched.into_iter().filter(|(_, epoch)| !epoch.is_spent()));
    }
}

impl Core {
    /// Finds an epoch that this agent receives in, and puts a copy of it among those touched.
    pub(super) fn touch<'a>(
        &self,
        me: &Me,
        touched: &'a mut Touched,
        place: &(Did, EpochId),
    ) -> Result<Option<&'a mut Receiving>, ApiError> {
        if !touched.contains_key(place) {
            let known = self.conversations.receiving.borrow().get(place).cloned();
            let epoch = match known {
                Some(epoch) => epoch,
                None => match self.store.epoch(&place.0, &place.1)? {
                    Some(sealed) => {
                        let bytes = me.open_secret(&purpose(&place.1), &sealed)?;
                        Receiving::from_bytes(&bytes)
                            .ok_or_else(|| ApiError::internal("a conversation is damaged"))?
                    }
                    None => return Ok(None),
                },
            };
            touched.insert(place.clone(), epoch);
        }
        Ok(touched.get_mut(place))
    }

    /// Stores the epochs that a batch touched. Called in the batch's transaction: a key is gone
    /// exactly when the message it opened is there.
    pub(super) fn store_touched(
        &self,
        me: &Me,
        touched: &Touched,
        opened: &BTreeSet<Did>,
        now: Timestamp,
    ) -> Result<(), ApiError> {
        for ((from, id), epoch) in touched {
            if epoch.is_spent() {
                self.store.drop_epoch(from, id)?;
            } else {
                let sealed = me.seal_secret(&purpose(id), &epoch.to_bytes());
                self.store.keep_epoch(from, id, &sealed, now)?;
            }
        }
        for from in opened {
            self.store.bound_epochs(from)?;
        }
        Ok(())
    }
}

fn purpose(epoch: &EpochId) -> String {
    format!("epoch/{}", data_encoding::HEXLOWER.encode(epoch))
}
