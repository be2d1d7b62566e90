//! Calls, several at a time, and what they cost the servers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

use super::sides::Side;
use super::words::Chance;
use crate::bench::meter;
use crate::up::client::Client;

/// Calls at a time.
const CLIENTS: u64 = 8;

/// How often a call is tried.
const ATTEMPTS: u32 = 3;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// A call that does next to nothing.
    Nothing,
    /// Storing a record.
    Store,
    /// Reading one.
    Get,
    /// A page of 100.
    List,
    /// Two words, of which a record has either.
    Search,
}

/// All of it.
pub(super) const ALL: &[What] = &[
    What::Nothing,
    What::Store,
    What::Get,
    What::List,
    What::Search,
];

impl What {
    /// What the report calls it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "an empty call",
            Self::Store => "store",
            Self::Get => "get",
            Self::List => "list 100",
            Self::Search => "search",
        }
    }

    /// Calls of one round: fewer of what takes longer.
    const fn calls(self, calls: u64) -> u64 {
        match self {
            Self::Nothing | Self::Store | Self::Get => calls,
            Self::List | Self::Search => calls / 10 + 1,
        }
    }
}

/// What calls cost.
#[derive(Clone, Debug)]
pub(super) struct Cost {
    /// CPU time of the servers for one call in milliseconds.
    pub(super) cpu_ms: f64,
    /// From the call to the answer, sorted.
    pub(super) latencies: Vec<Duration>,
}

#[derive(Deserialize)]
struct Stored {
    id: String,
}

/// Stores so many records.
pub(super) fn fill(side: &Side, records: u64) -> Result<()> {
    calls(side, What::Store, records).map(|_latencies| ())
}

/// Calls so often, and waits until the servers are done with what it led to.
pub(super) fn run(side: &Side, what: What, count: u64) -> Result<Cost> {
    let count = what.calls(count);
    let before = meter::cpu_ms(&side.processes)?;
    let latencies = calls(side, what, count)?;
    side.settle()?;
    let after = meter::cpu_ms(&side.processes)?;
    Ok(Cost {
        cpu_ms: (after - before) / meter::as_f64(count),
        latencies,
    })
}

fn calls(side: &Side, what: What, count: u64) -> Result<Vec<Duration>> {
    let next = AtomicU64::new(0);
    let latencies = Mutex::new(Vec::new());
    thread::scope(|scope| {
        let work = |number: u64| {
            let mut chance = Chance::new(side.seed.fetch_add(1, Ordering::SeqCst) + number);
            let client = Client::new(&side.url, &side.token).keep_connection();
            while next.fetch_add(1, Ordering::SeqCst) < count {
                let began = Instant::now();
                insist(|| call(side, &client, what, &mut chance))?;
                locked(&latencies).push(began.elapsed());
            }
            anyhow::Ok(())
        };
        let workers: Vec<_> = (0..CLIENTS)
            .map(|number| scope.spawn(move || work(number)))
            .collect();
        let done = workers.into_iter().map(|worker| {
            let joined = worker.join();
            joined.map_err(|_panic| anyhow::anyhow!("a client panicked"))?
        });
        done.collect::<Result<()>>()
    })?;
    let mut latencies = latencies
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    latencies.sort_unstable();
    Ok(latencies)
}

/// Tries again what got no answer: a server may close a connection that we are about to use.
fn insist(mut work: impl FnMut() -> Result<()>) -> Result<()> {
    for _ in 1..ATTEMPTS {
        if work().is_ok() {
            return Ok(());
        }
    }
    work()
}

fn call(side: &Side, client: &Client, what: What, chance: &mut Chance) -> Result<()> {
    let path = &side.path;
    let ignored = |answer: Result<IgnoredAny>| answer.map(|_ignored| ());
    match what {
        What::Nothing => ignored(client.read(&side.nothing)),
        What::Store => {
            let record = json!({ "$type": "agent.memory.note", "text": chance.text() });
            let stored: Stored = client.post(path, &json!({ "record": record }))?;
            locked(&side.ids).push(stored.id);
            Ok(())
        }
        What::Get => {
            let id = some_id(side, chance)?;
            ignored(client.read(&format!("{path}/{id}")))
        }
        What::List => {
            let cursor = locked(&side.cursor).clone();
            let page: Page = client.read(&format!("{path}?limit=100{cursor}"))?;
            let next = page.cursor.filter(|_next| page.records.len() == 100);
            *locked(&side.cursor) = next.map_or_else(String::new, |next| format!("&cursor={next}"));
            Ok(())
        }
        What::Search => {
            let words = chance.words(2).replace(' ', "+");
            ignored(client.read(&format!("{path}/search?q={words}&limit=50")))
        }
    }
}

#[derive(Deserialize)]
struct Page {
    records: Vec<IgnoredAny>,
    cursor: Option<String>,
}

fn some_id(side: &Side, chance: &mut Chance) -> Result<String> {
    let ids = locked(&side.ids);
    let at = usize::try_from(chance.below(ids.len().max(1) as u64))?;
    ids.get(at).cloned().context("nothing was stored")
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
