//! The running hash of a handshake.

use entente_trust::crypto::hash::sha256;

/// A hash of everything up to some point.
pub type Digest = [u8; 32];

/// What the responder signs a HELLO_ACK under.
pub const LABEL_HELLO_ACK: &[u8] = b"entente/1 responder hello-ack";
/// What the initiator signs an AUTH under.
pub const LABEL_AUTH: &[u8] = b"entente/1 initiator auth";
/// What the responder signs a READY under.
pub const LABEL_READY: &[u8] = b"entente/1 responder ready";

/// The hash of all frames so far.
#[derive(Clone, Debug)]
pub struct Transcript(Digest);

impl Transcript {
    /// Starts: `T0 = H("entente/1 transcript")`.
    #[must_use]
    pub fn start() -> Self {
        Self(sha256(&[b"entente/1 transcript"]))
    }

    /// Returns what the next frame with this body signs and authenticates:
    /// `D(n) = H("entente/1 digest" ‖ 0 ‖ T(n-1) ‖ B(n))`.
    #[must_use]
    pub fn digest(&self, body: &[u8]) -> Digest {
        sha256(&[b"entente/1 digest", &[0], &self.0, body])
    }

    /// Takes in a whole frame: `T(n) = H("entente/1 frame" ‖ 0 ‖ T(n-1) ‖ F(n))`.
    pub fn absorb(&mut self, frame: &[u8]) {
        self.0 = sha256(&[b"entente/1 frame", &[0], &self.0, frame]);
    }

    /// Returns the hash now.
    #[must_use]
    pub const fn state(&self) -> &Digest {
        &self.0
    }
}
