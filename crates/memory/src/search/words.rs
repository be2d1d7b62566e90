//! From text to the words that are indexed: the same for records and for queries.

use std::borrow::Cow;

use snowball_stemmers_rs::{Algorithm, Stemmer};
use unicode_segmentation::UnicodeSegmentation;

/// Words that nearly every English text has. They find nothing, and how often they occur would
/// tell their tokens' meaning.
const STOP_WORDS: [&str; 63] = [
    "a", "am", "an", "and", "are", "as", "at", "be", "been", "but", "by", "can", "could", "did",
    "do", "does", "for", "from", "had", "has", "have", "he", "her", "him", "his", "how", "i", "if",
    "in", "into", "is", "it", "its", "me", "my", "of", "on", "or", "our", "she", "so", "that",
    "the", "their", "them", "then", "there", "they", "this", "to", "was", "we", "were", "what",
    "when", "which", "who", "will", "with", "would", "you", "your", "yours",
];

/// Cuts a text into the terms to index: words by Unicode's rules (UAX #29) in lower case, English
/// ones stemmed (Snowball), without stop words. A word joined by `_`, `.` or `:` also counts by its
/// parts, so that `user_name` and `example.com` are found by either.
///
/// Text is taken as it is encoded: a letter with a combining mark is another word than its composed
/// form.
#[must_use]
pub fn terms(text: &str) -> Vec<String> {
    let stemmer = Stemmer::create(Algorithm::English);
    let mut terms = Vec::new();
    for word in text.unicode_words() {
        let word = word.to_lowercase();
        let parts = word.split(['_', '.', ':']).filter(|part| !part.is_empty());
        if parts.clone().nth(1).is_some() {
            terms.extend(parts.filter_map(|part| term(&stemmer, part)));
        }
        terms.extend(term(&stemmer, &word));
    }
    terms
}

fn term(stemmer: &Stemmer, word: &str) -> Option<String> {
    let word = word.replace('\u{2019}', "'");
    let plain = word.strip_suffix("'s").unwrap_or(&word);
    if STOP_WORDS.binary_search(&plain).is_ok() {
        return None;
    }
    let english = plain
        .bytes()
        .all(|byte| byte.is_ascii_alphabetic() || byte == b'\'');
    let stem = if english {
        stemmer.stem(plain)
    } else {
        Cow::Borrowed(plain)
    };
    (!stem.is_empty()).then(|| stem.into_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn stop_words_are_sorted_for_the_search_among_them() {
        assert!(STOP_WORDS.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn words_are_lower_case_stemmed_and_without_stop_words() {
        assert_eq!(
            terms("The Meetings were moved to Thursday"),
            ["meet", "move", "thursday"]
        );
        assert_eq!(
            terms("Caroline\u{2019}s dogs, running!"),
            ["carolin", "dog", "run"]
        );
        assert_eq!(terms("GRÜSSE aus Köln"), ["grüsse", "aus", "köln"]);
        assert_eq!(terms("東京に行く").len(), 5);
        assert_eq!(terms("the of and"), Vec::<String>::new());
        assert_eq!(terms("  …🎉 "), Vec::<String>::new());
    }

    #[test]
    fn joined_words_are_found_whole_and_by_their_parts() {
        assert_eq!(terms("user_name"), ["user", "name", "user_name"]);
        assert_eq!(terms("example.com"), ["exampl", "com", "example.com"]);
        assert_eq!(terms("3.14"), ["3", "14", "3.14"]);
    }

    proptest! {
        #[test]
        fn any_text_gives_terms_that_are_not_empty(text in ".{0,200}") {
            prop_assert!(terms(&text).iter().all(|term| !term.is_empty()));
        }

        #[test]
        fn case_does_not_matter_in_ascii(text in "[a-zA-Z ]{0,80}") {
            prop_assert_eq!(terms(&text), terms(&text.to_ascii_uppercase()));
        }
    }
}
