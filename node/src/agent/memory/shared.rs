//! What others share with this agent: taken from their mail, verified, wrapped under our own key.

use data_encoding::BASE64_NOPAD;
use entente_lexicon::api::memory::{SharedList, SharedRecord};
use entente_lexicon::id::BASE32;
use entente_lexicon::message::SharePart;
use entente_lexicon::{RecordPath, Timestamp, schema};
use entente_memory::repo::Cid;
use entente_memory::repo::block::parse_cid_text;
use entente_memory::sealed::{Sealed, record_cid};
use entente_trust::memory::share::{RecipientSecret, Share, peek};
use entente_trust::memory::{DekId, Place, record, wrap};
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
        let refused = |code| Err(ShareFault::Refused(code));
        let prefix = format!("at://{}/", owner.did);
        let Some(path) = part.uri.strip_prefix(&prefix) else {
            return refused("SHARE_FOREIGN_OWNER");
        };
        let Ok(path) = RecordPath::parse(path) else {
            return refused("SHARE_MALFORMED");
        };
        if part.parts == 0 {
            // The owner has forgotten it and asks for the same.
            self.memory.store.drop_shared(&part.uri)?;
            return Ok(());
        }
        let Some(came) = Came::read(part) else {
            return refused("SHARE_MALFORMED");
        };
        let store = &self.memory.store;
        if let Some(known) = store.shared(&part.uri)? {
            if known.cid == came.cid {
                return Ok(());
            }
            if known.version >= part.version {
                return refused("RECORD_OLD_VERSION");
            }
        }
        let mut incoming = match came.begins(part) {
            Some(incoming) => incoming,
            None => match store.incoming(&part.uri)? {
                Some(incoming) => incoming,
                None => return refused("SHARE_MALFORMED"),
            },
        };
        if !came.continues(part, &incoming) {
            return refused("SHARE_MALFORMED");
        }
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
        let value = Value::Object(
            object(&plain).map_err(|_error| ShareFault::Refused("RECORD_MALFORMED"))?,
        );
        schema::lexicons()
            .validate_in(place.collection, &value)
            .map_err(|_fault| ShareFault::Refused("RECORD_INVALID"))?;
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
            let found = self.memory.store.shared(uri)?.ok_or_else(|| {
                ApiError::not_found(
                    "UNKNOWN_RECORD",
                    "Nothing of this URI is shared with this agent.",
                )
            })?;
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

    fn shared_view(&self, me: &Me, shared: &StoredShared) -> Result<SharedRecord, ApiError> {
        let place = Place {
            owner: &shared.owner,
            collection: shared.path.collection().as_str(),
            rkey: shared.path.rkey().as_str(),
        };
        let ring = self.ring(me)?;
        let dek = wrap::unwrap(&ring, &place, shared.dek, &shared.wrap).map_err(damaged)?;
        let sealed = Sealed::decode(&shared.block).map_err(ApiError::internal)?;
        let plain = record::open(&dek, &place, shared.version, sealed.envelope).map_err(damaged)?;
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
