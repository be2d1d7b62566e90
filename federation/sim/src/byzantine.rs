//! Networks that lie: they have real keys, open sessions like any other, and then say with right
//! tags what no honest link says. Nothing is expected of links with them but that the honest end
//! keeps its bounds; everybody else must not notice.

use entente_federation::frame::items::{self, WireItem};
use entente_federation::frame::receipt::Receipt;
use entente_federation::frame::session::Kind;
use entente_federation::{Amount, Amounts, Code, Item, Reject, Status, Stream, Streams};
use entente_lexicon::Timestamp;

use crate::queue::Job;
use crate::socket::Parcel;
use crate::world::{AGENTS, World};

/// A liar lies this often, on average.
const LIE_EVERY_MS: u64 = 1_500;
/// Ids of messages that no honest agent sent begin with this bit.
const FORGED: u64 = 1 << 63;

/// What a liar's frame says: kind, (stream, epoch, seq), body.
type Lie = (Kind, (u8, u64, u64), Vec<u8>);

impl World {
    /// Whether both ends of this end's link are honest: then everything is checked.
    pub(crate) fn is_honest(&self, end: usize) -> bool {
        let liar = |end: usize| self.networks[self.ends[end].network].lies;
        !liar(end) && !liar(end ^ 1)
    }

    /// Whether this end is honest, whoever its peer is: then it keeps its bounds.
    pub(crate) fn keeps_bounds(&self, end: usize) -> bool {
        !self.networks[self.ends[end].network].lies
    }

    /// Some end of a liar says something, if it has a session.
    pub(crate) fn lie(&mut self, network: usize) {
        if !self.faulty {
            return;
        }
        let pause = self.rng.between(1, 2 * LIE_EVERY_MS);
        self.queue.push(self.now + pause, Job::Lie { network });
        let ends = &self.networks[network].ends;
        let end = ends[self.rng.index(ends.len())];
        let sent = match self.rng.below(10) {
            0 => self.replay(end),
            1 => self.garbage(end),
            _ => {
                let (kind, place, body) = self.invent(end);
                let link = self.ends[end].link.as_mut();
                let forged = link.and_then(|link| link.forge(kind, place, &body));
                forged.map(|(socket, frame)| (socket.0, frame))
            }
        };
        let Some((socket, frame)) = sent else { return };
        self.summary.lies += 1;
        self.trace.bytes(&frame);
        self.put(end, socket, Parcel::Frame(frame));
    }

    /// What it sent last, once more.
    fn replay(&mut self, end: usize) -> Option<(u64, Vec<u8>)> {
        let (socket, frame) = self.ends[end].last_sent.clone()?;
        self.ends[end]
            .sockets
            .contains(&socket)
            .then_some((socket, frame))
    }

    /// Bytes without a tag, on any socket in any state.
    fn garbage(&mut self, end: usize) -> Option<(u64, Vec<u8>)> {
        let socket = *self.ends[end].sockets.first()?;
        Some((socket, self.noise(200)))
    }

    fn noise(&mut self, most: usize) -> Vec<u8> {
        let length = self.rng.index(most);
        let mut noise = Vec::with_capacity(length + 32);
        while noise.len() < length {
            noise.extend_from_slice(&self.rng.bytes32());
        }
        noise.truncate(length);
        noise
    }

    fn invent(&mut self, end: usize) -> Lie {
        let (epoch, seq) = self.ends[end ^ 1].store.received();
        let epoch = match self.rng.below(8) {
            0 => epoch.saturating_sub(1),
            1 => epoch + 1,
            2 => self.rng.next() >> 12,
            _ => epoch,
        };
        let seq = match self.rng.below(6) {
            0 => seq,
            1 => seq.saturating_sub(self.rng.below(20)),
            2 => self.rng.next() >> 12,
            _ => seq + self.rng.below(40),
        };
        match self.rng.below(12) {
            0..4 => {
                let stream = 1 + self.rng.below(3) as u8;
                (Kind::Msg, (stream, epoch, seq), self.messages(end, seq))
            }
            4..8 => self.receipt(end),
            8 => (Kind::Confirm, (1, epoch, seq), Vec::new()),
            9 => (Kind::Status, (0, 0, 0), self.status()),
            10 => {
                let kinds = [Kind::Msg, Kind::Ack, Kind::Ping, Kind::Pong, Kind::Bye];
                let kind = kinds[self.rng.index(kinds.len())];
                let place = (self.rng.below(5) as u8, epoch, seq);
                (kind, place, self.noise(300))
            }
            _ => (Kind::Pong, (0, 0, 0), self.noise(9)),
        }
    }

    /// Messages of anybody to agents of the other side.
    fn messages(&mut self, end: usize, seq: u64) -> Vec<u8> {
        let count = 1 + self.rng.below(40);
        let mut all = Vec::new();
        for _ in 0..count {
            let id = (self.rng.next() | FORGED).to_be_bytes();
            let mut long = [9; 16];
            long[..8].copy_from_slice(&id);
            let from = self.rng.index(self.agents.len());
            let to = self.ends[end ^ 1].network * AGENTS + self.rng.index(AGENTS);
            all.push(WireItem::Message(Item {
                id: long,
                from: self.agents[from].did.clone(),
                to: self.agents[to].did.clone(),
                bytes: self.noise(2_000).into(),
                expires: None,
            }));
        }
        let floor = seq.saturating_sub(self.rng.below(3));
        let mut body = Vec::new();
        items::write(&mut body, floor, &all);
        body
    }

    /// A receipt, well signed, for what was or was not sent.
    fn receipt(&mut self, end: usize) -> Lie {
        let (epoch, last) = self.ends[end ^ 1].store.given();
        let from = last.saturating_sub(self.rng.below(10));
        let upto = from + self.rng.below(10);
        let mut rejects = Vec::new();
        for _ in 0..self.rng.below(3) {
            let mut id = [0; 16];
            id.copy_from_slice(&self.rng.bytes32()[..16]);
            let code = Code::from_static("NOT_ALLOWED");
            let seq = from + rejects.len() as u64;
            rejects.push(Reject { seq, id, code });
        }
        let at = Timestamp(self.rng.next() >> 12);
        let receipt = Receipt {
            epoch,
            from,
            upto,
            at,
            rejects,
        };
        let [own, peer] = [end, end ^ 1].map(|end| &self.networks[self.ends[end].network]);
        let statement = receipt.statement(&own.did, &peer.did, &[7; 16]);
        let signature = own.key.sign(&[&statement]);
        let mut body = Vec::new();
        receipt.write(&mut body, &signature);
        (Kind::Ack, (1, epoch, upto), body)
    }

    /// Windows too small to be of use.
    fn status(&mut self) -> Vec<u8> {
        let amount = Amount {
            bytes: 1 + self.rng.below(3_000),
            items: 1 + self.rng.below(3),
        };
        let amounts = Amounts::new(Streams::each(|_: Stream| amount), amount);
        let view = entente_federation::frame::status::Outlook {
            error: None,
            events: self.rng.next() >> 12,
            level: entente_lexicon::TrustLevel::Open,
            oldest: None,
            queued: self.rng.next() >> 12,
            rtt: None,
        };
        let (limits, usage) = (amounts, amounts);
        Status {
            limits,
            usage,
            view,
        }
        .encode()
    }
}
