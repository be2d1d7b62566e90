//! A vector in a byte a dimension.

use super::VectorError;

/// A vector of length 1 in signed bytes, each a 127th of the largest.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantised {
    /// One over the length of the bytes as a vector, so that dot products become cosines.
    inverse_length: f32,
    values: Vec<i8>,
}

impl Quantised {
    /// Quantises a vector of any length.
    ///
    /// # Errors
    /// [`VectorError::NoDirection`].
    pub fn of(vector: &[f32]) -> Result<Self, VectorError> {
        let largest = vector
            .iter()
            .fold(0.0_f32, |most, value| most.max(value.abs()));
        let usable = largest > 0.0 && vector.iter().all(|value| value.is_finite());
        if !usable {
            return Err(VectorError::NoDirection);
        }
        let values = vector.iter().map(|value| to_byte(value / largest * 127.0));
        Self::from_values(values.collect()).ok_or(VectorError::NoDirection)
    }

    fn from_values(values: Vec<i8>) -> Option<Self> {
        let squares: i64 = values.iter().map(|value| i64::from(*value).pow(2)).sum();
        (squares > 0).then(|| Self {
            inverse_length: 1.0 / to_float(squares).sqrt(),
            values,
        })
    }

    /// Returns the bytes to store: one a dimension.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.values
            .iter()
            .map(|value| value.cast_unsigned())
            .collect()
    }

    /// Reads what was stored.
    ///
    /// # Errors
    /// [`VectorError::Dimensions`], [`VectorError::NoDirection`].
    pub fn from_bytes(dimensions: usize, bytes: &[u8]) -> Result<Self, VectorError> {
        super::same_dimensions(dimensions, bytes.len())?;
        let values = bytes.iter().map(|byte| byte.cast_signed()).collect();
        Self::from_values(values).ok_or(VectorError::NoDirection)
    }

    /// Returns how many dimensions it has.
    #[must_use]
    pub fn dimensions(&self) -> usize {
        self.values.len()
    }

    /// Returns the cosine of the angle to another one of as many dimensions.
    #[must_use]
    pub fn cosine(&self, other: &Self) -> f32 {
        let pairs = self.values.iter().zip(&other.values);
        // 127² · dimensions stays below 2³¹ up to 133,000 dimensions.
        let dot: i32 = pairs.map(|(a, b)| i32::from(*a) * i32::from(*b)).sum();
        to_float(i64::from(dot)) * self.inverse_length * other.inverse_length
    }
}

/// Returns the cosine of the angle between two exact vectors; nothing if they differ in dimensions
/// or one has no direction.
#[must_use]
pub fn cosine(a: &[f32], b: &[f32]) -> Option<f32> {
    let dot = |a: &[f32], b: &[f32]| -> f32 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
    let cosine = dot(a, b) / (dot(a, a).sqrt() * dot(b, b).sqrt());
    (a.len() == b.len() && cosine.is_finite()).then_some(cosine)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::as_conversions,
    reason = "the value lies between -127 and 127"
)]
fn to_byte(value: f32) -> i8 {
    value.round() as i8
}

#[expect(
    clippy::cast_precision_loss,
    clippy::as_conversions,
    reason = "a cosine needs no more than 24 bits"
)]
const fn to_float(value: i64) -> f32 {
    value as f32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_has_no_direction_is_refused() {
        for bad in [&[][..], &[0.0; 3], &[f32::NAN, 1.0], &[f32::INFINITY, 1.0]] {
            assert_eq!(Quantised::of(bad), Err(VectorError::NoDirection));
        }
        assert_eq!(
            Quantised::from_bytes(2, &[0, 0]),
            Err(VectorError::NoDirection)
        );
        let expected = VectorError::Dimensions {
            expected: 3,
            found: 2,
        };
        assert_eq!(Quantised::from_bytes(3, &[1, 2]), Err(expected));
        assert_eq!(cosine(&[1.0], &[1.0, 2.0]), None);
        assert_eq!(cosine(&[0.0], &[1.0]), None);
    }

    proptest! {
        #[test]
        fn a_byte_a_dimension_keeps_angles(
            pairs in proptest::collection::vec((-1.0_f32..1.0, -1.0_f32..1.0), 64..256),
        ) {
            let (a, b): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
            prop_assume!(cosine(&a, &b).is_some());
            let (qa, qb) = (Quantised::of(&a).unwrap(), Quantised::of(&b).unwrap());
            prop_assert!((qa.cosine(&qb) - cosine(&a, &b).unwrap()).abs() < 0.02);
            prop_assert!((qa.cosine(&qa) - 1.0).abs() < 0.001);
            prop_assert_eq!(Quantised::from_bytes(a.len(), &qa.to_bytes()), Ok(qa));
        }
    }
}
