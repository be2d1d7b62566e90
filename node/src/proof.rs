//! Signatures under receipts, as they are kept and shown.

use data_encoding::BASE64URL_NOPAD;
use entente_federation::Evidence;
use entente_federation::handshake::transcript::{LABEL_AUTH, LABEL_READY};
use entente_lexicon::api::ProofView;
use entente_trust::crypto::hash::sha256;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

/// A signature and everything that it takes to check it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Proof {
    kind: String,
    kid: String,
    /// The exact bytes signed.
    statement: ByteBuf,
    signature: ByteBuf,
    /// For a receipt: the ids whose digest the statement holds.
    ids: ByteBuf,
    /// For a handshake: the transcript's hash before the frame, and the frame's body.
    prior: ByteBuf,
    body: ByteBuf,
}

impl Proof {
    pub(crate) fn new(evidence: &Evidence) -> Self {
        let (kind, kid, statement, signature) = match evidence {
            Evidence::Receipt {
                kid,
                statement,
                signature,
                ..
            } => ("receipt", kid, statement.clone(), signature),
            Evidence::Bounce {
                kid,
                statement,
                signature,
            } => ("bounce", kid, statement.clone(), signature),
            Evidence::Handshake {
                kid,
                frame,
                prior,
                body,
                signature,
            } => {
                let label = if *frame == 3 { LABEL_AUTH } else { LABEL_READY };
                let digest = sha256(&[b"entente/1 digest", &[0], prior, body]);
                let statement = [label, &[0], &digest].concat();
                ("handshake", kid, statement, signature)
            }
        };
        let mut proof = Self::signed(kind, kid, statement, signature);
        match evidence {
            Evidence::Receipt { ids, .. } => proof.ids = ByteBuf::from(ids.as_slice()),
            Evidence::Handshake { prior, body, .. } => {
                proof.prior = ByteBuf::from(prior.as_slice());
                proof.body = ByteBuf::from(body.as_slice());
            }
            Evidence::Bounce { .. } => {}
        }
        proof
    }

    /// A statement that stands for itself.
    pub(crate) fn signed(kind: &str, kid: &str, statement: Vec<u8>, signature: &[u8; 64]) -> Self {
        Self {
            kind: kind.to_owned(),
            kid: kid.to_owned(),
            statement: ByteBuf::from(statement),
            signature: ByteBuf::from(signature.as_slice()),
            ids: ByteBuf::new(),
            prior: ByteBuf::new(),
            body: ByteBuf::new(),
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        // Writing this shape to memory has no way to fail.
        serde_ipld_dagcbor::to_vec(self).unwrap_or_default()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        serde_ipld_dagcbor::from_slice(bytes).ok()
    }

    pub(crate) fn view(&self) -> ProofView {
        let shown = |bytes: &ByteBuf| (!bytes.is_empty()).then(|| BASE64URL_NOPAD.encode(bytes));
        ProofView {
            kind: self.kind.clone(),
            kid: self.kid.clone(),
            statement: BASE64URL_NOPAD.encode(&self.statement),
            signature: BASE64URL_NOPAD.encode(&self.signature),
            ids: shown(&self.ids),
            prior: shown(&self.prior),
            body: shown(&self.body),
        }
    }
}
