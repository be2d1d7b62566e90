//! Proofs on JSON documents: W3C Data Integrity with `eddsa-jcs-2022` (vc-di-eddsa, section 3.3).
//!
//! The signature covers SHA-256(JCS(proof without its value)) ‖ SHA-256(JCS(document without
//! proof)): 64 bytes, a form that no other signature of an Entente key has.

use entente_lexicon::{Did, Timestamp};
use multibase::Base;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::crypto::hash::sha256;
use crate::crypto::sign::{SIGNATURE_LENGTH, SigningKey, VerifyingKey};
use crate::jcs;

const TYPE: &str = "DataIntegrityProof";
const CRYPTOSUITE: &str = "eddsa-jcs-2022";
const PURPOSE: &str = "assertionMethod";

/// The member that holds the proof of whom a document is about.
pub const PROOF: &str = "proof";

/// A proof as it stands in a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Proof {
    #[serde(rename = "type")]
    kind: String,
    cryptosuite: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    created: Option<String>,
    verification_method: String,
    proof_purpose: String,
    #[serde(rename = "@context", default, skip_serializing_if = "Option::is_none")]
    context: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    proof_value: Option<String>,
}

/// Who signs, as the document will say.
#[derive(Clone, Copy, Debug)]
pub struct Signer<'a> {
    /// The identity.
    pub did: &'a Did,
    /// Its key's kid: the proof names `did#kid`.
    pub kid: &'a str,
    /// Its key.
    pub key: &'a SigningKey,
}

/// Why a proof does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// There is none.
    #[error("the document is not signed")]
    Missing,
    /// It is not an `eddsa-jcs-2022` assertion proof.
    #[error("the proof is not an eddsa-jcs-2022 proof with the purpose assertionMethod")]
    Malformed,
    /// It is not by this key over this document.
    #[error("the signature on the document does not verify")]
    BadSignature,
}

/// Signs `document` and puts the proof into its member `name`, replacing one that is there.
///
/// The proof covers every other member, among them proofs under other names.
///
/// # Errors
/// [`ProofError::Malformed`] if the document has no canonical form.
pub fn attach(
    document: &mut Map<String, Value>,
    name: &str,
    signer: &Signer<'_>,
    created: Timestamp,
) -> Result<(), ProofError> {
    document.remove(name);
    let mut proof = Proof {
        kind: TYPE.to_owned(),
        cryptosuite: CRYPTOSUITE.to_owned(),
        created: Some(created.to_string()),
        verification_method: format!("{}#{}", signer.did, signer.kid),
        proof_purpose: PURPOSE.to_owned(),
        context: document.get("@context").cloned(),
        proof_value: None,
    };
    let signature = signer.key.sign(&[&signed_bytes(&proof, document)?]);
    proof.proof_value = Some(multibase::encode(Base::Base58Btc, signature));
    let value = serde_json::to_value(&proof).map_err(|_error| ProofError::Malformed)?;
    document.insert(name.to_owned(), value);
    Ok(())
}

/// Returns the `did#kid` that the proof in the member `name` claims was used; unverified.
///
/// # Errors
/// [`ProofError::Missing`], [`ProofError::Malformed`].
pub fn claimed_method(document: &Map<String, Value>, name: &str) -> Result<String, ProofError> {
    parse(document, name).map(|proof| proof.verification_method)
}

/// Checks the proof in the member `name`, which covers every member but itself and those listed in
/// `unsigned` (proofs that were added after it).
///
/// # Errors
/// [`ProofError`].
pub fn verify(
    document: &Map<String, Value>,
    name: &str,
    unsigned: &[&str],
    key: &VerifyingKey,
) -> Result<(), ProofError> {
    let mut proof = parse(document, name)?;
    let value = proof.proof_value.take().ok_or(ProofError::Malformed)?;
    let (base, signature) = multibase::decode(value).map_err(|_error| ProofError::Malformed)?;
    if base != Base::Base58Btc || signature.len() != SIGNATURE_LENGTH {
        return Err(ProofError::Malformed);
    }
    let covered: Map<String, Value> = document
        .iter()
        .filter(|(member, _)| member.as_str() != name && !unsigned.contains(&member.as_str()))
        .map(|(member, value)| (member.clone(), value.clone()))
        .collect();
    key.verify(&[&signed_bytes(&proof, &covered)?], &signature)
        .map_err(|_error| ProofError::BadSignature)
}

fn parse(document: &Map<String, Value>, name: &str) -> Result<Proof, ProofError> {
    let value = document.get(name).ok_or(ProofError::Missing)?;
    let proof = Proof::deserialize(value).map_err(|_error| ProofError::Malformed)?;
    let right = proof.kind == TYPE
        && proof.cryptosuite == CRYPTOSUITE
        && proof.proof_purpose == PURPOSE
        && proof.context.as_ref() == document.get("@context");
    if right {
        Ok(proof)
    } else {
        Err(ProofError::Malformed)
    }
}

fn signed_bytes(proof: &Proof, document: &Map<String, Value>) -> Result<[u8; 64], ProofError> {
    let hash = |bytes: Result<Vec<u8>, jcs::NotCanonical>| {
        bytes
            .map(|bytes| sha256(&[&bytes]))
            .map_err(|_error| ProofError::Malformed)
    };
    let proof = hash(jcs::canonical(proof))?;
    let document = hash(jcs::canonical(document))?;
    let mut bytes = [0; 64];
    for (to, from) in bytes.iter_mut().zip(proof.iter().chain(&document)) {
        *to = *from;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::test_rng::TestRng;
    use serde_json::json;

    const METHOD: &str = "did:key:z6MkrJVnaZkeFzdQyMZu1cgjg7k1pZZ6pvBQ7XJPt4swbTQ2\
                          #z6MkrJVnaZkeFzdQyMZu1cgjg7k1pZZ6pvBQ7XJPt4swbTQ2";

    /// The published example of vc-di-eddsa, appendix B.3 (`eddsa-jcs-2022`).
    fn published() -> Map<String, Value> {
        let context = json!([
            "https://www.w3.org/ns/credentials/v2",
            "https://www.w3.org/ns/credentials/examples/v2"
        ]);
        let document = json!({
            "@context": context,
            "id": "urn:uuid:58172aac-d8ba-11ed-83dd-0b3aef56cc33",
            "type": ["VerifiableCredential", "AlumniCredential"],
            "name": "Alumni Credential",
            "description": "A minimum viable example of an Alumni Credential.",
            "issuer": "https://vc.example/issuers/5678",
            "validFrom": "2023-01-01T00:00:00Z",
            "credentialSubject": {
                "id": "did:example:abcdefgh",
                "alumniOf": "The School of Examples"
            },
            "proof": {
                "type": "DataIntegrityProof",
                "cryptosuite": "eddsa-jcs-2022",
                "created": "2023-02-24T23:36:38Z",
                "verificationMethod": METHOD,
                "proofPurpose": "assertionMethod",
                "@context": context,
                "proofValue": "z2HnFSSPPBzR36zdDgK8PbEHeXbR56YF24jwMpt3R1eHXQzJDMWS93FCzpvJpwTWd3GAVFuUfjoJdcnTMuVor51aX"
            }
        });
        document.as_object().unwrap().clone()
    }

    fn published_key() -> VerifyingKey {
        VerifyingKey::from_multikey("z6MkrJVnaZkeFzdQyMZu1cgjg7k1pZZ6pvBQ7XJPt4swbTQ2").unwrap()
    }

    fn signed() -> (SigningKey, Map<String, Value>) {
        let key = SigningKey::generate(&mut TestRng::new(1));
        let did = Did::from_scid(&[1; 32]);
        let mut document = json!({"a": 1, "b": [true]}).as_object().unwrap().clone();
        let signer = Signer {
            did: &did,
            kid: "k1",
            key: &key,
        };
        attach(&mut document, PROOF, &signer, Timestamp(0)).unwrap();
        (key, document)
    }

    #[test]
    fn the_published_example_hashes_and_verifies_as_published() {
        let mut document = published();
        assert_eq!(verify(&document, PROOF, &[], &published_key()), Ok(()));
        let mut proof = parse(&document, PROOF).unwrap();
        proof.proof_value = None;
        document.remove(PROOF);
        let bytes = signed_bytes(&proof, &document).unwrap();
        let expected = "66ab154f5c2890a140cb8388a22a160454f80575f6eae09e5a097cabe539a1db\
                        59b7cb6251b8991add1ce0bc83107e3db9dbbab5bd2c28f687db1a03abc92f19";
        assert_eq!(data_encoding::HEXLOWER.encode(&bytes), expected);
    }

    #[test]
    fn what_is_signed_verifies_and_names_its_key() {
        let (key, document) = signed();
        assert_eq!(verify(&document, PROOF, &[], &key.verifying_key()), Ok(()));
        let method = format!("{}#k1", Did::from_scid(&[1; 32]));
        assert_eq!(claimed_method(&document, PROOF), Ok(method));
    }

    #[test]
    fn every_change_is_refused() {
        let (key, document) = signed();
        let public = key.verifying_key();
        for (member, value) in [("a", json!(2)), ("b", json!([])), ("c", json!(null))] {
            let mut changed = document.clone();
            changed.insert(member.to_owned(), value);
            let refused = verify(&changed, PROOF, &[], &public);
            assert_eq!(refused, Err(ProofError::BadSignature), "{member}");
        }
        for (member, value, error) in [
            (
                "created",
                json!("2020-01-01T00:00:00.000Z"),
                ProofError::BadSignature,
            ),
            (
                "verificationMethod",
                json!("did:cf:x#k2"),
                ProofError::BadSignature,
            ),
            (
                "proofPurpose",
                json!("authentication"),
                ProofError::Malformed,
            ),
            (
                "cryptosuite",
                json!("eddsa-rdfc-2022"),
                ProofError::Malformed,
            ),
            ("type", json!("Proof"), ProofError::Malformed),
            (
                "expires",
                json!("2020-01-01T00:00:00.000Z"),
                ProofError::Malformed,
            ),
            ("proofValue", json!("z1"), ProofError::Malformed),
            ("proofValue", json!(null), ProofError::Malformed),
        ] {
            let mut changed = document.clone();
            changed[PROOF][member] = value;
            assert_eq!(
                verify(&changed, PROOF, &[], &public),
                Err(error),
                "{member}"
            );
        }
        let other = published_key();
        let refused = verify(&document, PROOF, &[], &other);
        assert_eq!(refused, Err(ProofError::BadSignature));
    }

    #[test]
    fn a_document_without_a_proof_says_so() {
        let (key, mut document) = signed();
        document.remove(PROOF);
        let refused = verify(&document, PROOF, &[], &key.verifying_key());
        assert_eq!(refused, Err(ProofError::Missing));
    }

    #[test]
    fn a_second_proof_covers_the_first_and_leaves_it_valid() {
        let (first, mut document) = signed();
        let second = SigningKey::generate(&mut TestRng::new(2));
        let did = Did::from_scid(&[2; 32]);
        let signer = Signer {
            did: &did,
            kid: "k2",
            key: &second,
        };
        attach(&mut document, "networkProof", &signer, Timestamp(1)).unwrap();
        let (first, second) = (first.verifying_key(), second.verifying_key());
        assert_eq!(verify(&document, PROOF, &["networkProof"], &first), Ok(()));
        assert_eq!(verify(&document, "networkProof", &[], &second), Ok(()));
        document[PROOF]["created"] = json!("2020-01-01T00:00:00.000Z");
        let refused = verify(&document, "networkProof", &[], &second);
        assert_eq!(refused, Err(ProofError::BadSignature));
    }
}
