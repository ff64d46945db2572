//! Three-valued logic.

/// Whether something holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Maybe {
    /// It does.
    Surely,
    /// What is known does not decide.
    Perhaps,
    /// It does not.
    No,
}

impl From<bool> for Maybe {
    fn from(holds: bool) -> Self {
        if holds { Self::Surely } else { Self::No }
    }
}

impl Maybe {
    /// Whether both hold.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Surely, Self::Surely) => Self::Surely,
            _ => Self::Perhaps,
        }
    }

    /// Whether at least one holds.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        self.inverted().and(other.inverted()).inverted()
    }

    /// Whether it does not hold.
    #[must_use]
    pub fn inverted(self) -> Self {
        match self {
            Self::Surely => Self::No,
            Self::Perhaps => Self::Perhaps,
            Self::No => Self::Surely,
        }
    }

    /// Inverted if `invert`.
    #[must_use]
    pub fn inverted_if(self, invert: bool) -> Self {
        if invert { self.inverted() } else { self }
    }
}
