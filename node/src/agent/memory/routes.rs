//! What the Worker may ask of an agent's memory.

use std::rc::Rc;

use entente_lexicon::api::memory::{NewRecord, PutRecord, ShareRecord};
use serde::Serialize;
use worker::{Method, Request, Response};

use crate::agent::core::Core;
use crate::agent::memory::query::Query;
use crate::agent::read::given;
use crate::agent::wire::{self, ReplicaFailed};
use crate::error::ApiError;
use crate::routes::body;

impl Core {
    /// Answers what follows `/agents/:name/memory`; nothing if there is no such route.
    pub(in crate::agent) async fn memory_route(
        self: &Rc<Self>,
        request: &mut Request,
        rest: &str,
    ) -> Result<Option<Response>, ApiError> {
        self.memory.prepare()?;
        self.check_vectors()?;
        let answer = self.answer_memory(request, rest).await;
        if answer.as_ref().is_err_and(|error| error.status >= 500) {
            // What was rolled back may have changed what is in memory.
            self.memory.vectors.reset();
        }
        self.make_vectors()?;
        self.hide_unpublished().await;
        // Whatever came of it: an earlier life may have left something.
        self.hint_replica()?;
        answer
    }

    async fn answer_memory(
        self: &Rc<Self>,
        request: &mut Request,
        rest: &str,
    ) -> Result<Option<Response>, ApiError> {
        let parts: Vec<&str> = rest.split('/').filter(|part| !part.is_empty()).collect();
        let answer = match (request.method(), parts.as_slice()) {
            (Method::Post, []) => {
                let record: NewRecord = body::json(request).await?;
                let (view, new) = self.store_record(record)?;
                let status = if new { 201 } else { 200 };
                Response::from_json(&view)?.with_status(status)
            }
            (Method::Get, []) => json(&self.list_records(&request.query::<Query>()?)?)?,
            (Method::Get, ["search"]) => json(&self.search(&request.query()?).await?)?,
            (Method::Get, ["shared"]) => json(&self.list_shared(&request.query()?)?)?,
            (Method::Post, ["import"]) => json(&self.import_archive(request).await?)?,
            (Method::Post, ["rotate"]) => json(&self.rotate_memory()?)?,
            (Method::Get, ["rotation"]) => json(&self.rotation()?)?,
            (Method::Get, ["meaning"]) => json(&self.meaning()?)?,
            (Method::Post, ["reembed"]) => json(&self.reembed()?)?,
            (Method::Get, ["settings"]) => json(&self.settings()?)?,
            (Method::Put, ["settings"]) => json(&self.set_settings(body::json(request).await?)?)?,
            (Method::Get, ["compaction"]) => {
                let page: Page = request.query()?;
                json(&self.compaction_plan(given(&page.cursor))?)?
            }
            (Method::Post, ["compaction"]) => json(&self.compact(&body::json(request).await?)?)?,
            (Method::Get, [id]) => json(&self.get_record(id)?)?,
            (Method::Put, [id]) => {
                let record: PutRecord = body::json(request).await?;
                json(&self.put_record(id, record)?)?
            }
            (Method::Delete, [id]) => {
                let swap: Swap = request.query()?;
                self.delete_record(id, swap.swap_record.as_deref())?;
                Response::empty()?.with_status(204)
            }
            (Method::Post, [id, "forget"]) => {
                let swap: Swap = request.query()?;
                json(&self.forget_record(id, swap.swap_record.as_deref())?)?
            }
            (Method::Get, [id, "history"]) => json(&self.record_history(id)?)?,
            (Method::Post, [id, "public"]) => json(&self.publish_record(id)?)?,
            (Method::Delete, [id, "public"]) => json(&self.withdraw_record(id)?)?,
            (Method::Post, [id, "share"]) => {
                let share: ShareRecord = body::json(request).await?;
                json(&self.share_record(id, &share.with).await?)?
            }
            (Method::Delete, [id, "share", with]) => json(&self.unshare_record(id, with)?)?,
            _ => return Ok(None),
        };
        Ok(Some(answer))
    }
}

impl Core {
    /// How far the replica is, for people; and what its writer asks.
    pub(in crate::agent) async fn replica_route(
        self: &Rc<Self>,
        request: &mut Request,
    ) -> Result<Option<Response>, ApiError> {
        let answer = match (request.method(), request.path().as_str()) {
            (Method::Get, "/memory/replica") => json(&self.replica_view()?)?,
            (Method::Post, "/replica/pull") => {
                let pull = wire::read(request).await?;
                wire::respond(&self.replica_page(&pull)?)?
            }
            (Method::Post, "/replica/failed") => {
                let failed: ReplicaFailed = wire::read(request).await?;
                self.replica_failed(&failed.error)?;
                wire::respond(&())?
            }
            _ => return Ok(None),
        };
        Ok(Some(answer))
    }
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Swap {
    swap_record: Option<String>,
}

#[derive(serde::Deserialize)]
struct Page {
    cursor: Option<String>,
}

fn json(value: &impl Serialize) -> Result<Response, ApiError> {
    Ok(Response::from_json(value)?)
}
