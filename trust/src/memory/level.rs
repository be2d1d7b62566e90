//! Who can read a record: its owner, those it is shared with, or everyone.

use std::fmt;
use std::str::FromStr;

use super::MemoryError;

/// Who can read a record. There are no others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Its owner. Encrypted; what every record begins as.
    #[default]
    Private,
    /// Its owner and those who hold a share of its DEK. Encrypted.
    Shared,
    /// Everyone: plaintext, announced. Only ever by [`Act::Publish`].
    Public,
}

/// What an owner does to a record's level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Shares it with one more.
    Share,
    /// Takes a share back; so many others keep theirs.
    Unshare {
        /// How many others it stays shared with.
        left: usize,
    },
    /// Shows it to everyone.
    Publish,
    /// Takes a public record back. Copies stay with whoever made them.
    Withdraw,
}

/// What must happen, in one transaction, for an [`Act`] to be true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Add a share row. The ciphertext stays.
    AddShare,
    /// Seal the record under a new DEK, wrap it for its owner and for those who keep their share,
    /// drop every other row. Copies made before stay readable to who made them.
    NewDek,
    /// Store it as plaintext and drop all rows.
    Plaintext,
}

impl Level {
    /// Reads the level that a new record is asked to have.
    ///
    /// # Errors
    /// [`MemoryError::PublicNeedsAct`] for everything but nothing and `private`: sharing and
    /// publishing are acts of their own, so that neither a default nor a template nor a field
    /// that was carried along shows a record to anybody.
    pub fn at_creation(asked: Option<&str>) -> Result<Self, MemoryError> {
        match asked {
            None | Some("private") => Ok(Self::Private),
            Some(_) => Err(MemoryError::PublicNeedsAct),
        }
    }

    /// Tells what an act makes of a record and what it takes.
    ///
    /// # Errors
    /// [`MemoryError::AlreadyPublic`] for [`Act::Share`] and [`Act::Unshare`] of a public record.
    pub const fn after(self, act: Act) -> Result<(Self, Effect), MemoryError> {
        match (self, act) {
            (_, Act::Publish) => Ok((Self::Public, Effect::Plaintext)),
            (Self::Public, Act::Share | Act::Unshare { .. }) => Err(MemoryError::AlreadyPublic),
            (Self::Private | Self::Shared, Act::Share) => Ok((Self::Shared, Effect::AddShare)),
            (_, Act::Unshare { left: 0 } | Act::Withdraw) => Ok((Self::Private, Effect::NewDek)),
            (Self::Private | Self::Shared, Act::Unshare { .. }) => {
                Ok((Self::Shared, Effect::NewDek))
            }
        }
    }

    /// Tells whether what is stored at this level is ciphertext.
    #[must_use]
    pub const fn is_sealed(self) -> bool {
        match self {
            Self::Private | Self::Shared => true,
            Self::Public => false,
        }
    }

    /// Returns the text that is stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Shared => "shared",
            Self::Public => "public",
        }
    }
}

/// The text is no level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a level is private, shared or public")]
pub struct BadLevel;

impl FromStr for Level {
    type Err = BadLevel;

    /// Reads a level that was stored, never one that was asked for: see [`Level::at_creation`].
    fn from_str(text: &str) -> Result<Self, BadLevel> {
        match text {
            "private" => Ok(Self::Private),
            "shared" => Ok(Self::Shared),
            "public" => Ok(Self::Public),
            _ => Err(BadLevel),
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Level; 3] = [Level::Private, Level::Shared, Level::Public];

    #[test]
    fn a_new_record_is_private_whatever_is_asked_for() {
        assert_eq!(Level::at_creation(None), Ok(Level::Private));
        assert_eq!(Level::at_creation(Some("private")), Ok(Level::default()));
        for asked in ["public", "shared", "PUBLIC", "", "world"] {
            let refused = Level::at_creation(Some(asked));
            assert_eq!(refused, Err(MemoryError::PublicNeedsAct), "{asked}");
        }
    }

    #[test]
    fn only_publishing_makes_public_and_nothing_sealed_becomes_plaintext_otherwise() {
        let acts = [
            Act::Share,
            Act::Unshare { left: 0 },
            Act::Unshare { left: 3 },
            Act::Publish,
            Act::Withdraw,
        ];
        for level in ALL {
            for act in acts {
                let Ok((after, effect)) = level.after(act) else {
                    assert_eq!(level, Level::Public);
                    continue;
                };
                let published = act == Act::Publish;
                assert_eq!(after == Level::Public, published, "{level} {act:?}");
                assert_eq!(effect == Effect::Plaintext, published);
            }
        }
    }

    #[test]
    fn taking_back_is_always_a_new_key() {
        let unshared = Level::Shared.after(Act::Unshare { left: 1 });
        assert_eq!(unshared, Ok((Level::Shared, Effect::NewDek)));
        let alone = Level::Shared.after(Act::Unshare { left: 0 });
        assert_eq!(alone, Ok((Level::Private, Effect::NewDek)));
        let withdrawn = Level::Public.after(Act::Withdraw);
        assert_eq!(withdrawn, Ok((Level::Private, Effect::NewDek)));
    }

    #[test]
    fn levels_read_back() {
        for level in ALL {
            assert_eq!(level.to_string().parse(), Ok(level));
            assert_eq!(level.is_sealed(), level != Level::Public);
        }
        assert_eq!("Private".parse::<Level>(), Err(BadLevel));
    }
}
