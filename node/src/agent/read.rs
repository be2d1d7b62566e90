//! Reading mail back: lists, one message's journey, the inbox.

use entente_lexicon::api::{Inbox, InboxMessage, MessageList, MessageStatus, ReceiptView};
use entente_lexicon::id::BASE32;
use entente_lexicon::{Did, Host, MessageId, ReceiptStatus};
use serde::Deserialize;

use crate::agent::core::{Core, address};
use crate::agent::deliver::{Party, inbox_view};
use crate::agent::identity::Me;
use crate::agent::journey::Step;
use crate::agent::store::StoredMessage;
use crate::error::ApiError;
use crate::proof::Proof;

const DEFAULT_PAGE: u32 = 50;
const MAX_PAGE: u32 = 200;

/// The query of a list.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Page {
    direction: Option<String>,
    cursor: Option<String>,
    limit: Option<String>,
}

impl Page {
    pub(super) fn limit(&self) -> Result<u32, ApiError> {
        let Some(text) = given(&self.limit) else {
            return Ok(DEFAULT_PAGE);
        };
        match text.parse() {
            Ok(limit) if (1..=MAX_PAGE).contains(&limit) => Ok(limit),
            Ok(_) | Err(_) => Err(ApiError::bad_request(
                "INVALID_LIMIT",
                "`limit` is a number from 1 to 200.",
            )),
        }
    }

    /// What to go on from, as the caller wrote it.
    pub(super) fn cursor(&self) -> Option<&str> {
        given(&self.cursor)
    }

    /// Rows after this one.
    pub(super) fn after(&self) -> Result<u64, ApiError> {
        let Some(text) = given(&self.cursor) else {
            return Ok(0);
        };
        BASE32
            .decode(text.as_bytes())
            .ok()
            .and_then(|bytes| <[u8; 8]>::try_from(bytes).ok())
            .map(u64::from_be_bytes)
            .ok_or_else(|| {
                ApiError::bad_request(
                    "INVALID_CURSOR",
                    "`cursor` is not one of ours: pass what the last page returned, or none to start over.",
                )
            })
    }

    fn outgoing(&self) -> Result<Option<bool>, ApiError> {
        match self.direction.as_deref() {
            None | Some("") => Ok(None),
            Some("in") => Ok(Some(false)),
            Some("out") => Ok(Some(true)),
            Some(_) => Err(ApiError::bad_request(
                "INVALID_DIRECTION",
                "`direction` is `in` or `out`; leave it away for both.",
            )),
        }
    }
}

/// An empty parameter is one that is not there.
pub(super) fn given(parameter: &Option<String>) -> Option<&str> {
    parameter.as_deref().filter(|text| !text.is_empty())
}

pub(super) fn cursor(n: u64) -> String {
    BASE32.encode(&n.to_be_bytes())
}

impl Core {
    pub(super) fn list(&self, page: &Page) -> Result<MessageList, ApiError> {
        let me = self.identity()?;
        let limit = page.limit()?;
        let rows = self.store.page(page.outgoing()?, page.after()?, limit)?;
        let full = u32::try_from(rows.len()).is_ok_and(|count| count == limit);
        let next = rows.last().filter(|_| full).map(|row| cursor(row.n));
        let messages = rows.iter().map(|row| {
            let mut steps = self.store.steps(&row.id)?;
            // A page of signatures is of use to nobody: each message shows its own.
            steps.iter_mut().for_each(|step| step.proof = None);
            status_view(&me, row, steps)
        });
        Ok(MessageList {
            messages: messages.collect::<Result<_, _>>()?,
            cursor: next,
        })
    }

    pub(super) fn status(&self, id: &str) -> Result<MessageStatus, ApiError> {
        let unknown = || {
            ApiError::not_found(
                "UNKNOWN_MESSAGE",
                "This agent has no message with that id: GET /agents/:name/messages lists them.",
            )
        };
        let me = self.identity()?;
        let id = MessageId::parse(id).map_err(|_error| unknown())?;
        let row = self.store.message(&id)?.ok_or_else(unknown)?;
        let steps = self.store.steps(&id)?;
        status_view(&me, &row, steps)
    }

    pub(super) fn inbox(&self, page: &Page) -> Result<Inbox, ApiError> {
        let me = self.identity()?;
        let after = page.after()?;
        let rows = self.store.page(Some(false), after, page.limit()?)?;
        let last = rows.last().map_or(after, |row| row.n);
        let messages = rows.iter().map(|row| inbox_message(&me, row));
        Ok(Inbox {
            messages: messages.collect::<Result<_, _>>()?,
            cursor: Some(cursor(last)),
        })
    }
}

fn inbox_message(me: &Me, row: &StoredMessage) -> Result<InboxMessage, ApiError> {
    let did = Did::parse(&row.peer).map_err(ApiError::internal)?;
    let host = Host::parse(&row.host).map_err(ApiError::internal)?;
    let body = me.open_body(&row.id, &row.body)?;
    let from = Party {
        did: &did,
        host: &host,
        name: row.peer_name.clone(),
    };
    Ok(InboxMessage {
        read_at: row.read_at,
        ..inbox_view(me, &row.id, from, body, row.stored_at)
    })
}

fn step_view(step: Step) -> ReceiptView {
    let proof = step.proof.as_deref().and_then(Proof::decode);
    ReceiptView {
        status: step.status,
        at: step.end.at,
        by: step.end.by,
        code: step.end.code,
        proof: proof.map(|proof| proof.view()),
    }
}

fn status_view(me: &Me, row: &StoredMessage, steps: Vec<Step>) -> Result<MessageStatus, ApiError> {
    let ours = address(&me.did, &me.host);
    let theirs = format!("{}@{}", row.peer, row.host);
    let (from, to) = if row.outgoing {
        (ours, theirs)
    } else {
        (theirs, ours)
    };
    let mut receipts = vec![ReceiptView {
        status: row.status.when_accepted(),
        at: row.created_at,
        by: me.network.to_string(),
        code: None,
        proof: None,
    }];
    let is_read = row.status == ReceiptStatus::Read;
    let known = |step: &Step| is_read || step.status != ReceiptStatus::Read;
    receipts.extend(steps.into_iter().filter(known).map(step_view));
    // Another clock said when it was read: no earlier than what came before.
    let latest = receipts.iter().map(|step| step.at).max();
    for step in &mut receipts {
        if step.status == ReceiptStatus::Read {
            step.at = latest.unwrap_or(step.at);
        }
    }
    if !row.outgoing {
        // What its sender's relay knew is not ours to tell; it was delivered here.
        let delivered = Some((ReceiptStatus::Delivered, row.stored_at));
        let read = row.read_at.map(|at| (ReceiptStatus::Read, at));
        let own = delivered.into_iter().chain(read);
        let own = own.map(|(status, at)| ReceiptView {
            status,
            at,
            by: me.network.to_string(),
            code: None,
            proof: None,
        });
        receipts = own.collect();
    }
    let body = me.open_body(&row.id, &row.body)?;
    Ok(MessageStatus {
        id: row.id.to_string(),
        direction: if row.outgoing { "out" } else { "in" }.to_owned(),
        from,
        to,
        status: match row.read_at {
            Some(_) => ReceiptStatus::Read,
            None => row.status,
        },
        created_at: row.created_at,
        sent_at: row.sent_at,
        receipts,
        peer_name: row.peer_name.clone(),
        content: Some(body.content),
        thread: body.thread,
    })
}
