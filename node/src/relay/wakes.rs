//! Agents that events wake: each is told what its filters let through, in order and once as it sees it.
//!
//! That something wakes an agent is committed with the event; what it was told moves on once the agent
//! has committed it. Between them there is the sequence of events itself: who is called, when, and with
//! what is read from there, so a crash costs nothing but a call made again, which the agent knows by its
//! place. Who is further behind than events are kept is told of a gap.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use entente_firehose::{Courier, Job, Occurrence, Standing};
use entente_lexicon::api::Event;
use entente_lexicon::{Address, Did, Timestamp};
use wasm_bindgen_futures::spawn_local;
use worker::{Delay, console_warn};

use crate::agent::wire::{self, LeftFilters, Woken};
use crate::error::ApiError;
use crate::internal::{self, now};
use crate::relay::core::{Core, Live};
use crate::relay::shards::{OBSERVABILITY, names};
use crate::relay::wake_store::WakeAgent;

/// Events that are looked at for one call.
const LOOKED_AT: u64 = 500;
/// What a deleted agent's object answers.
const GONE: &str = "AGENT_DELETED";

/// The agents that events wake, while the relay is awake.
#[derive(Default)]
pub(super) struct Wakes {
    standing: Standing,
    courier: Courier,
    /// When somebody comes back for those that wait.
    timer: Option<Timestamp>,
}

/// What an agent is told in one call.
struct Page {
    woken: Woken,
    object: String,
    agent: u64,
    /// Nothing in it has to be told.
    is_empty: bool,
}

impl Live {
    /// Returns the agents that new events wake and that wait for nothing yet, each with the event before.
    pub(super) fn wake(&mut self, events: &[Event]) -> Vec<(u64, u64)> {
        let mut fresh = Vec::new();
        if self.wakes.standing.is_empty() {
            return fresh;
        }
        for event in events {
            let seen = names(&self.anonymiser.event(event));
            let woken = judged(event, &seen, |event| self.wakes.standing.woken(event));
            let before = event.seq.saturating_sub(1);
            for agent in woken {
                if self.wakes.courier.note(agent, before, now()) {
                    fresh.push((agent, before));
                }
            }
        }
        fresh
    }
}

/// Has an event judged as standing filters see it.
fn judged<T>(event: &Event, seen: &[String], judge: impl FnOnce(&Occurrence<'_>) -> T) -> T {
    let is_public = event.kind.starts_with("announcement.");
    let collection = event.label.as_deref().filter(|_| is_public);
    let [from, to] = [&event.from, &event.to].map(|name| did_of(name.as_deref()));
    judge(&Occurrence {
        seq: event.seq,
        collection: collection.unwrap_or(OBSERVABILITY),
        kind: &event.kind,
        seen,
        real: &names(event),
        from: from.as_deref(),
        to: to.as_deref(),
    })
}

fn did_of(name: Option<&str>) -> Option<String> {
    let name = name?;
    let address = name.parse::<Address>();
    Some(address.map_or_else(|_| name.to_owned(), |address| address.did.to_string()))
}

impl Core {
    pub(super) fn restore_wakes(&self) -> Result<Wakes, ApiError> {
        let mut wakes = Wakes::default();
        for agent in self.store.wake_agents()? {
            let filters = self.store.standing_filters(agent.n)?;
            wakes.standing.set(agent.n, &agent.did, filters);
            if let Some(after) = agent.pending {
                let _ = wakes.courier.note(agent.n, after, now());
            }
        }
        Ok(wakes)
    }

    /// Takes an agent's filters in place of those before; they count for events from now on.
    pub(super) fn leave_filters(&self, left: &LeftFilters) -> Result<(), ApiError> {
        self.with_live(|live| {
            let newest = live.newest;
            let known = self.store.wake_agent(&left.did)?;
            if known
                .as_ref()
                .is_some_and(|known| known.version > left.version)
            {
                return Ok(());
            }
            let agent = self
                .store
                .transaction(|| self.replace_filters(left, known.as_ref(), newest))?;
            match agent {
                Some(agent) => {
                    let filters = self.store.standing_filters(agent)?;
                    live.wakes.standing.set(agent, &left.did, filters);
                }
                None => live.forget_wakes_of(known.as_ref()),
            }
            Ok(())
        })
    }

    fn replace_filters(
        &self,
        left: &LeftFilters,
        known: Option<&WakeAgent>,
        newest: u64,
    ) -> Result<Option<u64>, ApiError> {
        if left.filters.is_empty() {
            if let Some(known) = known {
                self.store.drop_wake_agent(known.n)?;
            }
            return Ok(None);
        }
        let agent = self.store.put_wake_agent(left)?;
        let pending = known.is_some_and(|known| known.pending.is_some());
        let mut new: BTreeMap<&str, _> = BTreeMap::new();
        for filter in &left.filters {
            new.insert(&filter.id, filter);
        }
        for kept in self.store.wake_filters(agent)? {
            let named = new.get(kept.left.id.as_str()).copied();
            match named {
                None => self.store.drop_wake_filter(kept.n)?,
                Some(_) if kept.upto.is_some() => {}
                Some(same) if *same == kept.left => {
                    new.remove(kept.left.id.as_str());
                }
                // What came before is still judged by what it was.
                Some(_) if pending => self.store.end_wake_filter(kept.n, newest)?,
                Some(_) => self.store.drop_wake_filter(kept.n)?,
            }
        }
        for filter in new.into_values() {
            self.store.add_wake_filter(agent, filter, newest)?;
        }
        Ok(Some(agent))
    }

    /// Forgets the filters of an agent that was deleted.
    pub(super) fn forget_filters(&self, did: &Did) -> Result<(), ApiError> {
        if !self.store.exists()? {
            return Ok(());
        }
        self.with_live(|live| {
            let known = self.store.wake_agent(did.as_str())?;
            if let Some(known) = &known {
                self.store
                    .transaction(|| self.store.drop_wake_agent(known.n))?;
            }
            live.forget_wakes_of(known.as_ref());
            Ok(())
        })
    }

    /// Tells whether some agent has yet to be told of something.
    pub(super) fn somebody_waits(&self) -> Result<bool, ApiError> {
        self.with_live(|live| Ok(!live.wakes.courier.is_empty()))
    }

    /// Calls the agents that events wake, and comes back for those that wait.
    pub(super) fn wake_soon(self: &Rc<Self>) {
        let outcome = self.with_live(|live| {
            while let Some(job) = live.wakes.courier.next(now()) {
                let core = Rc::clone(self);
                spawn_local(async move { core.wake_agent(job).await });
            }
            let due = live.wakes.courier.due();
            let sooner = |timer: Timestamp| due.is_none_or(|due| timer <= due.max(now()));
            if live.wakes.timer.is_some_and(sooner) {
                return Ok(None);
            }
            // What is due now waits for the end of a call, not for a time.
            live.wakes.timer = due.filter(|due| *due > now());
            Ok(live.wakes.timer)
        });
        match outcome {
            Ok(None) => {}
            Ok(Some(due)) => {
                let core = Rc::clone(self);
                spawn_local(async move { core.come_back(due).await });
            }
            Err(error) => console_warn!("agents are not woken yet: {error}"),
        }
    }

    async fn come_back(self: &Rc<Self>, due: Timestamp) {
        Delay::from(Duration::from_millis(due.since(now()).max(1))).await;
        let _ = self.with_live(|live| {
            if live.wakes.timer == Some(due) {
                live.wakes.timer = None;
            }
            Ok(())
        });
        self.wake_soon();
    }

    async fn wake_agent(self: &Rc<Self>, job: Job) {
        // Armed first: if this object dies, the alarm goes on.
        let outcome = match self.arm_sweep().await {
            Ok(()) => self.tell_woken(job).await,
            Err(error) => Err(error),
        };
        if let Err(error) = outcome {
            let _ = self.with_live(|live| {
                live.wakes.courier.failed(job.agent, now());
                Ok(())
            });
            console_warn!("an agent is not woken yet: {error}");
        }
        self.wake_soon();
    }

    async fn tell_woken(&self, job: Job) -> Result<(), ApiError> {
        let Some(page) = self.woken_page(job)? else {
            return self.with_live(|live| {
                live.wakes.courier.forget(job.agent);
                live.wakes
                    .courier
                    .told(job.agent, now(), job.after, 0, false);
                Ok(())
            });
        };
        if !page.is_empty {
            let stub = internal::agent(&self.env, &page.object)?;
            match wire::call::<()>(&stub, "/woken", &page.woken).await {
                Ok(()) => {}
                Err(error) if error.code == GONE => {
                    self.store.drop_wake_agent(job.agent)?;
                    return self.with_live(|live| {
                        live.wakes.standing.remove(job.agent);
                        live.wakes.courier.forget(job.agent);
                        Ok(())
                    });
                }
                Err(error) => return Err(error),
            }
        }
        self.note_told(&page)
    }

    /// Notes how far an agent was told. Never awaits: nothing happens between looking whether there is
    /// more and writing down that there is none.
    fn note_told(&self, page: &Page) -> Result<(), ApiError> {
        let (agent, upto) = (page.agent, page.woken.upto);
        let events = u32::try_from(page.woken.events.len()).unwrap_or(u32::MAX);
        self.with_live(|live| {
            // A new sequence began meanwhile, and nothing of the old one is told.
            let more = upto < live.newest && page.woken.epoch == live.epoch;
            let pruned = self.store.transaction(|| {
                self.store
                    .set_wake_pending(agent, Some(upto).filter(|_| more))?;
                self.store.prune_wake_filters(agent, upto)
            })?;
            if pruned && let Some(known) = self.store.wake_agent_numbered(agent)? {
                let filters = self.store.standing_filters(agent)?;
                live.wakes.standing.set(agent, &known.did, filters);
            }
            live.wakes.courier.told(agent, now(), upto, events, more);
            Ok(())
        })
    }

    /// Finds what an agent is to be told next; nothing if it left no filters.
    fn woken_page(&self, job: Job) -> Result<Option<Page>, ApiError> {
        let Some(known) = self.store.wake_agent_numbered(job.agent)? else {
            return Ok(None);
        };
        let ids: BTreeMap<u64, String> = self
            .store
            .wake_filters(job.agent)?
            .into_iter()
            .map(|kept| (kept.n, kept.left.id))
            .collect();
        let room = usize::try_from(job.room).unwrap_or(usize::MAX);
        self.with_live(|live| {
            let oldest = self.store.oldest()?;
            let floor = oldest.map_or(live.newest, |oldest| oldest.saturating_sub(1));
            let after = job.after.max(floor);
            let gap = after > job.after;
            let mut upto = after;
            let mut events = Vec::new();
            for event in self.store.after(after, LOOKED_AT)? {
                if events.len() >= room {
                    break;
                }
                upto = event.seq;
                let shown = live.anonymiser.event(&event);
                let (fits, acts) = judged(&event, &names(&shown), |one| {
                    (
                        live.wakes.standing.fits(job.agent, one),
                        one.is_by(&known.did),
                    )
                });
                if fits.is_empty() {
                    continue;
                }
                let fits = fits.iter().filter_map(|number| ids.get(number).cloned());
                events.push((if acts { event } else { shown }, fits.collect()));
            }
            Ok(Some(Page {
                agent: job.agent,
                is_empty: events.is_empty() && !gap,
                woken: Woken {
                    epoch: live.epoch.clone(),
                    gap,
                    after,
                    upto,
                    version: known.version,
                    events,
                },
                object: known.object,
            }))
        })
    }
}

impl Live {
    fn forget_wakes_of(&mut self, known: Option<&WakeAgent>) {
        if let Some(known) = known {
            self.wakes.standing.remove(known.n);
            self.wakes.courier.forget(known.n);
        }
    }
}
