//! Services that make vectors of texts, and the index that may keep them elsewhere, behind the traits
//! of `entente_memory::vector`.
//!
//! | `EMBEDDING_URL` | service |
//! |---|---|
//! | not set | none: memory is found by words |
//! | `https://…/v1` | any that speaks OpenAI's protocol, by the one guarded fetch |
//! | `workers-ai` | the binding `AI`: no local emulation, so it is tested against its documented forms only |
//!
//! Whoever makes vectors reads the texts. See docs/SECURITY.md.

use entente_memory::vector::wire::{
    MAX_DIMENSIONS, OpenAiRequest, VectorizeAnswer, VectorizeQuery, VectorizeVector,
    WorkersAiAnswer, WorkersAiRequest, openai_answer,
};
use entente_memory::vector::{Embedder, Near, VectorError, VectorIndex};
use entente_well_known::guard::check_peer_url;
use js_sys::{JSON, Promise};
use serde::Serialize;
use serde::de::DeserializeOwned;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use worker::{Ai, Env, EnvBinding};

use crate::config::{Config, Problem, variable};
use crate::guard;

/// What stands in `EMBEDDING_URL` for the platform's own models.
const WORKERS_AI: &str = "workers-ai";
const WORKERS_AI_MODEL: &str = "@cf/baai/bge-base-en-v1.5";
const AI: &str = "AI";
/// The longest answer: 16 vectors of 4,096 numbers.
const MAX_ANSWER: usize = 2 * 1024 * 1024;
const MAX_MODEL_BYTES: usize = 128;

/// What the deployment says about vectors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    service: Service,
    /// The model: vectors of two are never compared.
    pub model: String,
    /// Whether vectors are searched for in Vectorize rather than in the object.
    pub vectorize: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Service {
    OpenAi(String),
    WorkersAi,
}

/// A service that is ready to be asked.
pub struct Embeddings {
    setup: Setup,
    /// How many dimensions its vectors have; 0 until that is known.
    dimensions: usize,
    key: String,
    env: Env,
}

/// The part of a Vectorize index that is one agent's.
pub struct Vectorize {
    binding: VectorizeBinding,
    namespace: String,
    dimensions: usize,
}

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(extends = js_sys::Object)]
    type VectorizeBinding;

    #[wasm_bindgen(method, catch)]
    fn upsert(this: &VectorizeBinding, vectors: JsValue) -> Result<Promise, JsValue>;

    #[wasm_bindgen(method, catch)]
    fn query(
        this: &VectorizeBinding,
        vector: JsValue,
        options: JsValue,
    ) -> Result<Promise, JsValue>;

    #[wasm_bindgen(method, catch, js_name = deleteByIds)]
    fn delete_by_ids(this: &VectorizeBinding, ids: JsValue) -> Result<Promise, JsValue>;
}

impl EnvBinding for VectorizeBinding {
    const TYPE_NAME: &'static str = "Vectorize";

    // What the platform calls the class of its bindings is not documented.
    fn get(value: JsValue) -> worker::Result<Self> {
        Ok(value.unchecked_into())
    }
}

impl Setup {
    /// Reads the variables; nothing if no service is named.
    ///
    /// # Errors
    /// [`Problem::Variable`] naming the one that is malformed.
    pub fn from_env(env: &Env) -> Result<Option<Self>, Problem> {
        let url = variable(env, "EMBEDDING_URL");
        if url.is_empty() {
            return Ok(None);
        }
        let config = Config::from_env(env)?;
        let (model, index) = (
            variable(env, "EMBEDDING_MODEL"),
            variable(env, "VECTOR_INDEX"),
        );
        Self::from_texts(&config, &url, &model, &index).map(Some)
    }

    fn from_texts(config: &Config, url: &str, model: &str, index: &str) -> Result<Self, Problem> {
        let service = if url == WORKERS_AI {
            Service::WorkersAi
        } else {
            Service::OpenAi(endpoint(config, url).ok_or(Problem::Variable("EMBEDDING_URL"))?)
        };
        let model = match (model, &service) {
            ("", Service::WorkersAi) => WORKERS_AI_MODEL,
            ("", Service::OpenAi(_)) => return Err(Problem::Variable("EMBEDDING_MODEL")),
            (model, _) if model.len() <= MAX_MODEL_BYTES => model,
            _ => return Err(Problem::Variable("EMBEDDING_MODEL")),
        };
        let vectorize = match index {
            "" | "flat" => false,
            "vectorize" => true,
            _ => return Err(Problem::Variable("VECTOR_INDEX")),
        };
        Ok(Self {
            service,
            model: model.to_owned(),
            vectorize,
        })
    }
}

/// Finds where an OpenAI-like service is asked: under the rules for peers' hosts, at any path.
fn endpoint(config: &Config, text: &str) -> Option<String> {
    let url = url::Url::parse(text).ok()?;
    if url.query().is_some() || url.fragment().is_some() {
        return None;
    }
    // As it was written, so that nothing the parser tidies away passes the rules.
    let (scheme, rest) = text.split_once("://")?;
    let authority = rest.split('/').next()?;
    let origin = format!("{scheme}://{authority}");
    let own = std::slice::from_ref(&config.host);
    let target = check_peer_url(&origin, own, &config.dev_hosts).ok()?;
    let path = url.path().trim_end_matches('/');
    Some(format!("{}{path}/embeddings", target.origin))
}

impl Embeddings {
    /// Makes a service ready whose vectors have so many dimensions; 0 if that is not known.
    #[must_use]
    pub fn new(setup: Setup, dimensions: usize, env: &Env) -> Self {
        Self {
            setup,
            dimensions,
            key: variable(env, "EMBEDDING_API_KEY"),
            env: env.clone(),
        }
    }

    async fn ask_openai(&self, url: &str, texts: &[&str]) -> Result<Vec<Vec<f32>>, VectorError> {
        let request = OpenAiRequest {
            model: &self.setup.model,
            input: texts,
        };
        let body = serde_json::to_string(&request).map_err(|error| failed(&error))?;
        let key = (!self.key.is_empty()).then_some(self.key.as_str());
        let answer = guard::post(url, body, key, MAX_ANSWER).await;
        openai_answer(&answer.map_err(|error| failed(&error))?, texts.len())
    }

    async fn ask_workers_ai(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, VectorError> {
        let ai: Ai = self.env.ai(AI).map_err(|error| failed(&error))?;
        let request = WorkersAiRequest { text: texts };
        let answer: WorkersAiAnswer = ai
            .run(&self.setup.model, request)
            .await
            .map_err(|error| failed(&error))?;
        answer.vectors(texts.len())
    }
}

impl Embedder for Embeddings {
    fn dimensions(&self) -> usize {
        self.dimensions
    }

    fn model(&self) -> &str {
        &self.setup.model
    }

    async fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, VectorError> {
        let vectors = match &self.setup.service {
            Service::OpenAi(url) => self.ask_openai(url, texts).await?,
            Service::WorkersAi => self.ask_workers_ai(texts).await?,
        };
        let found = vectors.first().map_or(0, Vec::len);
        if self.dimensions != 0 && found != self.dimensions && !texts.is_empty() {
            return Err(VectorError::Dimensions {
                expected: self.dimensions,
                found,
            });
        }
        Ok(vectors)
    }
}

impl Vectorize {
    /// Opens the index that the deployment binds as `VECTOR`, for one agent's vectors.
    ///
    /// # Errors
    /// [`VectorError::Service`] if there is none.
    pub fn open(env: &Env, namespace: String, dimensions: usize) -> Result<Self, VectorError> {
        let binding = env.get_binding("VECTOR").map_err(|error| failed(&error))?;
        Ok(Self {
            binding,
            namespace,
            dimensions: dimensions.min(MAX_DIMENSIONS),
        })
    }
}

impl VectorIndex for Vectorize {
    fn dimensions(&self) -> usize {
        self.dimensions
    }

    async fn put(&mut self, id: &str, vector: &[f32]) -> Result<(), VectorError> {
        let vector = VectorizeVector {
            id: id.to_owned(),
            namespace: &self.namespace,
            values: vector,
        };
        wait(self.binding.upsert(value(&[vector])?)).await.map(drop)
    }

    async fn remove(&mut self, id: &str) -> Result<(), VectorError> {
        wait(self.binding.delete_by_ids(value(&[id])?))
            .await
            .map(drop)
    }

    async fn nearest(&self, query: &[f32], count: usize) -> Result<Vec<Near>, VectorError> {
        let options = value(&VectorizeQuery::new(&self.namespace, count))?;
        let answer = wait(self.binding.query(value(query)?, options)).await?;
        Ok(read::<VectorizeAnswer>(&answer)?.near())
    }
}

async fn wait(promise: Result<Promise, JsValue>) -> Result<JsValue, VectorError> {
    let told = |error: JsValue| failed(&worker::Error::from(error));
    JsFuture::from(promise.map_err(told)?).await.map_err(told)
}

fn value(of: &(impl Serialize + ?Sized)) -> Result<JsValue, VectorError> {
    let text = serde_json::to_string(of).map_err(|error| failed(&error))?;
    JSON::parse(&text).map_err(|_error| failed(&"a value that is no JSON"))
}

fn read<T: DeserializeOwned>(answer: &JsValue) -> Result<T, VectorError> {
    let text = JSON::stringify(answer).map_err(|_error| failed(&"an answer that is no JSON"))?;
    serde_json::from_str(&String::from(text)).map_err(|error| failed(&error))
}

fn failed(why: &(impl std::fmt::Display + ?Sized)) -> VectorError {
    VectorError::Service(why.to_string().chars().take(300).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setup(url: &str, model: &str, index: &str) -> Result<Setup, Problem> {
        let config = Config::from_texts("a.example", "", "", "localhost:8080").unwrap();
        Setup::from_texts(&config, url, model, index)
    }

    #[test]
    fn a_service_is_public_over_https_or_a_listed_host_of_development() {
        for (url, expected) in [
            (
                "https://api.example.com/v1",
                "https://api.example.com/v1/embeddings",
            ),
            (
                "https://api.example.com/v1/",
                "https://api.example.com/v1/embeddings",
            ),
            (
                "https://api.example.com",
                "https://api.example.com/embeddings",
            ),
            (
                "http://localhost:8080/v1",
                "http://localhost:8080/v1/embeddings",
            ),
        ] {
            let made = setup(url, "m", "").unwrap();
            assert_eq!(made.service, Service::OpenAi(expected.to_owned()), "{url}");
        }
        for url in [
            "http://api.example.com/v1",
            "http://localhost:8081/v1",
            "https://127.0.0.1/v1",
            "https://169.254.169.254/v1",
            "https://user:pass@api.example.com/v1",
            "https://api.example.com/v1?key=x",
            "https://a.example/v1",
            "https://intranet/v1",
            "v1",
        ] {
            let refused = setup(url, "m", "");
            assert_eq!(refused, Err(Problem::Variable("EMBEDDING_URL")), "{url}");
        }
    }

    #[test]
    fn the_platforms_models_need_no_name_and_others_do() {
        let made = setup("workers-ai", "", "vectorize").unwrap();
        assert_eq!(
            (made.model.as_str(), made.vectorize),
            (WORKERS_AI_MODEL, true)
        );
        assert!(
            !setup("workers-ai", "@cf/baai/bge-m3", "flat")
                .unwrap()
                .vectorize
        );
        let url = "https://api.example.com/v1";
        for (model, index, name) in [
            ("", "", "EMBEDDING_MODEL"),
            (&*"m".repeat(129), "", "EMBEDDING_MODEL"),
            ("m", "pinecone", "VECTOR_INDEX"),
        ] {
            assert_eq!(setup(url, model, index), Err(Problem::Variable(name)));
        }
    }
}
