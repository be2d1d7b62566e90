//! The bucket of a network that does not run: what is in it, and tampering with it.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::deployment::{Deployment, root};

/// An object of a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its key.
    pub key: String,
    /// Its length in bytes.
    pub size: u64,
}

impl Deployment {
    /// Does `steps` to the bucket of a killed network, as `bucket.mjs` knows them, and returns what is
    /// in it then.
    ///
    /// # Panics
    /// If a step cannot be done.
    #[must_use]
    pub fn tamper(&self, network: &str, steps: &[Value]) -> Vec<Object> {
        let output = Command::new("node")
            .arg(root().join("e2e/src/bucket.mjs"))
            .arg(self.persist(network))
            .arg(json!(steps).to_string())
            .stdin(Stdio::null())
            .output()
            .expect("node runs");
        let text = String::from_utf8_lossy(&output.stdout);
        let listed: Vec<Value> = serde_json::from_str(text.trim()).unwrap_or_else(|error| {
            let said = String::from_utf8_lossy(&output.stderr);
            panic!("the bucket: {error} in {text:?}: {said}")
        });
        let object = |object: &Value| Object {
            key: object["key"].as_str().expect("a key").to_owned(),
            size: object["size"].as_u64().expect("a size"),
        };
        listed.iter().map(object).collect()
    }

    /// Returns what is in the bucket of a killed network.
    #[must_use]
    pub fn objects(&self, network: &str) -> Vec<Object> {
        self.tamper(network, &[])
    }
}
