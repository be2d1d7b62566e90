//! "Why is it late?": one sentence about a link. Pure.

use entente_federation::CloseCode;
use entente_lexicon::api::LinkState;
use entente_lexicon::link_view::Explained;
use entente_lexicon::{Host, Timestamp, TrustLevel};

/// A message that waits longer than this over a link that is up is late.
const LATE_MS: u64 = 10_000;

/// What the sentence is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts<'a> {
    pub(super) host: &'a Host,
    pub(super) state: LinkState,
    pub(super) since: Timestamp,
    pub(super) level: TrustLevel,
    pub(super) queued: u64,
    pub(super) oldest_age_ms: Option<u64>,
    pub(super) last_error: Option<&'a str>,
    pub(super) next_retry: Option<Timestamp>,
}

/// What each code means, and what to do.
const MEANINGS: &[(&[&str], &str, &str)] = &[
    (
        &[
            "PEER_UNREACHABLE",
            "PEER_SILENT",
            "PEER_TIMEOUT",
            "DIAL_TIMEOUT",
        ],
        "its host does not answer",
        "Check that the peer's network runs and that its host is still the same",
    ),
    (
        &[
            "SOCKET_CLOSED",
            CloseCode::Silence.as_str(),
            CloseCode::HandshakeTimeout.as_str(),
        ],
        "it stopped answering in the middle",
        "Wait: it is tried again; if it stays, ask the peer's admin to look at its log",
    ),
    (
        &[
            CloseCode::Busy.as_str(),
            "RATE_LIMITED",
            CloseCode::OverBudget.as_str(),
        ],
        "it has too much to do",
        "Wait: it is tried again",
    ),
    (
        &["PENALTY", CloseCode::Flood.as_str(), "RECONNECT_LOOP"],
        "it has put this network aside for dialling or sending too much",
        "Wait until it is over; its admin can clear it sooner",
    ),
    (
        &["PEERING_QUEUED"],
        "its admin has yet to decide about this network",
        "Ask its admin to accept the request",
    ),
    (
        &["INBOUND_CLOSED"],
        "it is not dialled by others",
        "Nothing: it dials where it wants to talk",
    ),
    (
        &[CloseCode::Banned.as_str()],
        "one of the two networks bans the other",
        "Ask its admin, or lift the ban here",
    ),
    (
        &["CLOCK_SKEW"],
        "the two clocks differ by more than 90 seconds",
        "Set the clock of the network that is wrong",
    ),
    (
        &[
            "PEERING_REQUIRED",
            "NOT_PEERED",
            CloseCode::Removed.as_str(),
        ],
        "it does not list this network as a peer",
        "Ask its admin to add this network",
    ),
    (
        &[CloseCode::PolicyPrivate.as_str(), "NETWORK_PRIVATE"],
        "one side holds the other at private",
        "Raise the level here, or ask the peer's admin to",
    ),
    (
        &[CloseCode::ApprovalNeeded.as_str()],
        "an admin here has not approved it, or no longer",
        "Compare its fingerprint, then approve the peer",
    ),
    (
        &[
            "APPROVAL_AWAITED",
            CloseCode::AttestationMissing.as_str(),
            "ATTESTATION_EXPIRED",
        ],
        "its admin has not approved this network, or no longer",
        "Ask its admin to compare this network's fingerprint and approve it",
    ),
    (
        &[
            CloseCode::UnknownKey.as_str(),
            CloseCode::StaleDocument.as_str(),
            "SIGNATURE_INVALID",
            CloseCode::BadSignature.as_str(),
            CloseCode::HostMismatch.as_str(),
            CloseCode::UpgradeMismatch.as_str(),
        ],
        "its keys are not the ones known",
        "Compare fingerprints with its admin, then add the peer again on both sides",
    ),
    (
        &[
            "DID_CHANGED",
            CloseCode::WrongPeer.as_str(),
            "DOCUMENT_WRONG_DID",
            "PEER_DID_MISMATCH",
        ],
        "another network answers at its host",
        "Do not trust that host before its admin has confirmed the new fingerprint",
    ),
    (
        &[
            CloseCode::NoCommonVersion.as_str(),
            CloseCode::NoCommonSuite.as_str(),
            CloseCode::NotOffered.as_str(),
        ],
        "it speaks another version of the protocol",
        "Update the older of the two networks",
    ),
    (
        &["PEER_REDIRECTS"],
        "its host answers with a redirect",
        "Add the peer again under the host it really has",
    ),
    (
        &[CloseCode::LevelTooOpen.as_str()],
        "it granted a laxer level than was asked for",
        "Ask its admin which level they meant",
    ),
    (
        &["CONFIG_INVALID"],
        "this network's own configuration is wrong",
        "Look at GET /health",
    ),
];

/// Says in plain words what a code means for a link, and what to do.
pub(super) fn explain(code: &str) -> Explained {
    let known = MEANINGS.iter().find(|(codes, ..)| codes.contains(&code));
    let (meaning, next) = known.map_or(
        (
            "it broke the protocol",
            "Look into both networks' logs; update the older of the two",
        ),
        |(_, meaning, next)| (meaning, next),
    );
    Explained {
        code: code.to_owned(),
        meaning: meaning.to_owned(),
        next: next.to_owned(),
    }
}

/// Says why messages over a link wait, or that none does.
pub(super) fn why(facts: &Facts<'_>, now: Timestamp) -> String {
    let host = facts.host;
    let waiting = match (facts.queued, facts.oldest_age_ms) {
        (0, _) => "nothing waits".to_owned(),
        (1, None) => "1 message waits".to_owned(),
        (1, Some(age)) => format!("1 message waits for {}", span(age)),
        (count, Some(age)) => format!("{count} messages wait, the oldest for {}", span(age)),
        (count, None) => format!("{count} messages wait"),
    };
    let reason = facts.last_error.map_or_else(
        || "no reason was given".to_owned(),
        |code| format!("{} ({code})", explain(code).meaning),
    );
    let for_so_long = span(now.since(facts.since));
    let retry = facts
        .next_retry
        .map_or_else(String::new, |at| match at.since(now) {
            0 => "; trying again now".to_owned(),
            ms => format!("; next try in {}", span(ms)),
        });
    match facts.state {
        LinkState::Up if facts.queued == 0 => format!("The link is up and {waiting}."),
        LinkState::Up if facts.oldest_age_ms.unwrap_or_default() < LATE_MS => {
            format!("The link is up: {waiting}, on the way.")
        }
        LinkState::Up => format!(
            "The link is up, but {host} does not acknowledge: {waiting}. Its agents may be slow or it is overloaded."
        ),
        LinkState::Idle => format!("The link sleeps and {waiting}; it wakes when there is work."),
        LinkState::Connecting => format!("The link is being opened to {host}; {waiting}{retry}."),
        LinkState::Waiting => {
            format!("The link to {host} waits for an approval: {reason}; {waiting}.")
        }
        LinkState::Refused if facts.level == TrustLevel::Private => {
            format!("The link is closed: this network holds {host} at private; {waiting}.")
        }
        LinkState::Refused => {
            format!("{host} has refused the link for {for_so_long}: {reason}; {waiting}{retry}.")
        }
        LinkState::Frozen => format!(
            "The link is frozen: the keys of {host} changed in a way that its identity log does not prove. An admin must compare fingerprints, then unfreeze it or remove the peer; {waiting}."
        ),
        LinkState::Unreachable => {
            format!("{host} has not answered for {for_so_long}: {reason}; {waiting}{retry}.")
        }
    }
}

fn span(ms: u64) -> String {
    let seconds = ms.div_ceil(1_000);
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn said(change: impl FnOnce(&mut Facts<'_>)) -> String {
        let host = Host::parse("beta.example").unwrap();
        let mut facts = Facts {
            host: &host,
            state: LinkState::Up,
            since: Timestamp(NOW.0 - 180_000),
            level: TrustLevel::Open,
            queued: 0,
            oldest_age_ms: None,
            last_error: None,
            next_retry: None,
        };
        change(&mut facts);
        why(&facts, NOW)
    }

    #[test]
    fn each_state_has_its_sentence() {
        assert_eq!(said(|_| {}), "The link is up and nothing waits.");
        let late = |age: u64| said(|facts| (facts.queued, facts.oldest_age_ms) = (3, Some(age)));
        assert_eq!(
            late(900),
            "The link is up: 3 messages wait, the oldest for 1 s, on the way."
        );
        assert_eq!(
            late(240_000),
            "The link is up, but beta.example does not acknowledge: 3 messages wait, the oldest for 4 min. Its agents may be slow or it is overloaded."
        );
        assert_eq!(
            said(|facts| facts.state = LinkState::Idle),
            "The link sleeps and nothing waits; it wakes when there is work."
        );
        assert_eq!(
            said(|facts| (facts.state, facts.queued) = (LinkState::Connecting, 1)),
            "The link is being opened to beta.example; 1 message waits."
        );
        assert_eq!(
            said(|facts| {
                facts.state = LinkState::Unreachable;
                (facts.queued, facts.oldest_age_ms) = (1, Some(100_000));
                facts.last_error = Some("PEER_UNREACHABLE");
                facts.next_retry = Some(NOW.after(40_000));
            }),
            "beta.example has not answered for 3 min: its host does not answer (PEER_UNREACHABLE); 1 message waits for 100 s; next try in 40 s."
        );
        assert_eq!(
            said(|facts| {
                facts.state = LinkState::Refused;
                facts.last_error = Some("PEERING_REQUIRED");
                facts.next_retry = Some(NOW);
            }),
            "beta.example has refused the link for 3 min: it does not list this network as a peer (PEERING_REQUIRED); nothing waits; trying again now."
        );
        assert_eq!(
            said(|facts| (facts.state, facts.level) = (LinkState::Refused, TrustLevel::Private)),
            "The link is closed: this network holds beta.example at private; nothing waits."
        );
    }

    #[test]
    fn every_code_has_one_meaning_and_an_unknown_one_too() {
        let mut seen = std::collections::BTreeSet::new();
        for (codes, meaning, next) in MEANINGS {
            assert!(!meaning.is_empty() && !next.ends_with('.'));
            assert!(codes.iter().all(|code| seen.insert(*code)), "{codes:?}");
        }
        assert_eq!(explain("BAD_MAC").meaning, "it broke the protocol");
    }

    #[test]
    fn a_span_has_one_unit() {
        let spans = [0, 400, 119_000, 120_000, 7_200_000, 172_800_000].map(span);
        assert_eq!(spans, ["0 s", "1 s", "119 s", "2 min", "2 h", "2 days"]);
    }
}
