//! Session frames: header, body, tag.
//!
//! ```text
//! 0   1  type: 1 MSG, 2 ACK, 3 PING, 4 PONG, 5 BYE, 6 CONFIRM, 7 STATUS
//! 1   8  counter: from 0, rising with every frame of a direction
//! 9   1  stream: 1 msg, 2 evt, 3 ctl; 0 where the frame belongs to none
//! 10  8  epoch
//! 18  8  seq: MSG its first item's; ACK the last settled; CONFIRM the last acknowledgement stored
//! 26  n  body: MSG `items`, ACK `receipt` in stream msg and none in the others, PING and PONG
//!        8 bytes, BYE a close code, CONFIRM none, STATUS `status`
//! …  16  tag: HMAC-SHA256(key of the direction, direction byte ‖ all before)[..16]
//! ```

use entente_trust::crypto::mac::{constant_time_eq, hmac_sha256};

use super::Reader;
use crate::handshake::fault::Misbehaved;

/// The largest session frame.
pub const MAX_SESSION_FRAME: usize = 256 * 1024;
/// Length of the header.
pub const HEADER_LENGTH: usize = 26;
/// Length of the tag.
pub const TAG_LENGTH: usize = 16;

/// What a session frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Messages.
    Msg,
    /// A receipt batch.
    Ack,
    /// Asks for a PONG with the same body.
    Ping,
    /// Answers a PING.
    Pong,
    /// The sender closes the socket after this.
    Bye,
    /// The sender has stored the acknowledgements, and the rejects in them, up to `seq`.
    Confirm,
    /// What holds at the sender: limits, usage, its view of the link.
    Status,
}

/// Everything before the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What it is.
    pub kind: Kind,
    /// Its number in this direction of this session.
    pub counter: u64,
    /// The stream, or 0.
    pub stream: u8,
    /// The stream's epoch.
    pub epoch: u64,
    /// A place in the stream.
    pub seq: u64,
}

impl Kind {
    const fn to_byte(self) -> u8 {
        match self {
            Self::Msg => 1,
            Self::Ack => 2,
            Self::Ping => 3,
            Self::Pong => 4,
            Self::Bye => 5,
            Self::Confirm => 6,
            Self::Status => 7,
        }
    }

    const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Msg),
            2 => Some(Self::Ack),
            3 => Some(Self::Ping),
            4 => Some(Self::Pong),
            5 => Some(Self::Bye),
            6 => Some(Self::Confirm),
            7 => Some(Self::Status),
            _ => None,
        }
    }
}

impl Header {
    /// Begins a frame with this header; the caller appends the body, then calls [`finish`].
    #[must_use]
    pub fn begin(&self, body_capacity: usize) -> Vec<u8> {
        let mut frame = Vec::with_capacity(HEADER_LENGTH + body_capacity + TAG_LENGTH);
        frame.push(self.kind.to_byte());
        frame.extend_from_slice(&self.counter.to_be_bytes());
        frame.push(self.stream);
        frame.extend_from_slice(&self.epoch.to_be_bytes());
        frame.extend_from_slice(&self.seq.to_be_bytes());
        frame
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let kind = Kind::from_byte(reader.u8()?)?;
        let counter = reader.u64()?;
        let stream = reader.u8()?;
        Some(Self {
            kind,
            counter,
            stream,
            epoch: reader.u64()?,
            seq: reader.u64()?,
        })
    }
}

/// Ends a frame with its tag.
pub fn finish(frame: &mut Vec<u8>, key: &[u8; 32], direction: u8) {
    let tag = hmac_sha256(key, &[&[direction], frame]);
    frame.extend(tag.iter().take(TAG_LENGTH));
}

/// Checks a frame's size, tag and header, in this order, and returns header and body.
///
/// # Errors
/// [`Misbehaved::OversizeFrame`], [`Misbehaved::MalformedFrame`], [`Misbehaved::BadMac`].
pub fn open<'a>(
    bytes: &'a [u8],
    key: &[u8; 32],
    direction: u8,
) -> Result<(Header, &'a [u8]), Misbehaved> {
    if bytes.len() > MAX_SESSION_FRAME {
        return Err(Misbehaved::OversizeFrame);
    }
    let covered = bytes
        .len()
        .checked_sub(TAG_LENGTH)
        .ok_or(Misbehaved::MalformedFrame)?;
    let (covered, tag) = bytes
        .split_at_checked(covered)
        .ok_or(Misbehaved::MalformedFrame)?;
    if covered.len() < HEADER_LENGTH {
        return Err(Misbehaved::MalformedFrame);
    }
    let expected = hmac_sha256(key, &[&[direction], covered]);
    if !expected
        .get(..TAG_LENGTH)
        .is_some_and(|expected| constant_time_eq(expected, tag))
    {
        return Err(Misbehaved::BadMac);
    }
    let mut reader = Reader::new(covered);
    let header = Header::read(&mut reader).ok_or(Misbehaved::MalformedFrame)?;
    let body = covered
        .get(HEADER_LENGTH..)
        .ok_or(Misbehaved::MalformedFrame)?;
    Ok((header, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame() -> Vec<u8> {
        let header = Header {
            kind: Kind::Ping,
            counter: 7,
            stream: 0,
            epoch: 1,
            seq: 2,
        };
        let mut frame = header.begin(8);
        frame.extend_from_slice(b"echo-me!");
        finish(&mut frame, &[9; 32], 1);
        frame
    }

    #[test]
    fn a_frame_reads_back() {
        let bytes = frame();
        let (header, body) = open(&bytes, &[9; 32], 1).unwrap();
        assert_eq!(
            (header.kind, header.counter, header.epoch, header.seq),
            (Kind::Ping, 7, 1, 2)
        );
        assert_eq!(body, b"echo-me!");
    }

    #[test]
    fn every_bit_of_frame_key_and_direction_counts() {
        let good = frame();
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open(&bad, &[9; 32], 1), Err(Misbehaved::BadMac));
        }
        assert_eq!(open(&good, &[8; 32], 1), Err(Misbehaved::BadMac));
        assert_eq!(open(&good, &[9; 32], 2), Err(Misbehaved::BadMac));
        assert_eq!(
            open(&good[..41], &[9; 32], 1),
            Err(Misbehaved::MalformedFrame)
        );
        let huge = vec![0; MAX_SESSION_FRAME + 1];
        assert_eq!(open(&huge, &[9; 32], 1), Err(Misbehaved::OversizeFrame));
    }
}
