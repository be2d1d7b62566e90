//! What a driver keeps on disk.

use std::collections::{BTreeMap, BTreeSet};

use entente_federation::handshake::transcript::{LABEL_AUTH, LABEL_READY};
use entente_federation::{
    Bounce, Change, Code, DeliveryVerdict, Evidence, Item, Peer, Reject, Restored, Stream, Streams,
    Waiting,
};
use entente_lexicon::{Did, Timestamp};
use entente_trust::crypto::hash::sha256;

use crate::pair::Node;

/// What a driver keeps on disk.
#[derive(Clone, Default)]
pub(crate) struct Store {
    pub outbox: BTreeMap<u64, Item>,
    pub queued_at: BTreeMap<u64, Timestamp>,
    /// Messages whose sender was told that nothing is known yet.
    pub unconfirmed: BTreeSet<[u8; 16]>,
    /// Outboxes of the other streams.
    pub others: Streams<BTreeMap<u64, Item>>,
    /// What other streams brought, in order.
    pub received: Streams<Vec<Item>>,
    /// What other streams said to be missing.
    pub gaps: Vec<(Stream, u64, u64)>,
    pub dropped: u64,
    pub restored: Restored,
    /// Final status of each message sent from here: None for delivered.
    pub outcome: BTreeMap<[u8; 16], Option<Code>>,
    /// What each local agent holds, in order.
    pub agents: BTreeMap<Did, Vec<[u8; 16]>>,
    pub evidence: usize,
}

impl Node {
    pub(crate) fn apply(&mut self, now: Timestamp, change: Change, enqueued: &[Item]) {
        let (own, peer) = (self.identity.as_peer(), self.config.peer.clone());
        let store = &mut self.store;
        match change {
            Change::Append {
                stream,
                index_in_input,
                seq,
                sent,
            } => {
                let out = store.restored.out.of_mut(stream);
                assert!(seq > out.acked && seq >= out.next_seq.max(1));
                out.next_seq = seq + 1;
                if sent {
                    out.sent = seq;
                }
                let item = enqueued[index_in_input].clone();
                store.queue(stream).insert(seq, item);
                store.queued_at.insert(seq, now);
            }
            Change::Sent { stream, upto } => {
                let out = store.restored.out.of_mut(stream);
                assert!(upto > out.sent && upto < out.next_seq);
                out.sent = upto;
            }
            Change::Refuse {
                index_in_input,
                code,
            } => {
                store
                    .outcome
                    .insert(enqueued[index_in_input].id, Some(code));
            }
            Change::Bounced {
                bounces, evidence, ..
            } => {
                check_evidence(&evidence, &own);
                bounces.into_iter().for_each(|bounce| store.bounce(bounce));
            }
            Change::Emptied { stream, seq } => {
                store.queue(stream).get_mut(&seq).unwrap().bytes = Vec::new().into();
            }
            Change::Settled {
                stream,
                upto,
                dropped,
            } => {
                let out = store.restored.out.of_mut(stream);
                assert!(upto > out.acked);
                store.dropped += if dropped { upto - out.acked } else { 0 };
                out.acked = upto;
                store.queue(stream).retain(|seq, _| *seq > upto);
            }
            Change::Acked {
                upto,
                at: _,
                rejects,
                evidence,
            } => {
                assert!(upto > store.restored.out.msg.acked);
                store.restored.out.msg.acked = upto;
                check_evidence(&evidence, &peer);
                store.settle(upto, &rejects);
                store.evidence += 1;
            }
            Change::Received { stream, item, .. } => store.received.of_mut(stream).push(item),
            Change::Gap { stream, from, upto } => store.gaps.push((stream, from, upto)),
            change => store.apply_numbers(change),
        }
    }
}

impl Store {
    /// What a link starts from.
    pub(crate) fn restore(&self) -> Restored {
        let mut restored = self.restored.clone();
        for stream in Stream::ALL {
            let queue = match stream {
                Stream::Msg => &self.outbox,
                stream => self.others.of(stream),
            };
            let waiting = |(seq, item): (&u64, &Item)| {
                let waiting = Waiting {
                    id: item.id,
                    length: u32::try_from(item.bytes.len()).unwrap(),
                    queued_at: self.queued_at[seq],
                    expires: item.expires,
                    unconfirmed: self.unconfirmed.contains(&item.id),
                };
                (*seq, waiting)
            };
            restored.out.of_mut(stream).rows = queue.iter().map(waiting).collect();
        }
        restored
    }

    fn queue(&mut self, stream: Stream) -> &mut BTreeMap<u64, Item> {
        match stream {
            Stream::Msg => &mut self.outbox,
            stream => self.others.of_mut(stream),
        }
    }

    fn bounce(&mut self, bounce: Bounce) {
        if !bounce.is_final {
            assert!(self.unconfirmed.insert(bounce.id));
            return;
        }
        let item = self.outbox.get_mut(&bounce.seq).unwrap();
        assert_eq!(item.id, bounce.id);
        item.bytes = Vec::new().into();
        assert_eq!(self.outcome.insert(bounce.id, Some(bounce.code)), None);
    }

    fn apply_numbers(&mut self, change: Change) {
        let restored = &mut self.restored;
        match change {
            Change::Cursor { stream, epoch, seq } => {
                let inn = restored.inn.of_mut(stream);
                (inn.epoch, inn.seq) = (epoch, seq);
            }
            Change::Rejected(reject) => {
                restored.rejects.retain(|other| other.seq != reject.seq);
                restored.rejects.push(reject);
                restored.rejects.sort_by_key(|reject| reject.seq);
            }
            Change::RejectsConfirmed { upto } => restored.rejects.retain(|r| r.seq > upto),
            Change::Attested { until, .. } => restored.attested = until,
            Change::DialOwn(number) => restored.dial_own = number,
            Change::DialPeer(number) => {
                assert!(number > restored.dial_peer);
                restored.dial_peer = number;
            }
            Change::OutEpoch { stream, epoch } => {
                let out = restored.out.of_mut(stream);
                assert!(epoch > out.epoch);
                out.epoch = epoch;
            }
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn load(&mut self, stream: Stream, bounds: (u64, usize, usize)) -> Vec<(u64, Item)> {
        let (from, max_items, max_bytes) = bounds;
        let mut bytes = 0;
        let mut items = Vec::new();
        for (seq, item) in self.queue(stream).range(from..).take(max_items) {
            bytes += item.bytes.len();
            if bytes > max_bytes && !items.is_empty() {
                break;
            }
            items.push((*seq, item.clone()));
        }
        items
    }

    pub(crate) fn deliver(&mut self, gone: &BTreeSet<Did>, item: &Item) -> DeliveryVerdict {
        let holds = self
            .agents
            .get(&item.to)
            .is_some_and(|inbox| inbox.contains(&item.id));
        if gone.contains(&item.to) && !holds {
            return DeliveryVerdict::Refused(Code::from_static("AGENT_GONE"));
        }
        let inbox = self.agents.entry(item.to.clone()).or_default();
        if !inbox.contains(&item.id) {
            inbox.push(item.id);
        }
        DeliveryVerdict::Delivered
    }

    fn settle(&mut self, upto: u64, rejects: &[Reject]) {
        let rest = self.outbox.split_off(&(upto + 1));
        for (seq, item) in std::mem::replace(&mut self.outbox, rest) {
            let reject = rejects.iter().find(|reject| reject.seq == seq);
            if item.bytes.is_empty() {
                assert!(self.outcome.contains_key(&item.id));
                continue;
            }
            assert!(reject.is_none_or(|reject| reject.id == item.id));
            let outcome = reject.map(|reject| reject.code.clone());
            assert_eq!(self.outcome.insert(item.id, outcome), None);
        }
    }
}

/// Anybody who holds the peer's key can check an acknowledgement.
fn check_evidence(evidence: &Evidence, peer: &Peer) {
    match evidence {
        Evidence::Bounce {
            kid,
            statement,
            signature,
        }
        | Evidence::Receipt {
            kid,
            statement,
            signature,
            ..
        } => {
            assert!(!statement.starts_with(b"entente/1 "));
            peer.document.keys[kid]
                .verify(&[statement], signature)
                .unwrap();
        }
        Evidence::Handshake {
            kid,
            frame,
            prior,
            body,
            signature,
        } => {
            let label = if *frame == 3 { LABEL_AUTH } else { LABEL_READY };
            let digest = sha256(&[b"entente/1 digest", &[0], prior, body]);
            peer.document.keys[kid]
                .verify(&[label, &[0], &digest], signature)
                .unwrap();
        }
    }
}
