//! Agent cards: ours are built, others' are read.

use serde_json::{Value, json};

use crate::rpc::PROTOCOL_VERSION;

/// What a card of ours says.
#[derive(Clone, Copy, Debug)]
pub struct Card<'a> {
    /// The agent's name.
    pub name: &'a str,
    /// What it is for.
    pub description: &'a str,
    /// The name of its network, and where that is.
    pub provider: (&'a str, &'a str),
    /// Where it is called: `https://host/a2a/name`.
    pub url: &'a str,
    /// The version of this software.
    pub version: &'a str,
    /// Whether anyone may call, without a key.
    pub open: bool,
    /// What it can do: skills as A2A has them, which [`skills`] has passed.
    pub skills: &'a Value,
}

impl Card<'_> {
    /// Writes the card, unsigned.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let (organization, origin) = self.provider;
        let mut card = json!({
            "name": self.name,
            "description": self.description,
            "version": self.version,
            "provider": { "organization": organization, "url": origin },
            "supportedInterfaces": [{
                "url": self.url,
                "protocolBinding": "JSONRPC",
                "protocolVersion": PROTOCOL_VERSION,
            }],
            "capabilities": { "streaming": true, "pushNotifications": true },
            "securitySchemes": { "bearer": { "httpAuthSecurityScheme": {
                "description": "A key that this agent gave to its caller.",
                "scheme": "Bearer",
            } } },
            "defaultInputModes": ["text/plain", "application/json"],
            "defaultOutputModes": ["text/plain", "application/json"],
            "skills": self.skills,
        });
        if !self.open
            && let Some(fields) = card.as_object_mut()
        {
            let required = json!([{ "schemes": { "bearer": {} } }]);
            fields.insert("securityRequirements".to_owned(), required);
        }
        card
    }
}

/// Skills of one card at most.
const MAX_SKILLS: usize = 32;

/// What an agent that names no skills can do.
#[must_use]
pub fn default_skills() -> Value {
    json!([{
        "id": "task",
        "name": "Tasks",
        "description": "Takes a task in words or as data, asks back where it must, and answers.",
        "tags": ["task"],
    }])
}

/// Checks skills that a program names: id, name, description and tags, and nothing else.
///
/// # Errors
/// What is wrong with them.
pub fn skills(value: &Value) -> Result<(), &'static str> {
    const SHAPE: &str =
        "`skills` is a list of up to 32 objects with `id`, `name`, `description` and `tags`";
    let list = value.as_array().filter(|list| list.len() <= MAX_SKILLS);
    let list = list.ok_or(SHAPE)?;
    for skill in list {
        let skill = skill.as_object().ok_or(SHAPE)?;
        let text = |name: &str| {
            let text = skill.get(name).and_then(Value::as_str);
            text.is_some_and(|text| (1..=1_000).contains(&text.len()))
        };
        let tags = skill.get("tags").and_then(Value::as_array);
        let tags = tags.is_some_and(|tags| {
            tags.len() <= 16
                && tags
                    .iter()
                    .all(|tag| tag.as_str().is_some_and(|tag| tag.len() <= 100))
        });
        if skill.len() != 4 || !text("id") || !text("name") || !text("description") || !tags {
            return Err(SHAPE);
        }
    }
    Ok(())
}

/// Why another agent's card is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CardError {
    /// It is no card.
    #[error("what is served there is no agent card")]
    Malformed,
    /// It is not called as this release calls.
    #[error("the agent speaks A2A 1.0 over JSON-RPC at none of its interfaces")]
    Interface,
}

/// What is needed of another agent's card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteCard {
    /// The agent's name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Where it is called.
    pub url: String,
    /// The tenant to name in each call, where it has one.
    pub tenant: String,
}

impl RemoteCard {
    /// Reads another agent's card.
    ///
    /// # Errors
    /// [`CardError`].
    pub fn read(card: &Value) -> Result<Self, CardError> {
        let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(cut);
        let name = text(card, "name").filter(|name| !name.is_empty());
        let name = name.ok_or(CardError::Malformed)?;
        let interfaces = card.get("supportedInterfaces").and_then(Value::as_array);
        let interfaces = interfaces.ok_or(CardError::Malformed)?;
        let ours = interfaces.iter().find(|one| {
            text(one, "protocolBinding").as_deref() == Some("JSONRPC")
                && text(one, "protocolVersion").as_deref() == Some(PROTOCOL_VERSION)
        });
        let ours = ours.ok_or(CardError::Interface)?;
        Ok(Self {
            name,
            description: text(card, "description").unwrap_or_default(),
            url: text(ours, "url").ok_or(CardError::Interface)?,
            tenant: text(ours, "tenant").unwrap_or_default(),
        })
    }
}

/// The longest text that is kept of a card, in characters.
const MAX_TEXT: usize = 1_000;

fn cut(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}
