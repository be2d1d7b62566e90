//! The side that is dialled.

use entente_lexicon::TrustLevel;
use entente_trust::crypto::kem::KemPublic;
use rand_core::CryptoRng;
use serde_bytes::ByteBuf;

use super::fault::Misbehaved;
use super::keys::{Maced, Schedule};
use super::transcript::{LABEL_AUTH, LABEL_HELLO_ACK, LABEL_READY, Transcript};
use super::{Claimed, Context, Established, PeerKey, PeerStand, Role};
use crate::frame::opening::{
    Body, Cursor, Hello, HelloAck, OpeningFrame, Ready, SUITE_X_WING, VERSION, WireLimits, encode,
};
use crate::link::{Evidence, Reject};

/// HELLO_ACK is sent. Nothing is believed yet.
#[derive(Debug)]
pub struct ExpectAuth {
    schedule: Schedule,
    transcript: Transcript,
    peer_key: PeerKey,
    dial: u64,
    want: TrustLevel,
}

/// AUTH verified: the peer is who it says, and said all of this.
#[derive(Debug)]
pub struct Authenticated {
    schedule: Schedule,
    transcript: Transcript,
    /// Its key.
    pub peer_key: PeerKey,
    /// Its dial number, higher than any before.
    pub dial: u64,
    /// The level it wants.
    pub want: TrustLevel,
}

/// What READY says.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The session's id, fresh.
    pub session: [u8; 16],
    /// The level agreed on.
    pub granted: TrustLevel,
    /// What may be in flight towards us.
    pub limits: WireLimits,
    /// What we have received.
    pub cursors: Vec<Cursor>,
    /// What we refused up to there, as (stream, what).
    pub rejects: Vec<(u64, Reject)>,
}

/// Checks a HELLO and answers it with a HELLO_ACK.
///
/// `claimed` is who signed the upgrade.
///
/// # Errors
/// The first check that fails. After [`Misbehaved::StaleDocument`] the same frame may be given
/// again with a newer document.
pub fn receive_hello<R: CryptoRng>(
    context: &Context<'_>,
    claimed: &Claimed,
    bytes: &[u8],
    rng: &mut R,
) -> Result<(ExpectAuth, Vec<u8>), Misbehaved> {
    let (_frame, body) = OpeningFrame::decode(bytes)?;
    let Body::Hello(hello) = body else {
        return Err(Misbehaved::UnexpectedFrame);
    };
    let (peer_key, share) = check_hello(context, claimed, &hello)?;
    let (ct, shared) = share
        .encapsulate(rng)
        .map_err(|_error| Misbehaved::BadKemKey)?;
    let mut nonce = [0; 32];
    rng.fill_bytes(&mut nonce);
    let ack = HelloAck {
        t: 2,
        version: VERSION,
        suite: SUITE_X_WING,
        from: context.party(),
        nonce: nonce.into(),
        ct: ByteBuf::from(ct),
    };
    let mut transcript = Transcript::start();
    transcript.absorb(bytes);
    let body = encode(&ack);
    let d2 = transcript.digest(&body);
    let schedule = Schedule::derive(&d2, shared);
    let signature = context.sign(LABEL_HELLO_ACK, &d2);
    let mac = schedule
        .mac(Maced::HelloAck, &d2, &context.own.did)
        .to_vec();
    let answer = OpeningFrame {
        body,
        signature,
        mac,
    }
    .encode();
    transcript.absorb(&answer);
    let state = ExpectAuth {
        schedule,
        transcript,
        peer_key,
        dial: hello.dial,
        want: hello.want,
    };
    Ok((state, answer))
}

fn check_hello(
    context: &Context<'_>,
    claimed: &Claimed,
    hello: &Hello,
) -> Result<(PeerKey, KemPublic), Misbehaved> {
    if hello.to != context.own.did {
        return Err(Misbehaved::WrongRecipient);
    }
    if hello.from.did == context.own.did {
        return Err(Misbehaved::OwnDid);
    }
    let signed = hello.from.did == claimed.did && hello.from.kid == claimed.kid;
    if !signed || hello.from.did != context.peer.did {
        return Err(Misbehaved::UpgradeMismatch);
    }
    // Our preference lists have one entry each.
    if !hello.versions.contains(&VERSION) {
        return Err(Misbehaved::NoCommonVersion);
    }
    let share = hello
        .shares
        .iter()
        .find(|(suite, _)| *suite == SUITE_X_WING);
    let (_, share) = share.ok_or(Misbehaved::NoCommonSuite)?;
    let peer_key = context.check_party(&hello.from)?;
    let share = KemPublic::from_bytes(share).map_err(|_error| Misbehaved::BadKemKey)?;
    Ok((peer_key, share))
}

impl ExpectAuth {
    /// Checks an AUTH; `stored_dial` is the peer's highest dial number so far.
    ///
    /// # Errors
    /// The first check that fails.
    pub fn receive(
        self,
        context: &Context<'_>,
        bytes: &[u8],
        stored_dial: u64,
    ) -> Result<(Authenticated, PeerStand), Misbehaved> {
        let (frame, body) = OpeningFrame::decode(bytes)?;
        let Body::Auth(auth) = body else {
            return Err(Misbehaved::UnexpectedFrame);
        };
        let d3 = self.transcript.digest(&frame.body);
        self.peer_key.check(LABEL_AUTH, &d3, &frame.signature)?;
        self.schedule
            .check(Maced::Auth, &d3, &context.peer.did, &frame.mac)?;
        if self.dial <= stored_dial {
            return Err(Misbehaved::StaleDial);
        }
        let evidence = Evidence::Handshake {
            kid: self.peer_key.kid.clone(),
            frame: 3,
            prior: *self.transcript.state(),
            body: frame.body,
            signature: frame.signature.try_into().unwrap_or([0; 64]),
        };
        let stand = PeerStand {
            attestation: auth.attestation.into_vec(),
            cursors: auth.cursors,
            rejects: Vec::new(),
            limits: None,
            evidence,
        };
        let mut transcript = self.transcript;
        transcript.absorb(bytes);
        let next = Authenticated {
            schedule: self.schedule,
            transcript,
            peer_key: self.peer_key,
            dial: self.dial,
            want: self.want,
        };
        Ok((next, stand))
    }
}

impl Authenticated {
    /// Answers with READY. With it the handshake is over, though READY may yet be lost.
    #[must_use]
    pub fn ready(self, context: &Context<'_>, answer: Answer) -> (Established, Vec<u8>) {
        let rejects = answer.rejects.into_iter();
        let ready = Ready {
            t: 4,
            attestation: context.attest(&self.peer_key),
            session: answer.session.into(),
            granted: answer.granted,
            limits: answer.limits,
            cursors: answer.cursors,
            rejects: rejects
                .map(|(stream, r)| (stream, r.seq, r.id.into(), r.code.as_str().to_owned()))
                .collect(),
        };
        let body = encode(&ready);
        let d4 = self.transcript.digest(&body);
        let signature = context.sign(LABEL_READY, &d4);
        let mac = self
            .schedule
            .mac(Maced::Ready, &d4, &context.own.did)
            .to_vec();
        let frame = OpeningFrame {
            body,
            signature,
            mac,
        }
        .encode();
        let mut transcript = self.transcript;
        transcript.absorb(&frame);
        let established = Established {
            traffic: self.schedule.traffic(transcript.state(), Role::Responder),
            session: answer.session,
            granted: answer.granted,
            peer_key: self.peer_key,
        };
        (established, frame)
    }
}
