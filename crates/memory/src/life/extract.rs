//! A summary without a model: the sentences that share most words with all that is summed up.

use std::collections::{BTreeMap, BTreeSet};

use unicode_segmentation::UnicodeSegmentation as _;

use crate::search::words::terms;

/// How much of the texts is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extract {
    /// The most sentences.
    pub sentences: usize,
    /// The most bytes of UTF-8, at least 4.
    pub bytes: usize,
}

impl Default for Extract {
    /// Eight sentences in 4,000 bytes.
    fn default() -> Self {
        Self {
            sentences: 8,
            bytes: 4_000,
        }
    }
}

/// A sentence, where it stood, and the words it has.
struct Sentence<'a> {
    place: usize,
    text: &'a str,
    terms: BTreeSet<String>,
}

impl Extract {
    /// Chooses sentences of these texts, in their order, a line each. The next one chosen is always
    /// the one whose words, of those no chosen sentence has, occur in most sentences; so what is said
    /// twice is taken once. Texts without any word give their beginning.
    #[must_use]
    pub fn of(&self, texts: &[&str]) -> String {
        let sentences: Vec<Sentence<'_>> = texts
            .iter()
            .flat_map(|text| text.unicode_sentences())
            .map(str::trim)
            .filter(|text| !text.is_empty())
            .enumerate()
            .map(|(place, text)| Sentence {
                place,
                text,
                terms: terms(text).into_iter().collect(),
            })
            .collect();
        let mut frequency: BTreeMap<String, usize> = BTreeMap::new();
        for term in sentences.iter().flat_map(|sentence| &sentence.terms) {
            *frequency.entry(term.clone()).or_default() += 1;
        }
        let mut chosen: BTreeMap<usize, &str> = BTreeMap::new();
        let mut room = self.bytes;
        while chosen.len() < self.sentences {
            let fits = sentences
                .iter()
                .filter(|one| !chosen.contains_key(&one.place) && one.text.len() < room);
            let gain = |one: &Sentence<'_>| -> usize {
                one.terms
                    .iter()
                    .filter_map(|term| frequency.get(term))
                    .sum()
            };
            let scored = fits.map(|one| (gain(one), one));
            // Of equals, the first: `max_by_key` takes the last.
            let best = scored.rev().max_by_key(|(gain, _one)| *gain);
            let Some((_, best)) = best.filter(|(gain, _one)| *gain > 0) else {
                break;
            };
            chosen.insert(best.place, best.text);
            room = room.saturating_sub(best.text.len().saturating_add(1));
            for term in &best.terms {
                frequency.remove(term);
            }
        }
        if chosen.is_empty() {
            return beginning(texts, self.bytes);
        }
        chosen.into_values().collect::<Vec<_>>().join("\n")
    }
}

/// The first text as far as it fits.
fn beginning(texts: &[&str], bytes: usize) -> String {
    let mut trimmed = texts.iter().map(|text| text.trim());
    let first = trimmed.find(|text| !text.is_empty()).unwrap_or("…");
    let fits = first
        .char_indices()
        .take_while(|(at, char)| at.saturating_add(char.len_utf8()) <= bytes);
    fits.map(|(_at, char)| char).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_most_sentences_are_about_is_taken_once_and_in_order() {
        let texts = [
            "It rained. The harbour crane was repaired by Ada.",
            "The harbour crane lifted the first container. Somebody sang.",
            "The harbour crane was repaired by Ada.",
        ];
        let extract = Extract {
            sentences: 2,
            bytes: 200,
        };
        assert_eq!(
            extract.of(&texts),
            "The harbour crane was repaired by Ada.\nThe harbour crane lifted the first container."
        );
    }

    #[test]
    fn texts_that_have_no_words_or_no_sentence_short_enough_give_their_beginning() {
        let extract = Extract {
            sentences: 3,
            bytes: 6,
        };
        assert_eq!(extract.of(&["", "…!…"]), "…!".to_owned());
        assert_eq!(extract.of(&["containership"]), "contai");
        assert_eq!(extract.of(&[]), "…");
    }

    proptest! {
        #[test]
        fn an_extract_is_never_empty_nor_longer_than_asked(
            texts in proptest::collection::vec("[ a-zA-Z.!é…]{0,60}", 0..8), bytes in 4_usize..200,
        ) {
            let texts: Vec<_> = texts.iter().map(String::as_str).collect();
            let made = Extract { sentences: 4, bytes }.of(&texts);
            prop_assert!(!made.is_empty() && made.len() <= bytes, "{made:?}");
        }
    }
}
