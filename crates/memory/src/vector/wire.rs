//! What services of vectors are asked and what they answer, as they document it.
//!
//! | service | request | answer |
//! |---|---|---|
//! | OpenAI's protocol | `{"model", "input": [text]}` | `{"data": [{"index", "embedding": [number]}]}` |
//! | Workers AI, text embeddings | `{"text": [text]}` | `{"shape": [texts, dimensions], "data": [[number]]}` |
//! | Vectorize | `[{"id", "namespace", "values"}]`; `{"topK", "namespace"}` | `{"count", "matches": [{"id", "score"}]}` |

use serde::{Deserialize, Serialize};

use super::{Near, VectorError};

/// The most dimensions of a vector.
pub const MAX_DIMENSIONS: usize = 4_096;

/// What OpenAI's protocol takes.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct OpenAiRequest<'a> {
    /// The model.
    pub model: &'a str,
    /// The texts.
    pub input: &'a [&'a str],
}

#[derive(Deserialize)]
struct OpenAiAnswer {
    data: Vec<OpenAiDatum>,
}

#[derive(Deserialize)]
struct OpenAiDatum {
    index: usize,
    embedding: Vec<f32>,
}

/// What Workers AI's models of text embeddings take.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct WorkersAiRequest<'a> {
    /// The texts.
    pub text: &'a [&'a str],
}

/// What they answer.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct WorkersAiAnswer {
    /// How many vectors of how many dimensions.
    #[serde(default)]
    pub shape: Vec<usize>,
    /// The vectors.
    #[serde(default)]
    pub data: Vec<Vec<f32>>,
}

/// A vector as Vectorize stores it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VectorizeVector<'a> {
    /// Its id in the index: at most 64 bytes.
    pub id: String,
    /// Whose it is: at most 64 bytes.
    pub namespace: &'a str,
    /// The vector.
    pub values: &'a [f32],
}

/// How Vectorize is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VectorizeQuery<'a> {
    /// How many: at most 100 where neither values nor metadata are asked for.
    pub top_k: usize,
    /// Whose.
    pub namespace: &'a str,
    /// Never asked for: what is exact is in the object.
    pub return_values: bool,
    /// Never asked for: there is none.
    pub return_metadata: &'static str,
}

/// The most that one query of Vectorize answers.
pub const MAX_TOP_K: usize = 100;

/// What Vectorize answers.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct VectorizeAnswer {
    /// What it found, nearest first.
    #[serde(default)]
    pub matches: Vec<VectorizeMatch>,
}

/// One of those.
#[derive(Clone, Debug, Deserialize)]
pub struct VectorizeMatch {
    /// Its id.
    pub id: String,
    /// The cosine, in an index made with `--metric=cosine`.
    pub score: f32,
}

/// Reads the answer to a request of OpenAI's protocol for so many texts.
///
/// # Errors
/// [`VectorError::Service`] for anything else than one vector a text, all of as many dimensions.
pub fn openai_answer(text: &[u8], texts: usize) -> Result<Vec<Vec<f32>>, VectorError> {
    let answer: OpenAiAnswer =
        serde_json::from_slice(text).map_err(|error| failed(&error.to_string()))?;
    let mut data = answer.data;
    data.sort_by_key(|datum| datum.index);
    let in_order = data.iter().enumerate().all(|(at, datum)| datum.index == at);
    if !in_order {
        return Err(failed("it does not number its vectors"));
    }
    checked(
        data.into_iter().map(|datum| datum.embedding).collect(),
        texts,
    )
}

impl WorkersAiAnswer {
    /// Takes the vectors of so many texts.
    ///
    /// # Errors
    /// As [`openai_answer`].
    pub fn vectors(self, texts: usize) -> Result<Vec<Vec<f32>>, VectorError> {
        let vectors = checked(self.data, texts)?;
        let said = self.shape.get(1).copied();
        let has = vectors.first().map_or(0, Vec::len);
        if said.is_some_and(|said| said != has) {
            return Err(failed("its vectors are not of the shape it names"));
        }
        Ok(vectors)
    }
}

impl<'a> VectorizeQuery<'a> {
    /// Asks for `count` of the nearest of `namespace`, or for as many as there can be.
    #[must_use]
    pub fn new(namespace: &'a str, count: usize) -> Self {
        Self {
            top_k: count.clamp(1, MAX_TOP_K),
            namespace,
            return_values: false,
            return_metadata: "none",
        }
    }
}

impl VectorizeAnswer {
    /// Takes what was found. What is no number finds nothing.
    #[must_use]
    pub fn near(self) -> Vec<Near> {
        let matches = self.matches.into_iter();
        let matches = matches.filter(|one| one.score.is_finite());
        matches
            .map(|one| Near {
                id: one.id,
                cosine: one.score,
            })
            .collect()
    }
}

fn checked(vectors: Vec<Vec<f32>>, texts: usize) -> Result<Vec<Vec<f32>>, VectorError> {
    if vectors.len() != texts {
        return Err(failed(&format!(
            "{} vectors for {texts} texts",
            vectors.len()
        )));
    }
    let dimensions = vectors.first().map_or(0, Vec::len);
    let fit = |vector: &Vec<f32>| {
        vector.len() == dimensions && vector.iter().all(|value| value.is_finite())
    };
    let sized = texts == 0 || (1..=MAX_DIMENSIONS).contains(&dimensions);
    if sized && vectors.iter().all(fit) {
        Ok(vectors)
    } else {
        Err(failed(
            "its vectors are not of one size from 1 to 4,096, or not of numbers",
        ))
    }
}

fn failed(why: &str) -> VectorError {
    VectorError::Service(why.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn openai(answer: &Value, texts: usize) -> Result<Vec<Vec<f32>>, &'static str> {
        openai_answer(answer.to_string().as_bytes(), texts).map_err(|error| error.code())
    }

    #[test]
    fn openais_vectors_come_in_the_order_of_the_texts() {
        let request = OpenAiRequest {
            model: "m",
            input: &["a", "b"],
        };
        let text = serde_json::to_value(request).unwrap();
        assert_eq!(text, json!({ "model": "m", "input": ["a", "b"] }));
        let answer = json!({ "object": "list", "model": "m", "usage": {}, "data": [
            { "object": "embedding", "index": 1, "embedding": [0.5, 1] },
            { "object": "embedding", "index": 0, "embedding": [-0.25, 0] },
        ] });
        assert_eq!(
            openai(&answer, 2),
            Ok(vec![vec![-0.25, 0.0], vec![0.5, 1.0]])
        );
    }

    #[test]
    fn answers_that_are_none_are_refused() {
        let one = |embedding: Value| json!({ "data": [{ "index": 0, "embedding": embedding }] });
        for (bad, texts) in [
            (json!({}), 1),
            (json!({ "data": [] }), 1),
            (one(json!([])), 1),
            (one(json!(["x"])), 1),
            (one(json!([1e300])), 1),
            (one(json!([1])), 2),
            (one(json!(vec![1; MAX_DIMENSIONS + 1])), 1),
            (
                json!({ "data": [{ "index": 0, "embedding": [1] }, { "index": 0, "embedding": [1] }] }),
                2,
            ),
            (
                json!({ "data": [{ "index": 0, "embedding": [1] }, { "index": 1, "embedding": [1, 2] }] }),
                2,
            ),
        ] {
            assert_eq!(openai(&bad, texts), Err("VECTOR_SERVICE"), "{bad}");
        }
    }

    #[test]
    fn workers_ai_answers_rows_of_a_shape() {
        let request = serde_json::to_value(WorkersAiRequest { text: &["a"] }).unwrap();
        assert_eq!(request, json!({ "text": ["a"] }));
        let of = |answer: Value| serde_json::from_value::<WorkersAiAnswer>(answer).unwrap();
        let good = json!({ "shape": [1, 2], "data": [[0.5, -1]], "pooling": "cls" });
        assert_eq!(of(good).vectors(1), Ok(vec![vec![0.5, -1.0]]));
        for bad in [
            json!({ "shape": [1, 3], "data": [[0.5, -1]] }),
            json!({ "shape": [1, 2] }),
            json!({ "request_id": "later" }),
        ] {
            assert_eq!(of(bad).vectors(1).unwrap_err().code(), "VECTOR_SERVICE");
        }
    }

    #[test]
    fn vectorize_is_asked_for_no_more_than_it_answers_and_for_nobody_else() {
        let vector = VectorizeVector {
            id: "a".to_owned(),
            namespace: "n",
            values: &[1.0],
        };
        let text = serde_json::to_value(vector).unwrap();
        assert_eq!(
            text,
            json!({ "id": "a", "namespace": "n", "values": [1.0] })
        );
        let query = serde_json::to_value(VectorizeQuery::new("n", 400)).unwrap();
        let expected = json!({ "topK": 100, "namespace": "n", "returnValues": false, "returnMetadata": "none" });
        assert_eq!(query, expected);
        let answer = json!({ "count": 1, "matches": [{ "id": "a", "score": 0.9 }] });
        let answer: VectorizeAnswer = serde_json::from_value(answer).unwrap();
        let near = answer.near();
        assert_eq!((near[0].id.as_str(), near.len()), ("a", 1));
    }

    proptest! {
        #[test]
        fn no_answer_panics_and_what_is_taken_is_whole(bytes: Vec<u8>, texts in 0_usize..4) {
            if let Ok(vectors) = openai_answer(&bytes, texts) {
                prop_assert_eq!(vectors.len(), texts);
            }
        }
    }
}
