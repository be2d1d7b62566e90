//! The opening handshake, by the book: frames, transcript, key schedule, both roles.
//!
//! ```text
//! frame n:    Fn = [Bn, sig, mac]     Dn = H("entente/1 digest" ‖ 0 ‖ T(n-1) ‖ Bn)
//!                                     Tn = H("entente/1 frame"  ‖ 0 ‖ T(n-1) ‖ Fn)
//! sig n:      Ed25519(label ‖ 0 ‖ Dn)           mac n: HMAC(kmN, Dn ‖ own DID)
//! ```

use entente_trust::crypto::hash::sha256;
use entente_trust::crypto::kdf::Prk;
use entente_trust::crypto::kem::{KemPublic, KemSecret};
use entente_trust::crypto::mac::hmac_sha256;
use entente_trust::crypto::sign::SigningKey;

use super::identity::{Identity, Known, random, rng};
use super::session::{Direction, Session};
use crate::cbor::{Value, map, text};

const SUITE: u64 = 0x647a;
const HELLO_ACK: &str = "entente/1 responder hello-ack";
const AUTH: &str = "entente/1 initiator auth";
const READY: &str = "entente/1 responder ready";

#[derive(Clone, Copy, Debug)]
struct Transcript([u8; 32]);

/// Who speaks in a frame.
#[derive(Clone, Debug)]
pub struct Party {
    /// Its DID.
    pub did: String,
    /// Its host.
    pub host: String,
    /// SHA-256 of its document.
    pub doc: [u8; 32],
    /// The id of its signing key.
    pub kid: String,
}

/// The side that dials.
pub struct Initiator {
    /// The body of HELLO; change it before [`Self::hello`].
    pub hello: Value,
    /// The body of AUTH; change it before [`Self::auth`].
    pub auth: Value,
    /// What signs; exchange it to sign as somebody else.
    pub signing: SigningKey,
    /// The DID in our MACs.
    pub mac_did: String,
    network: Known,
    kem: KemSecret,
    transcript: Transcript,
    hs: Option<Prk>,
}

/// The side that is dialled.
pub struct Responder {
    /// The body of HELLO_ACK; change it before [`Self::hello_ack`].
    pub hello_ack: Value,
    /// The body of READY; change it before [`Self::ready`].
    pub ready: Value,
    /// What signs; exchange it to sign as somebody else.
    pub signing: SigningKey,
    /// The DID in our MACs.
    pub mac_did: String,
    /// The body of HELLO, as the network sent it.
    pub hello: Value,
    network: Known,
    secret: [u8; 32],
    transcript: Transcript,
    hs: Option<Prk>,
}

impl Transcript {
    fn start() -> Self {
        Self(sha256(&[b"entente/1 transcript"]))
    }

    fn digest(self, body: &[u8]) -> [u8; 32] {
        sha256(&[b"entente/1 digest", &[0], &self.0, body])
    }

    fn absorb(&mut self, frame: &[u8]) {
        self.0 = sha256(&[b"entente/1 frame", &[0], &self.0, frame]);
    }
}

/// Puts a frame together.
#[must_use]
pub fn opening_frame(body: &[u8], signature: &[u8], mac: &[u8]) -> Vec<u8> {
    let parts = [body, signature, mac].map(|part| Value::Bytes(part.to_vec()));
    Value::Array(parts.to_vec()).encode()
}

fn parts(frame: &[u8]) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    assert!(
        frame.len() <= 8192,
        "a handshake frame of {} bytes",
        frame.len()
    );
    let value = Value::decode(frame);
    let items = value.items();
    assert_eq!(items.len(), 3, "a frame is [body, signature, mac]");
    (
        items[0].bytes().to_vec(),
        items[1].bytes().to_vec(),
        items[2].bytes().to_vec(),
    )
}

/// Changes body, signature or MAC of a finished frame.
#[must_use]
pub fn alter(
    frame: &[u8],
    change: impl FnOnce(&mut Vec<u8>, &mut Vec<u8>, &mut Vec<u8>),
) -> Vec<u8> {
    let (mut body, mut signature, mut mac) = parts(frame);
    change(&mut body, &mut signature, &mut mac);
    opening_frame(&body, &signature, &mac)
}

fn mac_key(hs: &Prk, number: u8) -> [u8; 32] {
    *hs.expand(&[b"entente/1 mac ", &[number]])
}

fn write(
    transcript: &mut Transcript,
    body: &Value,
    number: u8,
    label: &str,
    signing: &SigningKey,
    hs: &Prk,
    did: &str,
) -> Vec<u8> {
    let body = body.encode();
    let digest = transcript.digest(&body);
    let signature = signing.sign(&[label.as_bytes(), &[0], &digest]);
    let mac = hmac_sha256(&mac_key(hs, number), &[&digest, did.as_bytes()]);
    let frame = opening_frame(&body, &signature, &mac);
    transcript.absorb(&frame);
    frame
}

fn read(
    transcript: &mut Transcript,
    frame: &[u8],
    number: u8,
    label: &str,
    network: &Known,
    hs: &Prk,
) -> Value {
    let (body, signature, mac) = parts(frame);
    let digest = transcript.digest(&body);
    network
        .key
        .verify(&[label.as_bytes(), &[0], &digest], &signature)
        .unwrap_or_else(|_| panic!("the network's signature on frame {number} verifies"));
    let expected = hmac_sha256(&mac_key(hs, number), &[&digest, network.did.as_bytes()]);
    assert_eq!(mac, expected, "the network's MAC on frame {number}");
    transcript.absorb(frame);
    let body = Value::decode(&body);
    assert_eq!(
        body.at("t"),
        &Value::Uint(u64::from(number)),
        "the frame's kind"
    );
    body
}

fn session(hs: &Prk, transcript: Transcript, send: Direction) -> Session {
    let ms = hs.expand(&[b"entente/1 master"]);
    let tr = Prk::extract(&transcript.0, &*ms);
    let i_to_r = *tr.expand(&[b"entente/1 frames initiator to responder"]);
    let r_to_i = *tr.expand(&[b"entente/1 frames responder to initiator"]);
    match send {
        Direction::InitiatorToResponder => Session::new(send, i_to_r, r_to_i),
        Direction::ResponderToInitiator => Session::new(send, r_to_i, i_to_r),
    }
}

fn check_party(party: &Value, network: &Known) {
    assert_eq!(party.at("did").str(), network.did);
    assert_eq!(party.at("host").str(), network.host);
    assert_eq!(
        party.at("doc").bytes(),
        network.document_hash,
        "the hash of the network's document"
    );
    assert_eq!(party.at("kid").str(), network.kid);
}

impl Party {
    /// Tells of an identity as it is.
    #[must_use]
    pub fn of(identity: &Identity) -> Self {
        Self {
            did: identity.did.to_string(),
            host: identity.host.clone(),
            doc: sha256(&[identity.document.as_bytes()]),
            kid: identity.kid.clone(),
        }
    }

    /// Writes it as a frame has it.
    #[must_use]
    pub fn value(&self) -> Value {
        map(vec![
            ("did", text(&self.did)),
            ("host", text(&self.host)),
            ("doc", Value::Bytes(self.doc.to_vec())),
            ("kid", text(&self.kid)),
        ])
    }
}

impl Initiator {
    /// Prepares to dial `network`.
    #[must_use]
    pub fn new(identity: &Identity, network: Known, dial: u64, want: &str) -> Self {
        let kem = KemSecret::generate(&mut rng());
        let share = Value::Array(vec![
            Value::Uint(SUITE),
            Value::Bytes(kem.public().to_bytes()),
        ]);
        let hello = map(vec![
            ("t", Value::Uint(1)),
            ("versions", Value::Array(vec![Value::Uint(1)])),
            ("shares", Value::Array(vec![share])),
            ("from", Party::of(identity).value()),
            ("to", text(&network.did)),
            ("nonce", Value::Bytes(random::<32>().to_vec())),
            ("dial", Value::Uint(dial)),
            ("want", text(want)),
        ]);
        let auth = map(vec![
            ("t", Value::Uint(3)),
            ("attestation", Value::Bytes(Vec::new())),
            ("cursors", Value::Array(Vec::new())),
        ]);
        Self {
            hello,
            auth,
            signing: identity.signing.clone(),
            mac_did: identity.did.to_string(),
            network,
            kem,
            transcript: Transcript::start(),
            hs: None,
        }
    }

    /// Writes HELLO.
    #[must_use]
    pub fn hello(&mut self) -> Vec<u8> {
        let frame = opening_frame(&self.hello.encode(), &[], &[]);
        self.transcript.absorb(&frame);
        frame
    }

    /// Reads and checks HELLO_ACK; returns its body.
    pub fn read_hello_ack(&mut self, frame: &[u8]) -> Value {
        let (body, _, _) = parts(frame);
        let value = Value::decode(&body);
        check_party(value.at("from"), &self.network);
        assert_eq!(
            (value.at("version").uint(), value.at("suite").uint()),
            (1, SUITE)
        );
        assert_eq!(value.at("nonce").bytes().len(), 32);
        let secret = self
            .kem
            .decapsulate(value.at("ct").bytes())
            .expect("an encapsulation to our key");
        let hs = Prk::extract(&self.transcript.digest(&body), &*secret);
        let value = read(
            &mut self.transcript,
            frame,
            2,
            HELLO_ACK,
            &self.network,
            &hs,
        );
        self.hs = Some(hs);
        value
    }

    /// Writes AUTH.
    #[must_use]
    pub fn auth(&mut self) -> Vec<u8> {
        let hs = self.hs.clone().expect("HELLO_ACK was read");
        write(
            &mut self.transcript,
            &self.auth,
            3,
            AUTH,
            &self.signing,
            &hs,
            &self.mac_did,
        )
    }

    /// Reads and checks READY; returns its body and the session.
    #[must_use]
    pub fn read_ready(mut self, frame: &[u8]) -> (Value, Session) {
        let hs = self.hs.take().expect("HELLO_ACK was read");
        let ready = read(&mut self.transcript, frame, 4, READY, &self.network, &hs);
        (
            ready,
            session(&hs, self.transcript, Direction::InitiatorToResponder),
        )
    }
}

impl Responder {
    /// Reads and checks HELLO of `network` and prepares the answer to it.
    #[must_use]
    pub fn new(identity: &Identity, network: Known, frame: &[u8]) -> Self {
        let (body, signature, mac) = parts(frame);
        assert!(
            signature.is_empty() && mac.is_empty(),
            "HELLO is neither signed nor has a MAC"
        );
        let hello = Value::decode(&body);
        assert_eq!(hello.at("t").uint(), 1);
        check_party(hello.at("from"), &network);
        assert_eq!(
            hello.at("to").str(),
            identity.did.as_str(),
            "HELLO names us"
        );
        assert_eq!(hello.at("nonce").bytes().len(), 32);
        assert!(hello.at("versions").items().contains(&Value::Uint(1)));
        let share = hello
            .at("shares")
            .items()
            .iter()
            .find(|share| share.items()[0].uint() == SUITE);
        let key = share.expect("a share for X-Wing").items()[1].bytes();
        let key = KemPublic::from_bytes(key).expect("an X-Wing key");
        let (ct, secret) = key.encapsulate(&mut rng()).expect("a usable key");
        let mut transcript = Transcript::start();
        transcript.absorb(frame);
        let hello_ack = map(vec![
            ("t", Value::Uint(2)),
            ("version", Value::Uint(1)),
            ("suite", Value::Uint(SUITE)),
            ("from", Party::of(identity).value()),
            ("nonce", Value::Bytes(random::<32>().to_vec())),
            ("ct", Value::Bytes(ct)),
        ]);
        let limits = map(vec![
            ("items", Value::Uint(256)),
            ("bytes", Value::Uint(512 * 1024)),
            ("frame", Value::Uint(256 * 1024)),
        ]);
        let ready = map(vec![
            ("t", Value::Uint(4)),
            ("attestation", Value::Bytes(Vec::new())),
            ("session", Value::Bytes(random::<16>().to_vec())),
            ("granted", hello.at("want").clone()),
            ("limits", limits),
            ("cursors", Value::Array(Vec::new())),
            ("rejects", Value::Array(Vec::new())),
        ]);
        Self {
            hello_ack,
            ready,
            signing: identity.signing.clone(),
            mac_did: identity.did.to_string(),
            hello,
            network,
            secret: *secret,
            transcript,
            hs: None,
        }
    }

    /// Writes HELLO_ACK.
    #[must_use]
    pub fn hello_ack(&mut self) -> Vec<u8> {
        let digest = self.transcript.digest(&self.hello_ack.encode());
        let hs = Prk::extract(&digest, &self.secret);
        let frame = write(
            &mut self.transcript,
            &self.hello_ack,
            2,
            HELLO_ACK,
            &self.signing,
            &hs,
            &self.mac_did,
        );
        self.hs = Some(hs);
        frame
    }

    /// Reads and checks AUTH; returns its body.
    pub fn read_auth(&mut self, frame: &[u8]) -> Value {
        let hs = self.hs.clone().expect("HELLO_ACK was written");
        read(&mut self.transcript, frame, 3, AUTH, &self.network, &hs)
    }

    /// Writes READY; returns it and the session.
    #[must_use]
    pub fn ready(mut self) -> (Vec<u8>, Session) {
        let hs = self.hs.take().expect("HELLO_ACK was written");
        let frame = write(
            &mut self.transcript,
            &self.ready,
            4,
            READY,
            &self.signing,
            &hs,
            &self.mac_did,
        );
        (
            frame,
            session(&hs, self.transcript, Direction::ResponderToInitiator),
        )
    }
}
