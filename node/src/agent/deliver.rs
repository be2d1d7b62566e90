//! Receiving: open, check, de-duplicate, commit; then, and only then, answer.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use entente_lexicon::api::{AgentNotice, InboxMessage, NewEvent};
use entente_lexicon::{Content, Did, Host, MessageId, ReceiptStatus, Timestamp};
use entente_trust::crypto::hash;
use entente_trust::crypto::kem::KemSecret;
use entente_trust::crypto::sign::VerifyingKey;
use entente_trust::message::origin::strip_origin;
use entente_trust::message::{Body, Envelope, Expected, OpenError, Receiving};
use entente_well_known::document::RetiredKey;
use futures::future::join_all;
use worker::{WebSocket, console_warn};

use crate::agent::contacts::{Contact, REFRESH_SPACING_MS};
use crate::agent::conversations::Touched;
use crate::agent::core::{Core, address};
use crate::agent::groups::GroupFault;
use crate::agent::identity::Me;
use crate::agent::journey::KeptProof;
use crate::agent::memory::ShareFault;
use crate::agent::outbox::EndOf;
use crate::agent::resolving::{Again, SENDER_UNREACHABLE};
use crate::agent::socket::push;
use crate::agent::store::{Digests, End, NewMessage};
use crate::agent::tasks::TaskFault;
use crate::agent::wire::{Delivery, DeliveryReply, Receipt, Receipts};
use crate::error::ApiError;
use crate::internal;
use crate::store::sqlite::StoreError;

/// Senders looked up for one batch; messages of others are refused for now and come again.
const MAX_LOOKUPS: usize = 16;

/// How far the clocks of networks may be apart.
const CLOCKS_DIFFER_MS: u64 = 15 * 60 * 1000;

/// One delivered message, before it is announced.
struct Arrival {
    view: InboxMessage,
    peer: Option<String>,
}

/// A batch being taken: what it changes besides the rows of its messages.
struct Taking {
    /// Digests of messages that are here, by sender and id.
    known: Digests,
    touched: Touched,
    /// Senders of new epochs.
    opened: BTreeSet<Did>,
}

/// One message as it came, and what its bytes are.
type Parsed<'a> = (&'a [u8], Result<Envelope<'a>, OpenError>);

/// What became of each message of a batch, what arrived, and the epochs that changed.
type Taken = (Vec<Option<String>>, Vec<Arrival>, Touched);

/// The network that carries messages, and its host.
type Carrier<'a> = (&'a Did, &'a Host);

/// Who says to have sent messages, or the code that refuses them.
type Senders = BTreeMap<Did, Result<Rc<Contact>, &'static str>>;

impl Core {
    /// Takes a batch of sealed messages. Each is delivered, known already, or refused with a code;
    /// one that cannot be opened never blocks the others.
    pub(super) async fn deliver(
        self: &Rc<Self>,
        delivery: Delivery,
    ) -> Result<DeliveryReply, ApiError> {
        let me = self.identity()?;
        let network = Did::parse(&delivery.network).map_err(ApiError::internal)?;
        let host = Host::parse(&delivery.host).map_err(ApiError::internal)?;
        // Who carried a message may have checked its origin; what binds us stands inside the seal.
        let items = delivery.items.iter().map(|bytes| strip_origin(bytes));
        let envelopes: Vec<_> = items.map(|bytes| (bytes, Envelope::parse(bytes))).collect();
        let parsed = || {
            envelopes
                .iter()
                .filter_map(|(_, parsed)| parsed.as_ref().ok())
        };
        let carrier = (&network, &host);
        let mut senders = BTreeSet::new();
        for envelope in parsed() {
            let from = &envelope.header.from;
            // Nobody is asked about whoever is not heard anyway.
            if self.blocks.of(from, &network, &host)?.is_none() {
                senders.insert(from.clone());
            }
        }
        let mut senders = self.senders_of(senders, &network, &host).await;
        let mut asked_again = BTreeSet::new();
        let (refused, arrivals, touched) = loop {
            let before = self.records_before();
            match self.take_all(&me, &envelopes, (&senders, carrier), &asked_again) {
                Ok(taken) => {
                    self.records_came(before);
                    break taken;
                }
                Err(Stop::Ours(error)) => {
                    self.records_lost(before);
                    return Err(error);
                }
                Err(Stop::NewKeys(sender)) => {
                    self.records_lost(before);
                    let contact = self.ask_again(&sender).await?;
                    asked_again.insert(contact.did.clone());
                    senders.insert(contact.did.clone(), Ok(contact));
                }
            }
        };
        self.conversations.keep(touched);
        self.groups_came();
        if !arrivals.is_empty() {
            self.start_courier();
            let sockets = self.sockets();
            arrivals
                .into_iter()
                .for_each(|arrival| self.show_arrival(arrival, &sockets));
        }
        Ok(DeliveryReply { refused })
    }

    /// Commits a batch, all or nothing. Stops at the first message that its sender may have signed
    /// with a key that we have not heard of, unless the sender was asked for just now.
    fn take_all(
        &self,
        me: &Me,
        envelopes: &[Parsed<'_>],
        from: (&Senders, Carrier<'_>),
        asked_again: &BTreeSet<Did>,
    ) -> Result<Taken, Stop> {
        let parsed = || {
            envelopes
                .iter()
                .filter_map(|(_, parsed)| parsed.as_ref().ok())
        };
        let mut refused = Vec::with_capacity(envelopes.len());
        let mut arrivals = Vec::new();
        let taking = self.store.transaction(|| {
            let now = internal::now();
            let mut taking = Taking {
                known: self
                    .store
                    .incoming_digests(parsed().map(|envelope| envelope.header.id))?,
                touched: Touched::new(),
                opened: BTreeSet::new(),
            };
            for (bytes, envelope) in envelopes {
                let outcome = match envelope {
                    Ok(envelope) => self.take(me, from, (bytes, envelope), &mut taking, now),
                    Err(error) => Err(error.into()),
                };
                refused.push(match outcome {
                    Ok(arrival) => {
                        arrivals.extend(arrival);
                        None
                    }
                    Err(Fault::Unverified(sender)) if !asked_again.contains(&sender.did) => {
                        return Err(Stop::NewKeys(sender));
                    }
                    Err(Fault::Unverified(_)) => Some(OpenError::BadSignature.code().to_owned()),
                    Err(Fault::Refused(code)) => Some(code.to_owned()),
                    Err(Fault::Ours(error)) => return Err(Stop::Ours(error)),
                });
            }
            self.store_touched(me, &taking.touched, &taking.opened, now)
                .map_err(Stop::Ours)?;
            self.push_arrivals(arrivals.iter().map(|arrival: &Arrival| &arrival.view))
                .map_err(Stop::Ours)?;
            Ok(taking)
        })?;
        Ok((refused, arrivals, taking.touched))
    }

    /// Asks for a sender's card again. If that was done a moment ago, the batch waits: refusing it
    /// could lose what a key signed that is about to be published.
    pub(super) async fn ask_again(&self, sender: &Rc<Contact>) -> Result<Rc<Contact>, ApiError> {
        if internal::now().since(sender.checked_at.get()) < REFRESH_SPACING_MS {
            return Err(ApiError::new(
                503,
                "SENDER_KEY_UNKNOWN",
                "A message does not verify under its sender's keys, which were asked for a moment ago: it is tried again.",
            ));
        }
        match self.refresh(sender).await {
            // A log that does not continue the pinned one changes nothing, nor does a sender that is
            // gone: the message is refused.
            Err(error) if error.status < 500 => Ok(Rc::clone(sender)),
            outcome => outcome,
        }
    }

    /// Finds who says to have sent these. Only the network that carries a message may vouch for
    /// its sender. A sender whose card cannot be fetched now keeps nobody else waiting.
    async fn senders_of(
        self: &Rc<Self>,
        dids: BTreeSet<Did>,
        network: &Did,
        host: &Host,
    ) -> Senders {
        let mut lookups = 0;
        let found = dids.into_iter().map(|did| {
            let at_hand = self.is_at_hand(&did);
            lookups += usize::from(!at_hand);
            let may_ask = lookups <= MAX_LOOKUPS;
            async move {
                if !at_hand && !may_ask {
                    return (did, Err(SENDER_UNREACHABLE));
                }
                let sender = match self.contact_at(&did, network, host).await {
                    Ok(contact) if contact.network == *network => Ok(contact),
                    Ok(_) => Err("WRONG_NETWORK"),
                    Err(error) if error.status < 500 || error.code == "CARD_INVALID" => {
                        Err("UNKNOWN_SENDER")
                    }
                    Err(_) => Err(SENDER_UNREACHABLE),
                };
                (did, sender)
            }
        });
        let found: Vec<_> = found.collect();
        join_all(found).await.into_iter().collect()
    }

    fn take(
        &self,
        me: &Me,
        (senders, (network, host)): (&Senders, Carrier<'_>),
        (bytes, envelope): (&[u8], &Envelope<'_>),
        taking: &mut Taking,
        now: Timestamp,
    ) -> Result<Option<Arrival>, Fault> {
        let header = &envelope.header;
        let id = MessageId::from_bytes(header.id);
        let digest = hash::sha256(&[bytes]);
        let place = (header.from.to_string(), header.id);
        if let Some(known) = taking.known.get(&place) {
            return if *known == digest {
                Ok(None)
            } else {
                Err(Fault::Refused("ID_REUSED"))
            };
        }
        if header.expires.is_some_and(|at| at <= now) {
            return Err(Fault::Refused("EXPIRED"));
        }
        if let Some(blocked) = self.blocks.of(&header.from, network, host).map_err(ours)? {
            self.blocks.count(&blocked, now).map_err(ours)?;
            if blocked.silent {
                return Ok(None);
            }
            return Err(Fault::Refused("SENDER_BLOCKED"));
        }
        let sender = match senders.get(&header.from) {
            Some(Ok(sender)) => sender,
            Some(Err(code)) => return Err(Fault::Refused(code)),
            None => return Err(Fault::Refused(SENDER_UNREACHABLE)),
        };
        let mut body = self.open(me, sender, envelope, taking)?;
        if !self.take_carried(me, sender, &mut body, now)? {
            return Ok(None);
        }
        self.store
            .insert(NewMessage {
                id: &id,
                outgoing: false,
                peer: header.from.as_str(),
                host: &sender.host,
                network: &sender.network,
                created_at: body.created_at,
                stored_at: now,
                body: me.seal_body(&id, &body).map_err(Fault::Ours)?,
                digest,
                request: None,
                envelope: None,
                status: ReceiptStatus::Delivered,
                place: Some(header.index),
                expires: header.expires,
            })
            .map_err(ours)?;
        taking.known.insert(place, digest.to_vec());
        let from = Party {
            did: &header.from,
            host: &sender.host,
            name: Some(sender.name.to_string()),
        };
        let view = inbox_view(me, &id, from, body, now);
        let peer = (sender.network != me.network).then(|| sender.host.to_string());
        Ok(Some(Arrival { view, peer }))
    }

    /// Takes what a message carries for the agent itself. Returns whether its program is shown the
    /// message.
    fn take_carried(
        &self,
        me: &Me,
        sender: &Rc<Contact>,
        body: &mut Body,
        now: Timestamp,
    ) -> Result<bool, Fault> {
        match &mut body.content {
            Content::Text { .. } | Content::Json { .. } | Content::Ref { .. } => {}
            Content::Share(part) => {
                self.take_share(me, sender, part, now)?;
                // It is in the memory now.
                part.row = None;
                part.data = None;
            }
            Content::Record(part) => self.take_typed(me, sender, part, now)?,
            Content::Group(_) => return Ok(self.take_group(me, sender, body, now)?),
            Content::Cast(_) => return Ok(self.take_cast(me, sender, body, now)?),
            Content::Topic(part) => {
                self.take_topic(me, sender, part, now)?;
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Opens a message in the epoch it names, or accepts the epoch that it opens.
    fn open(
        &self,
        me: &Me,
        sender: &Rc<Contact>,
        envelope: &Envelope<'_>,
        taking: &mut Taking,
    ) -> Result<Body, Fault> {
        let expected = Expected {
            from: &sender.did,
            to: &me.did,
            network: &me.network,
        };
        let place = (sender.did.clone(), envelope.epoch);
        let epoch = self.touch(me, &mut taking.touched, &place);
        if let Some(epoch) = epoch.map_err(Fault::Ours)? {
            return Ok(epoch.open(envelope, &expected)?);
        }
        let opening = envelope.opening.ok_or(OpenError::UnknownEpoch)?;
        let prekey = self.prekey_secret(me, opening.kid).map_err(Fault::Ours)?;
        let prekey = prekey.ok_or(OpenError::UnknownKey)?;
        let (epoch, body) = accept(sender, envelope, &prekey, &expected)?;
        taking.touched.insert(place, epoch);
        taking.opened.insert(sender.did.clone());
        Ok(body)
    }

    fn show_arrival(&self, arrival: Arrival, sockets: &[WebSocket]) {
        let Arrival { view, peer } = arrival;
        self.report(NewEvent {
            kind: "message.received".to_owned(),
            at: view.received_at,
            from: Some(view.from.clone()),
            to: Some(view.to.clone()),
            message: Some(view.id.clone()),
            peer,
            latency_ms: Some(view.received_at.since(view.created_at)),
            ..NewEvent::default()
        });
        push(sockets, &AgentNotice::Message { message: view });
    }

    /// Takes receipts from the link that verified them, and answers once they are committed.
    pub(super) fn take_receipts(self: &Rc<Self>, receipts: &Receipts) -> Result<(), ApiError> {
        let (ended, resealed) = self.store.transaction(|| {
            let mut ended = Vec::new();
            let mut resealed = false;
            let proofs = receipts.proofs.iter();
            let proofs: Vec<_> = proofs.map(|proof| KeptProof::new(proof)).collect();
            for (place, receipt) in receipts.items.iter().enumerate() {
                let bytes = receipt.id.as_slice().try_into();
                let id = MessageId::from_bytes(bytes.map_err(ApiError::internal)?);
                let recipient = receipts.from.as_ref().map(|from| from.get(place));
                if let Some(recipient) = recipient
                    && !recipient.is_some_and(|to| {
                        let ours = self.store.is_for(&id, to, &receipts.by);
                        ours.unwrap_or(false)
                    })
                {
                    console_warn!("a peer decided about a message that was not for it");
                    continue;
                }
                let proof = receipt.proof.and_then(|place| proofs.get(place));
                self.handed.forget(&id);
                match self.unseal(&id, receipt.code.as_deref())? {
                    Again::No => {
                        ended.extend(self.take_receipt(&receipts.by, receipt, id, proof)?)
                    }
                    Again::Now => resealed = true,
                    Again::Later => {}
                }
            }
            Ok::<_, ApiError>((ended, resealed))
        })?;
        self.announce_ends(ended);
        if resealed {
            self.resolve_unsealed();
        }
        Ok(())
    }

    fn take_receipt(
        &self,
        by: &str,
        receipt: &Receipt,
        id: MessageId,
        proof: Option<&KeptProof<'_>>,
    ) -> Result<Vec<EndOf>, ApiError> {
        let end = End {
            at: receipt.at,
            by: by.to_owned(),
            code: receipt.code.clone(),
            sent: receipt.sent,
        };
        let Some(step) = self.store.step(&id, receipt.status, &end, proof)? else {
            return Ok(Vec::new());
        };
        if receipt.status == ReceiptStatus::Delivered
            && let Ok(to) = Did::parse(&step.to)
        {
            self.conversations.heard(&to, &id);
        }
        self.ends(id, &step, receipt.status, &end)
    }
}

/// Accepts the epoch that a message opens, if its sender's key signed it: the current one, or one
/// that was current when the message was made.
fn accept(
    sender: &Rc<Contact>,
    envelope: &Envelope<'_>,
    prekey: &KemSecret,
    expected: &Expected<'_>,
) -> Result<(Receiving, Body), Fault> {
    let accepted = Receiving::accept(envelope, prekey, &sender.signing, expected);
    if accepted.as_ref().err() != Some(&OpenError::BadSignature) {
        return Ok(accepted?);
    }
    for old in &sender.retired {
        match Receiving::accept(envelope, prekey, &old.key, expected) {
            Ok((epoch, body)) if was_current(old, body.created_at) => return Ok((epoch, body)),
            Ok(_) | Err(_) => {}
        }
    }
    Err(Fault::Unverified(Rc::clone(sender)))
}

/// Finds the key of a contact that may have signed something at `at` and did: the current one, or
/// one that was current then.
pub(super) fn signer_at(
    contact: &Contact,
    at: Timestamp,
    is_by: impl Fn(&VerifyingKey) -> bool,
) -> Option<&VerifyingKey> {
    if is_by(&contact.signing) {
        return Some(&contact.signing);
    }
    let old = contact.retired.iter().filter(|old| was_current(old, at));
    old.map(|old| &old.key).find(|key| is_by(key))
}

/// Tells whether a retired key may have signed something made at this time. Clocks differ, and what
/// was being made during a rotation is signed by the key before it.
fn was_current(key: &RetiredKey, at: Timestamp) -> bool {
    at.after(CLOCKS_DIFFER_MS) >= key.from && at <= key.until.after(CLOCKS_DIFFER_MS)
}

/// Why a batch was not committed.
enum Stop {
    /// We could not.
    Ours(ApiError),
    /// This sender may have new keys.
    NewKeys(Rc<Contact>),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Ours(error.into())
    }
}

/// Why a message was not taken.
pub(super) enum Fault {
    /// No key that we know of its sender signed it.
    Unverified(Rc<Contact>),
    /// It is at fault itself; its sender is told this code.
    Refused(&'static str),
    /// We could not; it will be offered again.
    Ours(ApiError),
}

impl From<OpenError> for Fault {
    fn from(error: OpenError) -> Self {
        Self::Refused(error.code())
    }
}

impl From<ShareFault> for Fault {
    fn from(fault: ShareFault) -> Self {
        match fault {
            ShareFault::Refused(code) => Self::Refused(code),
            ShareFault::Ours(error) => Self::Ours(error),
        }
    }
}

impl From<TaskFault> for Fault {
    fn from(fault: TaskFault) -> Self {
        match fault {
            TaskFault::Refused(code) => Self::Refused(code),
            TaskFault::Ours(error) => Self::Ours(error),
        }
    }
}

impl From<GroupFault> for Fault {
    fn from(fault: GroupFault) -> Self {
        match fault {
            GroupFault::Refused(code) => Self::Refused(code),
            GroupFault::Unverified(owner) => Self::Unverified(owner),
            GroupFault::Ours(error) => Self::Ours(error),
        }
    }
}

impl From<&OpenError> for Fault {
    fn from(error: &OpenError) -> Self {
        Self::Refused(error.code())
    }
}

fn ours(error: StoreError) -> Fault {
    Fault::Ours(error.into())
}

/// The other agent of a message.
pub(super) struct Party<'a> {
    pub(super) did: &'a Did,
    pub(super) host: &'a Host,
    pub(super) name: Option<String>,
}

/// Shows a message as its recipient sees it.
pub(super) fn inbox_view(
    me: &Me,
    id: &MessageId,
    from: Party<'_>,
    body: Body,
    received_at: Timestamp,
) -> InboxMessage {
    InboxMessage {
        id: id.to_string(),
        from: address(from.did, from.host),
        to: address(&me.did, &me.host),
        peer_name: from.name,
        thread: body.thread,
        content: body.content,
        priority: body.priority,
        created_at: body.created_at,
        received_at,
        read_at: None,
    }
}
