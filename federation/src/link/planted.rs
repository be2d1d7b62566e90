//! Bugs on purpose, to see that the simulator finds them, and frames that no honest link sends.
//!
//! Compiled under the feature `planted-bugs` only, which only the simulator asks for.

use super::{Link, Outputs, SocketId};
use crate::frame::session::Kind;

/// A bug to be committed once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlantedBug {
    /// A receipt is taken, but not given to the driver to store.
    DropAck,
    /// A message that is offered again is not recognised by its number.
    SkipDedup,
}

impl Link {
    /// Makes the next input commit the bug if it gives an occasion; else [`Outputs::planted`] still
    /// names it.
    pub fn plant(&mut self, bug: PlantedBug) {
        self.planted = Some(bug);
    }

    /// Makes a frame with the right counter and tag and anything in it; `None` without a session.
    pub fn forge(
        &mut self,
        kind: Kind,
        place: (u8, u64, u64),
        body: &[u8],
    ) -> Option<(SocketId, Vec<u8>)> {
        let session = self.session.as_mut()?;
        let mut frame = session.begin(kind, place, body.len());
        frame.extend_from_slice(body);
        Some(session.seal(frame))
    }
}

impl Outputs {
    /// Whether the bug is to be committed here and now.
    pub(crate) fn commits(&mut self, bug: PlantedBug) -> bool {
        self.planted.take_if(|planted| *planted == bug).is_some()
    }
}
