//! Streams: how a task stands now, then every word of the worker's, in order and none left out.

use std::rc::Rc;
use std::time::Duration;

use entente_a2a::rpc;
use entente_a2a::task;
use entente_lexicon::Timestamp;
use entente_tasks::Says;
use futures::future::select;
use futures::stream;
use serde_json::{Value, json};
use worker::{Delay, Response};

use crate::agent::core::Core;
use crate::agent::identity::Me;
use crate::agent::tasks::a2a::serve::Place;
use crate::agent::tasks::store::StoredTask;
use crate::error::ApiError;
use crate::internal;

/// A stream ends after this time; whoever wants more subscribes again.
const STREAM_MS: u64 = 600_000;
/// A stream is silent no longer than this.
const SILENCE: Duration = Duration::from_secs(15);

/// How far a stream is.
struct Seen {
    id: Value,
    task: u64,
    /// The last word that was told.
    last: u64,
    until: Timestamp,
    ended: bool,
    _place: Place,
}

impl Core {
    pub(super) fn a2a_stream(
        self: &Rc<Self>,
        me: &Rc<Me>,
        id: Value,
        stored: &StoredTask,
        place: Place,
    ) -> Result<Response, ApiError> {
        // All of one turn: nothing is said in between.
        let stored = self.task_row(stored.n)?;
        let view = self.task_view(me, &stored)?;
        let words = self.tasks.store.words(stored.n)?;
        let first = rpc::event(&id, &json!({ "task": task::task(&view, None, true) }));
        let seen = Seen {
            id,
            task: stored.n,
            last: words.last().map_or(0, |word| word.n),
            until: internal::now().after(STREAM_MS),
            ended: stored.task.state().is_final(),
            _place: place,
        };
        let (core, me) = (Rc::clone(self), Rc::clone(me));
        let rest = stream::unfold(seen, move |seen| {
            let (core, me) = (Rc::clone(&core), Rc::clone(&me));
            async move { core.a2a_next(&me, seen).await }
        });
        let first = stream::iter([Ok::<_, worker::Error>(first.into_bytes())]);
        let events = futures::StreamExt::chain(first, rest);
        let response = Response::from_stream(Box::pin(events))?;
        let headers = response.headers();
        headers.set("content-type", "text/event-stream")?;
        headers.set("cache-control", "no-store")?;
        headers.set("x-accel-buffering", "no")?;
        Ok(response)
    }

    /// The next events of a stream; none once the task has ended or asks back.
    async fn a2a_next(
        self: Rc<Self>,
        me: &Me,
        mut seen: Seen,
    ) -> Option<(worker::Result<Vec<u8>>, Seen)> {
        if seen.ended || internal::now() >= seen.until {
            return None;
        }
        let changed = self.tasks.a2a.watch.next(seen.task);
        let mut text = self.a2a_news(me, &mut seen).ok()?;
        if text.is_empty() {
            let _ = select(changed, Delay::from(SILENCE)).await;
            text = self.a2a_news(me, &mut seen).ok()?;
        }
        if text.is_empty() && !seen.ended {
            // A comment, so that nobody in between takes the stream for dead.
            text.push_str(": \n\n");
        }
        Some((Ok(text.into_bytes()), seen))
    }

    fn a2a_news(&self, me: &Me, seen: &mut Seen) -> Result<String, ApiError> {
        let stored = self.task_row(seen.task)?;
        let words = self.tasks.store.words_after(seen.task, seen.last)?;
        if words.is_empty() {
            return Ok(String::new());
        }
        let view = self.brief_view(me, &stored)?;
        let mut text = String::new();
        for word in &words {
            let entry = self.task_entry(me, &stored, word)?;
            for event in task::events(&view, &entry) {
                text.push_str(&rpc::event(&seen.id, &event));
            }
            if let Says::Status(state) = word.word.says {
                seen.ended |= task::rests(state);
            }
            seen.last = word.n;
        }
        Ok(text)
    }
}
