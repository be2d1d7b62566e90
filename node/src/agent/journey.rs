//! The journey of a message: every step that a relay or an agent vouches for.

use std::cell::Cell;

use entente_lexicon::{MessageId, ReceiptStatus, Timestamp};
use entente_trust::crypto::hash;

use crate::agent::store::{AgentStore, End, message_id};
use crate::params;
use crate::store::sqlite::{Row, StoreError};

/// A message of ours that came a step further.
pub(super) struct Stepped {
    /// Its recipient.
    pub(super) to: String,
    pub(super) accepted_at: Timestamp,
    /// It had been read before its receipt came.
    pub(super) is_read: bool,
}

/// A step as it is kept.
pub(super) struct Step {
    pub(super) status: ReceiptStatus,
    pub(super) end: End,
    /// The signature under it.
    pub(super) proof: Option<Vec<u8>>,
}

/// A signature that stands under several steps: stored once, by the first of them.
pub(super) struct KeptProof<'a> {
    bytes: &'a [u8],
    place: Cell<Option<[u8; 32]>>,
}

impl<'a> KeptProof<'a> {
    /// Of steps that are written in one transaction.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            place: Cell::new(None),
        }
    }

    fn keep(&self, store: &AgentStore) -> Result<[u8; 32], StoreError> {
        if let Some(place) = self.place.get() {
            return Ok(place);
        }
        let place = hash::sha256(&[self.bytes]);
        store.db.exec(
            "INSERT OR IGNORE INTO proofs(hash, proof) VALUES(?, ?)",
            params![place, self.bytes],
        )?;
        self.place.set(Some(place));
        Ok(place)
    }
}

impl AgentStore {
    /// Writes a step of an outgoing message. Returns what changed, or nothing if the step changes
    /// nothing: it was known, or the message had ended before.
    pub(super) fn step(
        &self,
        id: &MessageId,
        status: ReceiptStatus,
        end: &End,
        proof: Option<&KeptProof<'_>>,
    ) -> Result<Option<Stepped>, StoreError> {
        let bytes = id.to_bytes();
        let row = match status {
            // Nothing ends here.
            ReceiptStatus::Resolving
            | ReceiptStatus::Accepted
            | ReceiptStatus::Queued
            | ReceiptStatus::Dead
            | ReceiptStatus::Quarantined
            | ReceiptStatus::Unconfirmed => self.db.row(
                "UPDATE messages SET status = ?1, sent_at = COALESCE(sent_at, ?2),
                    envelope = iif(?1 IN ('quarantined', 'unconfirmed'), NULL, envelope)
                 WHERE id = ?3 AND outgoing = 1 AND final_at IS NULL
                 RETURNING peer, stored_at, status",
                params![status.as_str(), end.sent, bytes],
            )?,
            // Whoever reads a message has it. A mark that overtakes the receipt waits for it.
            ReceiptStatus::Read => {
                self.keep_step(id, status, end, proof)?;
                let row = self.db.row(
                    "UPDATE messages SET status = 'read' WHERE id = ? AND outgoing = 1
                        AND status IN ('delivered', 'expired') RETURNING peer, stored_at, ''",
                    params![bytes],
                )?;
                return row.map(|row| stepped(&row)).transpose();
            }
            ReceiptStatus::Delivered | ReceiptStatus::Expired | ReceiptStatus::Refused => {
                self.db.row(
                    "UPDATE messages SET envelope = NULL, final_at = ?1, lane = NULL, sent_at = COALESCE(sent_at, ?4),
                        status = iif(?2 <> 'refused' AND EXISTS
                            (SELECT 1 FROM receipts r WHERE r.id = ?3 AND r.status = 'read'), 'read', ?2)
                     WHERE id = ?3 AND outgoing = 1 AND final_at IS NULL
                     RETURNING peer, stored_at, status",
                    params![end.at, status.as_str(), bytes, end.sent],
                )?
            }
        };
        let Some(row) = row else { return Ok(None) };
        self.keep_step(id, status, end, proof)?;
        stepped(&row).map(Some)
    }

    /// Tells whether an outgoing message is for an agent of a network.
    pub(super) fn is_for(
        &self,
        id: &MessageId,
        to: &str,
        network: &str,
    ) -> Result<bool, StoreError> {
        let row = self.db.row(
            "SELECT 1 FROM messages WHERE id = ? AND outgoing = 1 AND peer = ? AND network = ?",
            params![id.to_bytes(), to, network],
        )?;
        Ok(row.is_some())
    }

    /// Returns messages that a peer has held for so long that it must have decided: they expired, or
    /// it was told of them, before `horizon`.
    pub(super) fn forgotten(&self, horizon: Timestamp) -> Result<Vec<MessageId>, StoreError> {
        let rows = self.db.rows(
            "SELECT m.id FROM messages m JOIN receipts r ON r.id = m.id AND r.status = 'quarantined'
             WHERE m.outgoing = 1 AND m.status = 'quarantined' AND m.final_at IS NULL AND r.at < ?",
            params![horizon],
        )?;
        rows.iter().map(|row| message_id(row, 0)).collect()
    }

    /// Returns who said that a message was read, and when.
    pub(super) fn read_end(&self, id: &MessageId) -> Result<Option<End>, StoreError> {
        let row = self.db.row(
            "SELECT at, issuer FROM receipts WHERE id = ? AND status = 'read'",
            params![id.to_bytes()],
        )?;
        row.map(|row| {
            Ok(End {
                at: row.timestamp(0)?,
                by: row.text(1)?,
                code: None,
                sent: None,
            })
        })
        .transpose()
    }

    fn keep_step(
        &self,
        id: &MessageId,
        status: ReceiptStatus,
        end: &End,
        proof: Option<&KeptProof<'_>>,
    ) -> Result<(), StoreError> {
        let place = proof.map(|proof| proof.keep(self)).transpose()?;
        self.db.exec(
            // What may come again is told as of the last time.
            "INSERT INTO receipts(id, status, at, issuer, code, proof) VALUES(?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT(id, status) DO UPDATE SET at = ?3, code = ?5
                WHERE ?2 IN ('queued', 'dead')",
            params![
                id.to_bytes(),
                status.as_str(),
                end.at,
                &end.by,
                end.code.clone(),
                place
            ],
        )
    }

    /// Returns the steps of an outgoing message after its acceptance, oldest first.
    pub(super) fn steps(&self, id: &MessageId) -> Result<Vec<Step>, StoreError> {
        let rows = self.db.rows(
            "SELECT r.status, r.at, r.issuer, r.code, p.proof
             FROM receipts r LEFT JOIN proofs p ON p.hash = r.proof
             WHERE r.id = ? ORDER BY r.status = 'read', r.at",
            params![id.to_bytes()],
        )?;
        rows.iter()
            .map(|row| {
                let status = ReceiptStatus::parse(&row.text(0)?);
                Ok(Step {
                    status: status.ok_or(StoreError::Column(0))?,
                    end: End {
                        at: row.timestamp(1)?,
                        by: row.text(2)?,
                        code: row.optional(3, Row::text)?,
                        sent: None,
                    },
                    proof: row.optional(4, Row::blob)?,
                })
            })
            .collect()
    }
}

fn stepped(row: &Row) -> Result<Stepped, StoreError> {
    Ok(Stepped {
        to: row.text(0)?,
        accepted_at: row.timestamp(1)?,
        is_read: row.text(2)? == ReceiptStatus::Read.as_str(),
    })
}
