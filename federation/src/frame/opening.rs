//! The four frames of the opening handshake.
//!
//! Each is the DAG-CBOR array `[body, signature, mac]` of byte strings, its body a DAG-CBOR map.
//! What is signed is the received bytes, never a re-encoding. The decoder takes canonical
//! DAG-CBOR only: shortest heads, sorted keys, none unknown, none twice.

use entente_lexicon::{Did, Host, TrustLevel};
use serde::{Deserialize, Serialize};
use serde_bytes::{ByteArray, ByteBuf, Bytes};

use super::MAX_NUMBER;
use super::stream::Stream;
use crate::code::Code;
use crate::handshake::fault::Misbehaved;
use crate::link::Reject;

/// The largest handshake frame.
pub const MAX_OPENING_FRAME: usize = 8192;
/// The only version of the protocol.
pub const VERSION: u64 = 1;
/// The only suite: X-Wing, by its HPKE number.
pub const SUITE_X_WING: u64 = 0x647a;
/// How many rejects READY repeats at most; its cursor stops before the next one.
pub const MAX_REJECTS: usize = 64;

const MAX_VERSIONS: usize = 8;
const MAX_SHARES: usize = 4;
const MAX_SHARE_LENGTH: usize = 4096;
const MAX_CURSORS: usize = 8;
pub(crate) const MAX_KID_LENGTH: usize = 64;
const MAX_ATTESTATION_LENGTH: usize = 512;
const SIGNATURE_LENGTH: usize = 64;
const MAC_LENGTH: usize = 32;

/// A handshake frame taken apart, its body still bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpeningFrame {
    /// The DAG-CBOR map.
    pub body: Vec<u8>,
    /// Empty in HELLO, else 64 bytes.
    pub signature: Vec<u8>,
    /// Empty in HELLO, else 32 bytes.
    pub mac: Vec<u8>,
}

/// Who speaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Party {
    /// Its DID.
    pub did: Did,
    /// Its host, as published.
    pub host: Host,
    /// SHA-256 of its document.
    pub doc: ByteArray<32>,
    /// The key it signs with.
    pub kid: String,
}

/// HELLO, initiator to responder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hello {
    /// 1.
    pub t: u8,
    /// The versions it speaks.
    pub versions: Vec<u64>,
    /// One fresh KEM key for each suite it speaks.
    pub shares: Vec<(u64, ByteBuf)>,
    /// Who speaks.
    pub from: Party,
    /// Whom it means to reach.
    pub to: Did,
    /// Fresh.
    pub nonce: ByteArray<32>,
    /// Rises with every dial.
    pub dial: u64,
    /// The level it wants.
    pub want: TrustLevel,
}

/// HELLO_ACK, responder to initiator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HelloAck {
    /// 2.
    pub t: u8,
    /// The version chosen.
    pub version: u64,
    /// The suite chosen.
    pub suite: u64,
    /// Who speaks.
    pub from: Party,
    /// Fresh.
    pub nonce: ByteArray<32>,
    /// The encapsulation to the share of that suite.
    pub ct: ByteBuf,
}

/// Where a receiver stands: (stream, epoch, last settled seq).
pub type Cursor = (u64, u64, u64);

/// AUTH, initiator to responder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// 3.
    pub t: u8,
    /// That its network vouches for the responder; empty if it does not.
    pub attestation: ByteBuf,
    /// What it has received. It stops before the first reject not known to have been heard of.
    pub cursors: Vec<Cursor>,
}

/// READY, responder to initiator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ready {
    /// 4.
    pub t: u8,
    /// That its network vouches for the initiator; empty if it does not.
    pub attestation: ByteBuf,
    /// The session's id, fresh.
    pub session: ByteArray<16>,
    /// The level agreed on.
    pub granted: TrustLevel,
    /// What may be in flight towards the responder.
    pub limits: WireLimits,
    /// What it has received.
    pub cursors: Vec<Cursor>,
    /// What it refused up to its cursor, as far as not known to have been heard of:
    /// (stream, seq, id, code), by rising seq.
    pub rejects: Vec<(u64, u64, ByteArray<16>, String)>,
}

/// What may be in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WireLimits {
    /// Weight of unacknowledged messages.
    pub bytes: u64,
    /// The largest session frame.
    pub frame: u64,
    /// Unacknowledged messages.
    pub items: u64,
}

/// A decoded body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Frame 1.
    Hello(Box<Hello>),
    /// Frame 2.
    HelloAck(Box<HelloAck>),
    /// Frame 3.
    Auth(Auth),
    /// Frame 4.
    Ready(Ready),
}

#[derive(Deserialize)]
struct Kind {
    t: u8,
}

impl OpeningFrame {
    /// Writes the frame.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode(&(
            Bytes::new(&self.body),
            Bytes::new(&self.signature),
            Bytes::new(&self.mac),
        ))
    }

    /// Takes a frame apart and decodes its body; nothing is believed yet.
    ///
    /// # Errors
    /// [`Misbehaved::OversizeFrame`], [`Misbehaved::MalformedFrame`].
    pub fn decode(bytes: &[u8]) -> Result<(Self, Body), Misbehaved> {
        if bytes.len() > MAX_OPENING_FRAME {
            return Err(Misbehaved::OversizeFrame);
        }
        let (body, signature, mac): (ByteBuf, ByteBuf, ByteBuf) = decode(bytes)?;
        let frame = Self {
            body: body.into_vec(),
            signature: signature.into_vec(),
            mac: mac.into_vec(),
        };
        let body = Body::decode(&frame.body)?;
        let signed = match body {
            Body::Hello(_) => frame.signature.is_empty() && frame.mac.is_empty(),
            Body::HelloAck(_) | Body::Auth(_) | Body::Ready(_) => {
                frame.signature.len() == SIGNATURE_LENGTH && frame.mac.len() == MAC_LENGTH
            }
        };
        require(signed)?;
        Ok((frame, body))
    }
}

impl Body {
    fn decode(bytes: &[u8]) -> Result<Self, Misbehaved> {
        let kind: Kind = decode(bytes)?;
        match kind.t {
            1 => decode::<Hello>(bytes)?
                .checked()
                .map(|b| Self::Hello(Box::new(b))),
            2 => decode::<HelloAck>(bytes)?
                .checked()
                .map(|b| Self::HelloAck(Box::new(b))),
            3 => decode::<Auth>(bytes)?.checked().map(Self::Auth),
            4 => decode::<Ready>(bytes)?.checked().map(Self::Ready),
            _ => Err(Misbehaved::MalformedFrame),
        }
    }
}

impl Hello {
    fn checked(self) -> Result<Self, Misbehaved> {
        let doubled = |(suite, _): &(u64, ByteBuf)| {
            self.shares
                .iter()
                .filter(|(other, _)| other == suite)
                .count()
                > 1
        };
        require((1..=MAX_VERSIONS).contains(&self.versions.len()))?;
        require((1..=MAX_SHARES).contains(&self.shares.len()))?;
        require(!self.shares.iter().any(doubled))?;
        require(
            self.shares
                .iter()
                .all(|(_, key)| key.len() <= MAX_SHARE_LENGTH),
        )?;
        require(self.from.kid.len() <= MAX_KID_LENGTH)?;
        require(self.dial < MAX_NUMBER)?;
        Ok(self)
    }
}

impl HelloAck {
    fn checked(self) -> Result<Self, Misbehaved> {
        require(self.from.kid.len() <= MAX_KID_LENGTH)?;
        require(self.ct.len() <= MAX_SHARE_LENGTH)?;
        Ok(self)
    }
}

impl Auth {
    fn checked(self) -> Result<Self, Misbehaved> {
        require(self.attestation.len() <= MAX_ATTESTATION_LENGTH)?;
        check_cursors(&self.cursors)?;
        Ok(self)
    }
}

impl Ready {
    fn checked(self) -> Result<Self, Misbehaved> {
        require(self.attestation.len() <= MAX_ATTESTATION_LENGTH)?;
        check_cursors(&self.cursors)?;
        require(self.rejects.len() <= MAX_REJECTS)?;
        require(
            self.rejects
                .iter()
                .all(|(_, _, _, code)| Code::parse(code).is_some()),
        )?;
        require(
            self.rejects
                .is_sorted_by(|(a, m, ..), (b, n, ..)| (a, m) < (b, n)),
        )?;
        require(self.limits.items > 0 && self.limits.bytes > 0)?;
        Ok(self)
    }

    /// Returns the rejects of the message stream.
    #[must_use]
    pub fn message_rejects(&self) -> Vec<Reject> {
        let number = u64::from(Stream::Msg.number());
        let ours = self.rejects.iter().filter(|(stream, ..)| *stream == number);
        ours.map(|(_, seq, id, code)| Reject {
            seq: *seq,
            id: **id,
            code: Code::lossy(code),
        })
        .collect()
    }
}

/// Returns (epoch, seq) of a stream; (0, 0) if it is not listed.
#[must_use]
pub fn cursor_of(cursors: &[Cursor], stream: Stream) -> (u64, u64) {
    let number = u64::from(stream.number());
    let listed = cursors.iter().find(|(stream, ..)| *stream == number);
    listed.map_or((0, 0), |(_, epoch, seq)| (*epoch, *seq))
}

/// Writes a body or a frame as DAG-CBOR.
#[must_use]
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    // Writing these shapes to memory has no way to fail.
    serde_ipld_dagcbor::to_vec(value).unwrap_or_default()
}

fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Misbehaved> {
    serde_ipld_dagcbor::from_slice(bytes).map_err(|_error| Misbehaved::MalformedFrame)
}

fn check_cursors(cursors: &[Cursor]) -> Result<(), Misbehaved> {
    require(cursors.len() <= MAX_CURSORS)?;
    require(
        cursors
            .iter()
            .all(|(_, epoch, seq)| *epoch < MAX_NUMBER && *seq < MAX_NUMBER),
    )?;
    require(cursors.is_sorted_by(|(a, ..), (b, ..)| a < b))
}

fn require(holds: bool) -> Result<(), Misbehaved> {
    if holds {
        Ok(())
    } else {
        Err(Misbehaved::MalformedFrame)
    }
}
