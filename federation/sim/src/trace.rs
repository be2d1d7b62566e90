//! The hash of a run: two runs with one hash did the same, byte for byte.

use entente_trust::crypto::hash::sha256;

/// Buffered so that a short event costs no hash of its own.
const BUFFER: usize = 1 << 16;

#[derive(Debug, Default)]
pub(crate) struct Trace {
    hash: [u8; 32],
    buffer: Vec<u8>,
}

impl Trace {
    pub(crate) fn numbers(&mut self, numbers: &[u64]) {
        for number in numbers {
            self.buffer.extend_from_slice(&number.to_be_bytes());
        }
        self.fold(BUFFER);
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.buffer
            .extend_from_slice(&(bytes.len() as u64).to_be_bytes());
        self.buffer.extend_from_slice(bytes);
        self.fold(BUFFER);
    }

    pub(crate) fn finish(&mut self) -> [u8; 32] {
        self.fold(1);
        self.hash
    }

    fn fold(&mut self, least: usize) {
        if self.buffer.len() >= least {
            self.hash = sha256(&[&self.hash, &self.buffer]);
            self.buffer.clear();
        }
    }
}
