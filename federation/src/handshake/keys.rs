//! The key schedule. Every secret wipes itself when dropped; the steps that make one take the
//! one before by value.

use std::fmt;

use entente_lexicon::Did;
use entente_trust::crypto::kdf::Prk;
use entente_trust::crypto::mac::{constant_time_eq, hmac_sha256};
use zeroize::Zeroizing;

use super::Role;
use super::fault::Misbehaved;
use super::transcript::Digest;

const DIRECTION_TO_RESPONDER: u8 = 1;
const DIRECTION_TO_INITIATOR: u8 = 2;

/// What HELLO_ACK's secret gives: a MAC key for each frame to come, and the master secret.
pub struct Schedule {
    hello_ack: Zeroizing<[u8; 32]>,
    auth: Zeroizing<[u8; 32]>,
    ready: Zeroizing<[u8; 32]>,
    master: Zeroizing<[u8; 32]>,
}

/// Which frame a MAC is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maced {
    /// Frame 2.
    HelloAck,
    /// Frame 3.
    Auth,
    /// Frame 4.
    Ready,
}

/// The keys of a session, one for each direction.
pub struct Traffic {
    send: Zeroizing<[u8; 32]>,
    receive: Zeroizing<[u8; 32]>,
    role: Role,
}

impl Schedule {
    /// Derives everything from the shared secret; it and the extracted key are gone afterwards.
    #[must_use]
    pub fn derive(d2: &Digest, shared: Zeroizing<[u8; 32]>) -> Self {
        let extracted = Prk::extract(d2, &*shared);
        drop(shared);
        let mac = |number: u8| extracted.expand(&[b"entente/1 mac ", &[number]]);
        Self {
            hello_ack: mac(2),
            auth: mac(3),
            ready: mac(4),
            master: extracted.expand(&[b"entente/1 master"]),
        }
    }

    /// Authenticates a frame's digest as spoken by `speaker`.
    #[must_use]
    pub fn mac(&self, frame: Maced, digest: &Digest, speaker: &Did) -> [u8; 32] {
        let key = match frame {
            Maced::HelloAck => &self.hello_ack,
            Maced::Auth => &self.auth,
            Maced::Ready => &self.ready,
        };
        hmac_sha256(&**key, &[digest, speaker.as_str().as_bytes()])
    }

    /// Checks a MAC in constant time.
    ///
    /// # Errors
    /// [`Misbehaved::BadMac`].
    pub fn check(
        &self,
        frame: Maced,
        digest: &Digest,
        speaker: &Did,
        mac: &[u8],
    ) -> Result<(), Misbehaved> {
        let holds = constant_time_eq(&self.mac(frame, digest, speaker), mac);
        if holds {
            Ok(())
        } else {
            Err(Misbehaved::BadMac)
        }
    }

    /// Derives the session's keys from the finished transcript and ends the schedule.
    #[must_use]
    pub fn traffic(&self, t4: &Digest, role: Role) -> Traffic {
        let extracted = Prk::extract(t4, &*self.master);
        let to_responder = extracted.expand(&[b"entente/1 frames initiator to responder"]);
        let to_initiator = extracted.expand(&[b"entente/1 frames responder to initiator"]);
        match role {
            Role::Initiator => Traffic {
                send: to_responder,
                receive: to_initiator,
                role,
            },
            Role::Responder => Traffic {
                send: to_initiator,
                receive: to_responder,
                role,
            },
        }
    }
}

impl Traffic {
    /// Returns our role.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
    }

    /// Returns key and direction byte of what we send.
    #[must_use]
    pub fn sending(&self) -> (&[u8; 32], u8) {
        (&self.send, direction(self.role))
    }

    /// Returns key and direction byte of what we receive.
    #[must_use]
    pub fn receiving(&self) -> (&[u8; 32], u8) {
        let peer = match self.role {
            Role::Initiator => Role::Responder,
            Role::Responder => Role::Initiator,
        };
        (&self.receive, direction(peer))
    }
}

const fn direction(speaker: Role) -> u8 {
    match speaker {
        Role::Initiator => DIRECTION_TO_RESPONDER,
        Role::Responder => DIRECTION_TO_INITIATOR,
    }
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Schedule(…)")
    }
}

impl fmt::Debug for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Traffic({:?}, …)", self.role)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_roles_derive_the_same_keys_and_the_directions_differ() {
        let schedule = Schedule::derive(&[1; 32], Zeroizing::new([2; 32]));
        let ours = schedule.traffic(&[3; 32], Role::Initiator);
        let theirs = schedule.traffic(&[3; 32], Role::Responder);
        assert_eq!(ours.sending(), theirs.receiving());
        assert_eq!(ours.receiving(), theirs.sending());
        assert_ne!(ours.sending().0, ours.receiving().0);
        assert_ne!(ours.sending().1, ours.receiving().1);
        assert_eq!(
            format!("{schedule:?} {ours:?}"),
            "Schedule(…) Traffic(Initiator, …)"
        );
    }

    #[test]
    fn a_mac_names_frame_digest_and_speaker() {
        let (a, b) = (Did::from_scid(&[1; 32]), Did::from_scid(&[2; 32]));
        let schedule = Schedule::derive(&[1; 32], Zeroizing::new([2; 32]));
        let mac = schedule.mac(Maced::Auth, &[9; 32], &a);
        assert_eq!(schedule.check(Maced::Auth, &[9; 32], &a, &mac), Ok(()));
        for (frame, digest, speaker) in [
            (Maced::Ready, [9; 32], &a),
            (Maced::Auth, [8; 32], &a),
            (Maced::Auth, [9; 32], &b),
        ] {
            let bad = Err(Misbehaved::BadMac);
            assert_eq!(schedule.check(frame, &digest, speaker, &mac), bad);
        }
        assert_eq!(
            schedule.check(Maced::Auth, &[9; 32], &a, &mac[..31]),
            Err(Misbehaved::BadMac)
        );
    }
}
