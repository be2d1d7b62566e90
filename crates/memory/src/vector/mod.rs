//! Finding memory by meaning: vectors that a model makes of texts.
//!
//! [`Embedder`] makes vectors and [`VectorIndex`] keeps them; both say how many dimensions they have,
//! and [`check`] compares them once, at start. The default index is [`FlatIndex`]: all vectors as
//! bytes, compared one by one, which for some ten thousand takes about a millisecond and needs no
//! other service. A vector gives away most of a short text, so an index that leaves the agent's
//! object is somebody's explicit choice.

mod flat;
mod quantise;
pub mod wire;

pub use flat::FlatIndex;
pub use quantise::{Quantised, cosine};

/// Why vectors do not do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VectorError {
    /// Another number of dimensions than the index has.
    #[error(
        "the model makes vectors of {found} dimensions and the index has {expected}: change one of them, then index anew"
    )]
    Dimensions {
        /// What the index has.
        expected: usize,
        /// What the model makes.
        found: usize,
    },
    /// A vector that is zero or holds what is no number.
    #[error("the vector has no direction: it is zero, or not made of numbers")]
    NoDirection,
    /// The model or the index cannot be reached, or answers what is no answer.
    #[error("the service of vectors failed: {0}")]
    Service(String),
}

impl VectorError {
    /// Returns the stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Dimensions { .. } => "VECTOR_DIMENSIONS",
            Self::NoDirection => "VECTOR_NO_DIRECTION",
            Self::Service(_) => "VECTOR_SERVICE",
        }
    }
}

/// A vector that was found, and how near it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Near {
    /// What it was stored under.
    pub id: String,
    /// The cosine of the angle between it and the query, from −1 to 1.
    pub cosine: f32,
}

/// Makes vectors of texts.
pub trait Embedder {
    /// How many dimensions they have.
    fn dimensions(&self) -> usize;

    /// Names the model: vectors of two models are never compared.
    fn model(&self) -> &str;

    /// Makes a vector of each text, in their order.
    ///
    /// # Errors
    /// [`VectorError`].
    fn embed(&self, texts: &[&str]) -> impl Future<Output = Result<Vec<Vec<f32>>, VectorError>>;
}

/// Keeps vectors and finds those near to another.
pub trait VectorIndex {
    /// How many dimensions they have.
    fn dimensions(&self) -> usize;

    /// Stores a vector, in place of one under the same id.
    ///
    /// # Errors
    /// [`VectorError`].
    fn put(&mut self, id: &str, vector: &[f32]) -> impl Future<Output = Result<(), VectorError>>;

    /// Removes a vector; nothing happens if there is none.
    ///
    /// # Errors
    /// [`VectorError`].
    fn remove(&mut self, id: &str) -> impl Future<Output = Result<(), VectorError>>;

    /// Finds up to `count` of the nearest, the nearest first. The order is as good as the index is:
    /// ask for more than needed and [`rerank`].
    ///
    /// # Errors
    /// [`VectorError`].
    fn nearest(
        &self,
        query: &[f32],
        count: usize,
    ) -> impl Future<Output = Result<Vec<Near>, VectorError>>;
}

/// Compares a model with an index, at start.
///
/// # Errors
/// [`VectorError::Dimensions`].
pub fn check(embedder: &impl Embedder, index: &impl VectorIndex) -> Result<(), VectorError> {
    same_dimensions(index.dimensions(), embedder.dimensions())
}

/// Orders candidates by their exact vectors, where `exact` knows them; the rest keep their cosine.
#[must_use]
pub fn rerank<'a>(
    query: &[f32],
    candidates: Vec<Near>,
    exact: impl Fn(&str) -> Option<&'a [f32]>,
    count: usize,
) -> Vec<Near> {
    let mut ordered = candidates;
    for near in &mut ordered {
        if let Some(cosine) = exact(&near.id).and_then(|vector| cosine(query, vector)) {
            near.cosine = cosine;
        }
    }
    ordered.sort_by(|a, b| b.cosine.total_cmp(&a.cosine));
    ordered.truncate(count);
    ordered
}

fn same_dimensions(expected: usize, found: usize) -> Result<(), VectorError> {
    if expected == found {
        Ok(())
    } else {
        Err(VectorError::Dimensions { expected, found })
    }
}
