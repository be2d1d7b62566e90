//! Texts of made-up words, the same in every run; frequent words are frequent as in a language.

/// Words there are.
const VOCABULARY: u64 = 5_000;
/// Words of one record: about 200 bytes.
const RECORD_WORDS: usize = 30;

/// Chance that is none.
#[derive(Clone, Debug)]
pub(super) struct Chance(u64);

impl Chance {
    /// The same seed gives the same texts.
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `end`.
    pub(super) const fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }

    /// A word: the smaller of three choices, so that some come often.
    fn word(&mut self) -> String {
        let choices = [(); 3].map(|()| self.below(VOCABULARY));
        let mut number = choices.into_iter().min().unwrap_or(0);
        let mut word = String::new();
        for _ in 0..3 {
            let syllable = usize::try_from(number % 20).unwrap_or(0);
            number /= 20;
            word.push_str(SYLLABLES.get(syllable).unwrap_or(&"xa"));
        }
        word
    }

    /// So many words.
    pub(super) fn words(&mut self, count: usize) -> String {
        let words: Vec<_> = (0..count).map(|_| self.word()).collect();
        words.join(" ")
    }

    /// What a record says.
    pub(super) fn text(&mut self) -> String {
        self.words(RECORD_WORDS)
    }
}

const SYLLABLES: [&str; 20] = [
    "ba", "be", "di", "do", "fu", "ga", "ki", "la", "lo", "mu", "na", "po", "ra", "ri", "su", "ta",
    "te", "vo", "wu", "zi",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_the_same_in_every_run_and_about_200_bytes_long() {
        let text = Chance::new(7).text();
        assert_eq!(text, Chance::new(7).text());
        assert_ne!(text, Chance::new(8).text());
        assert!((180..240).contains(&text.len()), "{}", text.len());
    }
}
