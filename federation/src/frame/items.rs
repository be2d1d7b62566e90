//! The body of a MSG frame, in any stream: many items, contiguous from the header's seq.
//!
//! ```text
//! floor u64          nothing up to here will be offered (again): it was acknowledged or dropped
//! dids u16, each 32  the agents named below, as the hash in their DID
//! items u16, each    id 16 ‖ from u16 ‖ to u16 ‖ length u32 ‖ envelope
//! ```
//!
//! `from` and `to` are places in the list of DIDs. A withdrawn message keeps its seq and nothing
//! else: id all zeros, `from` and `to` 0xffff, length 0. A floor beyond what the receiver has says
//! that everything between is missing for good: a gap.

use std::collections::BTreeMap;
use std::sync::Arc;

use entente_lexicon::Did;
use entente_lexicon::id::BASE32;

use super::Reader;
use crate::handshake::fault::Misbehaved;
use crate::link::Item;

/// Length of the parts that every frame has.
pub const FIXED_LENGTH: usize = 8 + 2 + 2;
/// Length of an item without its envelope.
pub const ITEM_OVERHEAD: usize = 16 + 2 + 2 + 4;
/// What two DIDs add at most.
pub const DIDS_OVERHEAD: usize = 2 * 32;
/// The most items in a frame.
pub const MAX_ITEMS: usize = 4096;

const NOBODY: u16 = u16::MAX;

/// A message on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WireItem {
    /// A message.
    Message(Item),
    /// A number whose message was withdrawn.
    Withdrawn,
}

impl WireItem {
    /// Returns the id under which the message is receipted.
    #[must_use]
    pub fn id(&self) -> [u8; 16] {
        match self {
            Self::Message(item) => item.id,
            Self::Withdrawn => [0; 16],
        }
    }

    /// Returns what the message counts for in the window.
    #[must_use]
    pub fn weight(&self) -> u32 {
        match self {
            Self::Message(item) => weight(item.bytes.len()),
            Self::Withdrawn => weight(0),
        }
    }

    /// Returns how many bytes of a frame the message takes at most.
    #[must_use]
    pub fn wire_length(&self) -> usize {
        let envelope = match self {
            Self::Message(item) => item.bytes.len(),
            Self::Withdrawn => 0,
        };
        envelope.saturating_add(ITEM_OVERHEAD + DIDS_OVERHEAD)
    }
}

/// Returns what an envelope of this length counts for in the window: itself and a fixed part.
#[must_use]
pub fn weight(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX).saturating_add(64)
}

/// Appends the body for `items` to `frame`.
pub fn write(frame: &mut Vec<u8>, floor: u64, items: &[WireItem]) {
    let mut dids: Vec<&Did> = Vec::new();
    let mut places: BTreeMap<&Did, u16> = BTreeMap::new();
    let mut rows: Vec<(u16, u16)> = Vec::with_capacity(items.len());
    let mut last: Option<(&Item, (u16, u16))> = None;
    for item in items {
        let WireItem::Message(item) = item else {
            rows.push((NOBODY, NOBODY));
            continue;
        };
        let row = match last {
            Some((before, row)) if before.from == item.from && before.to == item.to => row,
            Some(_) | None => {
                let mut place = |did| {
                    *places.entry(did).or_insert_with(|| {
                        dids.push(did);
                        count(dids.len().saturating_sub(1))
                    })
                };
                (place(&item.from), place(&item.to))
            }
        };
        last = Some((item, row));
        rows.push(row);
    }
    frame.extend_from_slice(&floor.to_be_bytes());
    frame.extend_from_slice(&count(dids.len()).to_be_bytes());
    for did in dids {
        frame.extend_from_slice(&hash_of(did));
    }
    frame.extend_from_slice(&count(items.len()).to_be_bytes());
    for (item, (from, to)) in items.iter().zip(rows) {
        let envelope: &[u8] = match item {
            WireItem::Message(item) => &item.bytes,
            WireItem::Withdrawn => &[],
        };
        frame.extend_from_slice(&item.id());
        frame.extend_from_slice(&from.to_be_bytes());
        frame.extend_from_slice(&to.to_be_bytes());
        frame.extend_from_slice(
            &u32::try_from(envelope.len())
                .unwrap_or(u32::MAX)
                .to_be_bytes(),
        );
        frame.extend_from_slice(envelope);
    }
}

/// Reads a body: the floor and the items.
///
/// # Errors
/// [`Misbehaved::MalformedFrame`].
pub fn read(body: &[u8]) -> Result<(u64, Vec<WireItem>), Misbehaved> {
    try_read(body).ok_or(Misbehaved::MalformedFrame)
}

fn try_read(body: &[u8]) -> Option<(u64, Vec<WireItem>)> {
    let mut reader = Reader::new(body);
    let floor = reader.u64()?;
    let dids = usize::from(reader.u16()?);
    let mut table = reader.slice(dids.checked_mul(32)?)?.chunks_exact(32);
    let dids: Vec<Did> = table
        .by_ref()
        .filter_map(|hash| hash.try_into().ok())
        .map(|hash: [u8; 32]| Did::from_scid(&hash))
        .collect();
    let items = usize::from(reader.u16()?);
    if !(1..=MAX_ITEMS).contains(&items) {
        return None;
    }
    let items = (0..items)
        .map(|_| read_item(&mut reader, &dids))
        .collect::<Option<Vec<_>>>()?;
    reader.end()?;
    Some((floor, items))
}

fn read_item(reader: &mut Reader<'_>, dids: &[Did]) -> Option<WireItem> {
    let id = reader.array()?;
    let (from, to) = (reader.u16()?, reader.u16()?);
    let length = usize::try_from(reader.u32()?).ok()?;
    let envelope = reader.slice(length)?;
    if envelope.is_empty() {
        let withdrawn = id == [0; 16] && from == NOBODY && to == NOBODY;
        return withdrawn.then_some(WireItem::Withdrawn);
    }
    let from = dids.get(usize::from(from))?.clone();
    let to = dids.get(usize::from(to))?.clone();
    Some(WireItem::Message(Item {
        id,
        from,
        to,
        bytes: Arc::from(envelope),
        expires: None,
    }))
}

fn hash_of(did: &Did) -> [u8; 32] {
    let mut hash = [0; 32];
    // A Did holds the base32 of 32 bytes by construction; the result is in `hash` either way.
    let _ = BASE32.decode_mut(did.scid().as_bytes(), &mut hash);
    hash
}

/// Frames hold far fewer than 65,535 of anything.
fn count(length: usize) -> u16 {
    u16::try_from(length).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn item() -> impl Strategy<Value = WireItem> {
        let message = (
            any::<[u8; 16]>(),
            0u8..4,
            0u8..4,
            prop::collection::vec(any::<u8>(), 1..80),
        )
            .prop_map(|(id, from, to, bytes)| {
                WireItem::Message(Item {
                    id,
                    from: Did::from_scid(&[from; 32]),
                    to: Did::from_scid(&[to; 32]),
                    bytes: bytes.into(),
                    expires: None,
                })
            });
        prop_oneof![9 => message, 1 => Just(WireItem::Withdrawn)]
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(
            floor: u64,
            items in prop::collection::vec(item(), 1..20),
        ) {
            let mut body = Vec::new();
            write(&mut body, floor, &items);
            let most: usize = items.iter().map(WireItem::wire_length).sum();
            prop_assert!(body.len() <= FIXED_LENGTH + most);
            prop_assert_eq!(read(&body), Ok((floor, items)));
        }

        #[test]
        fn no_bytes_make_the_reader_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            items in prop::collection::vec(item(), 1..4),
            at: prop::sample::Index,
            with: u8,
        ) {
            let _ = read(&bytes);
            let mut body = Vec::new();
            write(&mut body, 0, &items);
            let at = at.index(body.len());
            body[at] = with;
            let _ = read(&body);
            let _ = read(&body[..at]);
        }
    }
}
