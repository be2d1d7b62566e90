//! The side that dials.

use entente_lexicon::TrustLevel;
use entente_trust::crypto::kem::KemSecret;
use entente_trust::policy::is_laxer;
use rand_core::CryptoRng;
use serde_bytes::ByteBuf;

use super::fault::Misbehaved;
use super::keys::{Maced, Schedule};
use super::transcript::{LABEL_AUTH, LABEL_HELLO_ACK, LABEL_READY, Transcript};
use super::{Context, Established, PeerKey, PeerStand, Role};
use crate::frame::opening::{
    Auth, Body, Cursor, Hello, OpeningFrame, Ready, SUITE_X_WING, VERSION, encode,
};
use crate::link::Evidence;

/// HELLO is sent.
#[derive(Debug)]
pub struct ExpectHelloAck {
    /// Taken at decapsulation: used once.
    secret: Option<KemSecret>,
    transcript: Transcript,
    want: TrustLevel,
}

/// AUTH is sent.
#[derive(Debug)]
pub struct ExpectReady {
    schedule: Schedule,
    transcript: Transcript,
    peer_key: PeerKey,
    want: TrustLevel,
}

/// Begins a handshake: the state and the HELLO. `dial` must already be stored when it is sent.
#[must_use]
pub fn start<R: CryptoRng>(
    context: &Context<'_>,
    dial: u64,
    want: TrustLevel,
    rng: &mut R,
) -> (ExpectHelloAck, Vec<u8>) {
    let secret = KemSecret::generate(rng);
    let mut nonce = [0; 32];
    rng.fill_bytes(&mut nonce);
    let hello = Hello {
        t: 1,
        versions: vec![VERSION],
        shares: vec![(SUITE_X_WING, ByteBuf::from(secret.public().to_bytes()))],
        from: context.party(),
        to: context.peer.did.clone(),
        nonce: nonce.into(),
        dial,
        want,
    };
    let frame = OpeningFrame {
        body: encode(&hello),
        signature: Vec::new(),
        mac: Vec::new(),
    };
    let frame = frame.encode();
    let mut transcript = Transcript::start();
    transcript.absorb(&frame);
    (
        ExpectHelloAck {
            secret: Some(secret),
            transcript,
            want,
        },
        frame,
    )
}

impl ExpectHelloAck {
    /// Checks a HELLO_ACK and answers it with an AUTH that carries our `cursors`.
    ///
    /// # Errors
    /// The first check that fails. After [`Misbehaved::StaleDocument`] the same frame may be given
    /// again with a newer document.
    pub fn receive(
        &mut self,
        context: &Context<'_>,
        bytes: &[u8],
        cursors: Vec<Cursor>,
    ) -> Result<(ExpectReady, Vec<u8>), Misbehaved> {
        let (frame, body) = OpeningFrame::decode(bytes)?;
        let Body::HelloAck(ack) = body else {
            return Err(Misbehaved::UnexpectedFrame);
        };
        if ack.from.did != context.peer.did {
            return Err(Misbehaved::WrongPeer);
        }
        if ack.version != VERSION || ack.suite != SUITE_X_WING {
            return Err(Misbehaved::NotOffered);
        }
        let peer_key = context.check_party(&ack.from)?;
        let d2 = self.transcript.digest(&frame.body);
        peer_key.check(LABEL_HELLO_ACK, &d2, &frame.signature)?;
        let secret = self.secret.take().ok_or(Misbehaved::UnexpectedFrame)?;
        let shared = secret
            .decapsulate(&ack.ct)
            .map_err(|_error| Misbehaved::BadMac)?;
        drop(secret);
        let schedule = Schedule::derive(&d2, shared);
        schedule.check(Maced::HelloAck, &d2, &context.peer.did, &frame.mac)?;
        self.transcript.absorb(bytes);

        let auth = Auth {
            t: 3,
            attestation: context.attest(&peer_key),
            cursors,
        };
        let body = encode(&auth);
        let d3 = self.transcript.digest(&body);
        let signature = context.sign(LABEL_AUTH, &d3);
        let mac = schedule.mac(Maced::Auth, &d3, &context.own.did).to_vec();
        let answer = OpeningFrame {
            body,
            signature,
            mac,
        }
        .encode();
        let mut transcript = self.transcript.clone();
        transcript.absorb(&answer);
        Ok((
            ExpectReady {
                schedule,
                transcript,
                peer_key,
                want: self.want,
            },
            answer,
        ))
    }
}

impl ExpectReady {
    /// Checks a READY. With it the handshake is over.
    ///
    /// # Errors
    /// The first check that fails.
    pub fn receive(
        &self,
        context: &Context<'_>,
        bytes: &[u8],
    ) -> Result<(Established, PeerStand), Misbehaved> {
        let (frame, body) = OpeningFrame::decode(bytes)?;
        let Body::Ready(ready) = body else {
            return Err(Misbehaved::UnexpectedFrame);
        };
        let d4 = self.transcript.digest(&frame.body);
        self.peer_key.check(LABEL_READY, &d4, &frame.signature)?;
        self.schedule
            .check(Maced::Ready, &d4, &context.peer.did, &frame.mac)?;
        if is_laxer(ready.granted, self.want) {
            return Err(Misbehaved::LevelTooOpen);
        }
        let prior = *self.transcript.state();
        let mut transcript = self.transcript.clone();
        transcript.absorb(bytes);
        let established = Established {
            traffic: self.schedule.traffic(transcript.state(), Role::Initiator),
            session: *ready.session,
            granted: ready.granted,
            peer_key: self.peer_key.clone(),
        };
        Ok((established, self.stand(ready, prior, frame)))
    }

    fn stand(&self, ready: Ready, prior: [u8; 32], frame: OpeningFrame) -> PeerStand {
        let evidence = Evidence::Handshake {
            kid: self.peer_key.kid.clone(),
            frame: 4,
            prior,
            body: frame.body,
            signature: frame.signature.try_into().unwrap_or([0; 64]),
        };
        let rejects = ready.message_rejects();
        PeerStand {
            attestation: ready.attestation.into_vec(),
            cursors: ready.cursors,
            rejects,
            limits: Some(ready.limits),
            evidence,
        }
    }
}
