//! From endorsements to a score that says where it comes from.

use std::collections::{BTreeMap, BTreeSet};

use entente_lexicon::{Did, Timestamp};
use entente_trust::policy::Voice;

use crate::mass::Mass;
use crate::statement::MAX_AHEAD_MS;

/// The weight of one fresh word of an agent of the network that asks, in millionths.
pub const VOICE: u64 = 1_000_000;
/// After so long a word weighs half: 90 days, in milliseconds.
pub const HALF_LIFE_MS: u64 = 90 * 24 * 60 * 60 * 1000;
/// The score of whom nobody knows.
pub const PRIOR_SCORE: u8 = 50;
/// How much that weighs: as two words of one's own agents.
pub const PRIOR_WEIGHT: u64 = 2 * VOICE;
/// All agents of one network together speak as loud as so many of them.
pub const NETWORK_CAP: u64 = 3;
/// All agents of the subject's own network together speak as loud as so many of them.
pub const MATES_CAP: u64 = 1;
/// All networks at level open together weigh at most this, in millionths.
pub const STRANGERS_CAP: u64 = VOICE;
/// Words about one subject that are weighed at most; the newest ones.
pub const MAX_HEARD: usize = 10_000;

/// Who is spoken of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The agent or network.
    pub did: Did,
    /// Its network, if that is known.
    pub network: Option<Did>,
}

/// How the network that asks stands to an author's network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Speaker {
    /// It is that network.
    Own,
    /// A peer, as policy hears it.
    Peer(Voice),
}

/// Why a word does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Silence {
    /// Its author is whom it speaks of.
    Self_,
    /// Its time is over.
    Expired,
    /// Its author says otherwise by now.
    Superseded,
    /// It says that it was given later than now.
    Future,
    /// It is so old that nothing is left of its weight.
    Faded,
    /// Its author's network is no peer.
    NotPeered,
    /// Its author's network is banned.
    Banned,
    /// Policy does not let such words in from its author's network.
    NotLetIn,
    /// The agent that asks blocks its author.
    Blocked,
}

impl Silence {
    /// Returns the name used in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Self_ => "self",
            Self::Expired => "expired",
            Self::Superseded => "superseded",
            Self::Future => "future",
            Self::Faded => "faded",
            Self::NotPeered => "not-peered",
            Self::Banned => "banned",
            Self::NotLetIn => "not-let-in",
            Self::Blocked => "blocked",
        }
    }
}

/// One word for or against the subject, which was verified to be its author's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endorsement {
    /// Who says so.
    pub author: Did,
    /// The author's network.
    pub network: Did,
    /// How that is heard, or why not.
    pub speaker: Result<Speaker, Silence>,
    /// What it is about; nothing: the subject as a whole.
    pub skill: Option<String>,
    /// From 0 to 100.
    pub score: u8,
    /// When its author says that it was given.
    pub created_at: Timestamp,
    /// When it ceases to count.
    pub valid_to: Option<Timestamp>,
    /// When it came here, by the clock here.
    pub received_at: Timestamp,
    /// Tells which of two words of one author about the same is the later: the later is the larger.
    pub order: (Timestamp, [u8; 16]),
    /// Whether the subject speaks well of the author, too.
    pub mutual: bool,
}

/// What became of one endorsement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contribution {
    /// Its place in what was given to [`weigh`].
    pub index: usize,
    /// What it weighs in the score, in millionths of a [`VOICE`].
    pub weight: u64,
    /// Why it does not count, if it does not.
    pub silence: Option<Silence>,
}

/// What is said of one skill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkillScore {
    /// Which one.
    pub skill: String,
    /// From 0 to 100.
    pub score: u8,
    /// Authors that speak of it.
    pub voices: u32,
}

/// What endorsements say of somebody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reputation {
    /// From 0 to 100; nothing where nobody speaks.
    pub score: Option<u8>,
    /// What stands against the prior, in millionths of a [`VOICE`].
    pub weight: u64,
    /// Authors that count.
    pub voices: u32,
    /// By skill, in the order of their names.
    pub skills: Vec<SkillScore>,
    /// What became of each endorsement, in the order they were given in.
    pub contributions: Vec<Contribution>,
}

/// A word that counts.
struct Word<'a> {
    index: usize,
    said: &'a Endorsement,
    speaker: Speaker,
    weight: u64,
}

/// Weighs what is said of a subject. The order in which it is given does not matter; of more than
/// [`MAX_HEARD`] the newest are heard.
#[must_use]
pub fn weigh(subject: &Subject, said: &[Endorsement], now: Timestamp) -> Reputation {
    let latest = latest(said);
    let mut contributions = Vec::with_capacity(said.len());
    let mut words = Vec::new();
    for (index, one) in said.iter().enumerate() {
        let heard = if latest.contains(&index) {
            heard(subject, one, now)
        } else {
            Err(Silence::Superseded)
        };
        if let Ok((speaker, weight)) = heard {
            words.push(Word {
                index,
                said: one,
                speaker,
                weight,
            });
        }
        contributions.push(Contribution {
            index,
            weight: 0,
            silence: heard.err(),
        });
    }
    let (mass, weights) = total(subject, &words);
    for (index, weight) in weights {
        if let Some(contribution) = contributions.get_mut(index) {
            contribution.weight = weight;
        }
    }
    Reputation {
        score: score(mass),
        weight: u64::try_from(mass.weight()).unwrap_or(u64::MAX),
        voices: voices(&words),
        skills: skills(subject, &words),
        contributions,
    }
}

/// Finds, by place, the last word of each author about each skill.
fn latest(said: &[Endorsement]) -> BTreeSet<usize> {
    let mut newest: Vec<usize> = (0..said.len()).collect();
    newest.sort_by_key(|index| said.get(*index).map(|one| std::cmp::Reverse(one.order)));
    let mut known = BTreeSet::new();
    let mut latest = BTreeSet::new();
    for index in newest {
        let Some(one) = said.get(index) else { continue };
        if latest.len() < MAX_HEARD && known.insert((&one.author, one.skill.as_deref())) {
            let _ = latest.insert(index);
        }
    }
    latest
}

/// Says how loud a word is by itself, or why it is not heard.
fn heard(subject: &Subject, one: &Endorsement, now: Timestamp) -> Result<(Speaker, u64), Silence> {
    if one.author == subject.did {
        return Err(Silence::Self_);
    }
    let speaker = one.speaker?;
    if one.created_at.since(now) > MAX_AHEAD_MS {
        return Err(Silence::Future);
    }
    if one.valid_to.is_some_and(|end| end <= now) {
        return Err(Silence::Expired);
    }
    // Who claims a later instant than the one at which it came gains nothing by it.
    let age = now.since(one.created_at.min(one.received_at));
    let full = loudness(speaker);
    // Praise that is returned weighs half, blame does not: nobody is silenced by being praised.
    let full = if one.mutual && one.score > PRIOR_SCORE {
        full / 2
    } else {
        full
    };
    let weight = decayed(full, age);
    if weight == 0 {
        return Err(Silence::Faded);
    }
    Ok((speaker, weight))
}

/// What one fresh word weighs, by who speaks.
const fn loudness(speaker: Speaker) -> u64 {
    match speaker {
        Speaker::Own => VOICE,
        Speaker::Peer(Voice::Verified) => VOICE / 4 * 3,
        Speaker::Peer(Voice::Allowlist) => VOICE / 2,
        Speaker::Peer(Voice::Open) => VOICE / 4,
    }
}

/// Returns what is left of a weight after `age` milliseconds: half of it after each
/// [`HALF_LIFE_MS`], and in between what lies on the straight line.
#[must_use]
pub fn decayed(weight: u64, age: u64) -> u64 {
    let halvings = u32::try_from(age / HALF_LIFE_MS).unwrap_or(u32::MAX);
    let begun = weight.checked_shr(halvings).unwrap_or(0);
    let lost = u128::from(begun) * u128::from(age % HALF_LIFE_MS) / u128::from(2 * HALF_LIFE_MS);
    begun.saturating_sub(u64::try_from(lost).unwrap_or(u64::MAX))
}

/// Sums words up: each author's, capped at one word; each network's, capped; all strangers', capped.
/// Returns what each weighs in the end as well.
fn total(subject: &Subject, words: &[Word<'_>]) -> (Mass, Vec<(usize, u64)>) {
    let mut authors: BTreeMap<(Speaker, &Did, &Did), Mass> = BTreeMap::new();
    for word in words {
        let key = (word.speaker, &word.said.network, &word.said.author);
        let mass = authors.entry(key).or_default();
        *mass = mass.and(Mass::of(word.weight, word.said.score));
    }
    let mut networks: BTreeMap<(Speaker, &Did), Mass> = BTreeMap::new();
    for ((speaker, network, _), mass) in &authors {
        let sum = networks.entry((*speaker, network)).or_default();
        *sum = sum.and(mass.capped(loudness(*speaker)));
    }
    let limit = |speaker: Speaker, network: &Did| {
        let mates = subject.network.as_ref() == Some(network) || subject.did == *network;
        loudness(speaker) * if mates { MATES_CAP } else { NETWORK_CAP }
    };
    let (mut strangers, mut others) = (Mass::default(), Mass::default());
    for ((speaker, network), mass) in &networks {
        let capped = mass.capped(limit(*speaker, network));
        if is_stranger(*speaker) {
            strangers = strangers.and(capped);
        } else {
            others = others.and(capped);
        }
    }
    let share = |weight: u128, of: u128, limit: u64| {
        if of <= u128::from(limit) {
            weight
        } else {
            weight * u128::from(limit) / of
        }
    };
    let weights = words.iter().map(|word| {
        let network = (word.speaker, &word.said.network);
        let author = (word.speaker, &word.said.network, &word.said.author);
        let of = |mass: Option<&Mass>| mass.map_or(0, |mass| mass.weight());
        let mut weight = u128::from(word.weight);
        weight = share(weight, of(authors.get(&author)), loudness(word.speaker));
        let limit = limit(word.speaker, &word.said.network);
        weight = share(weight, of(networks.get(&network)), limit);
        if is_stranger(word.speaker) {
            weight = share(weight, strangers.weight(), STRANGERS_CAP);
        }
        (word.index, u64::try_from(weight).unwrap_or(u64::MAX))
    });
    let weights = weights.collect();
    (others.and(strangers.capped(STRANGERS_CAP)), weights)
}

const fn is_stranger(speaker: Speaker) -> bool {
    matches!(speaker, Speaker::Peer(Voice::Open))
}

/// The mean of what is said and of the prior; nothing where nothing is said.
fn score(mass: Mass) -> Option<u8> {
    let known = mass.weight() > 0;
    let mean = mass.and(Mass::of(PRIOR_WEIGHT, PRIOR_SCORE)).mean();
    mean.filter(|_| known)
}

fn voices(words: &[Word<'_>]) -> u32 {
    let authors: BTreeSet<&Did> = words.iter().map(|word| &word.said.author).collect();
    u32::try_from(authors.len()).unwrap_or(u32::MAX)
}

fn skills(subject: &Subject, words: &[Word<'_>]) -> Vec<SkillScore> {
    let mut by_skill: BTreeMap<&str, Vec<Word<'_>>> = BTreeMap::new();
    for word in words {
        let Some(skill) = word.said.skill.as_deref() else {
            continue;
        };
        by_skill.entry(skill).or_default().push(Word { ..*word });
    }
    let scored = by_skill.into_iter().filter_map(|(skill, words)| {
        Some(SkillScore {
            skill: skill.to_owned(),
            score: score(total(subject, &words).0)?,
            voices: voices(&words),
        })
    });
    scored.collect()
}
