//! No call of a stranger's, no answer and no card of another agent's makes its reader panic; and parts
//! that become a record come back.
#![no_main]

use entente_a2a::card::RemoteCard;
use entente_a2a::params::Wanted;
use entente_a2a::signature::{key_path, published_key, signers, verify};
use entente_a2a::{message, remote, rpc};
use entente_trust::crypto::sign::SigningKey;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(call) = rpc::read(bytes)
        && let Wanted::Send { params, .. } = call.wanted
        && let Ok(content) = message::content(&params.message)
    {
        let parts = message::parts(&content);
        assert_eq!(message::words(&parts), Some(content));
    }
    if let Ok(told) = remote::read(bytes, "1") {
        let _ = told.record();
    }
    if let Ok(card) = serde_json::from_slice::<Value>(bytes) {
        let _ = RemoteCard::read(&card);
        let key = SigningKey::from_seed(&[7; 32]).verifying_key();
        for signer in signers(&card) {
            let _ = key_path(&signer, "https://alpha.example");
            let _ = published_key(&card, &signer.kid);
            assert!(verify(&card, &signer, &key).is_err());
        }
    }
});
