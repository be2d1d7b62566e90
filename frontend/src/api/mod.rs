//! Talking to the network this dashboard belongs to.

#[cfg(target_arch = "wasm32")]
pub(crate) mod announcements;
#[cfg(target_arch = "wasm32")]
pub(crate) mod dead;
#[cfg(target_arch = "wasm32")]
pub(crate) mod http;
#[cfg(target_arch = "wasm32")]
pub(crate) mod reputation;
#[cfg(target_arch = "wasm32")]
pub(crate) mod socket;
#[cfg(target_arch = "wasm32")]
pub(crate) mod trust;

use std::fmt;

use entente_lexicon::api::{ErrorBody, FirehoseFrame};

/// Past events asked for by a page that has seen none, so that it does not begin empty.
const RECENT: u32 = 200;

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The HTTP status, or 0 where none came.
    pub status: u16,
    /// The stable code, or one of ours: `NO_ANSWER`, `BAD_ANSWER`, `HTTP_502`.
    pub code: String,
    /// What happened and what to do next.
    pub message: String,
}

impl Failure {
    /// No answer came.
    #[must_use]
    pub fn no_answer() -> Self {
        Self {
            status: 0,
            code: "NO_ANSWER".to_owned(),
            message: "The network did not answer. Check that it runs, then try again.".to_owned(),
        }
    }

    /// An answer came that cannot be read.
    #[must_use]
    pub fn bad_answer(detail: &str) -> Self {
        Self {
            status: 200,
            code: "BAD_ANSWER".to_owned(),
            message: format!(
                "The network's answer could not be read ({detail}). Reload the page; its version may have changed."
            ),
        }
    }

    /// Reads an answer that is not a success.
    #[must_use]
    pub fn from_answer(status: u16, body: &str) -> Self {
        match serde_json::from_str::<ErrorBody>(body) {
            Ok(ErrorBody { error }) => Self {
                status,
                code: error.code,
                message: error.message,
            },
            Err(_) => Self {
                status,
                code: format!("HTTP_{status}"),
                message: format!("The network answered with status {status} and no explanation."),
            },
        }
    }

    /// Tells whether the key was not taken.
    #[must_use]
    pub fn is_wrong_key(&self) -> bool {
        matches!(self.status, 401 | 403)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

/// Reads one frame of the firehose. Frames of a type this page does not know are left out.
#[must_use]
pub fn read_frame(text: &str) -> Option<FirehoseFrame> {
    serde_json::from_str(text).ok()
}

/// Builds the address of the firehose from the page's own origin.
#[must_use]
pub fn firehose_url(protocol: &str, host: &str, cursor: Option<&str>) -> String {
    let scheme = if protocol == "https:" { "wss" } else { "ws" };
    let query = match cursor {
        Some(cursor) => format!("cursor={}", escape(cursor)),
        None => format!("recent={RECENT}"),
    };
    format!("{scheme}://{host}/relay/firehose?{query}")
}

/// Percent-encodes everything but what is unreserved in a URL.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_keeps_its_code() {
        let body = r#"{"error":{"code":"NOT_PEERED","message":"Add it first.","request":"r1"}}"#;
        let failure = Failure::from_answer(422, body);
        assert_eq!(failure.to_string(), "Add it first. (NOT_PEERED)");
        assert_eq!(Failure::from_answer(502, "<html>").code, "HTTP_502");
        assert!(Failure::from_answer(401, body).is_wrong_key());
        assert!(!Failure::no_answer().is_wrong_key());
    }

    #[test]
    fn the_firehose_is_beside_the_page() {
        assert_eq!(
            firehose_url("http:", "localhost:8701", None),
            "ws://localhost:8701/relay/firehose?recent=200"
        );
        assert_eq!(
            firehose_url("https:", "a.example", Some("a b/=")),
            "wss://a.example/relay/firehose?cursor=a%20b%2F%3D"
        );
    }

    #[test]
    fn a_frame_of_a_later_version_is_left_out() {
        assert_eq!(read_frame(r#"{"type":"weather","sun":true}"#), None);
        assert!(read_frame(r#"{"type":"gap","cursor":"x"}"#).is_some());
        let event = r#"{"type":"event","cursor":"c","event":{"seq":1,"kind":"link.up","at":"2026-01-31T12:00:00Z","new":1}}"#;
        assert!(matches!(
            read_frame(event),
            Some(FirehoseFrame::Event { .. })
        ));
    }
}
