//! What the stable codes mean to a person. The server's own message is shown where there is one.

/// Explains a code of a receipt or a link in one sentence, where this page knows it.
#[must_use]
pub fn explain(code: &str) -> Option<&'static str> {
    let text = match code {
        "AGENT_DELETED" => "The recipient was deleted on its network.",
        "BAD_SIGNATURE" | "BAD_MAC" | "BAD_RECEIPT" => {
            "A signature did not hold. Compare fingerprints with the peer's admin before trusting it again."
        }
        "CONTENT_TOO_LARGE" | "TOO_LARGE" | "BODY_TOO_LARGE" => {
            "It is too large to carry. Send a shorter one, or a reference."
        }
        "EXPIRED" => "It was not delivered before the time its sender set.",
        "HANDSHAKE_TIMEOUT" | "PEER_SILENT" | "PEER_TIMEOUT" => {
            "The peer stopped answering. We keep dialling."
        }
        "RECIPIENT_DOWN" => "The recipient did not answer, however often it was tried.",
        "RECIPIENT_FAILS" => "The recipient failed whenever it was given this message.",
        "DISCARDED" => "It was a dead letter, and somebody threw it away.",
        "ID_REUSED" => "Its id was used for another message before.",
        "KEY_EXPIRED" | "UNKNOWN_EPOCH" | "UNDECRYPTABLE" => {
            "The recipient does not know the key it was sealed to. Send it anew."
        }
        "SENDER_UNREACHABLE" => {
            "The recipient's network could not fetch this agent's card. It is tried again."
        }
        "KEY_CHANGED" => {
            "Its keys changed in a way that its identity log does not prove: an admin must compare fingerprints."
        }
        "AGENT_KEY_CHANGED" => {
            "The recipient's keys changed in a way that its identity log does not prove. Ask its network's admin."
        }
        "LINK_CLOSED" | "PEER_REMOVED" => {
            "The peer was removed, and what waited for it is refused."
        }
        "NETWORK_PRIVATE" => "That network is private: it has no links.",
        "NOT_ALLOWED" => {
            "One of the two networks does not list this agent for the other. Add it to the peer's allowed agents, on both sides."
        }
        "NOT_PEERED" => "The two networks are not peers. Add the other network as a peer first.",
        "OUTBOX_FULL" => "Too much is already waiting. Try again when the peer answers.",
        "OWN_DID" | "PEER_DID_MISMATCH" | "WRONG_PEER" => {
            "The other end is not who it should be. Check the peer's address and fingerprint."
        }
        "PEERING_REQUIRED" => "That network does not know this one yet. Ask its admin to add it.",
        "PEER_UNREACHABLE" => "The peer does not answer. We keep dialling.",
        "POLICY_PRIVATE" => "One of the two networks holds the other at private: nothing passes.",
        "QUARANTINED" => "An admin of the recipient's network has yet to decide about it.",
        "QUARANTINE_REFUSED" => "An admin of the recipient's network refused it.",
        "QUARANTINE_LAPSED" => "Nobody at the recipient's network decided about it in time.",
        "QUARANTINE_FULL" => {
            "The recipient's network holds too much that its admin must decide about."
        }
        "ORIGIN_MISSING" => "It carries no signature of the agent that it says it comes from.",
        "ORIGIN_UNVERIFIED" => {
            "The card of the agent that it comes from cannot be had, so its signature is unchecked."
        }
        "ORIGIN_INVALID" => "It is not signed by the agent that it says it comes from.",
        "DOCUMENTS_STALE" => "The peer's documents could not be fetched for a day.",
        "RATE_LIMITED" => "The peer asks for patience. We try again later.",
        "UNKNOWN_AGENT" => "No agent of that name lives there.",
        "UNKNOWN_SENDER" | "WRONG_SENDER" => "The recipient could not verify who sent it.",
        "APPROVAL_NEEDED" => "An admin here has to approve that network by its fingerprint first.",
        "APPROVAL_AWAITED" => {
            "The admin of that network has to approve this one by its fingerprint first."
        }
        "BANNED" => "One of the two networks has banned the other.",
        "WRONG_NETWORK" | "WRONG_RECIPIENT" => "It was sealed for somebody else.",
        _ => return None,
    };
    Some(text)
}

/// Says what an admin does about a problem that `GET /health` names.
#[must_use]
pub fn remedy(problem: &str) -> &'static str {
    match problem {
        "ADMIN_KEY_MISSING" => "Set the secret ADMIN_API_KEY.",
        "HOST_CHANGED" => "Set NETWORK_HOST back to what it was.",
        "IDENTITY_LOST" => "Restore the storage that holds the network's keys.",
        "MASTER_KEY_MISSING" => "Set the secret ENCRYPTION_MASTER_KEY.",
        "MASTER_KEY_WRONG" => "Set the ENCRYPTION_MASTER_KEY the network was made with.",
        "NOT_INITIALISED" => "Call POST /admin/init once.",
        "NOT_MIGRATED" => "Apply the migrations.",
        _ => "Look in the network's log.",
    }
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
