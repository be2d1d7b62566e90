//! The journey of a message: every step that a relay or an agent vouches for.

use entente_lexicon::{MessageId, ReceiptStatus, Timestamp};
use entente_trust::crypto::hash;

use crate::agent::store::{AgentStore, End};
use crate::params;
use crate::store::sqlite::{Row, StoreError};

/// A step as it is kept.
pub(super) struct Step {
    pub(super) status: ReceiptStatus,
    pub(super) end: End,
    /// The signature under it.
    pub(super) proof: Option<Vec<u8>>,
}

impl AgentStore {
    /// Writes a step of an outgoing message. Returns its recipient and when it was accepted, or
    /// nothing if the step changes nothing: it was known, or the message had ended before.
    pub(super) fn step(
        &self,
        id: &MessageId,
        status: ReceiptStatus,
        end: &End,
        proof: Option<&[u8]>,
    ) -> Result<Option<(String, Timestamp)>, StoreError> {
        let bytes = id.to_bytes();
        let row = match status {
            // Nothing ends here.
            ReceiptStatus::Resolving | ReceiptStatus::Accepted | ReceiptStatus::Unconfirmed => self.db.row(
                "UPDATE messages SET status = ? WHERE id = ? AND outgoing = 1 AND final_at IS NULL
                 RETURNING peer, stored_at",
                params![status.as_str(), bytes],
            )?,
            // Whoever reads a message has it, whatever its receipt is doing.
            ReceiptStatus::Read => self.db.row(
                "UPDATE messages SET status = ? WHERE id = ? AND outgoing = 1
                    AND NOT EXISTS (SELECT 1 FROM receipts r WHERE r.id = messages.id AND r.status = 'read')
                 RETURNING peer, stored_at",
                params![status.as_str(), bytes],
            )?,
            ReceiptStatus::Delivered | ReceiptStatus::Expired | ReceiptStatus::Refused => {
                self.db.row(
                    "UPDATE messages SET envelope = NULL, final_at = ?1,
                        status = CASE WHEN status = 'read' THEN status ELSE ?2 END
                     WHERE id = ?3 AND outgoing = 1 AND final_at IS NULL RETURNING peer, stored_at",
                    params![end.at, status.as_str(), bytes],
                )?
            }
        };
        let Some(row) = row else { return Ok(None) };
        self.keep_step(id, status, end, proof)?;
        Ok(Some((row.text(0)?, row.timestamp(1)?)))
    }

    fn keep_step(
        &self,
        id: &MessageId,
        status: ReceiptStatus,
        end: &End,
        proof: Option<&[u8]>,
    ) -> Result<(), StoreError> {
        let mut place = None;
        if let Some(proof) = proof {
            let hash = hash::sha256(&[proof]);
            self.db.exec(
                "INSERT OR IGNORE INTO proofs(hash, proof) VALUES(?, ?)",
                params![hash, proof],
            )?;
            place = Some(hash.to_vec());
        }
        self.db.exec(
            "INSERT OR IGNORE INTO receipts(id, status, at, issuer, code, proof)
             VALUES(?, ?, ?, ?, ?, ?)",
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
             WHERE r.id = ? ORDER BY r.at, CASE r.status WHEN 'read' THEN 1 ELSE 0 END",
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
                    },
                    proof: row.optional(4, Row::blob)?,
                })
            })
            .collect()
    }
}
