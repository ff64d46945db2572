//! Conditions: operands and what they are compared with.

use super::{field::Field, set::SetRef, value::Value};
use serde::{Deserialize, Serialize};

/// A condition that a packet meets or does not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Condition {
    /// What is compared. More than one, a concatenation, only for [`Test::In`].
    pub operands: Vec<Operand>,
    /// What it is compared with.
    pub test: Test,
}

/// A field, or some of its bits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Operand {
    /// The field.
    pub field: Field,
    /// Only the bits that are set here count, the others are zero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mask: Option<Value>,
}

/// How an operand is compared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Test {
    /// With one value.
    Compare {
        /// The comparison.
        how: Comparison,
        /// The value.
        value: Value,
    },
    /// With the values between two.
    Range {
        /// The first value.
        first: Value,
        /// The last value, included.
        last: Value,
        /// Whether the condition holds outside of the range instead of inside.
        #[serde(default)]
        inverted: bool,
    },
    /// With the elements of a set.
    In {
        /// The set.
        set: SetRef,
        /// Whether the condition holds for what is not in the set.
        #[serde(default)]
        inverted: bool,
    },
}

/// A comparison with one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    /// Equal.
    Eq,
    /// Not equal.
    Ne,
    /// Less.
    Lt,
    /// Less or equal.
    Le,
    /// Greater.
    Gt,
    /// Greater or equal.
    Ge,
}

impl Condition {
    /// A condition on one whole field.
    pub fn new(field: Field, test: Test) -> Self {
        Self { operands: vec![field.into()], test }
    }

    /// Whether a field equals a number.
    pub fn equal(field: Field, number: u64) -> Self {
        Self::new(field, Test::Compare { how: Comparison::Eq, value: Value::Number(number) })
    }

    /// The number that the condition compares a whole field with for equality.
    pub fn equals(&self) -> Option<(&Field, u64)> {
        match (self.operands.as_slice(), &self.test) {
            ([Operand { field, mask: None }], Test::Compare { how: Comparison::Eq, value: Value::Number(number) }) => {
                Some((field, *number))
            }
            _ => None,
        }
    }
}

impl From<Field> for Operand {
    fn from(field: Field) -> Self {
        Self { field, mask: None }
    }
}
