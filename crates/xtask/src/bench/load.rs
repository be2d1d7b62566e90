//! One run: keeps a number of messages in flight and takes the time of their arrival.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use tungstenite::Message;

use super::meter::{self, Usage};
use super::networks::Subject;
use super::socket::{self, Receiver, Sender};

const BODY_BYTES: usize = 200;
const PATIENCE: Duration = Duration::from_secs(30);

/// What was seen at the far agent.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcome {
    /// Messages that arrived while it was counted.
    pub(super) delivered: u64,
    /// How long it was counted.
    pub(super) elapsed: Duration,
    /// From the call to send to the arrival, sorted.
    pub(super) latencies: Vec<Duration>,
}

struct Shared {
    begun: Instant,
    arrived: AtomicU64,
    stop: AtomicBool,
    sent_at: Mutex<Vec<Instant>>,
    latencies: Mutex<Vec<(Duration, Duration)>>,
    failure: Mutex<Option<String>>,
}

/// Sends for `warm_up` + `time` with `in_flight` messages underway; counts the latter part.
pub(super) fn run(
    subject: &Subject,
    in_flight: u64,
    warm_up: Duration,
    time: Duration,
) -> Result<(Outcome, Usage)> {
    let (mut sender, notices) = socket::open(&subject.sender_url, &subject.sender_token)?;
    let (_keep, arrivals) = socket::open(&subject.receiver_url, &subject.receiver_token)?;
    let shared = Arc::new(Shared {
        begun: Instant::now(),
        arrived: AtomicU64::new(0),
        stop: AtomicBool::new(false),
        sent_at: Mutex::default(),
        latencies: Mutex::default(),
        failure: Mutex::default(),
    });
    let readers = [
        read(arrivals, &shared, true, thread::current()),
        read(notices, &shared, false, thread::current()),
    ];
    let done = drive(subject, &mut sender, &shared, in_flight, warm_up, time);
    shared.stop.store(true, Ordering::SeqCst);
    for reader in readers {
        reader
            .join()
            .map_err(|_panic| anyhow!("a reading thread panicked"))?;
    }
    let (from, to, usage) = done?;
    Ok((outcome(&shared, from, to), usage))
}

type Span = (Duration, Duration, Usage);

fn drive(
    subject: &Subject,
    sender: &mut Sender,
    shared: &Shared,
    in_flight: u64,
    warm_up: Duration,
    time: Duration,
) -> Result<Span> {
    let mut sent = 0;
    pump(subject, sender, shared, in_flight, warm_up, &mut sent)?;
    let (from, cpu_before) = (shared.begun.elapsed(), meter::cpu_ms(&subject.processes)?);
    pump(
        subject,
        sender,
        shared,
        in_flight,
        warm_up + time,
        &mut sent,
    )?;
    let (to, cpu_after) = (shared.begun.elapsed(), meter::cpu_ms(&subject.processes)?);
    let deadline = Instant::now() + PATIENCE;
    while shared.arrived.load(Ordering::SeqCst) < sent {
        check(shared)?;
        if Instant::now() > deadline {
            let missing = sent - shared.arrived.load(Ordering::SeqCst);
            bail!(
                "{}: {missing} of {sent} messages did not arrive within {} s",
                subject.name,
                PATIENCE.as_secs()
            );
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok((
        from,
        to,
        Usage {
            cpu_ms: cpu_after - cpu_before,
            resident_bytes: 0,
        },
    ))
}

fn pump(
    subject: &Subject,
    sender: &mut Sender,
    shared: &Shared,
    in_flight: u64,
    until: Duration,
    sent: &mut u64,
) -> Result<()> {
    let mut last = (shared.arrived.load(Ordering::SeqCst), Instant::now());
    while shared.begun.elapsed() < until {
        let arrived = shared.arrived.load(Ordering::SeqCst);
        if arrived != last.0 {
            last = (arrived, Instant::now());
        }
        if last.1.elapsed() > PATIENCE {
            bail!(
                "{}: nothing arrived for {} s",
                subject.name,
                PATIENCE.as_secs()
            );
        }
        // The first message alone: it makes both ends look each other up.
        let window = if arrived == 0 { 1 } else { in_flight };
        if *sent - arrived >= window {
            check(shared)?;
            thread::park_timeout(Duration::from_millis(50));
            continue;
        }
        let text = (subject.frame)(&body(*sent));
        locked(&shared.sent_at).push(Instant::now());
        sender.send(text)?;
        *sent += 1;
    }
    Ok(())
}

fn read(
    mut receiver: Receiver,
    shared: &Arc<Shared>,
    arrivals: bool,
    wake: thread::Thread,
) -> JoinHandle<()> {
    let shared = shared.clone();
    thread::spawn(move || {
        while !shared.stop.load(Ordering::SeqCst) {
            match receiver.receive() {
                Ok(Some(Message::Text(text))) => take(&shared, &text, arrivals, &wake),
                Ok(_) => {}
                Err(error) => {
                    *locked(&shared.failure) = Some(format!("a socket broke: {error}"));
                    return;
                }
            }
        }
    })
}

fn take(shared: &Shared, text: &str, arrivals: bool, wake: &thread::Thread) {
    if text.contains(r#""type":"error""#) {
        *locked(&shared.failure) = Some(format!("the network answers {text}"));
    }
    let Some(number) = number(text).filter(|_| arrivals) else {
        return;
    };
    let sent_at = usize::try_from(number)
        .ok()
        .and_then(|index| locked(&shared.sent_at).get(index).copied());
    if let Some(sent_at) = sent_at {
        locked(&shared.latencies).push((shared.begun.elapsed(), sent_at.elapsed()));
        shared.arrived.fetch_add(1, Ordering::SeqCst);
        wake.unpark();
    }
}

fn check(shared: &Shared) -> Result<()> {
    locked(&shared.failure)
        .take()
        .map_or(Ok(()), |failure| Err(anyhow!("{failure}")))
}

fn outcome(shared: &Shared, from: Duration, to: Duration) -> Outcome {
    let seen = locked(&shared.latencies);
    let mut latencies: Vec<_> = seen
        .iter()
        .filter(|(at, _)| (from..to).contains(at))
        .map(|(_, took)| *took)
        .collect();
    latencies.sort_unstable();
    Outcome {
        delivered: latencies.len() as u64,
        elapsed: to - from,
        latencies,
    }
}

/// 200 bytes that begin with the message's number.
fn body(number: u64) -> String {
    format!("{:-<BODY_BYTES$}", format!("#{number:010} "))
}

fn number(text: &str) -> Option<u64> {
    let (_, rest) = text.split_once(r#""text":"#)?;
    rest.get(2..12)?.parse().ok()
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_survives_in_the_body() {
        let text = format!(
            r#"{{"type":"message","content":{{"kind":"text","text":"{}"}}}}"#,
            body(42)
        );
        assert_eq!(body(42).len(), BODY_BYTES);
        assert_eq!(number(&text), Some(42));
        assert_eq!(number("{}"), None);
    }
}
