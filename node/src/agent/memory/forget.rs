//! Forgetting: a record goes with everything that was made of it, in one transaction, and the report
//! says what nobody here can reach. What is left to do after that is to tell the replica, and to ask
//! those who were given it to delete it; the report tells how that goes. See `entente_memory::life::forget`.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use entente_lexicon::api::SendMessage;
use entente_lexicon::api::life::{ForgetReport, ForgetStep, UnreachedView};
use entente_lexicon::message::SharePart;
use entente_lexicon::{Content, Did, Recipient, RecordPath, Timestamp};
use entente_memory::life::Memory as Known;
use entente_memory::life::forget::{Cascade, Outcome, Step, Surroundings, Unreached};
use entente_memory::repo::Cid;
use entente_memory::repo::block::parse_cid;
use entente_trust::memory::{Dek, DekId, Level};
use serde_json::{Map, Value};

use crate::agent::core::{Core, address};
use crate::agent::identity::Me;
use crate::agent::memory::life_store::{Link, Told, Withdrawal};
use crate::agent::memory::records::{Checked, next, open, seal};
use crate::agent::memory::store::StoredRecord;
use crate::agent::memory::{id_of, path_of};
use crate::error::ApiError;
use crate::internal;
use crate::store::bucket::Bucket;

/// Records that one act of forgetting touches at most.
const MAX_TOUCHED: usize = 500;
/// The platform can put an object's storage back for so long.
const RECOVERABLE_MS: u64 = 30 * 24 * 60 * 60 * 1000;
/// What a sealed report is bound to.
const PURPOSE: &str = "forget-report";
/// The step that ends when D1 has been told.
const REPLICA: &str = "replica";
/// The step that ends when an index elsewhere has been told.
const VECTOR: &str = "vector";
/// Agents asked in one go.
const BATCH: u32 = 50;

/// A record that is touched, opened.
struct Touched {
    record: StoredRecord,
    known: Option<Known>,
    value: Map<String, Value>,
    told: Vec<Told>,
}

/// The records around one that is forgotten, by CID.
type Family = BTreeMap<Cid, Touched>;

impl Core {
    /// Forgets a record, or tells again how forgetting it went.
    pub(super) fn forget_record(
        self: &Rc<Self>,
        id: &str,
        swap: Option<&str>,
    ) -> Result<ForgetReport, ApiError> {
        let me = self.identity()?;
        let path = path_of(id)?;
        if self.memory.store.record(&path)?.is_none()
            && let Some(report) = self.forgotten_report(&me, &path)?
        {
            return Ok(report);
        }
        let record = self.known(&path, swap)?;
        let report = self.forget(&me, &record)?;
        self.tell_sharers();
        Ok(report)
    }

    /// Forgets a record with all that was made of it.
    pub(super) fn forget(
        self: &Rc<Self>,
        me: &Rc<Me>,
        record: &StoredRecord,
    ) -> Result<ForgetReport, ApiError> {
        let now = internal::now();
        let family = self.family(me, record)?;
        let memories: Vec<Known> = family
            .values()
            .filter_map(|one| one.known.clone())
            .collect();
        let paths = family.values().map(|one| &one.record.path);
        let around = Surroundings {
            blobs: self.blob_users(me, paths)?,
            backups: Bucket::open(&self.env).is_ok(),
            ..surroundings(&family, now)
        };
        let plan = Cascade::plan(&BTreeSet::from([record.cid]), &memories, &around);
        self.wake_in(0);
        self.memory
            .store
            .transaction(|| self.carry_out(me, (record, &family), &plan, now))
    }

    /// Carries a plan out. Part of the caller's transaction, so a kill leaves all of it or nothing.
    fn carry_out(
        &self,
        me: &Me,
        (asked, family): (&StoredRecord, &Family),
        plan: &Cascade,
        now: Timestamp,
    ) -> Result<ForgetReport, ApiError> {
        let store = &self.memory.store;
        let links = self.indexes(me)?;
        let gone: Vec<&Touched> = plan
            .forgotten
            .iter()
            .filter_map(|cid| family.get(cid))
            .collect();
        for one in &gone {
            self.withdraw_from(me, one)?;
            for name in self.names_of(me, &one.record)? {
                store.keep_forgotten(&name, now, None)?;
            }
            store.forget(&one.record, self.next_revision()?)?;
            self.wrote(me, Some(&one.record), None)?;
        }
        let (mut rebuilt, mut stale) = (Vec::new(), Vec::new());
        for one in plan.rebuilt.iter().filter_map(|cid| family.get(cid)) {
            let id = id_of(&one.record.path);
            if self.make_anew(me, one, now)? {
                rebuilt.push(id);
            } else {
                store.unindex(one.record.n)?;
                self.drop_vector(me, one.record.n, Some(&one.record))?;
                store.make_stale(one.record.n, now)?;
                stale.push(id);
            }
        }
        let report = ForgetReport {
            at: now,
            forgotten: gone.iter().map(|one| id_of(&one.record.path)).collect(),
            rebuilt,
            stale,
            done: Vec::new(),
            open: Vec::new(),
            unreached: plan
                .unreached
                .iter()
                .map(|one| unreached(one, family))
                .collect(),
        };
        let report = self.with_steps(me, report, plan, family)?;
        let sealed = me.seal_secret(PURPOSE, &serde_json::to_vec(&report)?);
        store.keep_forgotten(&links.path(&asked.path), now, Some(&sealed))?;
        Ok(report)
    }

    /// Everything that was made of a record, directly or through others, and the record.
    fn family(&self, me: &Me, first: &StoredRecord) -> Result<Family, ApiError> {
        let mut family = Family::new();
        // What each of them is or was called, so that a summary of an older version is one of it.
        let mut alias: BTreeMap<String, Cid> = BTreeMap::new();
        let mut waiting = vec![first.clone()];
        while let Some(record) = waiting.pop() {
            if family.contains_key(&record.cid) {
                continue;
            }
            if family.len() >= MAX_TOUCHED {
                return Err(ApiError::new(
                    409,
                    "FORGET_TOO_WIDE",
                    "Over 500 records were made from this one: forget some of those first.",
                ));
            }
            let names = self.names_of(me, &record)?;
            waiting.extend(self.memory.store.naming(Link::MadeFrom, &names)?);
            alias.extend(names.into_iter().map(|name| (name, record.cid)));
            let (known, value) = self.opened(me, &record)?;
            let told = self.memory.store.told(&record.path)?;
            let touched = Touched {
                known,
                value,
                told,
                record,
            };
            family.insert(touched.record.cid, touched);
        }
        let links = self.indexes(me)?;
        for touched in family.values_mut() {
            let Some(known) = &mut touched.known else {
                continue;
            };
            let mut from = Vec::new();
            for cid in &known.derived_from {
                let name = links.cid(cid);
                let now = alias.get(&name).copied().unwrap_or(*cid);
                // What was forgotten before is no reason to keep what was made of it.
                if self.memory.store.forgotten(&name)?.is_none() {
                    from.push(now);
                }
            }
            known.derived_from = from;
        }
        // A record that is no memory of its own has no fields; it is forgotten all the same.
        if let Some(touched) = family.get_mut(&first.cid)
            && touched.known.is_none()
        {
            let (life, value) = (self.memory.store.life(first.n)?, touched.value.clone());
            touched.known = Some(self.ranked_as(me, first, &value, &life));
        }
        Ok(family)
    }

    /// Makes a summary that was extracted anew, without what is gone: its older versions and their
    /// keys go. Returns whether that could be done.
    fn make_anew(&self, me: &Me, one: &Touched, now: Timestamp) -> Result<bool, ApiError> {
        let from = one.known.iter().flat_map(|known| &known.derived_from);
        let mut sources = Vec::new();
        for cid in from {
            let was = self.indexes(me)?.cid(cid);
            let now = self.memory.store.by_cid(cid)?;
            sources.extend(now.or(self.memory.store.naming(Link::Was, &[was])?.pop()));
        }
        let Some(value) = self.extract_again(me, &one.value, &sources, now)? else {
            return Ok(false);
        };
        let (collection, rkey) = (one.record.path.collection(), one.record.path.rkey());
        let checked = self.check(
            Some(collection.clone()),
            Some(rkey.clone()),
            Value::Object(value),
            now,
        )?;
        self.rewrite(me, &one.record, &checked, now)?;
        Ok(true)
    }

    /// Replaces a record under a new key, and destroys what it was. Part of the caller's transaction.
    pub(super) fn rewrite(
        &self,
        me: &Me,
        old: &StoredRecord,
        checked: &Checked,
        now: Timestamp,
    ) -> Result<StoredRecord, ApiError> {
        let new = if old.level == Level::Public {
            open(&old.path, next(old), checked.plain.clone(), now)
        } else {
            let dek = Dek::generate(&mut internal::rng());
            self.keep_dek(me, &old.path, &dek)?;
            seal(me, &old.path, &dek, next(old), &checked.plain, now)?
        };
        let new = StoredRecord {
            n: old.n,
            level: old.level,
            created_at: old.created_at,
            revision: self.next_revision()?,
            ..new
        };
        let store = &self.memory.store;
        self.refer_blobs(me, &new, &checked.value)?;
        store.replace(old, &new)?;
        store.drop_history(&new)?;
        store.revive(new.n)?;
        self.index(me, &new, &checked.value)?;
        self.wrote(me, Some(old), Some(&new))?;
        Ok(new)
    }

    /// Notes whom to ask to delete a record.
    fn withdraw_from(&self, me: &Me, one: &Touched) -> Result<(), ApiError> {
        for told in &one.told {
            let Some(whom) = &told.whom else { continue };
            self.memory.store.keep_withdrawal(&Withdrawal {
                uri: format!("at://{}/{}", me.did, one.record.path),
                whom: whom.clone(),
                host: told.host.clone(),
                cid: one.record.cid.to_bytes(),
                version: one.record.version,
                code: None,
            })?;
        }
        Ok(())
    }

    /// Asks those who were given what is forgotten to delete it, by mail. They may not heed it.
    pub(super) async fn send_withdrawals(self: &Rc<Self>) -> Result<(), ApiError> {
        loop {
            let waiting = self.memory.store.withdrawals(None, BATCH)?;
            if waiting.is_empty() {
                return Ok(());
            }
            for one in waiting {
                match self.send_withdrawal(&one).await {
                    Ok(()) => self.memory.store.withdrawn(&one)?,
                    Err(error) if error.status < 500 && error.status != 429 => {
                        self.memory.store.cannot_withdraw(&one, &error.code)?;
                    }
                    Err(error) => return Err(error),
                }
            }
        }
    }

    async fn send_withdrawal(self: &Rc<Self>, one: &Withdrawal) -> Result<(), ApiError> {
        let to = format!("{}@{}", one.whom, one.host);
        let recipient: Recipient = to.parse().map_err(ApiError::internal)?;
        let contact = self.contact_of(&recipient).await?;
        let cid = parse_cid(&one.cid).map_err(ApiError::internal)?.to_string();
        let message = SendMessage {
            to: address(&contact.did, &contact.host),
            idempotency_key: Some(format!("withdraw/{cid}/{}", contact.did)),
            content: Content::Share(SharePart {
                uri: one.uri.clone(),
                cid,
                version: one.version,
                dek: DekId::from_bytes([0; 16]).to_string(),
                row: None,
                part: 0,
                parts: 0,
                data: None,
            }),
            thread: None,
            priority: None,
            expires_at: None,
            asynchronous: None,
        };
        self.send_own(message).await?;
        Ok(())
    }

    fn forgotten_report(
        &self,
        me: &Me,
        path: &RecordPath,
    ) -> Result<Option<ForgetReport>, ApiError> {
        let name = self.indexes(me)?.path(path);
        let Some(sealed) = self.memory.store.forgotten(&name)?.flatten() else {
            return Ok(None);
        };
        let text = me.open_secret(PURPOSE, &sealed)?;
        let report: ForgetReport = serde_json::from_slice(&text)?;
        let mut now = report.clone();
        now.open.clear();
        for step in report.open {
            match self.still_open(me, &step)? {
                Some(why) => now.open.push(ForgetStep { why, ..step }),
                None => now.done.push(ForgetStep { why: None, ..step }),
            }
        }
        Ok(Some(now))
    }

    /// Returns why a step that others take part in is not done yet, if that is known; outside nothing
    /// once it is.
    fn still_open(&self, me: &Me, step: &ForgetStep) -> Result<Option<Option<String>>, ApiError> {
        let path = path_of(step.of.as_deref().unwrap_or_default())?;
        if step.step == VECTOR {
            let left = self
                .memory
                .store
                .is_vector_left(&self.indexes(me)?.path(&path))?;
            return Ok(left.then_some(None));
        }
        if step.step == REPLICA {
            let waits = self.memory.store.is_being_removed(&path)?;
            return Ok(waits.then_some(None));
        }
        let uri = format!("at://{}/{path}", me.did);
        let waiting = self.memory.store.withdrawals(Some(&uri), u32::MAX)?;
        let named = |one: &Withdrawal| {
            let address = format!("{}@{}", one.whom, one.host);
            step.who.as_deref() == Some(address.as_str())
        };
        Ok(waiting.into_iter().find(named).map(|one| one.code))
    }

    /// Says what was done of the steps of a plan. All of them are part of this transaction, but for
    /// asking others.
    fn with_steps(
        &self,
        me: &Me,
        mut report: ForgetReport,
        plan: &Cascade,
        family: &Family,
    ) -> Result<ForgetReport, ApiError> {
        let told = plan.report(|step| match step {
            Step::Notify(..) | Step::DeleteReplica(_) | Step::RemoveVector(_) => {
                Some(Outcome::Waiting)
            }
            Step::DestroyKeys(_)
            | Step::RemoveWords(_)
            | Step::FlagSummary(_)
            | Step::DeleteBlob(_)
            | Step::Withdraw(_)
            | Step::DeleteRecord(_) => Some(Outcome::Done),
        });
        // What was made anew has its words and is not stale.
        let as_it_was = |step: &ForgetStep| {
            let named = |of: &String| report.rebuilt.contains(of);
            !step.of.as_ref().is_some_and(named)
        };
        let shown = told.done.iter().map(|step| step_view(step, family));
        report.done = shown.filter(as_it_was).collect();
        let open = told
            .open
            .iter()
            .map(|(step, _outcome)| step_view(step, family));
        for step in open.filter(as_it_was).collect::<Vec<_>>() {
            match self.still_open(me, &step)? {
                Some(why) => report.open.push(ForgetStep { why, ..step }),
                None => report.done.push(step),
            }
        }
        Ok(report)
    }

    pub(super) fn names_of(&self, me: &Me, record: &StoredRecord) -> Result<Vec<String>, ApiError> {
        self.names(me, record.n, (&record.path, &record.cid))
    }

    /// Everything that a record is or was called, blinded.
    pub(super) fn names(
        &self,
        me: &Me,
        n: u64,
        (path, cid): (&RecordPath, &Cid),
    ) -> Result<Vec<String>, ApiError> {
        let links = self.indexes(me)?;
        let mut names = self.memory.store.former(n)?;
        names.extend([links.path(path), links.cid(cid)]);
        Ok(names)
    }
}

/// What exists around the records that are touched.
fn surroundings(family: &Family, now: Timestamp) -> Surroundings {
    let mut around = Surroundings {
        recoverable_until: Some(now.after(RECOVERABLE_MS)),
        ..Surroundings::default()
    };
    for (cid, touched) in family {
        for told in &touched.told {
            match &told.whom {
                Some(did) => {
                    let with: &mut BTreeSet<Did> = around.shared_with.entry(*cid).or_default();
                    with.insert(did.clone());
                }
                None => {
                    around.published.insert(*cid);
                }
            }
        }
    }
    around
}

fn step_view(step: &Step, family: &Family) -> ForgetStep {
    let (name, of, who) = match step {
        Step::DestroyKeys(cid) => ("keys", Some(cid), None),
        Step::Notify(did, cid) => ("notify", Some(cid), Some(did)),
        Step::RemoveWords(cid) => ("words", Some(cid), None),
        Step::RemoveVector(cid) => (VECTOR, Some(cid), None),
        Step::FlagSummary(cid) => ("stale", Some(cid), None),
        Step::DeleteBlob(cid) => ("blob", Some(cid), None),
        Step::DeleteReplica(cid) => (REPLICA, Some(cid), None),
        Step::Withdraw(cid) => ("withdrawn", Some(cid), None),
        Step::DeleteRecord(cid) => ("record", Some(cid), None),
    };
    ForgetStep {
        step: name.to_owned(),
        of: of.map(|cid| name_of(cid, family)),
        who: who.zip(of).map(|(did, cid)| recipient(did, cid, family)),
        why: None,
    }
}

fn unreached(one: &Unreached, family: &Family) -> UnreachedView {
    let (kind, of, who, until) = match one {
        Unreached::Recipient(did, cid) => ("recipient", Some(cid), Some(did), None),
        Unreached::Public(cid) => ("public", Some(cid), None, None),
        Unreached::Backups => ("backups", None, None, None),
        Unreached::Platform(until) => ("platform", None, None, Some(*until)),
    };
    UnreachedView {
        kind: kind.to_owned(),
        of: of.map(|cid| name_of(cid, family)),
        who: who.zip(of).map(|(did, cid)| recipient(did, cid, family)),
        until,
    }
}

fn name_of(cid: &Cid, family: &Family) -> String {
    let touched = family.get(cid);
    touched.map_or_else(|| cid.to_string(), |one| id_of(&one.record.path))
}

fn recipient(did: &Did, cid: &Cid, family: &Family) -> String {
    let told = family.get(cid).into_iter().flat_map(|one| &one.told);
    let host = told
        .filter(|told| told.whom.as_ref() == Some(did))
        .map(|told| told.host.as_str())
        .next();
    host.map_or_else(|| did.to_string(), |host| format!("{did}@{host}"))
}
