//! Reading the repos: atproto's XRPC for the public one, and archives.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::vec::IntoIter;

use entente_lexicon::{Nsid, RecordKey, RecordPath, Tid, Timestamp};
use entente_memory::repo::block::{Blocks as _, parse_cid_text};
use entente_memory::repo::import::write_proof;
use entente_memory::repo::json::to_json;
use entente_memory::repo::node::{EntryData, NodeData};
use entente_memory::repo::walk::{Item, Range, Walk, path};
use entente_memory::repo::{Cid, Key, car};
use entente_memory::sealed::{Sealed, SealedKey, record_cid};
use futures::stream;
use serde_json::{Value, json};
use worker::{Request, Response};

use crate::agent::core::Core;
use crate::agent::memory::Holding;
use crate::agent::repo::RepoTree;
use crate::agent::store::AgentStore;
use crate::error::ApiError;
use crate::internal;

const WINDOW_MS: u64 = 60_000;
/// Reads of one agent's public repo in a minute, by all readers together.
const READS_PER_MINUTE: u32 = 600;
/// Archives of it in a minute.
const ARCHIVES_PER_MINUTE: u32 = 30;
/// Archives on their way out of one agent at a time.
const MAX_ARCHIVES: u32 = 4;
/// An archive goes out in pieces of at least this many bytes.
const PIECE_BYTES: usize = 64 * 1024;
const DEFAULT_PAGE: usize = 50;
const MAX_PAGE: usize = 100;
/// Blocks that are asked for at once.
const MAX_BLOCKS: usize = 50;
const CAR: &str = "application/vnd.ipld.car";

/// How much of the public repo is being read, by whomever.
#[derive(Debug, Default)]
pub(super) struct RepoReads {
    minute: RefCell<Minute>,
    archives: Rc<Cell<u32>>,
}

/// Reads in one minute. Forgotten when the object sleeps.
#[derive(Debug, Default)]
struct Minute {
    number: u64,
    reads: u32,
    archives: u32,
}

impl Minute {
    /// Takes a place for a read, or says that there is none left in this minute.
    fn admit(&mut self, archive: bool, now: Timestamp) -> bool {
        let number = now.0 / WINDOW_MS;
        if number != self.number {
            *self = Self {
                number,
                ..Self::default()
            };
        }
        let (count, limit) = if archive {
            (&mut self.archives, ARCHIVES_PER_MINUTE)
        } else {
            (&mut self.reads, READS_PER_MINUTE)
        };
        let admitted = *count < limit;
        *count = count.saturating_add(u32::from(admitted));
        admitted
    }
}

/// A place among the archives on their way, given back when dropped.
struct Place(Rc<Cell<u32>>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

/// An archive on its way: what the tree had when it was asked for.
struct Outgoing {
    store: AgentStore,
    items: IntoIter<Item>,
    ready: Vec<u8>,
    /// What writes took away since; nothing where there are no records.
    holding: Option<Holding>,
    _place: Place,
}

impl Outgoing {
    /// Returns the next piece; an empty one at the end.
    fn piece(&mut self) -> Result<Vec<u8>, ApiError> {
        let mut piece = std::mem::take(&mut self.ready);
        while piece.len() < PIECE_BYTES {
            match self.items.next() {
                Some(Item::Node(cid, node)) => car::append(&mut piece, &cid, &node),
                Some(Item::Leaf(key, cid)) => {
                    let at = RecordPath::parse(key.as_str()).map_err(ApiError::internal)?;
                    let block = match self.store.record_block(&at, &cid)? {
                        Some(block) => Some(block),
                        None => self.held(&cid.to_bytes())?,
                    };
                    // Whoever reads an archive that took too long sees that it is cut short.
                    let block = block.ok_or_else(|| ApiError::internal("an archive overtaken"))?;
                    car::append(&mut piece, &cid, &block);
                    self.append_key(&mut piece, &block)?;
                }
                None => break,
            }
        }
        Ok(piece)
    }

    fn held(&self, id: &[u8]) -> Result<Option<Vec<u8>>, ApiError> {
        let Some(holding) = &self.holding else {
            return Ok(None);
        };
        Ok(holding.held(id)?)
    }

    /// Appends what wraps the key of a sealed record, so that whoever has the agent's own keys can
    /// import it even where the row is gone.
    fn append_key(&self, piece: &mut Vec<u8>, block: &[u8]) -> Result<(), ApiError> {
        let Ok(Sealed { dek, .. }) = Sealed::decode(block) else {
            return Ok(());
        };
        let row = match self.store.key_row(dek)? {
            Some(row) => Some(row),
            None => self.held(dek.as_bytes())?,
        };
        let row = row.ok_or_else(|| ApiError::internal("a record's key is not wrapped"))?;
        let block = SealedKey { dek, row: &row }.encode();
        car::append(piece, &record_cid(&block), &block);
        Ok(())
    }
}

/// The query of a request.
struct Query {
    given: BTreeMap<String, String>,
    /// The one parameter that may be there more than once.
    cids: Vec<String>,
}

impl Query {
    fn of(request: &Request) -> Result<Self, ApiError> {
        let url = request.url()?;
        let pairs = || {
            let pairs = url.query_pairs();
            pairs.map(|(name, value)| (name.into_owned(), value.into_owned()))
        };
        let cids = pairs().filter(|(name, _)| name == "cids");
        Ok(Self {
            given: pairs().collect(),
            cids: cids.map(|(_, value)| value).collect(),
        })
    }

    fn given(&self, name: &str) -> Option<&str> {
        let text = self.given.get(name).map(String::as_str);
        text.filter(|text| !text.is_empty())
    }

    fn needed(&self, name: &str) -> Result<&str, ApiError> {
        self.given(name)
            .ok_or_else(|| invalid(format!("`{name}` is missing.")))
    }

    fn collection(&self) -> Result<Nsid, ApiError> {
        let text = self.needed("collection")?;
        Nsid::parse(text).map_err(|error| invalid(format!("`collection`: {error}.")))
    }

    fn path(&self) -> Result<RecordPath, ApiError> {
        let rkey = RecordKey::parse(self.needed("rkey")?)
            .map_err(|error| invalid(format!("`rkey`: {error}.")))?;
        Ok(RecordPath::new(self.collection()?, rkey))
    }

    fn limit(&self) -> Result<usize, ApiError> {
        let Some(text) = self.given("limit") else {
            return Ok(DEFAULT_PAGE);
        };
        let limit = text.parse().ok();
        limit
            .filter(|limit| (1..=MAX_PAGE).contains(limit))
            .ok_or_else(|| invalid("`limit` is a number from 1 to 100."))
    }
}

impl Core {
    /// Answers atproto's methods on the public repo.
    pub(super) async fn xrpc(&self, method: &str, request: &Request) -> Result<Response, ApiError> {
        let query = Query::of(request)?;
        let archive = method == "com.atproto.sync.getRepo";
        let minute = &self.repo_reads.minute;
        if !minute.borrow_mut().admit(archive, internal::now()) {
            return Err(too_many());
        }
        match method {
            "com.atproto.sync.getRepo" => {
                let since = query.given("since").map(Tid::parse).transpose();
                let since = since.map_err(|error| invalid(format!("`since`: {error}.")))?;
                self.archive(RepoTree::Public, since.as_ref())
            }
            "com.atproto.sync.getBlocks" => self.blocks(&query.cids),
            "com.atproto.sync.getRepoStatus" => {
                let (did, rev) = (self.identity()?.did.clone(), self.head(RepoTree::Public)?);
                let rev = rev.commit.rev;
                let status = json!({ "did": did, "active": true, "rev": rev });
                Ok(Response::from_json(&status)?)
            }
            "com.atproto.sync.getLatestCommit" => {
                let head = self.head(RepoTree::Public)?;
                let (cid, rev) = (head.cid().to_string(), head.commit.rev);
                Ok(Response::from_json(&json!({ "cid": cid, "rev": rev }))?)
            }
            "com.atproto.sync.getBlob" => {
                self.read_public_blob(request, query.needed("cid")?).await
            }
            "com.atproto.sync.getRecord" => self.record_proof(&query.path()?),
            "com.atproto.repo.getRecord" => {
                let (path, wanted) = (query.path()?, query.given("cid"));
                let wanted = wanted.map(parse_cid_text).transpose();
                let wanted = wanted.map_err(|error| invalid(format!("`cid`: {error}.")))?;
                Ok(Response::from_json(&self.public_view(&path, wanted)?)?)
            }
            "com.atproto.repo.listRecords" => Ok(Response::from_json(&self.public_list(&query)?)?),
            _ => Err(invalid("There is no such method.")),
        }
    }

    /// Sends a whole repo as a CAR archive; or what of it came after a revision, the commit before all
    /// else.
    pub(super) fn archive(
        &self,
        tree: RepoTree,
        since: Option<&Tid>,
    ) -> Result<Response, ApiError> {
        let archives = &self.repo_reads.archives;
        if archives.get() >= MAX_ARCHIVES {
            return Err(too_many());
        }
        archives.set(archives.get() + 1);
        let place = Place(Rc::clone(archives));
        let head = self.head(tree)?;
        let nodes = self.store.nodes(tree);
        let items: Vec<Item> = match since {
            Some(since) => items_since(nodes.since(since)?)?,
            None => Walk::new(&nodes, &head.commit.data).collect::<Result<_, _>>()?,
        };
        let cid = head.cid();
        let mut ready = car::header(&cid);
        car::append(&mut ready, &cid, &head.encode());
        let outgoing = Outgoing {
            store: self.store.clone(),
            items: items.into_iter(),
            ready,
            holding: self.hold_records()?,
            _place: place,
        };
        let pieces = stream::try_unfold(outgoing, |mut outgoing| async move {
            let piece = outgoing.piece();
            let piece = piece.map_err(|error| worker::Error::from(error.to_string()))?;
            Ok::<_, worker::Error>((!piece.is_empty()).then_some((piece, outgoing)))
        });
        car_headers(Response::from_stream(pieces)?)
    }

    /// Sends blocks of the public repo by their CIDs: its commit, its nodes, its records.
    fn blocks(&self, wanted: &[String]) -> Result<Response, ApiError> {
        if wanted.is_empty() || wanted.len() > MAX_BLOCKS {
            return Err(invalid(format!("`cids` names 1 to {MAX_BLOCKS} blocks.")));
        }
        let head = self.head(RepoTree::Public)?;
        let nodes = self.store.nodes(RepoTree::Public);
        let mut archive = car::header_without_root();
        for text in wanted {
            let cid = parse_cid_text(text).map_err(|error| invalid(format!("`cids`: {error}.")))?;
            let block = if cid == head.cid() {
                Some(head.encode())
            } else if let Some(node) = nodes.block(&cid)? {
                Some(node)
            } else if self.has_records()? {
                self.store.public_record(&cid)?
            } else {
                None
            };
            let block = block.ok_or_else(|| {
                let message = format!("The public repo has no block {cid}.");
                ApiError::new(400, "BlockNotFound", message)
            })?;
            car::append(&mut archive, &cid, &block);
        }
        car_headers(Response::from_bytes(archive)?)
    }

    /// Sends the proof of what the public repo says of one path.
    fn record_proof(&self, of: &RecordPath) -> Result<Response, ApiError> {
        let head = self.head(RepoTree::Public)?;
        let nodes = self.store.nodes(RepoTree::Public);
        let found = path(&nodes, &head.commit.data, &Key::from(of))?;
        let record = match found.value {
            Some(cid) => Some(self.public_block(of, &cid)?),
            None => None,
        };
        let proof = write_proof(&head, &found, record.as_deref());
        car_headers(Response::from_bytes(proof)?)
    }

    /// Returns the block of a record that the public tree leads to.
    fn public_block(&self, of: &RecordPath, cid: &Cid) -> Result<Vec<u8>, ApiError> {
        let block = self.store.record_block(of, cid)?;
        block.ok_or_else(|| ApiError::internal(format!("the public tree names {of}")))
    }

    fn public_view(&self, of: &RecordPath, wanted: Option<Cid>) -> Result<Value, ApiError> {
        let head = self.head(RepoTree::Public)?;
        let nodes = self.store.nodes(RepoTree::Public);
        let found = path(&nodes, &head.commit.data, &Key::from(of))?.value;
        let cid = found.filter(|cid| wanted.is_none_or(|wanted| wanted == *cid));
        let cid = cid.ok_or_else(|| {
            ApiError::new(
                400,
                "RecordNotFound",
                format!("There is no public record {of}."),
            )
        })?;
        self.shown(of, &cid)
    }

    fn shown(&self, of: &RecordPath, cid: &Cid) -> Result<Value, ApiError> {
        let value = to_json(&self.public_block(of, cid)?).map_err(ApiError::internal)?;
        let did = &self.identity()?.did;
        Ok(json!({ "uri": format!("at://{did}/{of}"), "cid": cid.to_string(), "value": value }))
    }

    /// Lists a collection, the newest key first unless asked the other way round.
    fn public_list(&self, query: &Query) -> Result<Value, ApiError> {
        let (collection, limit) = (query.collection()?, query.limit()?);
        let ascending = query.given("reverse") == Some("true");
        let cursor = query.given("cursor").map(RecordKey::parse).transpose();
        let cursor = cursor.map_err(|_error| invalid("`cursor` is not one of ours."))?;
        let mut range = Range::of(&collection, ascending);
        if let Some(rkey) = cursor {
            range.go_on_after(&RecordPath::new(collection, rkey));
        }
        let head = self.head(RepoTree::Public)?;
        let nodes = self.store.nodes(RepoTree::Public);
        let found = range.read(&nodes, &head.commit.data, limit)?;
        let page = found.into_iter().map(|(key, cid)| {
            let path = RecordPath::parse(key.as_str()).map_err(ApiError::internal)?;
            Ok((path, cid))
        });
        let page = page.collect::<Result<Vec<(RecordPath, Cid)>, ApiError>>()?;
        let last = page.last().filter(|_last| page.len() == limit);
        let cursor = last.map(|(path, _)| path.rkey().to_string());
        let records = page.iter().map(|(path, cid)| self.shown(path, cid));
        let records = records.collect::<Result<Vec<Value>, ApiError>>()?;
        Ok(match cursor {
            Some(cursor) => json!({ "cursor": cursor, "records": records }),
            None => json!({ "records": records }),
        })
    }
}

/// What these nodes are and lead to. Some of the records may be older than their nodes: they are sent
/// once more.
fn items_since(nodes: Vec<(Cid, Vec<u8>)>) -> Result<Vec<Item>, ApiError> {
    let mut items = Vec::new();
    for (cid, bytes) in nodes {
        let node = NodeData::decode(&bytes).map_err(ApiError::internal)?;
        items.push(Item::Node(cid, bytes));
        let leaf = |entry: EntryData| Item::Leaf(entry.key, entry.value);
        items.extend(node.entries.into_iter().map(leaf));
    }
    Ok(items)
}

fn car_headers(response: Response) -> Result<Response, ApiError> {
    response.headers().set("content-type", CAR)?;
    response.headers().set("cache-control", "no-store")?;
    Ok(response)
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(400, "InvalidRequest", message)
}

fn too_many() -> ApiError {
    ApiError::new(
        429,
        "RateLimitExceeded",
        "This repo is read too often: wait a minute.",
    )
    .with_header("retry-after", "60".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_readers_together_have_so_many_reads_a_minute_and_then_as_many_again() {
        let mut minute = Minute::default();
        let mut admitted = |archive, now| {
            (0..2_000)
                .filter(|_| minute.admit(archive, Timestamp(now)))
                .count()
        };
        assert_eq!(admitted(false, 5), 600);
        assert_eq!(admitted(true, 6), 30);
        assert_eq!(admitted(false, 59_999), 0);
        assert_eq!(admitted(true, WINDOW_MS), 30);
        assert_eq!(admitted(false, WINDOW_MS), 600);
    }

    #[test]
    fn a_place_among_the_archives_is_given_back() {
        let archives = Rc::new(Cell::new(1));
        drop(Place(Rc::clone(&archives)));
        assert_eq!(archives.get(), 0);
    }
}
