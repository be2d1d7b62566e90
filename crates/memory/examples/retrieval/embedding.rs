//! A service that makes vectors, spoken to as OpenAI's is.

use std::error::Error;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use entente_memory::vector::wire::{OpenAiRequest, openai_answer};
use entente_memory::vector::{Embedder, VectorError};

/// Texts in one request.
const BATCH: usize = 64;

/// `POST <url>/embeddings` with `{"model", "input": [text]}`.
pub(crate) struct Endpoint {
    url: String,
    model: String,
    dimensions: usize,
}

impl Endpoint {
    /// Asks how many dimensions the model has.
    pub(crate) fn probe(url: &str, model: &str) -> Result<Self, Box<dyn Error>> {
        let mut endpoint = Self {
            url: format!("{}/embeddings", url.trim_end_matches('/')),
            model: model.to_owned(),
            dimensions: 0,
        };
        let first = endpoint.ask(&["dimensions"])?;
        endpoint.dimensions = first.first().map_or(0, Vec::len);
        Ok(endpoint)
    }

    pub(crate) fn name(&self) -> &str {
        &self.model
    }

    pub(crate) const fn size(&self) -> usize {
        self.dimensions
    }

    /// Makes a vector of each text, some at a time.
    pub(crate) fn all(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, VectorError> {
        let mut all = Vec::with_capacity(texts.len());
        for batch in texts.chunks(BATCH) {
            all.extend(at_once(self.embed(batch))?);
        }
        Ok(all)
    }

    fn ask(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, VectorError> {
        let failed = |error: &dyn Error| VectorError::Service(error.to_string());
        let request = OpenAiRequest {
            model: &self.model,
            input: texts,
        };
        let body = serde_json::to_string(&request).map_err(|error| failed(&error))?;
        let mut answer = ureq::post(&self.url)
            .header("content-type", "application/json")
            .send(body)
            .map_err(|error| failed(&error))?;
        let text = answer
            .body_mut()
            .with_config()
            .limit(256 * 1024 * 1024)
            .read_to_string()
            .map_err(|error| failed(&error))?;
        openai_answer(text.as_bytes(), texts.len())
    }
}

impl Embedder for Endpoint {
    fn dimensions(&self) -> usize {
        self.dimensions
    }

    fn model(&self) -> &str {
        &self.model
    }

    async fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, VectorError> {
        self.ask(texts)
    }
}

/// Nothing here waits: requests block.
pub(crate) fn at_once<T>(
    future: impl Future<Output = Result<T, VectorError>>,
) -> Result<T, VectorError> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => Err(VectorError::Service("a future that waits".to_owned())),
    }
}
