//! The queue's consumer for mail: hands over what waits for agents of this network that kept their senders
//! waiting, or whose senders did not want to wait.
//!
//! A message of the queue is a hint, no more: the sending agent's object, and whom its mail is for. What to
//! hand over, and in which order, is asked of that object, which keeps it until it is told what became of
//! it. So hints may be lost, doubled and overtaken, and nothing that they carry can be read.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::{Either, join_all, select};
use serde::{Deserialize, Serialize};
use worker::{Delay, Env, MessageExt as _, QueueRetryOptionsBuilder, RawMessage, console_warn};

use crate::agent::wire::{
    self, Delivery, DeliveryReply, LaneFailed, LaneFault, LaneOutcome, LanePage, LanePull,
    LaneSettled, LaneWait,
};
use crate::error::ApiError;
use crate::internal::{self, Stub};

/// The binding of the queue.
pub(crate) const QUEUE: &str = "MAIL";
/// Messages of one call to a recipient.
const MAX_ITEMS: u32 = 256;
/// Calls to recipients for one batch of hints. Each takes three subrequests, of which an invocation has
/// 1,000.
const MAX_PAGES: u32 = 250;
/// A recipient has so long to take a batch.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The longest time that the platform holds a hint back, in seconds.
const MAX_DELAY_S: u64 = 12 * 60 * 60;

/// A message of the queue.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Hint {
    /// The sending agent's object.
    pub(crate) from: String,
    /// The recipient's DID.
    pub(crate) to: String,
}

impl Hint {
    /// Reads a message of the queue; nothing if it is none of these.
    pub(crate) fn read(message: &RawMessage) -> Option<Self> {
        let body = message.body();
        let text = |name: &str| js_sys::Reflect::get(&body, &name.into()).ok()?.as_string();
        Some(Self {
            from: text("from")?,
            to: text("to")?,
        })
    }
}

/// What is to be done about a hint.
enum After {
    /// Nothing more: nothing waits, or another hint follows.
    Done,
    /// It comes again after so many milliseconds.
    Again(u64),
}

/// Sends a hint.
///
/// # Errors
/// If there is no queue, or it does not take the hint.
pub(crate) async fn hint(env: &Env, hint: Hint) -> Result<(), ApiError> {
    Ok(env.queue(QUEUE)?.send(hint).await?)
}

/// Takes a batch of hints; the ways to different recipients beside one another.
pub(crate) async fn consume(hints: Vec<(Hint, RawMessage)>, env: &Env) {
    let mut lanes: BTreeMap<Hint, Vec<RawMessage>> = BTreeMap::new();
    for (hint, message) in hints {
        lanes.entry(hint).or_default().push(message);
    }
    let pages = Cell::new(MAX_PAGES);
    let visits = lanes.into_iter().map(|(hint, messages)| {
        let pages = &pages;
        async move {
            match visit(env, &hint, pages).await {
                Ok(After::Done) => messages.iter().for_each(RawMessage::ack),
                Ok(After::Again(millis)) => again(&messages, millis),
                Err(error) if error.status < 500 => {
                    // The sender is gone, and its mail with it.
                    console_warn!("a hint at mail leads nowhere: {error}");
                    messages.iter().for_each(RawMessage::ack);
                }
                Err(error) => {
                    console_warn!("mail waits: {error}");
                    again(&messages, 1_000);
                }
            }
        }
    });
    join_all(visits).await;
}

/// One of these comes again; the others would say the same.
fn again(messages: &[RawMessage], millis: u64) {
    let Some((first, others)) = messages.split_first() else {
        return;
    };
    let seconds = millis.div_ceil(1_000).min(MAX_DELAY_S);
    let delay = u32::try_from(seconds).unwrap_or(u32::MAX);
    let options = QueueRetryOptionsBuilder::new().with_delay_seconds(delay);
    first.retry_with_options(&options.build());
    others.iter().for_each(RawMessage::ack);
}

/// Hands over what waits on one way, page by page, each told to the sender before the next is asked for.
async fn visit(env: &Env, hint: &Hint, pages: &Cell<u32>) -> Result<After, ApiError> {
    let sender = internal::agent(env, &hint.from)?;
    let mut limit = MAX_ITEMS;
    loop {
        let Some(left) = pages.get().checked_sub(1) else {
            return Ok(After::Again(0));
        };
        pages.set(left);
        let pull = LanePull {
            to: hint.to.clone(),
            limit,
        };
        let page: LanePage = wire::call(&sender, "/lane/pull", &pull).await?;
        if page.items.is_empty() {
            return Ok(After::Done);
        }
        let recipient = internal::agent(env, &page.object)?;
        match deliver(&recipient, &page).await {
            Ok(items) => {
                let settled = LaneSettled {
                    to: hint.to.clone(),
                    items,
                };
                let () = wire::call(&sender, "/lane/settled", &settled).await?;
            }
            // It may be one of them that the recipient cannot bear: the first alone.
            Err(_) if page.items.len() > 1 => limit = 1,
            Err(error) => {
                console_warn!("{} takes no mail: {error}", hint.to);
                let failed = LaneFailed {
                    to: hint.to.clone(),
                    fault: fault(&recipient).await,
                    failures: page.failures,
                };
                let wait: LaneWait = wire::call(&sender, "/lane/failed", &failed).await?;
                return Ok(wait.millis.map_or(After::Done, After::Again));
            }
        }
    }
}

/// Hands one page over. Returns what became of each message.
async fn deliver(recipient: &Stub, page: &LanePage) -> Result<Vec<LaneOutcome>, ApiError> {
    let delivery = Delivery {
        network: page.network.clone(),
        host: page.host.clone(),
        items: page.items.iter().map(|item| item.bytes.clone()).collect(),
    };
    let call = wire::call::<DeliveryReply>(recipient, "/deliver", &delivery);
    let refused = match in_time(call).await {
        Ok(reply) if reply.refused.len() == page.items.len() => reply.refused,
        Ok(_) => {
            return Err(ApiError::internal(
                "an answer for another number of messages",
            ));
        }
        Err(error) if error.status == 410 => {
            vec![Some("AGENT_DELETED".to_owned()); page.items.len()]
        }
        Err(error) => return Err(error),
    };
    let items = page.items.iter().zip(refused);
    let outcome = |(item, code): (&wire::LaneItem, _)| LaneOutcome {
        id: item.id.clone(),
        tail: item.tail.clone(),
        code,
    };
    Ok(items.map(outcome).collect())
}

/// Finds out whether a recipient that does not take a message answers at all.
async fn fault(recipient: &Stub) -> LaneFault {
    let request = internal::new_request_id();
    let call = internal::get::<wire::PrekeyReply>(recipient, "/prekey", &request);
    match in_time(call).await {
        Ok(_) => LaneFault::Head,
        Err(_) => LaneFault::Down,
    }
}

async fn in_time<T>(call: impl Future<Output = Result<T, ApiError>>) -> Result<T, ApiError> {
    match select(Box::pin(call), Delay::from(TIMEOUT)).await {
        Either::Left((outcome, _)) => outcome,
        Either::Right(((), _)) => Err(ApiError::internal("no answer within 10 s")),
    }
}
