//! Announcements in words.

use entente_lexicon::api::AnnouncementView;

use crate::view::format::clip;
use crate::view::names::host_of;

/// Characters of an announcement that are shown until somebody wants more.
const MAX_CHARS: usize = 400;
/// Lines of it likewise.
const MAX_LINES: usize = 10;
/// The collection of the form until another is typed.
pub const DEFAULT_COLLECTION: &str = "agent.public.announcement";

/// Returns the beginning of a long text; nothing if the whole is short enough to be shown.
#[must_use]
pub fn beginning(text: &str) -> Option<String> {
    let mut lines = text.lines();
    let head: Vec<&str> = lines.by_ref().take(MAX_LINES).collect();
    let head = head.join("\n");
    if lines.next().is_some() {
        return Some(clip(&format!("{head}…"), MAX_CHARS));
    }
    (text.chars().count() > MAX_CHARS).then(|| clip(text, MAX_CHARS))
}

/// Who announced it: `alice@localhost:8701`.
#[must_use]
pub fn author(one: &AnnouncementView) -> String {
    match host_of(&one.from) {
        Some(host) => format!("{}@{host}", one.name),
        None => one.name.clone(),
    }
}

#[cfg(test)]
mod tests {
    use entente_lexicon::{Content, Timestamp};

    use super::*;

    #[test]
    fn an_author_is_a_name_at_a_host() {
        let one = AnnouncementView {
            id: "a".to_owned(),
            from: "did:cf:abc@b.example".to_owned(),
            name: "diana".to_owned(),
            network: "did:cf:b".to_owned(),
            peer: Some("b.example".to_owned()),
            collection: DEFAULT_COLLECTION.to_owned(),
            content: Content::Ref {
                uri: "https://example.com".to_owned(),
            },
            created_at: Timestamp(1),
            received_at: Timestamp(2),
        };
        assert_eq!(author(&one), "diana@b.example");
    }

    #[test]
    fn long_texts_of_strangers_begin_short() {
        assert_eq!(beginning("We open at nine.\nWelcome."), None);
        let wide = beginning(&"ä".repeat(5_000)).unwrap();
        assert_eq!(wide.chars().count(), MAX_CHARS);
        let tall = beginning(&"\n".repeat(5_000)).unwrap();
        assert_eq!(tall.lines().count(), MAX_LINES);
        assert!(wide.ends_with('…') && tall.ends_with('…'));
    }
}
