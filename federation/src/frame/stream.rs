//! The three streams of a link, and a thing for each.

/// A stream: numbered on its own, acknowledged on its own, with a window of its own, so that none
/// can starve another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stream {
    /// Sealed messages between agents: each is delivered or bounced.
    Msg,
    /// Public events: the oldest give way when there is no room, and a gap says so.
    Evt,
    /// Small records between networks, such as read receipts.
    Ctl,
}

impl Stream {
    /// All of them, by number.
    pub const ALL: [Self; 3] = [Self::Msg, Self::Evt, Self::Ctl];

    /// Returns its number in headers and cursors.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Msg => 1,
            Self::Evt => 2,
            Self::Ctl => 3,
        }
    }

    /// Reads a number.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Msg),
            2 => Some(Self::Evt),
            3 => Some(Self::Ctl),
            _ => None,
        }
    }

    /// Returns its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Msg => "msg",
            Self::Evt => "evt",
            Self::Ctl => "ctl",
        }
    }
}

/// One thing for each stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Streams<T> {
    /// For [`Stream::Msg`].
    pub msg: T,
    /// For [`Stream::Evt`].
    pub evt: T,
    /// For [`Stream::Ctl`].
    pub ctl: T,
}

impl<T> Streams<T> {
    /// Makes one for each stream.
    #[must_use]
    pub fn each(mut make: impl FnMut(Stream) -> T) -> Self {
        Self {
            msg: make(Stream::Msg),
            evt: make(Stream::Evt),
            ctl: make(Stream::Ctl),
        }
    }

    /// Returns the one of a stream.
    #[must_use]
    pub const fn of(&self, stream: Stream) -> &T {
        match stream {
            Stream::Msg => &self.msg,
            Stream::Evt => &self.evt,
            Stream::Ctl => &self.ctl,
        }
    }

    /// Returns the one of a stream, to be changed.
    pub const fn of_mut(&mut self, stream: Stream) -> &mut T {
        match stream {
            Stream::Msg => &mut self.msg,
            Stream::Evt => &mut self.evt,
            Stream::Ctl => &mut self.ctl,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_reads_back_and_no_other_does() {
        for stream in Stream::ALL {
            assert_eq!(Stream::from_number(stream.number()), Some(stream));
            assert_eq!(*Streams::each(|s| s).of(stream), stream);
        }
        assert_eq!([0, 4].map(Stream::from_number), [None; 2]);
    }
}
