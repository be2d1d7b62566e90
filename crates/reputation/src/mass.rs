//! Weight and what it says: means that are capped, one inside another.

/// Points carry so many binary digits behind the point, so that dividing costs no whole point.
const FRACTION: u32 = 48;

/// Some weight, and the scores it stands for times that weight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mass {
    weight: u128,
    points: u128,
}

impl Mass {
    pub(crate) fn of(weight: u64, score: u8) -> Self {
        let weight = u128::from(weight);
        Self {
            weight,
            points: (weight * u128::from(score)) << FRACTION,
        }
    }

    pub(crate) const fn weight(self) -> u128 {
        self.weight
    }

    pub(crate) const fn and(self, other: Self) -> Self {
        Self {
            weight: self.weight + other.weight,
            points: self.points + other.points,
        }
    }

    /// Speaks with at most `limit`, for the same mean.
    pub(crate) fn capped(self, limit: u64) -> Self {
        let limit = u128::from(limit);
        if self.weight <= limit {
            return self;
        }
        Self {
            weight: limit,
            points: self.points * limit / self.weight,
        }
    }

    /// Returns the mean, rounded; nothing where there is no weight.
    pub(crate) fn mean(self) -> Option<u8> {
        let whole = self.weight << FRACTION;
        let rounded = (self.points + whole / 2).checked_div(whole)?;
        u8::try_from(rounded.min(100)).ok()
    }
}
