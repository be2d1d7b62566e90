//! Session frames: header, body, tag; and the two bodies that carry mail.

use entente_lexicon::Did;
use entente_lexicon::id::BASE32;
use entente_trust::crypto::hash::sha256;
use entente_trust::crypto::mac::hmac_sha256;
use entente_trust::crypto::sign::{SigningKey, VerifyingKey};

const TAG_LENGTH: usize = 16;
const HEADER_LENGTH: usize = 26;
const RECEIPT_LABEL: &[u8] = b"entente-receipts/1\0";

/// Which way a frame goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the side that dialled.
    InitiatorToResponder = 1,
    /// From the side that was dialled.
    ResponderToInitiator = 2,
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Messages.
    Msg = 1,
    /// A receipt batch.
    Ack = 2,
    /// Asks for a PONG.
    Ping = 3,
    /// Answers a PING.
    Pong = 4,
    /// The last frame.
    Bye = 5,
    /// Acknowledgements were stored.
    Confirm = 6,
    /// Limits, usage and view.
    Status = 7,
}

/// A session frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What it is.
    pub kind: Kind,
    /// Its number in this direction.
    pub counter: u64,
    /// 1 for messages, 2 for public events.
    pub stream: u8,
    /// The stream's epoch.
    pub epoch: u64,
    /// A place in the stream.
    pub seq: u64,
    /// The rest.
    pub body: Vec<u8>,
}

/// One message of a MSG frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its id.
    pub id: [u8; 16],
    /// The sending agent.
    pub from: Did,
    /// The receiving agent.
    pub to: Did,
    /// The sealed message.
    pub envelope: Vec<u8>,
}

/// The body of an ACK frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The first seq it settles.
    pub from: u64,
    /// When.
    pub at: u64,
    /// What was refused: seq, id, code.
    pub rejects: Vec<(u64, [u8; 16], String)>,
}

/// Keys and counters of both directions.
#[derive(Clone, Debug)]
pub struct Session {
    /// Our direction; change it to reflect.
    pub direction: Direction,
    /// The counter of the next frame we send.
    pub next: u64,
    last: Option<u64>,
    key_out: [u8; 32],
    key_in: [u8; 32],
}

impl Session {
    pub(super) fn new(direction: Direction, key_out: [u8; 32], key_in: [u8; 32]) -> Self {
        Self {
            direction,
            next: 0,
            last: None,
            key_out,
            key_in,
        }
    }

    /// Writes a frame under the next counter.
    #[must_use]
    pub fn write(&mut self, kind: Kind, epoch: u64, seq: u64, body: &[u8]) -> Vec<u8> {
        let stream = u8::from(matches!(kind, Kind::Msg | Kind::Ack | Kind::Confirm));
        self.write_in(stream, kind, (epoch, seq), body)
    }

    /// Writes a frame with public events from `seq` on.
    #[must_use]
    pub fn write_event(&mut self, epoch: u64, seq: u64, body: &[u8]) -> Vec<u8> {
        self.write_in(2, Kind::Msg, (epoch, seq), body)
    }

    /// Writes a frame of a stream under the next counter.
    #[must_use]
    pub fn write_in(
        &mut self,
        stream: u8,
        kind: Kind,
        (epoch, seq): (u64, u64),
        body: &[u8],
    ) -> Vec<u8> {
        let mut frame = vec![kind as u8];
        frame.extend(self.next.to_be_bytes());
        frame.push(stream);
        frame.extend(epoch.to_be_bytes());
        frame.extend(seq.to_be_bytes());
        frame.extend_from_slice(body);
        self.next += 1;
        let tag = hmac_sha256(&self.key_out, &[&[self.direction as u8], &frame]);
        frame.extend_from_slice(&tag[..TAG_LENGTH]);
        frame
    }

    /// Reads and checks a frame.
    ///
    /// # Panics
    /// If tag, counter or layout is wrong.
    #[must_use]
    pub fn read(&mut self, bytes: &[u8]) -> Frame {
        assert!(
            bytes.len() >= HEADER_LENGTH + TAG_LENGTH,
            "a frame of {} bytes",
            bytes.len()
        );
        let (covered, tag) = bytes.split_at(bytes.len() - TAG_LENGTH);
        let other = match self.direction {
            Direction::InitiatorToResponder => Direction::ResponderToInitiator,
            Direction::ResponderToInitiator => Direction::InitiatorToResponder,
        };
        let expected = hmac_sha256(&self.key_in, &[&[other as u8], covered]);
        assert_eq!(tag, &expected[..TAG_LENGTH], "the frame's tag");
        let kinds = [
            Kind::Msg,
            Kind::Ack,
            Kind::Ping,
            Kind::Pong,
            Kind::Bye,
            Kind::Confirm,
            Kind::Status,
        ];
        let kind = kinds
            .into_iter()
            .find(|kind| *kind as u8 == covered[0])
            .expect("a known kind");
        let mut reader = Reader(&covered[1..]);
        let counter = reader.u64();
        assert!(self.last.is_none_or(|last| counter > last), "counters rise");
        self.last = Some(counter);
        let stream = reader.take(1)[0];
        let (epoch, seq) = (reader.u64(), reader.u64());
        Frame {
            kind,
            counter,
            stream,
            epoch,
            seq,
            body: reader.0.to_vec(),
        }
    }
}

impl Frame {
    /// Reads the items of a MSG frame, in whatever stream.
    ///
    /// # Panics
    /// If the layout is wrong.
    #[must_use]
    pub fn items(&self) -> Vec<Item> {
        assert_eq!(self.kind, Kind::Msg);
        let mut reader = Reader(&self.body);
        let _floor = reader.u64();
        let count = reader.u16();
        let dids: Vec<Did> = (0..count)
            .map(|_| Did::from_scid(reader.take(32).try_into().unwrap()))
            .collect();
        let count = reader.u16();
        let items = (0..count)
            .map(|_| {
                let id = reader.take(16).try_into().unwrap();
                let (from, to) = (usize::from(reader.u16()), usize::from(reader.u16()));
                let length = reader.u32() as usize;
                let envelope = reader.take(length).to_vec();
                Item {
                    id,
                    from: dids[from].clone(),
                    to: dids[to].clone(),
                    envelope,
                }
            })
            .collect();
        assert!(reader.0.is_empty(), "nothing after the items");
        items
    }
}

impl Item {
    /// Writes the body of a MSG frame.
    #[must_use]
    pub fn body(items: &[Self]) -> Vec<u8> {
        let mut body = 0_u64.to_be_bytes().to_vec();
        let count = u16::try_from(items.len()).unwrap();
        body.extend((count * 2).to_be_bytes());
        for did in items.iter().flat_map(|item| [&item.from, &item.to]) {
            body.extend(BASE32.decode(did.scid().as_bytes()).unwrap());
        }
        body.extend(count.to_be_bytes());
        for (place, item) in (0..count).zip(items) {
            body.extend(item.id);
            body.extend((place * 2).to_be_bytes());
            body.extend((place * 2 + 1).to_be_bytes());
            body.extend(u32::try_from(item.envelope.len()).unwrap().to_be_bytes());
            body.extend_from_slice(&item.envelope);
        }
        body
    }
}

impl Receipt {
    /// Writes the body of an ACK frame and signs it.
    #[must_use]
    pub fn body(
        &self,
        key: &SigningKey,
        receiver: &str,
        sender: &str,
        epoch: u64,
        upto: u64,
        ids: &[[u8; 16]],
    ) -> Vec<u8> {
        let statement = self.statement(receiver, sender, epoch, upto, ids);
        let mut body = self.from.to_be_bytes().to_vec();
        body.extend(self.at.to_be_bytes());
        body.extend(self.reject_bytes());
        body.extend(key.sign(&[&statement]));
        body
    }

    /// Reads an ACK frame and checks the signature under it.
    ///
    /// # Panics
    /// If layout or signature is wrong.
    #[must_use]
    pub fn read(
        frame: &Frame,
        key: &VerifyingKey,
        receiver: &str,
        sender: &str,
        ids: &[[u8; 16]],
    ) -> Self {
        assert_eq!((frame.kind, frame.stream), (Kind::Ack, 1));
        let mut reader = Reader(&frame.body);
        let (from, at, count) = (reader.u64(), reader.u64(), reader.u16());
        let rejects = (0..count)
            .map(|_| {
                let (seq, id) = (reader.u64(), reader.take(16).try_into().unwrap());
                let length = usize::from(reader.take(1)[0]);
                (
                    seq,
                    id,
                    String::from_utf8(reader.take(length).to_vec()).expect("a code"),
                )
            })
            .collect();
        let signature = reader.take(64);
        assert!(reader.0.is_empty(), "nothing after the signature");
        let receipt = Self { from, at, rejects };
        let statement = receipt.statement(receiver, sender, frame.epoch, frame.seq, ids);
        key.verify(&[&statement], signature)
            .expect("the network's signature under the receipt");
        receipt
    }

    fn statement(
        &self,
        receiver: &str,
        sender: &str,
        epoch: u64,
        upto: u64,
        ids: &[[u8; 16]],
    ) -> Vec<u8> {
        let mut text = RECEIPT_LABEL.to_vec();
        text.extend_from_slice(receiver.as_bytes());
        text.extend_from_slice(sender.as_bytes());
        for number in [epoch, self.from, upto, self.at] {
            text.extend(number.to_be_bytes());
        }
        text.extend(sha256(&[&ids.concat()]));
        text.extend(self.reject_bytes());
        text
    }

    fn reject_bytes(&self) -> Vec<u8> {
        let mut bytes = u16::try_from(self.rejects.len())
            .unwrap()
            .to_be_bytes()
            .to_vec();
        for (seq, id, code) in &self.rejects {
            bytes.extend(seq.to_be_bytes());
            bytes.extend(id);
            bytes.push(u8::try_from(code.len()).unwrap());
            bytes.extend(code.as_bytes());
        }
        bytes
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self
            .0
            .split_at_checked(length)
            .expect("the frame is cut off");
        self.0 = rest;
        taken
    }

    fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.take(2).try_into().unwrap())
    }

    fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.take(4).try_into().unwrap())
    }

    fn u64(&mut self) -> u64 {
        u64::from_be_bytes(self.take(8).try_into().unwrap())
    }
}
