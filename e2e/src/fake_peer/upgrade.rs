//! The signature on an upgrade (RFC 9421), written and checked by the book.

use std::collections::BTreeMap;

use data_encoding::{BASE64, BASE64URL_NOPAD};
use entente_trust::crypto::sign::SigningKey;

use super::FEDERATION_PATH;
use super::identity::{Identity, Known, now, random};
use crate::deployment::Network;

/// An upgrade about to be signed; every part can be changed first.
#[derive(Clone, Debug)]
pub struct SignedUpgrade {
    /// `GET`.
    pub method: String,
    /// The host it is signed for.
    pub authority: String,
    /// The path it is signed for, and the query, if that is covered.
    pub path: String,
    /// Our own host, in `x-entente-host`.
    pub host: Option<String>,
    /// What it covers, in order.
    pub covered: Vec<String>,
    /// Parameters and their values as they are written.
    pub parameters: Vec<(String, String)>,
    /// What signs.
    pub key: SigningKey,
}

impl SignedUpgrade {
    /// An upgrade as a well-behaved peer signs it.
    #[must_use]
    pub fn new(identity: &Identity, network: &Network) -> Self {
        let created = now().0 / 1_000;
        let covered = ["@method", "@authority", "@path", "x-entente-host"];
        let nonce = BASE64URL_NOPAD.encode(&random::<16>());
        let parameters = [
            ("created", created.to_string()),
            ("expires", (created + 60).to_string()),
            ("nonce", format!("\"{nonce}\"")),
            ("keyid", format!("\"{}#{}\"", identity.did, identity.kid)),
            ("alg", "\"ed25519\"".to_owned()),
            ("tag", "\"entente-link\"".to_owned()),
        ];
        Self {
            method: "GET".to_owned(),
            authority: network.host.clone(),
            path: FEDERATION_PATH.to_owned(),
            host: Some(identity.host.clone()),
            covered: covered.map(str::to_owned).to_vec(),
            parameters: parameters
                .map(|(name, value)| (name.to_owned(), value))
                .to_vec(),
            key: identity.signing.clone(),
        }
    }

    /// Writes a parameter's value as it is given.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        for (known, old) in &mut self.parameters {
            if known == name {
                value.clone_into(old);
            }
        }
        self
    }

    /// Leaves out a parameter or a component.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.parameters.retain(|(known, _)| known != name);
        self.covered.retain(|known| known != name);
        self
    }

    /// Moves its life by so many seconds.
    #[must_use]
    pub fn moved(self, seconds: i64) -> Self {
        let created = (now().0 / 1_000).saturating_add_signed(seconds);
        let expires = (created + 60).to_string();
        self.with("created", &created.to_string())
            .with("expires", &expires)
    }

    /// Signs it and returns its headers.
    #[must_use]
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let quoted: Vec<_> = self
            .covered
            .iter()
            .map(|name| format!("\"{name}\""))
            .collect();
        let parameters: String = self
            .parameters
            .iter()
            .map(|(name, value)| format!(";{name}={value}"))
            .collect();
        let input = format!("({}){parameters}", quoted.join(" "));
        let header = |name: &str| match name {
            "x-entente-host" => self.host.clone().unwrap_or_default(),
            _ => String::new(),
        };
        let parts = (&*self.method, &*self.authority, &*self.path);
        let base = base(&self.covered, &input, parts, header);
        let signature = BASE64.encode(&self.key.sign(&[base.as_bytes()]));
        let mut headers = vec![
            ("signature-input", format!("sig1={input}")),
            ("signature", format!("sig1=:{signature}:")),
        ];
        headers.extend(self.host.clone().map(|host| ("x-entente-host", host)));
        headers
    }
}

/// Checks that a network signed an upgrade to us as the specification says; returns its nonce.
///
/// # Panics
/// If it did not.
#[must_use]
pub fn check_upgrade(headers: &BTreeMap<String, String>, known: &Known, us: &str) -> String {
    let input = headers["signature-input"]
        .split_once('=')
        .expect("a label")
        .1;
    let (covered, parameters) = input.split_once(')').expect("a list");
    let covered: Vec<String> = covered
        .trim_start_matches('(')
        .split(' ')
        .map(|name| name.trim_matches('"').to_owned())
        .collect();
    for name in ["@method", "@authority", "@path", "x-entente-host"] {
        assert!(covered.iter().any(|covered| covered == name), "{name}");
    }
    let parameter = |name: &str| {
        let found = parameters
            .split(';')
            .find_map(|part| part.strip_prefix(&format!("{name}=")));
        found.expect("the parameter").trim_matches('"').to_owned()
    };
    assert_eq!(parameter("keyid"), format!("{}#{}", known.did, known.kid));
    assert_eq!(
        (&*parameter("alg"), &*parameter("tag")),
        ("ed25519", "entente-link")
    );
    let number = |name: &str| parameter(name).parse::<u64>().expect("seconds");
    let (created, expires) = (number("created"), number("expires"));
    assert!(created.abs_diff(now().0 / 1_000) <= 90 && expires - created <= 60);
    let base = base(&covered, input, ("GET", us, FEDERATION_PATH), |name| {
        headers[name].clone()
    });
    let signature = headers["signature"].split_once('=').expect("a label").1;
    let signature = BASE64
        .decode(signature.trim_matches(':').as_bytes())
        .expect("base64");
    let verified = known.key.verify(&[base.as_bytes()], &signature);
    verified.expect("the upgrade's signature verifies");
    parameter("nonce")
}

fn base(
    covered: &[String],
    input: &str,
    (method, authority, path): (&str, &str, &str),
    header: impl Fn(&str) -> String,
) -> String {
    let mut base = String::new();
    for name in covered {
        let value = match name.as_str() {
            "@method" => method.to_owned(),
            "@authority" => authority.to_owned(),
            "@path" => path.split('?').next().unwrap_or_default().to_owned(),
            "@query" => format!("?{}", path.split_once('?').map_or("", |(_, query)| query)),
            other => header(other),
        };
        base.push_str(&format!("\"{name}\": {value}\n"));
    }
    base.push_str(&format!("\"@signature-params\": {input}"));
    base
}
