use std::collections::BTreeMap;

use data_encoding::BASE64;
use entente_lexicon::{Did, Timestamp};
use entente_trust::crypto::sign::{SigningKey, VerifyingKey};
use entente_trust::proof::Signer;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::base::{Message, find};
use super::*;

const NOW: Timestamp = Timestamp(1_800_000_000_000);

type Headers = BTreeMap<String, String>;

fn headers<const N: usize>(pairs: [(&str, &str); N]) -> Headers {
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

/// A request whose every part a test can change.
#[derive(Clone)]
struct Request {
    method: &'static str,
    authority: &'static str,
    path: &'static str,
    query: Option<&'static str>,
    headers: Headers,
}

impl Request {
    fn upgrade() -> Self {
        Self {
            method: "GET",
            authority: "beta.example",
            path: "/relay/federation",
            query: None,
            headers: headers([(HOST, "alpha.example")]),
        }
    }

    fn with<T>(&self, use_it: impl FnOnce(&Message<'_>) -> T) -> T {
        let header = |name: &str| self.headers.get(name).cloned();
        use_it(&Message {
            method: self.method,
            authority: self.authority,
            path: self.path,
            query: self.query,
            header: &header,
        })
    }

    fn signed(mut self) -> Self {
        let (did, key) = (did(), key());
        let signer = Signer {
            did: &did,
            kid: "kid",
            key: &key,
        };
        let signed = self.with(|m| sign(m, &signer, NOW, &[7; 16])).unwrap();
        self.put(signed.input, signed.signature);
        self
    }

    /// Signs whatever `input` says, as a cheat would.
    fn signed_with(mut self, input: &str) -> Self {
        let signature = self.with(|message| {
            let list = format!("sig1={input}");
            let found = find(message, &list, "sig1=:AA==:").unwrap();
            key().sign(&[found.base.as_bytes()])
        });
        let signature = format!("sig1=:{}:", BASE64.encode(&signature));
        self.put(format!("sig1={input}"), signature);
        self
    }

    fn put(&mut self, input: String, signature: String) {
        self.headers.insert(SIGNATURE_INPUT.to_owned(), input);
        self.headers.insert(SIGNATURE.to_owned(), signature);
    }

    fn judged(&self, now: Timestamp) -> Result<Claim, SignatureError> {
        let claim = self.with(|message| read(message, now))?;
        claim.verify(&key().verifying_key())?;
        Ok(claim)
    }

    fn change(&self, change: impl FnOnce(&mut Self)) -> Result<Claim, SignatureError> {
        let mut changed = self.clone();
        change(&mut changed);
        changed.judged(NOW)
    }
}

fn key() -> SigningKey {
    SigningKey::from_seed(&[3; 32])
}

fn did() -> Did {
    Did::from_scid(&[9; 32])
}

fn parameters() -> String {
    format!(
        "created=1800000000;expires=1800000060;nonce=\"0123456789abcdef\";keyid=\"{}#kid\"",
        did()
    )
}

const COVERED: &str = "(\"@method\" \"@authority\" \"@path\" \"x-entente-host\")";
const PURPOSE: &str = "alg=\"ed25519\";tag=\"entente-link\"";

/// RFC 9421, appendix B.2.6.
#[test]
fn the_published_ed25519_example_verifies_and_signs_as_published() {
    let request = Request {
        method: "POST",
        authority: "example.com",
        path: "/foo",
        query: Some("param=Value&Pet=dog"),
        headers: headers([
            ("date", "Tue, 20 Apr 2021 02:07:55 GMT"),
            ("content-type", "application/json"),
            ("content-length", "18"),
        ]),
    };
    let input = "sig-b26=(\"date\" \"@method\" \"@path\" \"@authority\" \"content-type\" \
                 \"content-length\");created=1618884473;keyid=\"test-key-ed25519\"";
    let signature = "sig-b26=:wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w\
                     6vuQv5lIp5WPpBKRCw==:";
    let found = request
        .with(|message| find(message, input, signature))
        .unwrap();
    assert_eq!(
        found.base,
        "\"date\": Tue, 20 Apr 2021 02:07:55 GMT\n\"@method\": POST\n\"@path\": /foo\n\
         \"@authority\": example.com\n\"content-type\": application/json\n\"content-length\": 18\n\
         \"@signature-params\": (\"date\" \"@method\" \"@path\" \"@authority\" \"content-type\" \
         \"content-length\");created=1618884473;keyid=\"test-key-ed25519\""
    );
    let public = BASE64
        .decode(b"JrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=")
        .unwrap();
    let public = VerifyingKey::from_bytes(&public).unwrap();
    assert_eq!(
        public.verify(&[found.base.as_bytes()], &found.signature),
        Ok(())
    );
    let seed = BASE64
        .decode(b"n4Ni+HpISpVObnQMW0wOhCKROaIKqKtW/2ZYb2p9KcU=")
        .unwrap();
    let secret = SigningKey::from_seed(&seed.try_into().unwrap());
    assert_eq!(
        secret.sign(&[found.base.as_bytes()]).to_vec(),
        found.signature
    );
}

/// Written by our code, read by another implementation in `node/local/tests`, and the other way.
#[test]
fn the_recorded_requests_are_those_we_make_and_believe() {
    let recorded: Value = serde_json::from_str(include_str!("../../signed/upgrade.json"))
        .expect("the recording is JSON");
    let ours = Request::upgrade().signed();
    let shown = json!({
        "method": ours.method,
        "url": format!("https://{}{}", ours.authority, ours.path),
        "headers": ours.headers,
        "publicKey": BASE64.encode(&key().verifying_key().to_bytes()),
        "at": NOW.0 / 1_000,
    });
    assert_eq!(shown, recorded["ours"], "record: {shown:#}");
    let theirs = &recorded["theirs"];
    let mut request = Request::upgrade();
    for (name, value) in theirs["headers"].as_object().unwrap() {
        let value = value.as_str().unwrap().to_owned();
        request.headers.insert(name.clone(), value);
    }
    assert_eq!(request.judged(NOW).unwrap().did, did());
}

#[test]
fn a_signed_upgrade_names_its_network_key_and_nonce() {
    let claim = Request::upgrade().signed().judged(NOW).unwrap();
    assert_eq!((claim.did, claim.kid.as_str()), (did(), "kid"));
    assert_eq!(claim.nonce.len(), 22);
    assert_eq!(claim.until, NOW.after((LIFETIME_S + SKEW_S) * 1_000));
}

#[test]
fn clocks_may_differ_by_ninety_seconds_and_no_more() {
    let request = Request::upgrade().signed();
    let at = |seconds: i64| {
        let now = Timestamp(NOW.0.saturating_add_signed(seconds * 1_000));
        request.judged(now).map(|_claim| ())
    };
    assert_eq!((at(-90), at(0), at(150)), (Ok(()), Ok(()), Ok(())));
    for seconds in [-91, 151, 100_000] {
        assert_eq!(at(seconds), Err(SignatureError::ClockSkew), "{seconds}");
    }
}

#[test]
fn a_request_that_was_changed_does_not_verify() {
    let request = Request::upgrade().signed();
    let invalid = Err(SignatureError::Invalid);
    assert_eq!(request.change(|r| r.authority = "gamma.example"), invalid);
    assert_eq!(request.change(|r| r.path = "/relay/agents/x"), invalid);
    assert_eq!(request.change(|r| r.method = "HEAD"), invalid);
    let other_host = |r: &mut Request| {
        r.headers.insert(HOST.to_owned(), "evil.example".to_owned());
    };
    assert_eq!(request.change(other_host), invalid);
    let query = request.change(|r| r.query = Some("x=1"));
    assert_eq!(
        query,
        Err(SignatureError::Incomplete("the component @query"))
    );
    let gone = request.change(|r| drop(r.headers.remove(HOST)));
    let covered = SignatureError::Incomplete("a header that it covers");
    assert_eq!(gone, Err(covered));
}

#[test]
fn what_is_signed_must_be_enough() {
    let cheat = |covered: &str, parameters: &str| {
        let input = format!("{covered};{parameters}");
        Request::upgrade().signed_with(&input).judged(NOW)
    };
    let good = format!("{};{PURPOSE}", parameters());
    assert!(cheat(COVERED, &good).is_ok());
    for missing in ["@method", "@authority", "@path", "x-entente-host"] {
        let covered = COVERED.replace(&format!("\"{missing}\""), "");
        let covered = covered.split_whitespace().collect::<Vec<_>>().join(" ");
        let covered = covered.replace("( ", "(").replace(" )", ")");
        let refused = cheat(&covered, &good).unwrap_err();
        assert_eq!(refused.code(), "SIGNATURE_INCOMPLETE", "{missing}");
    }
    for missing in ["created", "expires", "nonce", "keyid", "alg", "tag"] {
        let kept: Vec<_> = good
            .split(';')
            .filter(|part| !part.starts_with(missing))
            .collect();
        let refused = cheat(COVERED, &kept.join(";")).unwrap_err();
        assert_eq!(refused, SignatureError::Incomplete(missing));
    }
    let swapped = |from: &str, to: &str| cheat(COVERED, &good.replace(from, to)).unwrap_err();
    assert_eq!(swapped("entente-link", "login"), SignatureError::Purpose);
    assert_eq!(swapped("ed25519", "hmac-sha256"), SignatureError::Purpose);
    assert_eq!(
        swapped("1800000060", "1800000061"),
        SignatureError::Lifetime
    );
    assert_eq!(
        swapped("1800000060", "1799999999"),
        SignatureError::Lifetime
    );
    for (from, to) in [
        ("\"0123456789abcdef\"", "\"short\""),
        ("#kid", ""),
        ("did:cf", "did:web"),
        ("1800000000", "\"soon\""),
        ("1800000000", "-1"),
        ("\"ed25519\"", "ed25519"),
    ] {
        assert_eq!(swapped(from, to), SignatureError::Malformed, "{to}");
    }
}

#[test]
fn a_request_with_a_body_states_its_digest_and_whom_it_is_for() {
    let mut request = Request::upgrade();
    request.method = "POST";
    let (did, key) = (did(), key());
    let signer = Signer {
        did: &did,
        kid: "kid",
        key: &key,
    };
    let bare = request.with(|message| sign(message, &signer, NOW, &[1; 16]));
    assert_eq!(bare.unwrap_err().code(), "SIGNATURE_INCOMPLETE");
    let digest = digest::of(b"{}");
    request
        .headers
        .insert(digest::CONTENT_DIGEST.to_owned(), digest.clone());
    let unnamed = request.with(|message| sign(message, &signer, NOW, &[1; 16]));
    assert_eq!(unnamed.unwrap_err().code(), "SIGNATURE_INCOMPLETE");
    request
        .headers
        .insert(DESTINATION.to_owned(), did.to_string());
    let signed = request.signed();
    assert!(signed.judged(NOW).is_ok());
    assert_eq!(digest::check(&digest, b"{}"), Ok(()));
    assert_eq!(digest::check(&digest, b"{ }"), Err(SignatureError::Digest));
    for other in ["", "sha-256=1", "sha-512=:AA==:", "sha-256=(1 2)", "\u{1}"] {
        let checked = digest::check(other, b"{}");
        assert_eq!(checked, Err(SignatureError::Malformed), "{other}");
    }
    let elsewhere = |r: &mut Request| {
        let other = Did::from_scid(&[1; 32]).to_string();
        r.headers.insert(DESTINATION.to_owned(), other);
    };
    assert_eq!(signed.change(elsewhere), Err(SignatureError::Invalid));
}

#[test]
fn headers_that_are_no_signature_are_refused_without_a_key() {
    let good = Request::upgrade().signed();
    let (input, signature) = (&good.headers[SIGNATURE_INPUT], &good.headers[SIGNATURE]);
    let code = |input: &str, signature: &str| {
        let with = |r: &mut Request| r.put(input.to_owned(), signature.to_owned());
        good.change(with).unwrap_err().code()
    };
    assert_eq!(code("", signature), "SIGNATURE_MISSING");
    assert_eq!(code(input, " "), "SIGNATURE_MISSING");
    let two = format!("{input}, {}", input.replacen("sig1", "sig2", 1));
    assert_eq!(code(&two, signature), "SIGNATURE_AMBIGUOUS");
    let two = format!("{signature}, sig2=:AA==:");
    assert_eq!(code(input, &two), "SIGNATURE_AMBIGUOUS");
    let parameter = input.replacen("\"@path\"", "\"@path\";req", 1);
    let twice = input.replacen("\"@path\"", "\"@path\" \"@path\"", 1);
    let derived = input.replacen("\"@path\"", "\"@path\" \"@target-uri\"", 1);
    let upper = input.replacen("\"@path\"", "\"@path\" \"Host\"", 1);
    for bad in [
        "garbage;;",
        "sig1",
        "sig1=\"x\"",
        "sig2=()",
        "sig1=(1)",
        "\u{e9}",
        &"a".repeat(3_000),
        &parameter,
        &twice,
        &derived,
        &upper,
    ] {
        assert_eq!(code(bad, signature), "SIGNATURE_MALFORMED", "{bad}");
    }
    for bad in [
        "sig1=1",
        "sig1=(:AA==:)",
        "sig1=:AA==:",
        "sig2=:AA==:",
        "sig1=:*:",
    ] {
        assert_eq!(code(input, bad), "SIGNATURE_MALFORMED", "{bad}");
    }
    let other = format!("sig1=:{}:", BASE64.encode(&[1; 64]));
    assert_eq!(code(input, &other), "SIGNATURE_INVALID");
}

proptest! {
    #[test]
    fn no_headers_panic_and_none_but_ours_verify(input in ".{0,200}", signature in ".{0,120}") {
        let mut request = Request::upgrade();
        request.put(input, signature);
        prop_assert!(request.judged(NOW).is_err());
    }

    #[test]
    fn a_flipped_byte_anywhere_is_noticed(place in 0usize..600, bit in 0u32..7) {
        let good = Request::upgrade().signed();
        let mut request = good.clone();
        let (input, signature) = (&good.headers[SIGNATURE_INPUT], &good.headers[SIGNATURE]);
        let mut bytes = format!("{input}\n{signature}").into_bytes();
        let place = place % bytes.len();
        bytes[place] ^= 1 << bit;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        prop_assume!(text.matches('\n').count() == 1);
        let (input, signature) = text.split_once('\n').unwrap();
        request.put(input.to_owned(), signature.to_owned());
        // Base64 has spare bits and white space is free: then it says what it said before.
        if let Ok(claim) = request.judged(NOW) {
            prop_assert_eq!(claim, good.judged(NOW).unwrap());
        }
    }
}
