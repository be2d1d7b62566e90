//! The one row that says who this network is.

use data_encoding::HEXLOWER;
use entente_lexicon::{Did, Host, Timestamp};
use entente_trust::crypto::rest::KeyRing;
use serde::Deserialize;
use wasm_bindgen::JsValue;

use crate::error::ApiError;
use crate::shapes::RelayIdentity;
use crate::store::d1::{Directory, instant};

/// The network's identity as the directory lists it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct NetworkRow {
    /// Its DID.
    pub did: Did,
    /// The host it was initialised with.
    pub host: Host,
    /// The public id of the master key that sealed its keys.
    pub master_key_id: String,
}

/// The exact bytes that discovery serves.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct DocumentRow {
    /// `/.well-known/agent-network.json`.
    pub document: String,
    /// Its SHA-256.
    pub document_hash: String,
    /// `/.well-known/did.json`.
    pub did_document: String,
    /// What they were built for.
    pub built_for: String,
    /// The identity log, one entry a line.
    pub log: String,
}

impl NetworkRow {
    /// Tells whether a key of the ring sealed the network's keys.
    #[must_use]
    pub fn is_sealed_by(&self, ring: &KeyRing) -> bool {
        let id = HEXLOWER.decode(self.master_key_id.as_bytes());
        id.is_ok_and(|id| ring.knows(&id))
    }
}

impl Directory {
    /// Reads who this network is, if it has been initialised.
    ///
    /// # Errors
    /// If D1 fails, as everywhere here.
    pub async fn network(&self) -> Result<Option<NetworkRow>, ApiError> {
        self.first("SELECT did, host, master_key_id FROM network_identity", &[])
            .await
    }

    /// Reads what discovery serves.
    ///
    /// # Errors
    /// If D1 fails.
    pub async fn documents(&self) -> Result<Option<DocumentRow>, ApiError> {
        self.first(
            "SELECT document, document_hash, did_document, built_for, log FROM network_identity",
            &[],
        )
        .await
    }

    /// Lists this network, or renews what it serves. Never changes the DID of a listed network, nor
    /// takes an entry of its log back.
    ///
    /// # Errors
    /// If D1 fails.
    pub async fn put_network(
        &self,
        identity: &RelayIdentity,
        now: Timestamp,
    ) -> Result<(), ApiError> {
        let text = |text: &str| JsValue::from_str(text);
        self.run(
            "INSERT INTO network_identity (id, did, host, name, master_key_id, document,
               document_hash, did_document, built_for, created_at, changed_at, log)
             VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
             ON CONFLICT (id) DO UPDATE SET name = ?3, master_key_id = ?4, document = ?5,
               document_hash = ?6, did_document = ?7, built_for = ?8, changed_at = ?10, log = ?11
             WHERE did = ?1 AND length(log) <= length(?11)
               AND (document_hash <> ?6 OR master_key_id <> ?4)",
            &[
                text(identity.did.as_str()),
                text(identity.host.as_str()),
                text(&identity.name),
                text(&identity.master_key_id),
                text(&identity.document),
                text(&identity.document_hash),
                text(&identity.did_document),
                text(&identity.built_for),
                instant(identity.created_at),
                instant(now),
                text(&identity.log),
            ],
        )
        .await?;
        Ok(())
    }
}
