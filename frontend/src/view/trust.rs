//! Approvals, previews and bans in words.

use entente_lexicon::api::{
    LinkAmount, LinkState, PeerView, Preview, PreviewExample, PreviewGroup, Turn,
};
use entente_lexicon::{Timestamp, TrustLevel};

use crate::view::format::{bytes, count, duration};

/// How long an instant's date is in RFC 3339.
const DATE_CHARS: usize = 10;

/// Splits a fingerprint into the groups it is read out in.
#[must_use]
pub fn groups(fingerprint: &str) -> Vec<String> {
    fingerprint.split_whitespace().map(str::to_owned).collect()
}

/// Says until when something holds: `until 2027-02-20 (89 d left)`.
#[must_use]
pub fn until(at: Timestamp, now: Timestamp) -> String {
    let date: String = at.to_string().chars().take(DATE_CHARS).collect();
    let left = duration(at.since(now)).replace(' ', "\u{a0}");
    format!("until {date} ({left}\u{a0}left)")
}

/// Tells whether a peer's approval is the admin's business now.
#[must_use]
pub fn asks_for_approval(peer: &PeerView) -> bool {
    peer.state == LinkState::Waiting
        || peer.trust_level == TrustLevel::Verified
        || peer.granted == Some(TrustLevel::Verified)
        || peer.trust.approval.ours_until.is_some()
}

/// One side of what `verified` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Side {
    /// Whether its approval holds.
    pub holds: bool,
    /// How it stands, in a clause.
    pub said: String,
}

/// How our approval of a peer stands.
#[must_use]
pub fn our_side(peer: &PeerView, now: Timestamp) -> Side {
    let approval = &peer.trust.approval;
    let other = approval
        .fingerprint
        .as_ref()
        .is_some_and(|approved| *approved != peer.fingerprint);
    let (holds, said) = match approval.ours_until {
        Some(_) if other => (
            false,
            "approved another fingerprint; compare again".to_owned(),
        ),
        Some(at) if at > now => (true, format!("approved {}", until(at, now))),
        Some(_) => (false, "its approval ran out".to_owned()),
        None => (false, "has not approved it yet".to_owned()),
    };
    Side { holds, said }
}

/// How the peer's approval of us stands, as it last showed it.
#[must_use]
pub fn their_side(peer: &PeerView, now: Timestamp) -> Side {
    let (holds, said) = match peer.trust.approval.theirs_until {
        Some(at) if at > now => (true, format!("approved {}", until(at, now))),
        Some(_) => (
            false,
            "its approval ran out; its admin approves anew".to_owned(),
        ),
        None => (
            false,
            "has not shown an approval yet; its admin gives it".to_owned(),
        ),
    };
    Side { holds, said }
}

/// Says how much of a bound is taken: `3 of 256, 12 KiB of 4 MiB`.
#[must_use]
pub fn taken(used: LinkAmount, limit: LinkAmount) -> String {
    format!(
        "{} of {}, {} of {}",
        count(used.items),
        count(limit.items),
        bytes(used.bytes),
        bytes(limit.bytes)
    )
}

/// The five parts of a preview with their names, in the order they are shown.
#[must_use]
pub fn parts(preview: &Preview) -> [(&'static str, &'static str, &PreviewGroup); 5] {
    [
        ("agents", "Pairs of agents", &preview.agents),
        ("collections", "Public events", &preview.collections),
        ("recent", "Recent mail", &preview.recent),
        ("queued", "Waiting mail", &preview.queued),
        ("announcements", "Announcements", &preview.announcements),
    ]
}

/// Says a preview in one sentence.
#[must_use]
pub fn verdict(preview: &Preview) -> String {
    let turns = preview.link.before != preview.link.after;
    let all = parts(preview);
    let stops: u64 = all.iter().map(|(_, _, group)| group.stops).sum();
    let starts: u64 = all.iter().map(|(_, _, group)| group.starts).sum();
    let link = match preview.link.after.as_str() {
        "pass" => "The link can be made.",
        "APPROVAL_NEEDED" | "APPROVAL_AWAITED" => {
            "The link waits until both admins have approved; so does what is sent."
        }
        _ => "The link closes, and nothing passes.",
    };
    match (turns, stops, starts) {
        (true, _, _) => link.to_owned(),
        (false, 0, 0) => "Nothing that passes now would stop, and nothing would start.".to_owned(),
        (false, _, 0) => "Something that passes now would stop.".to_owned(),
        (false, 0, _) => "Something that does not pass now would start.".to_owned(),
        (false, _, _) => "Something would stop, and something would start.".to_owned(),
    }
}

/// Tells whether an example is one that would stop.
#[must_use]
pub fn stops(turn: &Turn) -> bool {
    turn.before == "pass"
}

/// The code that says why an example does not pass, before or after.
#[must_use]
pub fn reason(turn: &Turn) -> &str {
    if stops(turn) {
        &turn.after
    } else {
        &turn.before
    }
}

/// Draws the direction of an example between our side and theirs.
#[must_use]
pub fn arrow(example: &PreviewExample) -> &'static str {
    match example.direction.as_str() {
        "in" => "←",
        _ => "→",
    }
}

/// The ends that a ban may have: what is shown, and milliseconds from now.
pub const BAN_ENDS: [(&str, Option<u64>); 5] = [
    ("until it is lifted", None),
    ("for an hour", Some(3_600_000)),
    ("for a day", Some(86_400_000)),
    ("for a week", Some(604_800_000)),
    ("for 30 days", Some(2_592_000_000)),
];

/// Reads whom a ban names: a DID, else a host; an address is cut down to its host.
#[must_use]
pub fn ban_subject(text: &str) -> (Option<String>, Option<String>) {
    let text = text.trim();
    if text.starts_with("did:") {
        return (Some(text.to_owned()), None);
    }
    let host = text.split_once("://").map_or(text, |(_, rest)| rest);
    let host = host.split_once('/').map_or(host, |(host, _)| host);
    (None, Some(host.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use entente_lexicon::api::{ApprovalView, PeerTrust};

    const NOW: Timestamp = Timestamp(1_790_000_000_000);
    const DAY_MS: u64 = 86_400_000;

    fn peer(approval: ApprovalView) -> PeerView {
        let trust = PeerTrust {
            approval,
            ..PeerTrust::default()
        };
        let mut view = serde_json::to_value(trust).unwrap();
        let rest = serde_json::json!({
            "did": "did:cf:x", "host": "b.example", "fingerprint": "aaaa bbbb", "trustLevel": "open",
            "state": "up", "since": NOW, "queued": 0,
        });
        let (view_map, rest) = (view.as_object_mut().unwrap(), rest.as_object().unwrap());
        view_map.extend(rest.clone());
        serde_json::from_value(view).unwrap()
    }

    #[test]
    fn each_side_says_whether_its_approval_holds() {
        let later = Timestamp(NOW.0 + 3 * DAY_MS);
        let none = peer(ApprovalView::default());
        assert!(!asks_for_approval(&none));
        assert!(!our_side(&none, NOW).holds && !their_side(&none, NOW).holds);
        let good = peer(ApprovalView {
            fingerprint: Some("aaaa bbbb".to_owned()),
            ours_until: Some(later),
            theirs_until: Some(later),
            lacks: None,
        });
        assert!(asks_for_approval(&good));
        assert!(our_side(&good, NOW).holds && their_side(&good, NOW).holds);
        assert!(our_side(&good, NOW).said.ends_with("(3\u{a0}d\u{a0}left)"));
        let over = Timestamp(later.0 + 1);
        assert!(!our_side(&good, over).holds && !their_side(&good, over).holds);
    }

    #[test]
    fn an_approval_of_another_fingerprint_is_none() {
        let other = peer(ApprovalView {
            fingerprint: Some("cccc dddd".to_owned()),
            ours_until: Some(Timestamp(NOW.0 + DAY_MS)),
            ..ApprovalView::default()
        });
        let side = our_side(&other, NOW);
        assert!(!side.holds && side.said.contains("another"));
    }

    #[test]
    fn a_preview_is_said_in_a_sentence() {
        let turn = |after: &str| Turn {
            before: "pass".to_owned(),
            after: after.to_owned(),
        };
        let mut preview = Preview {
            link: turn("pass"),
            ..Preview::default()
        };
        assert!(verdict(&preview).starts_with("Nothing"));
        preview.recent.stops = 2;
        assert_eq!(verdict(&preview), "Something that passes now would stop.");
        preview.agents.starts = 1;
        assert!(verdict(&preview).contains("and something would start"));
        preview.link = turn("POLICY_PRIVATE");
        assert!(verdict(&preview).contains("closes"));
        assert_eq!(reason(&preview.link), "POLICY_PRIVATE");
    }

    #[test]
    fn what_is_taken_is_said_beside_its_bound() {
        let amount = |items, bytes| LinkAmount { items, bytes };
        let said = taken(amount(3, 2_048), amount(256, 4 << 20));
        assert_eq!(said, "3 of 256, 2 KiB of 4 MiB");
    }

    #[test]
    fn a_ban_names_a_did_or_a_host_however_it_is_typed() {
        let host = |text| ban_subject(text).1.unwrap();
        assert_eq!(host(" b.example:8702 "), "b.example:8702");
        assert_eq!(host("https://b.example/dashboard"), "b.example");
        assert_eq!(ban_subject("did:cf:x"), (Some("did:cf:x".to_owned()), None));
        assert_eq!(groups("aaaa bbbb"), ["aaaa", "bbbb"]);
    }
}
