//! What the stable codes mean to a person. The server's own message is shown where there is one.

/// Explains a code of a receipt or a link in one sentence, where this page knows it.
#[must_use]
pub fn explain(code: &str) -> Option<&'static str> {
    let text = match code {
        "AGENT_DELETED" => "The recipient was deleted on its network.",
        "BAD_SIGNATURE" | "BAD_MAC" | "BAD_RECEIPT" => {
            "A signature did not hold. Compare the peer's fingerprint with its admin before trusting it again."
        }
        "CONTENT_TOO_LARGE" | "TOO_LARGE" | "BODY_TOO_LARGE" => {
            "The message is too large to carry. Send a shorter one, or a reference."
        }
        "EXPIRED" => "It was not delivered before the time its sender set.",
        "HANDSHAKE_TIMEOUT" | "PEER_SILENT" => "The peer stopped answering. We keep dialling.",
        "LINK_CLOSED" | "PEER_REMOVED" => {
            "The peer was removed, and what waited for it is refused."
        }
        "NOT_ALLOWED" => {
            "One of the two networks does not list this agent for the other. Add it to the peer's allowed agents, on both sides."
        }
        "NOT_OFFERED" | "WRONG_PEER" | "OWN_DID" => {
            "The other end is not who it should be. Check the peer's address."
        }
        "NOT_PEERED" => "The two networks are not peers. Add the other network as a peer first.",
        "OUTBOX_FULL" => "Too much is already waiting for that peer. Try again when it answers.",
        "PEER_UNREACHABLE" => "The peer does not answer. We keep dialling.",
        "POLICY_PRIVATE" => "One of the two networks holds the other at private: nothing passes.",
        "UNKNOWN_AGENT" => "No agent of that name lives there.",
        "VERIFIED_UNAVAILABLE" => {
            "The level verified needs mutual attestation, which is not available yet."
        }
        _ => return None,
    };
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_code_has_no_explanation() {
        assert!(explain("NOT_ALLOWED").is_some_and(|text| text.contains("both sides")));
        assert_eq!(explain("SOMETHING_NEW"), None);
    }
}
