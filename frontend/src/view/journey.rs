//! A message's way as a timeline.

use entente_lexicon::api::{MessageStatus, NetworkView, PublicPeer};
use entente_lexicon::{ReceiptStatus, Timestamp};

use crate::view::codes::explain;
use crate::view::format::{duration, short_id};
use crate::view::names::host_of;

/// How a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepState {
    /// It happened.
    Done,
    /// It is yet to happen.
    Waiting,
    /// It will never happen.
    Failed,
}

/// One step of the timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// `sent`, `waiting` or the name of a receipt; also its test id after `journey-`.
    pub name: &'static str,
    /// How it stands.
    pub state: StepState,
    /// When it happened.
    pub at: Option<Timestamp>,
    /// How long after the first step.
    pub after: Option<String>,
    /// The host of the network that says so, or its shortened DID.
    pub by: Option<String>,
    /// The stable code of a refusal.
    pub code: Option<String>,
    /// What is going on, in a sentence.
    pub note: Option<String>,
}

/// Lays out the steps of a message; a waiting step comes last until the message has arrived.
#[must_use]
pub fn steps(
    message: &MessageStatus,
    own: Option<&NetworkView>,
    peers: &[PublicPeer],
) -> Vec<Step> {
    let start = message.receipts.first().map(|receipt| receipt.at);
    let mut steps: Vec<Step> = message
        .receipts
        .iter()
        .enumerate()
        .map(|(index, receipt)| Step {
            name: receipt.status.as_str(),
            state: match receipt.status {
                ReceiptStatus::Accepted | ReceiptStatus::Delivered | ReceiptStatus::Read => {
                    StepState::Done
                }
                ReceiptStatus::Resolving
                | ReceiptStatus::Quarantined
                | ReceiptStatus::Queued
                | ReceiptStatus::Unconfirmed => StepState::Waiting,
                ReceiptStatus::Refused | ReceiptStatus::Expired | ReceiptStatus::Dead => {
                    StepState::Failed
                }
            },
            at: Some(receipt.at),
            after: start
                .filter(|_| index > 0)
                .map(|start| format!("+{}", duration(receipt.at.since(start)))),
            by: Some(network_host(&receipt.by, own, peers)),
            note: receipt.code.as_deref().and_then(explain).map(str::to_owned),
            code: receipt.code.clone(),
        })
        .collect();
    if let Some(at) = message.sent_at {
        let sent = Step {
            name: "sent",
            state: StepState::Done,
            at: Some(at),
            after: start.map(|start| format!("+{}", duration(at.since(start)))),
            by: own.map(|network| network.host.clone()),
            code: None,
            note: None,
        };
        steps.insert(steps.len().min(1), sent);
    }
    let ended = steps
        .iter()
        .filter(|step| step.name != "sent")
        .any(|step| step.name != ReceiptStatus::Accepted.as_str());
    if !ended {
        steps.push(Step {
            name: "waiting",
            state: StepState::Waiting,
            at: None,
            after: None,
            by: None,
            code: None,
            note: Some(waiting_for(&message.to, own, peers)),
        });
    }
    steps
}

/// Returns the host of a network by its DID, as far as it is known here.
#[must_use]
pub fn network_host(did: &str, own: Option<&NetworkView>, peers: &[PublicPeer]) -> String {
    own.filter(|network| network.did == did)
        .map(|network| network.host.clone())
        .or_else(|| {
            peers
                .iter()
                .find(|peer| peer.did == did)
                .map(|peer| peer.host.clone())
        })
        .unwrap_or_else(|| short_id(did))
}

fn waiting_for(to: &str, own: Option<&NetworkView>, peers: &[PublicPeer]) -> String {
    let Some(host) = host_of(to).filter(|host| own.is_none_or(|network| network.host != *host))
    else {
        return "Waiting for the recipient's receipt.".to_owned();
    };
    match peers
        .iter()
        .find(|peer| peer.host == host)
        .map(|peer| peer.state)
    {
        Some(state) => format!(
            "Waiting for {host}: {}.",
            super::peer::state_sentence(state)
        ),
        None => format!("Waiting for {host}'s receipt."),
    }
}

#[cfg(test)]
mod tests {
    use entente_lexicon::TrustLevel;
    use entente_lexicon::api::{LinkState, ReceiptView};

    use super::*;
    use crate::view::fixture::peer;

    fn message(receipts: &[(ReceiptStatus, u64, &str, Option<&str>)]) -> MessageStatus {
        MessageStatus {
            id: "m".to_owned(),
            direction: "out".to_owned(),
            from: "did:cf:1@a.example".to_owned(),
            to: "did:cf:2@b.example".to_owned(),
            status: ReceiptStatus::Accepted,
            created_at: Timestamp(0),
            sent_at: None,
            receipts: receipts
                .iter()
                .map(|(status, at, by, code)| ReceiptView {
                    status: *status,
                    at: Timestamp(*at),
                    by: (*by).to_owned(),
                    code: code.map(str::to_owned),
                    proof: None,
                })
                .collect(),
            peer_name: None,
            content: None,
            thread: None,
        }
    }

    fn own() -> NetworkView {
        NetworkView {
            did: "did:cf:own".to_owned(),
            host: "a.example".to_owned(),
            name: "a".to_owned(),
            trust_level: TrustLevel::Open,
        }
    }

    #[test]
    fn a_delivered_message_names_both_networks() {
        let message = message(&[
            (ReceiptStatus::Accepted, 1_000, "did:cf:own", None),
            (ReceiptStatus::Delivered, 1_041, "did:cf:b.example", None),
        ]);
        let steps = steps(&message, Some(&own()), &[peer("b.example")]);
        let [accepted, delivered] = steps.as_slice() else {
            unreachable!()
        };
        assert_eq!(accepted.by.as_deref(), Some("a.example"));
        assert_eq!(
            (delivered.name, delivered.after.as_deref()),
            ("delivered", Some("+41 ms"))
        );
        assert_eq!(delivered.by.as_deref(), Some("b.example"));
    }

    #[test]
    fn a_message_on_its_way_says_what_it_waits_for() {
        let message = message(&[(ReceiptStatus::Accepted, 1_000, "did:cf:own", None)]);
        let mut away = peer("b.example");
        away.state = LinkState::Unreachable;
        let steps = steps(&message, Some(&own()), &[away]);
        let last = steps.last().unwrap();
        assert_eq!((last.name, last.state), ("waiting", StepState::Waiting));
        assert!(
            last.note.as_deref().unwrap().contains("b.example"),
            "{last:?}"
        );
    }

    #[test]
    fn a_message_that_was_read_went_every_step_of_the_way() {
        let mut message = message(&[
            (ReceiptStatus::Accepted, 1_000, "did:cf:own", None),
            (ReceiptStatus::Delivered, 1_041, "did:cf:b.example", None),
            (ReceiptStatus::Read, 9_000, "did:cf:b.example", None),
        ]);
        message.sent_at = Some(Timestamp(1_005));
        let steps = steps(&message, Some(&own()), &[peer("b.example")]);
        let names: Vec<_> = steps.iter().map(|step| step.name).collect();
        assert_eq!(names, ["accepted", "sent", "delivered", "read"]);
        assert_eq!(steps[1].after.as_deref(), Some("+5 ms"));
        assert!(steps.iter().all(|step| step.state == StepState::Done));
    }

    #[test]
    fn a_refusal_is_explained() {
        let message = message(&[
            (ReceiptStatus::Accepted, 1_000, "did:cf:own", None),
            (
                ReceiptStatus::Refused,
                9_000,
                "did:cf:elsewhere",
                Some("UNKNOWN_AGENT"),
            ),
        ]);
        let steps = steps(&message, Some(&own()), &[]);
        let refused = steps.last().unwrap();
        assert_eq!(
            (refused.state, refused.code.as_deref()),
            (StepState::Failed, Some("UNKNOWN_AGENT"))
        );
        assert!(refused.note.is_some());
    }
}
