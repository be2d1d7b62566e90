//! What is pinned of each peer: its document, its identity log, and the head of that.

use entente_lexicon::Timestamp;
use wasm_bindgen::JsValue;

use crate::error::ApiError;
use crate::guard::FetchedDocument;
use crate::store::d1::{Directory, instant};

impl Directory {
    /// Writes down what a peer was found to publish. Whether it may is the link's to decide.
    ///
    /// # Errors
    /// If D1 fails.
    pub async fn put_pin(&self, fetched: &FetchedDocument, now: Timestamp) -> Result<(), ApiError> {
        let pin = fetched.verified.log.pin();
        let text = |text: &str| JsValue::from_str(text);
        self.run(
            "UPDATE peers SET document = ?2, document_hash = ?3, fingerprint = ?4, log = ?5,
               pin_seq = ?6, pin_head = ?7, fetched_at = ?8 WHERE did = ?1",
            &[
                text(fetched.verified.did.as_str()),
                text(&fetched.text),
                text(&fetched.hash),
                text(&fetched.verified.fingerprint),
                text(&fetched.log),
                instant(Timestamp(pin.seq)),
                text(&pin.head),
                instant(now),
            ],
        )
        .await?;
        Ok(())
    }
}
