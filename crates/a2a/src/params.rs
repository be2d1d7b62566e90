//! What calls ask for. Fields that are not known are passed over, as ProtoJSON has it.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::rpc::{Reason, RpcError};

/// Tasks on a page unless said.
pub const DEFAULT_PAGE: u32 = 50;
/// Tasks on a page at most.
pub const MAX_PAGE: u32 = 100;

/// What a call asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Wanted {
    /// `SendMessage`, or `SendStreamingMessage` where `streams`.
    Send {
        /// The parameters.
        params: Box<SendParams>,
        /// Whether every change is to be told.
        streams: bool,
    },
    /// `GetTask`.
    Get(TaskParams),
    /// `CancelTask`.
    Cancel(TaskParams),
    /// `SubscribeToTask`.
    Subscribe(TaskParams),
    /// `ListTasks`.
    List(ListParams),
    /// `CreateTaskPushNotificationConfig`.
    SetPush(PushConfig),
    /// `GetTaskPushNotificationConfig`.
    GetPush(PushParams),
    /// `ListTaskPushNotificationConfigs`.
    ListPush(PushParams),
    /// `DeleteTaskPushNotificationConfig`.
    DeletePush(PushParams),
}

impl Wanted {
    /// Reads the parameters of a method.
    pub(crate) fn read(method: &str, params: Value) -> Result<Self, RpcError> {
        Ok(match method {
            "SendMessage" | "SendStreamingMessage" => Self::Send {
                params: Box::new(shaped(params)?),
                streams: method == "SendStreamingMessage",
            },
            "GetTask" => Self::Get(shaped(params)?),
            "CancelTask" => Self::Cancel(shaped(params)?),
            "SubscribeToTask" => Self::Subscribe(shaped(params)?),
            "ListTasks" => Self::List(shaped(params)?),
            "CreateTaskPushNotificationConfig" => Self::SetPush(shaped(params)?),
            "GetTaskPushNotificationConfig" => Self::GetPush(shaped(params)?),
            "ListTaskPushNotificationConfigs" => Self::ListPush(shaped(params)?),
            "DeleteTaskPushNotificationConfig" => Self::DeletePush(shaped(params)?),
            "GetExtendedAgentCard" => {
                return Err(RpcError::new(
                    Reason::NoExtendedCard,
                    "The public card is the whole card.",
                ));
            }
            _ => {
                return Err(RpcError::new(
                    Reason::Method,
                    "There is no such method: this agent speaks A2A 1.0, whose methods are called SendMessage, GetTask and so on.",
                ));
            }
        })
    }
}

fn shaped<T: for<'de> Deserialize<'de>>(params: Value) -> Result<T, RpcError> {
    serde_json::from_value(params)
        .map_err(|error| RpcError::params(format!("`params` has another shape: {error}.")))
}

/// The parameters of `SendMessage`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SendParams {
    /// What is said.
    pub message: Message,
    /// How it is to be answered.
    #[serde(default, deserialize_with = "or_default")]
    pub configuration: Configuration,
}

/// How a message is to be answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Configuration {
    /// Whether to answer before the task has ended or waits for an answer.
    #[serde(alias = "return_immediately", deserialize_with = "or_default")]
    pub return_immediately: bool,
    /// How much of the history to show; all of it unless said.
    #[serde(alias = "history_length", skip_serializing_if = "Option::is_none")]
    pub history_length: Option<u32>,
    /// Where changes are to be told.
    #[serde(
        alias = "task_push_notification_config",
        skip_serializing_if = "Option::is_none"
    )]
    pub task_push_notification_config: Option<PushConfig>,
}

/// A message.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Message {
    /// Its author's name for it.
    #[serde(alias = "message_id", deserialize_with = "or_default")]
    pub message_id: String,
    /// The conversation that it belongs to.
    #[serde(
        alias = "context_id",
        deserialize_with = "or_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub context_id: String,
    /// The task that it belongs to.
    #[serde(
        alias = "task_id",
        deserialize_with = "or_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub task_id: String,
    /// Who says it.
    #[serde(deserialize_with = "or_default")]
    pub role: Role,
    /// What it says.
    #[serde(deserialize_with = "or_default")]
    pub parts: Vec<Part>,
    /// What else its author notes.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
    /// Extensions that it makes use of.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub extensions: Vec<String>,
    /// Other tasks that it refers to.
    #[serde(
        alias = "reference_task_ids",
        deserialize_with = "or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub reference_task_ids: Vec<String>,
}

/// Who says a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// Nobody is named.
    #[default]
    #[serde(rename = "ROLE_UNSPECIFIED")]
    Unspecified,
    /// Who asks.
    #[serde(rename = "ROLE_USER")]
    User,
    /// Who is asked.
    #[serde(rename = "ROLE_AGENT")]
    Agent,
}

/// A part of a message: one of `text`, `data`, `url` and `raw`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Part {
    /// Words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Structured data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
    /// Something kept elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Bytes in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
    /// A name to show.
    #[serde(
        deserialize_with = "or_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub filename: String,
    /// The media type.
    #[serde(
        alias = "media_type",
        deserialize_with = "or_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub media_type: String,
    /// What else its author notes.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
}

/// The parameters of calls about one task.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskParams {
    /// The task.
    pub id: String,
    /// How much of the history to show; all of it unless said.
    #[serde(default, alias = "history_length")]
    pub history_length: Option<u32>,
}

/// The parameters of `ListTasks`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ListParams {
    /// Those of one conversation.
    #[serde(alias = "context_id", deserialize_with = "or_default")]
    pub context_id: String,
    /// Those that stand so: A2A's name of a state.
    #[serde(deserialize_with = "or_default")]
    pub status: String,
    /// How many at most.
    #[serde(alias = "page_size")]
    pub page_size: Option<u32>,
    /// Where the page begins.
    #[serde(alias = "page_token", deserialize_with = "or_default")]
    pub page_token: String,
    /// How much of each one's history to show; none of it unless said.
    #[serde(alias = "history_length")]
    pub history_length: Option<u32>,
    /// Those that came to stand as they do after this time.
    #[serde(alias = "status_timestamp_after", deserialize_with = "or_default")]
    pub status_timestamp_after: String,
    /// Whether to show what they brought forth.
    #[serde(alias = "include_artifacts", deserialize_with = "or_default")]
    pub include_artifacts: bool,
}

impl ListParams {
    /// Returns how many tasks a page has.
    ///
    /// # Errors
    /// If it is none, or over [`MAX_PAGE`].
    pub fn page(&self) -> Result<u32, RpcError> {
        let size = self.page_size.unwrap_or(DEFAULT_PAGE);
        if (1..=MAX_PAGE).contains(&size) {
            return Ok(size);
        }
        Err(RpcError::params("`pageSize` is from 1 to 100."))
    }
}

/// Where changes of a task are told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PushConfig {
    /// Its name among those of the task; made where there is none.
    #[serde(deserialize_with = "or_default")]
    pub id: String,
    /// The task; of a message's configuration it is the message's.
    #[serde(alias = "task_id", deserialize_with = "or_default")]
    pub task_id: String,
    /// Where to.
    #[serde(deserialize_with = "or_default")]
    pub url: String,
    /// What the receiver knows us by.
    #[serde(
        deserialize_with = "or_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub token: String,
    /// What to authenticate with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authentication: Option<Authentication>,
}

/// What a notification is authenticated with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Authentication {
    /// The scheme, such as `Bearer`.
    #[serde(deserialize_with = "or_default")]
    pub scheme: String,
    /// What follows it.
    #[serde(
        deserialize_with = "or_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub credentials: String,
}

/// The parameters of calls about a place where changes are told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PushParams {
    /// The task.
    #[serde(alias = "task_id", deserialize_with = "or_default")]
    pub task_id: String,
    /// The name of the place.
    #[serde(deserialize_with = "or_default")]
    pub id: String,
}

/// Reads a value; `null` is the default, as ProtoJSON has it.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
