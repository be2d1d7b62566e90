//! Frames of atproto's stream of repos, `com.atproto.sync.subscribeRepos`: a header, then a body, both
//! canonical DAG-CBOR.
//!
//! ```text
//! frame  = {"t": "#commit" | "#sync" | "#identity" | "#account" | "#info", "op": 1} ‖ body
//!        | {"op": -1} ‖ {"error": text, "message": text}
//! ```
//!
//! See `docs/protocol/repo.md`, section 6.

use cid::Cid;
use entente_lexicon::{Did, Tid, Timestamp};
use serde::{Deserialize, Serialize};

use super::car;
use super::cbor::{FALSE, NULL, Writer};

/// The longest archive of a commit's blocks that goes into a frame; what is longer is a `#sync`.
pub const MAX_BLOCKS_BYTES: usize = 32 * 1024;
/// The most writes of one commit that go into a frame.
pub const MAX_OPS: usize = 200;

/// One write of a commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Op {
    /// `collection/rkey`.
    pub path: String,
    /// What the path leads to now; nothing once the record is gone.
    pub cid: Option<Cid>,
    /// What it led to before.
    pub prev: Option<Cid>,
}

/// A commit that changed a repo.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The commit.
    pub commit: Cid,
    /// The revision before it.
    pub since: Option<Tid>,
    /// The root of the tree before it.
    pub prev_data: Option<Cid>,
    /// What was written.
    pub ops: Vec<Op>,
}

/// What a frame tells of one repo.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Body {
    /// It was written to. The archive holds the commit, the nodes it made and the records it wrote.
    Commit(Box<Change>),
    /// It is as this commit says now, whatever was told before; the archive holds the commit alone.
    Sync(Cid),
    /// Its keys changed: look them up again.
    Identity,
    /// Its agent was deleted.
    Deleted,
}

/// An event of one repo, before it has its place in the stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Whose repo.
    pub did: Did,
    /// The revision that it is now.
    pub rev: Tid,
    /// What happened.
    pub body: Body,
    /// CAR with the commit as its root; empty where no blocks belong to it.
    #[serde(with = "serde_bytes")]
    pub blocks: Vec<u8>,
    /// When.
    pub at: Timestamp,
}

impl Event {
    /// Makes what a commit is told as: with its blocks while they are few, else as a `#sync`.
    #[must_use]
    pub fn of_commit(
        did: &Did,
        rev: Tid,
        change: Change,
        (commit, others): (&[u8], &[(Cid, Vec<u8>)]),
        at: Timestamp,
    ) -> Self {
        let mut blocks = car::header(&change.commit);
        car::append(&mut blocks, &change.commit, commit);
        let alone = blocks.len();
        for (cid, block) in others {
            car::append(&mut blocks, cid, block);
        }
        let fits = blocks.len() <= MAX_BLOCKS_BYTES && change.ops.len() <= MAX_OPS;
        if !fits {
            blocks.truncate(alone);
        }
        Self {
            did: did.clone(),
            rev,
            body: if fits {
                Body::Commit(Box::new(change))
            } else {
                Body::Sync(change.commit)
            },
            blocks,
            at,
        }
    }

    /// Returns the commit that the repo is at, if the event tells it.
    #[must_use]
    pub fn head(&self) -> Option<&Cid> {
        match &self.body {
            Body::Commit(change) => Some(&change.commit),
            Body::Sync(commit) => Some(commit),
            Body::Identity | Body::Deleted => None,
        }
    }

    /// Writes the frame at a place of the stream.
    #[must_use]
    pub fn frame(&self, seq: u64) -> Vec<u8> {
        match &self.body {
            Body::Commit(change) => self.commit(seq, change),
            Body::Sync(_) => {
                let mut out = header("#sync");
                out.map(5);
                self.did(&mut out);
                out.text("rev");
                out.text(&self.rev.to_string());
                self.place(&mut out, seq);
                out.text("blocks");
                out.bytes(&self.blocks);
                out.into_bytes()
            }
            Body::Identity => {
                let mut out = header("#identity");
                out.map(3);
                self.did(&mut out);
                self.place(&mut out, seq);
                out.into_bytes()
            }
            Body::Deleted => {
                let mut out = header("#account");
                out.map(5);
                self.did(&mut out);
                self.place(&mut out, seq);
                out.text("active");
                out.simple(FALSE);
                out.text("status");
                out.text("deleted");
                out.into_bytes()
            }
        }
    }

    fn did(&self, out: &mut Writer) {
        out.text("did");
        out.text(self.did.as_str());
    }

    fn place(&self, out: &mut Writer, seq: u64) {
        out.text("seq");
        out.unsigned(seq);
        out.text("time");
        out.text(&self.at.to_string());
    }

    fn commit(&self, seq: u64, change: &Change) -> Vec<u8> {
        let mut out = header("#commit");
        out.map(11 + usize::from(change.prev_data.is_some()));
        out.text("ops");
        out.array(change.ops.len());
        for op in &change.ops {
            op.write(&mut out);
        }
        out.text("rev");
        out.text(&self.rev.to_string());
        out.text("seq");
        out.unsigned(seq);
        out.text("repo");
        out.text(self.did.as_str());
        out.text("time");
        out.text(&self.at.to_string());
        out.text("blobs");
        out.array(0);
        out.text("since");
        match &change.since {
            Some(since) => out.text(&since.to_string()),
            None => out.simple(NULL),
        }
        out.text("blocks");
        out.bytes(&self.blocks);
        out.text("commit");
        out.link(&change.commit);
        for no in ["rebase", "tooBig"] {
            out.text(no);
            out.simple(FALSE);
        }
        if let Some(before) = &change.prev_data {
            out.text("prevData");
            out.link(before);
        }
        out.into_bytes()
    }
}

impl Op {
    fn write(&self, out: &mut Writer) {
        out.map(3 + usize::from(self.prev.is_some()));
        out.text("cid");
        out.optional_link(self.cid.as_ref());
        out.text("path");
        out.text(&self.path);
        if let Some(prev) = &self.prev {
            out.text("prev");
            out.link(prev);
        }
        out.text("action");
        out.text(match (&self.cid, &self.prev) {
            (None, _) => "delete",
            (Some(_), None) => "create",
            (Some(_), Some(_)) => "update",
        });
    }
}

/// Writes what tells a reader something about the stream itself.
#[must_use]
pub fn info(name: &str, message: &str) -> Vec<u8> {
    let mut out = header("#info");
    out.map(2);
    out.text("name");
    out.text(name);
    out.text("message");
    out.text(message);
    out.into_bytes()
}

/// Writes the last frame of a stream that cannot go on.
#[must_use]
pub fn error(name: &str, message: &str) -> Vec<u8> {
    let mut out = Writer::default();
    out.map(1);
    out.text("op");
    out.integer(-1);
    out.map(2);
    out.text("error");
    out.text(name);
    out.text("message");
    out.text(message);
    out.into_bytes()
}

fn header(kind: &str) -> Writer {
    let mut out = Writer::default();
    out.map(2);
    out.text("t");
    out.text(kind);
    out.text("op");
    out.unsigned(1);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::block::cbor_cid;
    use super::super::cbor::check_record;
    use super::*;

    fn cid(name: &str) -> Cid {
        cbor_cid(name.as_bytes())
    }

    fn change(ops: Vec<Op>) -> Change {
        Change {
            commit: cid("commit"),
            since: Some(Tid::after(None, 5, 0)),
            prev_data: Some(cid("before")),
            ops,
        }
    }

    fn event(body: Body) -> Event {
        Event {
            did: Did::from_scid(&[1; 32]),
            rev: Tid::after(None, 7, 0),
            body,
            blocks: vec![1, 2, 3],
            at: Timestamp(1_000),
        }
    }

    /// A header and a body, each with its members in canonical order and nothing behind them.
    fn judged(frame: &[u8], head: &Writer) {
        let head = head.clone().into_bytes();
        let body = frame.strip_prefix(head.as_slice()).unwrap();
        assert_eq!(check_record(&head), Ok(None));
        assert_eq!(check_record(body), Ok(None));
    }

    #[test]
    fn what_is_too_much_for_a_frame_is_told_as_it_is_now() {
        let did = Did::from_scid(&[1; 32]);
        let op = Op {
            path: "a.b.c/d".to_owned(),
            cid: Some(cid("new")),
            prev: None,
        };
        let made = |ops: usize, length: usize| {
            let others = [(cid("block"), vec![0; length])];
            let ops = vec![op.clone(); ops];
            let blocks: (&[u8], &[_]) = (b"commit", &others);
            Event::of_commit(
                &did,
                Tid::after(None, 7, 0),
                change(ops),
                blocks,
                Timestamp(1),
            )
        };
        assert!(matches!(made(1, 1_000).body, Body::Commit(_)));
        let long = made(1, MAX_BLOCKS_BYTES);
        assert!(matches!(long.body, Body::Sync(_)));
        assert!(long.blocks.len() < 200, "the commit alone");
        assert!(matches!(made(MAX_OPS + 1, 1).body, Body::Sync(_)));
    }

    #[test]
    fn an_error_has_a_header_of_its_own() {
        let mut head = Writer::default();
        head.map(1);
        head.text("op");
        head.integer(-1);
        judged(&error("FutureCursor", "later than now"), &head);
        judged(&info("OutdatedCursor", "gone"), &header("#info"));
    }

    proptest! {
        #[test]
        fn frames_are_canonical_and_survive_the_way_to_the_relay(
            ops in proptest::collection::vec((any::<bool>(), any::<bool>(), "[a-z]{1,9}"), 0..5),
            seq in any::<u32>(),
            (since, before) in any::<(bool, bool)>(),
            kind in 0..4_u8,
        ) {
            let ops = ops.into_iter().map(|(new, old, key)| Op {
                path: format!("agent.memory.note/{key}"),
                cid: new.then(|| cid("new")),
                prev: (old || !new).then(|| cid("old")),
            });
            let mut change = change(ops.collect());
            if !since {
                change.since = None;
            }
            if !before {
                change.prev_data = None;
            }
            let (body, name) = match kind {
                0 => (Body::Commit(Box::new(change)), "#commit"),
                1 => (Body::Sync(cid("commit")), "#sync"),
                2 => (Body::Identity, "#identity"),
                _ => (Body::Deleted, "#account"),
            };
            let event = event(body);
            judged(&event.frame(u64::from(seq)), &header(name));
            let bytes = serde_ipld_dagcbor::to_vec(&event).unwrap();
            prop_assert_eq!(serde_ipld_dagcbor::from_slice::<Event>(&bytes).unwrap(), event);
        }
    }
}
