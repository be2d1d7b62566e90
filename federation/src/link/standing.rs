//! What `verified` asks of both sides, followed as time goes by.

use entente_lexicon::{Timestamp, TrustLevel};
use entente_trust::attestation::{self, AttestationError};
use entente_trust::crypto::sign::VerifyingKey;
use entente_trust::policy::{DOCUMENT_LIFE_MS, Reason, Standing, needs_attestations};

use super::Link;
use super::io::{Change, Outputs};
use crate::close::CloseCode;
use crate::code::Code;

/// The peer's documents are fetched again at half their life, so that a day's outage harms nothing.
const REFRESH_AFTER_MS: u64 = 12 * 60 * 60 * 1000;
/// Between two such attempts.
const REFRESH_SPACING_MS: u64 = 10 * 60 * 1000;

impl Link {
    /// Sees how both sides stand now.
    pub(super) fn take_stock(&mut self, now: Timestamp) {
        let fetched_at = self.config.peer.document.fetched_at;
        let policy = &mut self.config.policy;
        policy.standing = Standing {
            approved: policy.approval.is_some_and(|it| it.holds(now)),
            attested: self.attested.is_some_and(|until| now < until),
            fresh: now.since(fetched_at) < DOCUMENT_LIFE_MS,
        };
    }

    /// Whether our own level waits for an admin's approval: then there is nothing to dial for.
    pub(super) const fn awaits_approval(&self) -> bool {
        let policy = &self.config.policy;
        needs_attestations(policy.level) && !policy.standing.approved
    }

    /// Whether the last error is that an approval is lacking on either side.
    pub(super) fn lacks_approval(&self) -> bool {
        let reasons = [Reason::ApprovalNeeded, Reason::ApprovalAwaited];
        self.last_error
            .as_ref()
            .map(Code::as_str)
            .is_some_and(|error| {
                error.starts_with("ATTESTATION_") || reasons.iter().any(|it| error == it.code())
            })
    }

    /// Whether the peer's documents are too old for our own level.
    pub(super) const fn needs_documents(&self) -> bool {
        let policy = &self.config.policy;
        needs_attestations(policy.level) && !policy.standing.fresh
    }

    /// Checks what the peer shows of its approval of us, and keeps it.
    pub(super) fn take_attestation(
        &mut self,
        now: Timestamp,
        bytes: &[u8],
        peer_key: &VerifyingKey,
        out: &mut Outputs,
    ) -> Result<(), AttestationError> {
        let own_key = self.key.verifying_key();
        let by = (&self.config.peer.did, peer_key);
        let about = (&self.config.own.did, &own_key);
        let checked = attestation::check(bytes, by, about, now);
        let until = checked.as_ref().ok().copied();
        if self.attested != until {
            self.attested = until;
            out.changes.push(Change::Attested {
                bytes: until.map(|_| bytes.to_vec()).unwrap_or_default(),
                until,
            });
        }
        self.take_stock(now);
        checked.map(|_| ())
    }

    /// Says what a session at `level` lacks: the code to close with, and what to show of it.
    pub(super) fn lacks(
        &self,
        level: TrustLevel,
        attested: Result<(), AttestationError>,
    ) -> Option<(CloseCode, Code)> {
        if !needs_attestations(level) {
            return None;
        }
        let shown = |reason: Reason| Code::from_static(reason.code());
        match attested {
            _ if !self.config.policy.standing.approved => {
                let shown = shown(Reason::ApprovalNeeded);
                Some((CloseCode::ApprovalNeeded, shown))
            }
            Err(AttestationError::Missing) => {
                let shown = shown(Reason::ApprovalAwaited);
                Some((CloseCode::AttestationMissing, shown))
            }
            Err(error) => {
                let shown = Code::from_static(error.code());
                Some((CloseCode::AttestationMissing, shown))
            }
            Ok(()) if self.needs_documents() => {
                let shown = shown(Reason::DocumentsStale);
                Some((CloseCode::StaleDocument, shown))
            }
            Ok(()) => None,
        }
    }

    /// Ends a session that verified does not carry any more, and keeps the documents young.
    pub(super) fn watch_standing(&mut self, now: Timestamp, out: &mut Outputs) {
        if self.refresh_at().is_some_and(|at| at <= now) {
            self.refresh(now, out);
        }
        let Some(session) = &self.session else { return };
        let attested = if self.config.policy.standing.attested {
            Ok(())
        } else {
            Err(AttestationError::Expired)
        };
        if let Some((code, error)) = self.lacks(session.granted, attested) {
            self.end_session(now, code, false, out);
            self.last_error = Some(error);
        }
    }

    /// When the standing changes by itself next.
    pub(super) fn standing_deadline(&self) -> Option<Timestamp> {
        let session = self.session.as_ref();
        let session = session.filter(|session| needs_attestations(session.granted));
        let policy = &self.config.policy;
        let fetched_at = self.config.peer.document.fetched_at;
        let ends = session.into_iter().flat_map(|_| {
            [
                policy.approval.map(|approval| approval.expires),
                self.attested,
                Some(fetched_at.after(DOCUMENT_LIFE_MS)).filter(|_| policy.standing.fresh),
            ]
        });
        ends.flatten().chain(self.refresh_at()).min()
    }

    /// When to fetch the peer's documents again, at a level that asks for young ones.
    fn refresh_at(&self) -> Option<Timestamp> {
        if !needs_attestations(self.config.policy.level) || self.shut {
            return None;
        }
        let due = self.config.peer.document.fetched_at.after(REFRESH_AFTER_MS);
        let spaced = self.fetch.last.map(|last| last.after(REFRESH_SPACING_MS));
        Some(spaced.map_or(due, |spaced| due.max(spaced)))
    }
}
