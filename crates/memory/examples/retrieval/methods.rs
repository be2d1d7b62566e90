//! The methods that are compared.

use std::cmp::Ordering;
use std::convert::Infallible;
use std::error::Error;
use std::fmt::Write as _;

use entente_memory::retrieval::{Conversation, Recall};
use entente_memory::search::hybrid::Fusion;
use entente_memory::search::rank::Ranking;
use entente_memory::search::{Index, words};
use entente_memory::vector::{FlatIndex, Near, VectorIndex as _, check, rerank};
use entente_trust::memory::blind::{BlindRoot, Space};
use rand_core::{TryCryptoRng, TryRng};
use rusqlite::Connection;

use crate::embedding::{Endpoint, at_once};

/// Hits that are looked at.
const DEPTH: usize = 20;
/// Candidates that a quantised index gives for an exact ordering.
const OVERFETCH: usize = 4;

type Hits = Vec<usize>;

/// A way to search.
pub(crate) enum Method<'a> {
    /// FTS5's own Porter tokenizer over the text: what the others are compared with.
    Porter,
    /// BM25 over our terms in the clear.
    Plain,
    /// BM25 over blinded tokens, as shipped.
    Blinded,
    /// The same, × importance × recency.
    Ranked(Ranking),
    /// Vectors in the flat index, ordered exactly.
    Vectors(&'a Endpoint),
    /// Words and vectors, as shipped, without what else counts.
    Hybrid(&'a Endpoint),
    /// The same, × importance × recency.
    HybridRanked(&'a Endpoint, Ranking),
}

impl<'a> Method<'a> {
    pub(crate) fn all(endpoint: Option<&'a Endpoint>) -> Vec<Self> {
        let mut all = vec![
            Self::Porter,
            Self::Plain,
            Self::Blinded,
            Self::Ranked(Ranking::default()),
        ];
        if let Some(endpoint) = endpoint {
            all.extend([
                Self::Vectors(endpoint),
                Self::Hybrid(endpoint),
                Self::HybridRanked(endpoint, Ranking::default()),
            ]);
        }
        all
    }

    pub(crate) fn name(&self) -> String {
        match self {
            Self::Porter => "BM25, FTS5's porter".to_owned(),
            Self::Plain => "BM25, our terms".to_owned(),
            Self::Blinded => "BM25, blinded".to_owned(),
            Self::Ranked(_) => "BM25, blinded × importance × recency".to_owned(),
            Self::Vectors(endpoint) => format!("vectors, {}", endpoint.name()),
            Self::Hybrid(_) => "words and vectors".to_owned(),
            Self::HybridRanked(..) => "words and vectors × importance × recency".to_owned(),
        }
    }

    /// Asks every question of a conversation.
    pub(crate) fn run(
        &self,
        conversation: &Conversation,
        recall: &mut Recall,
    ) -> Result<(), Box<dyn Error>> {
        let embedded = match self {
            Self::Vectors(endpoint) => return vectors(endpoint, conversation, recall),
            Self::Hybrid(endpoint) | Self::HybridRanked(endpoint, _) => {
                Some(Embedded::of(endpoint, conversation)?)
            }
            Self::Porter | Self::Plain | Self::Blinded | Self::Ranked(_) => None,
        };
        let index = Index::new(BlindRoot::generate(&mut Fixed).space(Space::Private));
        let row = |text: &str| match self {
            Self::Porter => text.to_owned(),
            Self::Plain => words::terms(text).join(" "),
            Self::Blinded
            | Self::Ranked(_)
            | Self::Vectors(_)
            | Self::Hybrid(_)
            | Self::HybridRanked(..) => index.tokens(text),
        };
        let tokenizer = match self {
            Self::Porter => "porter unicode61",
            Self::Plain => "unicode61 remove_diacritics 0 tokenchars ''_.:-''",
            Self::Blinded
            | Self::Ranked(_)
            | Self::Vectors(_)
            | Self::Hybrid(_)
            | Self::HybridRanked(..) => "ascii",
        };
        let db = Connection::open_in_memory()?;
        db.execute_batch(&format!(
            "CREATE VIRTUAL TABLE turns USING fts5(words, tokenize = '{tokenizer}')"
        ))?;
        for (id, turn) in (0_i64..).zip(&conversation.turns) {
            db.execute(
                "INSERT INTO turns (rowid, words) VALUES (?1, ?2)",
                (id, row(&turn.text)),
            )?;
        }
        for (number, question) in conversation.questions.iter().enumerate() {
            let expression = match self {
                Self::Porter => quoted(question.text.split_whitespace()),
                Self::Plain => quoted(words::terms(&question.text).iter().map(String::as_str)),
                Self::Blinded
                | Self::Ranked(_)
                | Self::Vectors(_)
                | Self::Hybrid(_)
                | Self::HybridRanked(..) => index
                    .query(&question.text)
                    .map(|query| query.to_string())
                    .unwrap_or_default(),
            };
            let mut hits = bm25(&db, &expression)?;
            if let Some(embedded) = &embedded {
                hits = embedded.with(&hits, number)?;
            }
            recall.add(&self.order(hits, conversation), &question.evidence);
        }
        Ok(())
    }

    /// Orders hits (row, relevance), best first.
    fn order(&self, hits: Vec<(usize, f64)>, conversation: &Conversation) -> Hits {
        let score = |row: usize, relevance: f64| match (self, conversation.turns.get(row)) {
            (Self::Ranked(ranking) | Self::HybridRanked(_, ranking), Some(turn)) => {
                ranking.score(relevance, turn.importance, turn.at, conversation.asked)
            }
            (_, Some(_) | None) => relevance,
        };
        let mut scored: Vec<_> = hits
            .into_iter()
            .map(|(row, relevance)| (row, score(row, relevance)))
            .collect();
        scored.sort_by(|a, b| b.1.partial_cmp(&a.1).unwrap_or(Ordering::Equal));
        scored.into_iter().map(|(row, _)| row).collect()
    }
}

/// An expression of quoted words and `OR`.
fn quoted<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let mut expression = String::new();
    for word in words {
        let between = if expression.is_empty() { "" } else { " OR " };
        let _ = write!(expression, "{between}\"{}\"", word.replace('"', "\"\""));
    }
    expression
}

fn bm25(db: &Connection, expression: &str) -> rusqlite::Result<Vec<(usize, f64)>> {
    if expression.is_empty() {
        return Ok(Vec::new());
    }
    let mut statement = db.prepare(
        "SELECT rowid, -bm25(turns) FROM turns WHERE turns MATCH ?1 ORDER BY bm25(turns), rowid LIMIT 200",
    )?;
    let rows = statement.query_map([expression], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?)))?;
    rows.map(|row| {
        row.map(|(id, relevance)| (usize::try_from(id).unwrap_or(usize::MAX), relevance))
    })
    .collect()
}

/// The vectors of a conversation, in the index that ships.
struct Embedded {
    index: FlatIndex,
    questions: Vec<Vec<f32>>,
}

impl Embedded {
    fn of(endpoint: &Endpoint, conversation: &Conversation) -> Result<Self, Box<dyn Error>> {
        let mut index = FlatIndex::new(endpoint.size());
        let turns = conversation.turns.iter().map(|turn| turn.text.as_str());
        let turns = endpoint.all(&turns.collect::<Vec<_>>())?;
        for (row, vector) in turns.iter().enumerate() {
            at_once(index.put(&row.to_string(), vector))?;
        }
        let asked = conversation.questions.iter().map(|one| one.text.as_str());
        let questions = endpoint.all(&asked.collect::<Vec<_>>())?;
        Ok(Self { index, questions })
    }

    /// Fuses what words have found for a question with what is near it.
    fn with(
        &self,
        words: &[(usize, f64)],
        question: usize,
    ) -> Result<Vec<(usize, f64)>, Box<dyn Error>> {
        let vector = self.questions.get(question).ok_or("a question more")?;
        let near = at_once(self.index.nearest(vector, self.index.len()))?;
        let near = near
            .into_iter()
            .map(|near| Ok((near.id.parse()?, f64::from(near.cosine))))
            .collect::<Result<Vec<(u64, f64)>, Box<dyn Error>>>()?;
        let words: Vec<_> = words
            .iter()
            .map(|(row, relevance)| (*row as u64, *relevance))
            .collect();
        let fused = Fusion::default().fuse(&words, &near).into_iter();
        Ok(fused.map(|(row, score)| (row as usize, score)).collect())
    }
}

fn vectors(
    endpoint: &Endpoint,
    conversation: &Conversation,
    recall: &mut Recall,
) -> Result<(), Box<dyn Error>> {
    let mut index = FlatIndex::new(endpoint.size());
    check(endpoint, &index)?;
    let texts: Vec<_> = conversation
        .turns
        .iter()
        .map(|turn| turn.text.as_str())
        .collect();
    let exact = endpoint.all(&texts)?;
    for (row, vector) in exact.iter().enumerate() {
        at_once(index.put(&row.to_string(), vector))?;
    }
    let questions: Vec<_> = conversation
        .questions
        .iter()
        .map(|one| one.text.as_str())
        .collect();
    let asked = endpoint.all(&questions)?;
    for (question, vector) in conversation.questions.iter().zip(&asked) {
        let row = |near: &Near| near.id.parse::<usize>().unwrap_or(usize::MAX);
        let found = at_once(index.nearest(vector, DEPTH * OVERFETCH))?;
        let known = |id: &str| {
            id.parse()
                .ok()
                .and_then(|row: usize| exact.get(row))
                .map(Vec::as_slice)
        };
        let hits = rerank(vector, found, known, DEPTH);
        recall.add(
            &hits.iter().map(row).collect::<Vec<_>>(),
            &question.evidence,
        );
    }
    Ok(())
}

/// The blinding key of a benchmark needs no secret.
struct Fixed;

impl TryRng for Fixed {
    type Error = Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(7)
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(7)
    }
    fn try_fill_bytes(&mut self, target: &mut [u8]) -> Result<(), Infallible> {
        target.fill(7);
        Ok(())
    }
}

impl TryCryptoRng for Fixed {}
