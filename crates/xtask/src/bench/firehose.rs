//! `cargo xtask bench firehose`: what a frame to a subscriber costs, beside a bare fan-out.
//!
//! The same load runs twice on each side, without subscribers and with them; the difference in CPU,
//! by the frames that arrived, is what the stream costs. Events are those of messages between agents of
//! one network; each subscriber wants those of one of 100 senders.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use serde_json::{Map, Value, json};
use tungstenite::Message;

use super::meter::{self, as_f64};
use super::{networks, socket};
use crate::cli::{BenchFirehose, Build};
use crate::paths::Repo;
use crate::progress::Step;
use crate::up::client::Client;
use crate::up::launch::Launch;
use crate::up::plan;
use crate::up::supervisor;
use crate::{build, setup};

/// Agents that act; a subscriber's filter fits one of a hundred events.
const SENDERS: usize = 100;
/// Threads that send.
const HANDS: usize = 8;
/// Events of one message within a network: accepted, received, delivered.
const EVENTS: u32 = 3;
/// How long the last frames may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// A subscriber's thread needs little.
const STACK: usize = 192 * 1024;

/// One side: how to act as one of the senders, and how to subscribe to one.
struct Side {
    name: &'static str,
    /// Acts once as sender `n`; makes `events` events.
    act: Box<dyn Fn(usize) -> Result<()> + Send + Sync>,
    events: u32,
    /// Where to subscribe to sender `n`, and with what token.
    url: Box<dyn Fn(usize) -> String + Send + Sync>,
    token: String,
    processes: Vec<u32>,
}

/// What one side cost.
struct Cost {
    name: &'static str,
    frames: u64,
    idle_ms: f64,
    loaded_ms: f64,
}

/// Runs the benchmark.
pub(super) fn run(repo: &Repo, args: &BenchFirehose) -> Result<()> {
    if !meter::available() {
        bail!("the benchmark reads /proc and runs on Linux only");
    }
    match &args.bundle {
        Some(_) => drop(setup::node(repo)?),
        None => build::run(
            repo,
            &Build {
                release: true,
                ..Build::default()
            },
        )?,
    }
    let mut costs = Vec::new();
    let (node, folder, running) = node(repo, args)?;
    let cost = measure(node, args);
    networks::stop(&[folder], running)?;
    costs.push(cost?);
    let (floor, folder, running) = floor(repo, args)?;
    let cost = measure(floor, args);
    networks::stop(&[folder], running)?;
    costs.push(cost?);
    print!("{}", render(&costs, args));
    Ok(())
}

type Started = (
    Side,
    crate::up::state::StateFolder,
    Vec<supervisor::Running>,
);

fn node(repo: &Repo, args: &BenchFirehose) -> Result<Started> {
    let folder = networks::fresh(repo, "firehose", args.port)?;
    let networks = plan::networks(1, args.port);
    let bundle = args
        .bundle
        .as_ref()
        .map_or_else(|| Ok(repo.worker_bundle()), std::path::absolute)?;
    let launch = Launch {
        repo,
        folder: &folder,
        networks: &networks,
        bundle,
        vars: Map::new(),
        detach: false,
    };
    let running = launch.start(&networks)?;
    let network = networks.first().context("one network")?;
    let key = folder.secrets(network.name)?.admin_key;
    let admin = Client::new(&network.url(), &key);
    let _: Value = admin.post("/admin/init", &json!({}))?;
    let step = Step::begin(format!("creating {SENDERS} agents"));
    let agent = |name: &str| -> Result<(String, String)> {
        let made: Value = admin.post("/agents/create", &json!({ "name": name }))?;
        let text = |field: &str| made.get(field)?.as_str().map(str::to_owned);
        text("did")
            .zip(text("token"))
            .ok_or_else(|| anyhow!("an agent without DID or token: {made}"))
    };
    let (recipient, _) = agent("recipient")?;
    let recipient = format!("{recipient}@{}", network.host());
    let senders = (0..SENDERS)
        .map(|n| agent(&format!("sender-{n}")))
        .collect::<Result<Vec<_>>>()?;
    step.end();
    let dids: Vec<String> = senders.iter().map(|(did, _)| did.clone()).collect();
    let host = network.host();
    let clients: Vec<Client> = senders
        .iter()
        .map(|(_, token)| Client::new(&network.url(), token).keep_connection())
        .collect();
    let side = Side {
        name: "entente",
        act: Box::new(move |n| {
            let client = clients.get(n % SENDERS).context("a sender")?;
            let content = json!({ "kind": "text", "text": "what a subscriber does not see" });
            let body = json!({ "to": recipient, "content": content });
            let _: Value =
                client.post(&format!("/agents/sender-{}/messages", n % SENDERS), &body)?;
            Ok(())
        }),
        events: EVENTS,
        url: Box::new(move |n| {
            let did = dids.get(n % SENDERS).map_or("", String::as_str);
            format!("ws://{host}/relay/firehose?dids={did}&kinds=message.*")
        }),
        token: key,
        processes: networks::processes(&running)?,
    };
    Ok((side, folder, running))
}

fn floor(repo: &Repo, args: &BenchFirehose) -> Result<Started> {
    let port = args.port.saturating_add(10);
    let folder = networks::fresh(repo, "firehose-floor", port)?;
    let networks = plan::networks(1, port);
    let network = networks.first().context("one network")?;
    supervisor::check_port(network)?;
    let mut config = supervisor::Config::new(network, &folder, repo.local().join("floor"))?;
    config.objects = Some(networks::pairs([("FANOUT", "FloorFanout".into())]));
    config.vars = networks::pairs([("NETWORK_HOST", network.host())]);
    let script = repo.local().join("supervisor.mjs");
    let running = vec![supervisor::start(&script, &folder, &config)?.wait()?];
    let (url, host) = (network.url(), network.host());
    let client = ureq::Agent::new_with_defaults();
    // As long as a frame of ours.
    let frame = "x".repeat(420);
    let side = Side {
        name: "bare fan-out",
        act: Box::new(move |n| {
            let url = format!("{url}/fanout/{}", n % SENDERS);
            client.post(&url).send(frame.as_str())?;
            Ok(())
        }),
        events: 1,
        url: Box::new(move |n| format!("ws://{host}/fanout/{}", n % SENDERS)),
        token: "none".to_owned(),
        processes: networks::processes(&running)?,
    };
    Ok((side, folder, running))
}

fn measure(side: Side, args: &BenchFirehose) -> Result<Cost> {
    let side = Arc::new(side);
    // The first time each is looked up is not what is measured.
    for n in 0..SENDERS {
        (side.act)(n)?;
    }
    let step = Step::begin(format!("{}: without subscribers", side.name));
    let (idle_ms, _) = load(&side, args, |_| Ok(0))?;
    step.end();
    let step = Step::begin(format!("{}: {} subscribers", side.name, args.subscribers));
    let stop = Arc::new(AtomicBool::new(false));
    let threads = (0..args.subscribers as usize)
        .map(|n| subscribe(&side, n, &stop))
        .collect::<Result<Vec<_>>>()?;
    let events = u64::from(side.events);
    let expected = |acts: &BTreeMap<usize, u64>| {
        let of = |n: usize| acts.get(&(n % SENDERS)).copied().unwrap_or(0);
        (0..args.subscribers as usize).map(of).sum::<u64>() * events
    };
    let (loaded_ms, acts) = load(&side, args, |acts| {
        let deadline = Instant::now() + PATIENCE;
        let due = expected(acts);
        while threads.iter().map(Subscriber::frames).sum::<u64>() < due && Instant::now() < deadline
        {
            thread::sleep(Duration::from_millis(20));
        }
        Ok(due)
    })?;
    stop.store(true, Ordering::SeqCst);
    let mut frames = 0;
    for (n, one) in threads.into_iter().enumerate() {
        let got = one.end()?;
        let due = acts.get(&(n % SENDERS)).copied().unwrap_or(0) * events;
        if got != due {
            bail!("{}: subscriber {n} got {got} of {due} frames", side.name);
        }
        frames += got;
    }
    step.end();
    Ok(Cost {
        name: side.name,
        frames,
        idle_ms,
        loaded_ms,
    })
}

/// Acts at the rate for the time; returns the CPU until `settled` returns, and who acted how often.
fn load(
    side: &Arc<Side>,
    args: &BenchFirehose,
    settled: impl FnOnce(&BTreeMap<usize, u64>) -> Result<u64>,
) -> Result<(f64, BTreeMap<usize, u64>)> {
    let before = meter::cpu_ms(&side.processes)?;
    let total = u64::from(args.rate / side.events) * args.seconds;
    let between = Duration::from_secs_f64(as_f64(args.seconds) / as_f64(total.max(1)));
    let begun = Instant::now();
    let hands = (0..HANDS).map(|hand| {
        let side = Arc::clone(side);
        thread::spawn(move || -> Result<BTreeMap<usize, u64>> {
            let mut acts = BTreeMap::new();
            for number in (hand..usize::try_from(total)?).step_by(HANDS) {
                let due = between.saturating_mul(u32::try_from(number)?);
                thread::sleep(due.saturating_sub(begun.elapsed()));
                (side.act)(number)?;
                *acts.entry(number % SENDERS).or_default() += 1;
            }
            Ok(acts)
        })
    });
    let mut acts: BTreeMap<usize, u64> = BTreeMap::new();
    for hand in hands.collect::<Vec<_>>() {
        let some = hand
            .join()
            .map_err(|_panic| anyhow!("a sending thread panicked"))??;
        for (sender, count) in some {
            *acts.entry(sender).or_default() += count;
        }
    }
    let _ = settled(&acts)?;
    // What follows the last event, such as its receipt, belongs to it.
    thread::sleep(Duration::from_secs(1));
    Ok((meter::cpu_ms(&side.processes)? - before, acts))
}

/// A socket that counts.
struct Subscriber {
    frames: Arc<std::sync::atomic::AtomicU64>,
    thread: thread::JoinHandle<Result<()>>,
}

impl Subscriber {
    fn frames(&self) -> u64 {
        self.frames.load(Ordering::SeqCst)
    }

    fn end(self) -> Result<u64> {
        let ended = self.thread.join();
        ended.map_err(|_panic| anyhow!("a subscriber's thread panicked"))??;
        Ok(self.frames.load(Ordering::SeqCst))
    }
}

fn subscribe(side: &Side, n: usize, stop: &Arc<AtomicBool>) -> Result<Subscriber> {
    let (sender, mut receiver) = socket::open(&(side.url)(n), &side.token)?;
    let frames = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let (counted, stop) = (Arc::clone(&frames), Arc::clone(stop));
    let thread = thread::Builder::new().stack_size(STACK).spawn(move || {
        let _keep = sender;
        while !stop.load(Ordering::SeqCst) {
            if let Some(Message::Text(text)) = receiver.receive()?
                && !text.starts_with("{\"type\":\"status\"")
                && !text.starts_with("{\"type\":\"cursor\"")
            {
                counted.fetch_add(1, Ordering::SeqCst);
            }
        }
        Ok(())
    })?;
    Ok(Subscriber { frames, thread })
}

fn render(costs: &[Cost], args: &BenchFirehose) -> String {
    let mut text = format!(
        "\n{} subscribers, {} events/s, {} s; nothing was lost\n\n\
         | subject | frames | server CPU ms without subscribers | with | µs CPU a frame |\n\
         |---|---:|---:|---:|---:|\n",
        args.subscribers, args.rate, args.seconds
    );
    for cost in costs {
        text += &format!(
            "| {} | {} | {:.0} | {:.0} | {:.1} |\n",
            cost.name,
            cost.frames,
            cost.idle_ms,
            cost.loaded_ms,
            cost.a_frame()
        );
    }
    if let [ours, floor] = costs {
        text += &format!(
            "\nratio to the floor: {:.2}\n",
            ours.a_frame() / floor.a_frame()
        );
    }
    text
}

impl Cost {
    fn a_frame(&self) -> f64 {
        (self.loaded_ms - self.idle_ms) * 1_000.0 / as_f64(self.frames.max(1))
    }
}
