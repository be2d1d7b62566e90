//! Our own network as a link needs it, and the start of the machine.

use std::rc::Rc;

use data_encoding::BASE64URL_NOPAD;
use entente_federation as federation;
use entente_federation::{Config, Input, Limits, Link, Peer, PeerDocument};
use entente_lexicon::{Did, Host, Timestamp};
use entente_trust::crypto::rest::KeyRing;
use entente_trust::crypto::sign::SigningKey;
use entente_trust::identity::{Log, SealedKey};
use entente_trust::proof::Signer;
use entente_well_known::{VerifiedDocument, document};

use crate::config::{key_ring, unsealed};
use crate::error::ApiError;
use crate::internal;
use crate::link::driver::{Driver, not_peered};
use crate::link::policy::policy_of;
use crate::shapes::{InitLink, RelayIdentity};

/// Our own network.
pub(super) struct Own {
    pub(super) did: Did,
    pub(super) host: Host,
    kid: String,
    key: SigningKey,
    document_hash: [u8; 32],
}

impl Own {
    fn new(identity: RelayIdentity, master: &KeyRing) -> Result<Self, ApiError> {
        let decode = |text: &str| {
            BASE64URL_NOPAD
                .decode(text.as_bytes())
                .map_err(ApiError::internal)
        };
        let sealed = SealedKey {
            kid: identity.kid.clone(),
            blob: decode(&identity.sealed_signing_key)?,
        };
        let document_hash = decode(&identity.document_hash)?
            .try_into()
            .map_err(|_error| ApiError::internal("a document's hash is not 32 bytes"))?;
        Ok(Self {
            key: sealed
                .open_signing(master, &identity.did)
                .map_err(unsealed)?,
            did: identity.did,
            host: identity.host,
            kid: identity.kid,
            document_hash,
        })
    }
}

impl Own {
    /// What requests to peers are signed with.
    pub(super) fn signer(&self) -> Signer<'_> {
        Signer {
            did: &self.did,
            kid: &self.kid,
            key: &self.key,
        }
    }
}

impl Driver {
    /// Returns our own network, known since the start.
    pub(super) fn own(&self) -> Result<Rc<Own>, ApiError> {
        self.own.borrow().clone().ok_or_else(not_peered)
    }

    /// Builds the machine for this peer from what is stored, and lets it begin.
    pub(super) async fn start(self: &Rc<Self>, record: InitLink) -> Result<(), ApiError> {
        let relay = internal::relay(&self.env)?;
        let request = internal::new_request_id();
        let identity: RelayIdentity = internal::get(&relay, "/identity", &request).await?;
        if self.machine.borrow().is_some() {
            // Another call started it while this one waited.
            return self.replace_record(record);
        }
        let own = Rc::new(Own::new(identity, &key_ring(&self.env)?)?);
        let verified = self.verify(&record)?;
        let config = Config {
            own: federation::Own {
                did: own.did.clone(),
                host: own.host.clone(),
                kid: own.kid.clone(),
                document_hash: own.document_hash,
            },
            peer: Peer {
                did: record.peer_did.clone(),
                host: record.host.clone(),
                document: peer_document(&verified, record.fetched_at),
            },
            policy: policy_of(&record, self.config()?)?,
            allow_outbound: true,
            limits: Limits::default(),
            frozen: self.frozen()?.is_some(),
        };
        let restored = self.store.restored()?;
        let machine = Link::new(config, own.key.clone(), restored, internal::random());
        self.own.replace(Some(own));
        self.peer.replace(Some(Rc::new(record)));
        self.machine.replace(Some(machine));
        self.feed(Input::Timeout)?;
        self.tell_senders();
        self.pass_on();
        self.tend_quarantine();
        Ok(())
    }

    /// Gives the running machine what changed.
    pub(super) fn replace_record(self: &Rc<Self>, record: InitLink) -> Result<(), ApiError> {
        let policy = policy_of(&record, self.config()?)?;
        let known = self.peer()?;
        let changed = known.document != record.document || known.fetched_at != record.fetched_at;
        if changed && self.frozen()?.is_none() {
            let document = peer_document(&self.verify(&record)?, record.fetched_at);
            self.feed(Input::Document(Ok(document)))?;
        }
        self.peer.replace(Some(Rc::new(record)));
        self.feed(Input::Policy(policy))
    }

    /// Takes our own new document and key: sessions under the old one end in order.
    pub(super) fn take_own(self: &Rc<Self>, identity: RelayIdentity) -> Result<(), ApiError> {
        let own = Rc::new(Own::new(identity, &key_ring(&self.env)?)?);
        self.own.replace(Some(Rc::clone(&own)));
        self.feed(Input::OwnDocument {
            hash: own.document_hash,
            kid: own.kid.clone(),
            key: own.key.clone(),
        })
    }

    /// Checks a peer's document again; nothing stored is believed without its signature.
    pub(super) fn verify(&self, record: &InitLink) -> Result<VerifiedDocument, ApiError> {
        let log = Log::parse(&record.log).map_err(ApiError::internal)?;
        let verified = document::verify(&record.document, &record.host, Some(&log))
            .map_err(ApiError::internal)?;
        if verified.did == record.peer_did {
            self.fingerprint.replace(verified.fingerprint.clone());
            Ok(verified)
        } else {
            Err(ApiError::internal(
                "the stored document is of another network",
            ))
        }
    }
}

/// What the machine needs of a document.
pub(super) fn peer_document(document: &VerifiedDocument, fetched_at: Timestamp) -> PeerDocument {
    PeerDocument {
        hash: document.hash,
        keys: document.keys.clone(),
        host: document.host.clone(),
        fetched_at,
    }
}
