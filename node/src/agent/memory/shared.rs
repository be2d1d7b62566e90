//! What others share with this agent: taken from their mail, verified, wrapped under our own key.

use data_encoding::BASE64_NOPAD;
use entente_lexicon::api::memory::{SharedList, SharedRecord};
use entente_lexicon::id::BASE32;
use entente_lexicon::message::SharePart;
use entente_lexicon::{Did, RecordPath, Timestamp, schema};
use entente_memory::repo::Cid;
use entente_memory::repo::block::parse_cid_text;
use entente_memory::sealed::{Sealed, record_cid};
use entente_trust::memory::share::{RecipientSecret, Share, peek};
use entente_trust::memory::{Dek, DekId, Place, record, wrap};
use serde::Deserialize;
use serde_json::Value;

use crate::agent::contacts::Contact;
use crate::agent::core::Core;
use crate::agent::identity::Me;
use crate::agent::memory::keys::damaged;
use crate::agent::memory::query::limit;
use crate::agent::memory::records::object;
use crate::agent::memory::share_store::{Incoming, StoredShared};
use crate::agent::read::given;
use crate::error::ApiError;
use crate::internal;

/// Messages that a record comes in at most.
const MAX_PARTS: u8 = 8;

/// The query of a list.
#[derive(Debug, Default, Deserialize)]
pub(super) struct SharedQuery {
    uri: Option<String>,
    cursor: Option<String>,
    limit: Option<String>,
}

/// Why a shared record is not taken.
pub(in crate::agent) enum ShareFault {
    /// The sender's: the message is refused with this code.
    Refused(&'static str),
    /// Ours.
    Ours(ApiError),
}

impl<E: Into<ApiError>> From<E> for ShareFault {
    fn from(error: E) -> Self {
        Self::Ours(error.into())
    }
}

/// One part as it came, decoded.
#[derive(Debug)]
struct Came {
    data: Vec<u8>,
    /// The row that wraps the key; with the first part alone.
    row: Vec<u8>,
    dek: DekId,
    cid: Cid,
}

impl Came {
    fn read(part: &SharePart) -> Option<Self> {
        let decode = |text: &Option<String>| {
            let text = text.as_deref().unwrap_or_default();
            BASE64_NOPAD.decode(text.as_bytes()).ok()
        };
        let came = Self {
            data: decode(&part.data)?,
            row: decode(&part.row)?,
            dek: part.dek.parse().ok()?,
            cid: parse_cid_text(&part.cid).ok()?,
        };
        let counted = part.part < part.parts && part.parts <= MAX_PARTS;
        (counted && (part.part == 0) != came.row.is_empty()).then_some(came)
    }

    /// What comes in from here on, if this is the first part.
    fn begins(&self, part: &SharePart) -> Option<Incoming> {
        (part.part == 0).then(|| Incoming {
            cid: self.cid,
            version: part.version,
            dek: self.dek,
            row: self.row.clone(),
            parts: part.parts,
            next: 0,
            block: Vec::new(),
        })
    }

    /// Joins it to what has come before it; refuses what does not follow.
    fn after(&self, part: &SharePart, before: Option<Incoming>) -> Result<Incoming, &'static str> {
        let incoming = self.begins(part).or(before).ok_or("SHARE_MALFORMED")?;
        if self.continues(part, &incoming) {
            Ok(incoming)
        } else {
            Err("SHARE_MALFORMED")
        }
    }

    fn continues(&self, part: &SharePart, incoming: &Incoming) -> bool {
        incoming.cid == self.cid
            && incoming.dek == self.dek
            && incoming.version == part.version
            && incoming.parts == part.parts
            && incoming.next == part.part
    }
}

impl Core {
    /// Takes one part of a record that `owner` shares. With the last of them the record is verified,
    /// opened once to be sure, and stored under a key of ours, so that it stays readable whatever
    /// keys are rotated. Part of the delivery's transaction.
    pub(in crate::agent) fn take_share(
        &self,
        me: &Me,
        owner: &Contact,
        part: &SharePart,
        now: Timestamp,
    ) -> Result<(), ShareFault> {
        self.memory.prepare()?;
        let store = &self.memory.store;
        let known = store.shared(&part.uri)?;
        let known = known.map(|known| (known.cid, known.version));
        let judged = judge(&owner.did, part, known).map_err(ShareFault::Refused)?;
        let (path, came) = match judged {
            Judged::Known => return Ok(()),
            Judged::Withdrawn => return Ok(store.drop_shared(&part.uri)?),
            Judged::Part(path, came) => (path, *came),
        };
        let before = store.incoming(&part.uri)?;
        let mut incoming = came.after(part, before).map_err(ShareFault::Refused)?;
        incoming.block.extend_from_slice(&came.data);
        incoming.next = incoming.next.saturating_add(1);
        if incoming.next < incoming.parts {
            store.keep_incoming(&part.uri, owner.did.as_str(), &incoming, now)?;
            return Ok(());
        }
        store.drop_incoming(&part.uri)?;
        let stored = self.verify_share(me, owner, &path, &incoming, now)?;
        store.keep_shared(&part.uri, &stored)?;
        Ok(())
    }

    fn verify_share(
        &self,
        me: &Me,
        owner: &Contact,
        path: &RecordPath,
        incoming: &Incoming,
        now: Timestamp,
    ) -> Result<StoredShared, ShareFault> {
        let place = Place {
            owner: &owner.did,
            collection: path.collection().as_str(),
            rkey: path.rkey().as_str(),
        };
        let refused = |error: entente_trust::memory::MemoryError| ShareFault::Refused(error.code());
        if record_cid(&incoming.block) != incoming.cid {
            return Err(ShareFault::Refused("RECORD_DAMAGED"));
        }
        let sealed = Sealed::decode(&incoming.block)
            .map_err(|_error| ShareFault::Refused("RECORD_MALFORMED"))?;
        if sealed.dek != incoming.dek || sealed.version != incoming.version {
            return Err(ShareFault::Refused("RECORD_MISMATCH"));
        }
        peek(&incoming.row).map_err(refused)?;
        let share = Share {
            place,
            recipient: &me.did,
            dek: incoming.dek,
        };
        let (secret, kid) = me.hybrid();
        let secret = RecipientSecret::Hybrid(secret);
        let dek = share.open(&incoming.row, &owner.signing, kid, secret);
        let dek = dek.map_err(refused)?;
        let plain = record::open(&dek, &place, incoming.version, sealed.envelope);
        let plain = plain.map_err(refused)?;
        check_plain(place.collection, &plain).map_err(ShareFault::Refused)?;
        let ring = self.ring(me)?;
        let row = wrap::wrap(ring.current(), &place, &dek, &mut internal::rng());
        Ok(StoredShared {
            n: 0,
            owner: owner.did.clone(),
            host: owner.host.to_string(),
            path: path.clone(),
            version: incoming.version,
            cid: incoming.cid,
            dek: incoming.dek,
            wrap: row.to_vec(),
            epoch: ring.current().epoch(),
            block: incoming.block.clone(),
            received_at: now,
        })
    }

    /// Lists what is shared with this agent, or shows one.
    pub(super) fn list_shared(&self, query: &SharedQuery) -> Result<SharedList, ApiError> {
        let me = self.identity()?;
        if let Some(uri) = given(&query.uri) {
            let found = self.memory.store.shared(uri)?.ok_or_else(unknown_shared)?;
            return Ok(SharedList {
                records: vec![self.shared_view(&me, &found)?],
                cursor: None,
            });
        }
        let after = match given(&query.cursor) {
            None => 0,
            Some(text) => place_of(text)?,
        };
        let most = limit(given(&query.limit))?;
        let found = self.memory.store.list_shared(after, most)?;
        let whole = found.len() >= usize::try_from(most).unwrap_or(usize::MAX);
        let last = found.last().filter(|_last| whole);
        let cursor = last.map(|last| BASE32.encode(&last.n.to_be_bytes()));
        let records = found.iter().map(|shared| self.shared_view(&me, shared));
        Ok(SharedList {
            records: records.collect::<Result<_, _>>()?,
            cursor,
        })
    }

    /// Finds a record that is shared with this agent. Returns it, its key and what it says.
    pub(super) fn open_shared(
        &self,
        me: &Me,
        uri: &str,
    ) -> Result<(StoredShared, Dek, Vec<u8>), ApiError> {
        let shared = self.memory.store.shared(uri)?.ok_or_else(unknown_shared)?;
        let (dek, plain) = self.unsealed(me, &shared)?;
        Ok((shared, dek, plain))
    }

    fn unsealed(&self, me: &Me, shared: &StoredShared) -> Result<(Dek, Vec<u8>), ApiError> {
        let place = shared.place();
        let ring = self.ring(me)?;
        let dek = wrap::unwrap(&ring, &place, shared.dek, &shared.wrap).map_err(damaged)?;
        let sealed = Sealed::decode(&shared.block).map_err(ApiError::internal)?;
        let plain = record::open(&dek, &place, shared.version, sealed.envelope).map_err(damaged)?;
        Ok((dek, plain.to_vec()))
    }

    fn shared_view(&self, me: &Me, shared: &StoredShared) -> Result<SharedRecord, ApiError> {
        let (_dek, plain) = self.unsealed(me, shared)?;
        Ok(SharedRecord {
            uri: format!("at://{}/{}", shared.owner, shared.path),
            owner: format!("{}@{}", shared.owner, shared.host),
            cid: shared.cid.to_string(),
            version: shared.version,
            received_at: shared.received_at,
            record: Value::Object(object(&plain)?),
        })
    }
}

fn unknown_shared() -> ApiError {
    ApiError::not_found(
        "UNKNOWN_RECORD",
        "Nothing of this URI is shared with this agent.",
    )
}

/// What is to be done with a part, before anything of it is opened.
#[derive(Debug)]
enum Judged {
    /// It is here already.
    Known,
    /// The owner has forgotten it and asks for the same.
    Withdrawn,
    /// It is to be taken.
    Part(RecordPath, Box<Came>),
}

/// Judges a part that `owner` sent, by what is known of the record: its CID and version. Refuses with
/// a stable code.
fn judge(owner: &Did, part: &SharePart, known: Option<(Cid, u64)>) -> Result<Judged, &'static str> {
    let path = part.uri.strip_prefix(&format!("at://{owner}/"));
    let path = path.ok_or("SHARE_FOREIGN_OWNER")?;
    let path = RecordPath::parse(path).map_err(|_error| "SHARE_MALFORMED")?;
    if part.parts == 0 {
        return Ok(Judged::Withdrawn);
    }
    let came = Came::read(part).ok_or("SHARE_MALFORMED")?;
    match known {
        Some((cid, _version)) if cid == came.cid => Ok(Judged::Known),
        Some((_cid, version)) if version >= part.version => Err("RECORD_OLD_VERSION"),
        Some(_) | None => Ok(Judged::Part(path, Box::new(came))),
    }
}

/// Checks what was sealed: a record of its collection.
fn check_plain(collection: &str, plain: &[u8]) -> Result<(), &'static str> {
    let value = object(plain).map_err(|_error| "RECORD_MALFORMED")?;
    let valid = schema::check(Some(collection), &Value::Object(value));
    valid.map(drop).map_err(|fault| fault.code.as_str())
}

fn place_of(text: &str) -> Result<u64, ApiError> {
    let bytes = BASE32.decode(text.as_bytes()).ok();
    let bytes = bytes.and_then(|bytes| <[u8; 8]>::try_from(bytes).ok());
    bytes.map(u64::from_be_bytes).ok_or_else(|| {
        ApiError::bad_request(
            "INVALID_CURSOR",
            "`cursor` is not one of this list's: pass what the last page returned, or none to start over.",
        )
    })
}

#[cfg(test)]
mod tests {
    use entente_memory::repo::json::from_json;
    use serde_json::json;

    use super::*;

    fn owner() -> Did {
        Did::from_scid(&[1; 32])
    }

    fn part(number: u8, parts: u8) -> SharePart {
        SharePart {
            uri: format!("at://{}/agent.memory.note/3jzfcijpj2z2a", owner()),
            cid: record_cid(b"a").to_string(),
            version: 3,
            dek: DekId::from_bytes([7; 16]).to_string(),
            row: (number == 0).then(|| BASE64_NOPAD.encode(b"row")),
            part: number,
            parts,
            data: Some(BASE64_NOPAD.encode(b"data")),
        }
    }

    fn judged(part: &SharePart, known: Option<(Cid, u64)>) -> Result<Judged, &'static str> {
        judge(&owner(), part, known)
    }

    #[test]
    fn parts_of_another_owners_record_and_parts_that_are_none_are_refused() {
        let other = Did::from_scid(&[2; 32]);
        let refused = judge(&other, &part(0, 1), None).unwrap_err();
        assert_eq!(refused, "SHARE_FOREIGN_OWNER");
        let withdrawal = judge(&other, &part(0, 0), None).unwrap_err();
        assert_eq!(
            withdrawal, "SHARE_FOREIGN_OWNER",
            "nobody withdraws for another"
        );
        let bad = |change: fn(&mut SharePart)| {
            let mut part = part(0, 2);
            change(&mut part);
            judged(&part, None).unwrap_err()
        };
        for change in [
            (|part| part.uri.push_str("/more")) as fn(&mut SharePart),
            |part| part.cid = "bafy".to_owned(),
            |part| part.dek = "dek".to_owned(),
            |part| part.data = Some("=".to_owned()),
            |part| part.row = None,
            |part| part.part = 1,
            |part| part.part = 2,
            |part| part.parts = MAX_PARTS + 1,
        ] {
            assert_eq!(bad(change), "SHARE_MALFORMED");
        }
    }

    #[test]
    fn an_older_version_sent_again_is_refused_and_the_same_one_taken_as_known() {
        let (same, other) = (record_cid(b"a"), record_cid(b"b"));
        for version in [3, 4] {
            let refused = judged(&part(0, 1), Some((other, version))).unwrap_err();
            assert_eq!(refused, "RECORD_OLD_VERSION");
        }
        assert!(matches!(
            judged(&part(0, 1), Some((same, 9))),
            Ok(Judged::Known)
        ));
        let newer = judged(&part(0, 1), Some((other, 2)));
        assert!(matches!(newer, Ok(Judged::Part(..))));
        assert!(matches!(judged(&part(0, 0), None), Ok(Judged::Withdrawn)));
    }

    #[test]
    fn parts_that_do_not_follow_one_another_are_refused() {
        let came = |part: &SharePart| Came::read(part).unwrap();
        let first = part(0, 3);
        let mut incoming = came(&first).after(&first, None).ok().unwrap();
        incoming.next = 1;
        let copy = |incoming: &Incoming| Incoming {
            row: incoming.row.clone(),
            block: incoming.block.clone(),
            ..*incoming
        };
        let second = part(1, 3);
        assert!(came(&second).after(&second, Some(copy(&incoming))).is_ok());
        assert!(
            came(&second).after(&second, None).is_err(),
            "without a first one"
        );
        for change in [
            (|part: &mut SharePart| part.part = 2) as fn(&mut SharePart),
            |part| part.parts = 4,
            |part| part.version = 4,
            |part| part.cid = record_cid(b"b").to_string(),
            |part| part.dek = DekId::from_bytes([8; 16]).to_string(),
        ] {
            let mut part = part(1, 3);
            change(&mut part);
            let after = came(&part).after(&part, Some(copy(&incoming)));
            assert_eq!(after.err(), Some("SHARE_MALFORMED"));
        }
    }

    #[test]
    fn what_was_sealed_must_be_a_record_of_its_collection() {
        let sealed = |value: Value| match value {
            Value::Object(map) => from_json(&map).unwrap(),
            other => panic!("{other} is no object"),
        };
        let note = "agent.memory.note";
        let good = sealed(json!({ "$type": note, "text": "x" }));
        assert_eq!(check_plain(note, &good), Ok(()));
        let empty = sealed(json!({ "$type": note }));
        assert_eq!(check_plain(note, &empty), Err("REQUIRED_FIELD"));
        assert_eq!(check_plain("agent.memory.fact", &good), Err("NOT_ONE_OF"));
        assert_eq!(check_plain(note, b"\xff"), Err("RECORD_MALFORMED"));
    }
}
