//! Agents in a group over mail that delays, reorders, repeats and bounces, while they crash: in the end
//! all who are in have the same key, nobody else ever had one, and every post arrived once and in order
//! or was reported.
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};

use entente_groups::{
    After, Fresh, Group, Refusal, Says, Standing, Tell, Waiting, after, next_heard,
};
use entente_lexicon::{Address, Did, Host, Timestamp};
use entente_trust::crypto::sign::SigningKey;
use entente_trust::group::{GroupKey, Roster};
use proptest::prelude::*;

const AGENTS: usize = 5;
const OWNER: usize = 0;

fn address(n: usize) -> Address {
    Address {
        did: Did::from_scid(&[u8::try_from(n).unwrap(); 32]),
        host: Host::parse("beta.example").unwrap(),
    }
}

fn number(did: &Did) -> usize {
    (0..AGENTS).find(|n| address(*n).did == *did).unwrap()
}

/// What travels between two agents.
#[derive(Clone, Debug)]
enum Part {
    Says(Says),
    Epoch(Vec<u8>, GroupKey),
    Post {
        epoch: u64,
        id: u64,
        number: u64,
        open: u64,
    },
}

#[derive(Clone, Debug)]
struct Mail {
    from: usize,
    to: usize,
    /// Its sender's row.
    row: usize,
    part: Part,
}

/// Something that an agent has to get to another: a word, or a post.
#[derive(Clone, Debug)]
struct Row {
    to: usize,
    what: What,
    /// What mail is being given, and has not taken.
    given: Option<Part>,
    mailed: bool,
    tries: u32,
    /// The epoch that was told, or that the post was said under.
    epoch: u64,
    /// How it ended.
    end: Option<Option<String>>,
    waits: bool,
}

#[derive(Clone, Debug)]
enum What {
    Tell(Tell),
    Post { id: u64, number: u64 },
}

#[derive(Default)]
struct Agent {
    /// As it is stored: what is not here is lost in a crash.
    group: Option<Vec<u8>>,
    rows: Vec<Row>,
    sent: BTreeMap<usize, u64>,
    expected: BTreeMap<usize, u64>,
    taken: Vec<(usize, u64)>,
}

struct World {
    agents: Vec<Agent>,
    mail: Vec<Mail>,
    signer: SigningKey,
    clock: u64,
    keys: u8,
    posts: u64,
    /// Who ever had the key of which epoch, and who was in it.
    holders: BTreeMap<u64, BTreeSet<usize>>,
    members: BTreeMap<u64, BTreeSet<usize>>,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            agents: (0..AGENTS).map(|_| Agent::default()).collect(),
            mail: Vec::new(),
            signer: SigningKey::from_seed(&[9; 32]),
            clock: 1,
            keys: 0,
            posts: 0,
            holders: BTreeMap::new(),
            members: BTreeMap::new(),
        };
        let signer = world.signer.clone();
        let fresh = world.fresh(&signer);
        let group = Group::found(address(OWNER), [3; 16], "crew".to_owned(), fresh).unwrap();
        world.keep(OWNER, &group);
        world
    }

    fn fresh<'a>(&mut self, signer: &'a SigningKey) -> Fresh<'a> {
        self.keys = self.keys.wrapping_add(1);
        self.clock += 1;
        Fresh {
            at: Timestamp(self.clock / 3),
            key: GroupKey::from_bytes(&[self.keys; 32]).unwrap(),
            signer,
        }
    }

    fn group(&self, n: usize) -> Option<Group> {
        let stored = self.agents[n].group.as_ref()?;
        Some(Group::from_bytes(stored).unwrap())
    }

    fn keep(&mut self, n: usize, group: &Group) {
        if let Some(current) = group.current() {
            let epoch = current.roster.epoch;
            self.holders.entry(epoch).or_default().insert(n);
            let members = current.roster.members.iter().map(|who| number(&who.did));
            let members: BTreeSet<usize> = members.collect();
            let known = self.members.entry(epoch).or_insert_with(|| members.clone());
            assert_eq!(*known, members, "an epoch has one roster");
        }
        self.agents[n].group = Some(group.to_bytes().unwrap().to_vec());
    }

    fn tell(&mut self, n: usize, tells: Vec<Tell>) {
        for tell in tells {
            let to = number(&tell.to.did);
            if self.waiting(n, to).any(|word| word.stands_for(tell.says)) {
                continue;
            }
            self.agents[n].rows.push(Row {
                to,
                what: What::Tell(tell),
                given: None,
                mailed: false,
                tries: 0,
                epoch: 0,
                end: None,
                waits: false,
            });
        }
    }

    /// What an agent is to be told and mail has not taken.
    fn waiting(&self, n: usize, to: usize) -> impl Iterator<Item = Waiting> {
        let rows = self.agents[n].rows.iter();
        let rows = rows.filter(move |row| row.to == to && row.end.is_none() && !row.mailed);
        rows.filter_map(|row| match &row.what {
            What::Tell(tell) => Some(Waiting {
                says: tell.says,
                given: row.given.as_ref().map(|_part| row.epoch),
            }),
            What::Post { .. } => None,
        })
    }

    fn act<T>(
        &mut self,
        n: usize,
        act: impl FnOnce(&mut Group, Fresh<'_>) -> Result<T, Refusal>,
    ) -> Option<T> {
        let mut group = self.group(n)?;
        let signer = self.signer.clone();
        let fresh = self.fresh(&signer);
        let before = group.clone();
        let done = act(&mut group, fresh);
        if done.is_err() {
            assert_eq!(group, before, "what is refused changes nothing");
        }
        self.keep(n, &group);
        done.ok()
    }

    fn post(&mut self, n: usize) {
        let Some(group) = self.group(n) else { return };
        let Ok((current, others)) = group.speak() else {
            return;
        };
        self.posts += 1;
        let id = self.posts;
        let epoch = current.roster.epoch;
        for other in others {
            let to = number(&other.did);
            let count = self.agents[n].sent.entry(to).or_default();
            *count += 1;
            let number = *count;
            self.agents[n].rows.push(Row {
                to,
                what: What::Post { id, number },
                given: None,
                mailed: false,
                tries: 0,
                epoch,
                end: None,
                waits: false,
            });
        }
    }

    /// Begins to hand to mail what mail does not have, and does not come to the end of it.
    fn begin(&mut self, n: usize) {
        self.hand_over(n, false);
    }

    /// Hands to mail what mail does not have: words first, posts in order.
    fn tend(&mut self, n: usize) {
        self.hand_over(n, true);
    }

    fn hand_over(&mut self, n: usize, whole: bool) {
        let group = self.group(n);
        let current = group.as_ref().and_then(Group::current);
        let newest = current.map_or(0, |current| current.roster.epoch);
        let mut held = BTreeSet::new();
        for place in 0..self.agents[n].rows.len() {
            let row = self.agents[n].rows[place].clone();
            if row.end.is_some() || row.mailed {
                continue;
            }
            let part = match &row.what {
                What::Tell(tell) => match tell.says {
                    Says::Epoch { .. } => {
                        let epoch = group.as_ref().and_then(|g| g.epoch_for(&tell.to.did));
                        let Some(epoch) = epoch else {
                            self.agents[n].rows[place].end = Some(Some("MOOT".to_owned()));
                            continue;
                        };
                        Part::Epoch(epoch.signed.clone(), epoch.key.clone())
                    }
                    says @ (Says::Invite { .. }
                    | Says::Join { .. }
                    | Says::Decline { .. }
                    | Says::Leave { .. }
                    | Says::Out { .. }) => Part::Says(says),
                },
                What::Post { id, number } => {
                    let gone = group
                        .as_ref()
                        .is_none_or(|group| group.epoch_for(&address(row.to).did).is_none());
                    if gone {
                        let code = Some("GROUP_NOT_MEMBER".to_owned());
                        self.agents[n].rows[place].end = Some(code);
                        continue;
                    }
                    if held.contains(&row.to) || (row.waits && newest <= row.epoch) {
                        held.insert(row.to);
                        continue;
                    }
                    Part::Post {
                        epoch: newest,
                        id: *id,
                        number: *number,
                        open: self.lowest_open(n, row.to),
                    }
                }
            };
            let row = &mut self.agents[n].rows[place];
            if row.given.is_none() {
                row.epoch = newest;
            }
            let part = row.given.take().unwrap_or(part);
            if !whole {
                row.given = Some(part);
                continue;
            }
            row.mailed = true;
            row.waits = false;
            row.tries += 1;
            let to = row.to;
            self.mail.push(Mail {
                from: n,
                to,
                row: place,
                part,
            });
        }
    }

    fn lowest_open(&self, n: usize, to: usize) -> u64 {
        let rows = self.agents[n].rows.iter().filter(|row| row.to == to);
        let open = rows.filter(|row| row.end.is_none());
        let posts = open.filter_map(|row| match row.what {
            What::Post { number, .. } => Some(number),
            What::Tell(_) => None,
        });
        posts.min().unwrap_or(u64::MAX)
    }

    /// Mail is done with a row: it arrived, or there is a code.
    fn settle(&mut self, n: usize, place: usize, code: Option<String>) {
        let row = self.agents[n].rows[place].clone();
        if row.end.is_some() {
            return;
        }
        match &row.what {
            What::Tell(tell) => {
                self.agents[n].rows[place].end = Some(code.clone());
                if let Some(code) = code {
                    let tells = self.act(n, |group, fresh| {
                        group.undelivered(tell, row.epoch, &code, fresh)
                    });
                    self.tell(n, tells.unwrap_or_default());
                }
            }
            What::Post { .. } => {
                let step = after(code.as_deref(), row.tries);
                let row = &mut self.agents[n].rows[place];
                match step {
                    After::Arrived => row.end = Some(None),
                    After::Over => row.end = Some(code),
                    After::Again | After::TellAndAgain => row.mailed = false,
                    After::WhenNewer => {
                        row.mailed = false;
                        row.waits = true;
                    }
                }
                if step == After::TellAndAgain {
                    let to = row.to;
                    let group = self.group(n);
                    let tell = group.and_then(|group| group.tell_epoch(&address(to).did));
                    let before = self.agents[n].rows.len();
                    self.tell(n, tell.into_iter().collect());
                    let rows = &mut self.agents[n].rows;
                    if rows.len() == before {
                        return;
                    }
                    // Words go before posts.
                    let last = rows.pop().unwrap();
                    self.mail.iter_mut().for_each(|mail| {
                        if mail.from == n {
                            mail.row += 1;
                        }
                    });
                    rows.insert(0, last);
                }
            }
        }
    }

    fn take(&mut self, mail: &Mail) -> Result<(), String> {
        let from = address(mail.from).did;
        let to = mail.to;
        let refused = |refusal: Refusal| refusal.code().to_owned();
        match &mail.part {
            Part::Says(Says::Invite { n }) => {
                let owner = address(mail.from);
                let known = self.group(to);
                let group = match known {
                    Some(mut group) => {
                        let new = group.hear_invite(&from, *n, "crew".to_owned());
                        new.map_err(refused)?;
                        group
                    }
                    None => {
                        let id = entente_trust::group::group_id(&owner.did, &[3; 16]);
                        let place = (id, [3; 16]);
                        Group::invited(place, address(to), owner, *n, "crew".to_owned())
                            .map_err(refused)?
                    }
                };
                self.keep(to, &group);
                Ok(())
            }
            Part::Says(says) => self.take_says(to, &from, *says).map_err(refused),
            Part::Epoch(signed, key) => {
                let read = Roster::decode(signed).unwrap();
                read.verify(&self.signer.verifying_key()).unwrap();
                let mut group = self.group(to).ok_or("GROUP_NOT_JOINED")?;
                let heard = group.hear_epoch(&from, (read.roster, signed.clone()), key.clone());
                heard.map_err(refused)?;
                self.keep(to, &group);
                Ok(())
            }
            Part::Post {
                epoch,
                id,
                number,
                open,
            } => self.take_post(mail, (*epoch, *id, *number, *open)),
        }
    }

    fn take_says(&mut self, to: usize, from: &Did, says: Says) -> Result<(), Refusal> {
        let Some(mut group) = self.group(to) else {
            return Err(Refusal::NotJoined);
        };
        let signer = self.signer.clone();
        let fresh = self.fresh(&signer);
        let tells = match says {
            Says::Join { n } => group.hear_join(from, n, fresh)?,
            Says::Decline { n } => group.hear_decline(from, n).map(|()| Vec::new())?,
            Says::Leave { n } => group.hear_leave(from, n, fresh)?,
            Says::Out { epoch, n, closed } => {
                group.hear_out(from, epoch, n, closed)?;
                Vec::new()
            }
            Says::Invite { .. } | Says::Epoch { .. } => Vec::new(),
        };
        self.keep(to, &group);
        self.tell(to, tells);
        Ok(())
    }

    fn take_post(
        &mut self,
        mail: &Mail,
        (epoch, id, number, open): (u64, u64, u64, u64),
    ) -> Result<(), String> {
        let (from, to) = (mail.from, mail.to);
        if self.agents[to].taken.contains(&(from, id)) {
            return Ok(());
        }
        let group = self.group(to).ok_or("GROUP_NOT_JOINED")?;
        match group.hear_post(&address(from).did, epoch) {
            Ok(_key) => {}
            Err(refusal) => {
                if refusal == Refusal::OldEpoch {
                    let tell = group.tell_epoch(&address(from).did);
                    self.tell(to, tell.into_iter().collect());
                }
                return Err(refusal.code().to_owned());
            }
        }
        let expected = self.agents[to].expected.get(&from).copied().unwrap_or(1);
        let next = next_heard(expected, number, open).ok_or(Refusal::OutOfOrder.code())?;
        self.agents[to].expected.insert(from, next);
        self.agents[to].taken.push((from, id));
        Ok(())
    }

    /// Mail gets a message to its recipient; `again` keeps it to come once more, with its answer lost.
    fn deliver(&mut self, n: usize, again: bool) {
        if self.mail.is_empty() {
            return;
        }
        let n = n % self.mail.len();
        let mail = self.mail[n].clone();
        let outcome = self.take(&mail);
        if again && outcome.is_ok() {
            return;
        }
        let mail = self.mail.remove(n);
        self.settle(mail.from, mail.row, outcome.err());
    }

    fn bounce(&mut self, n: usize) {
        if !self.mail.is_empty() {
            let mail = self.mail.remove(n % self.mail.len());
            self.settle(mail.from, mail.row, Some("EXPIRED".to_owned()));
        }
    }

    fn run(&mut self, step: &Step) {
        match *step {
            Step::Invite(who) => {
                let tell = self.act(OWNER, |group, _| group.invite(address(who)));
                self.tell(OWNER, tell.into_iter().collect());
            }
            Step::Remove(who) => {
                let tells = self.act(OWNER, |group, fresh| group.remove(&address(who).did, fresh));
                self.tell(OWNER, tells.unwrap_or_default());
            }
            Step::Rekey => {
                let tells = self.act(OWNER, Group::rekey);
                self.tell(OWNER, tells.unwrap_or_default());
            }
            Step::Answer(who, yes) => {
                let tell = self.act(
                    who,
                    |group, _| {
                        if yes { group.accept() } else { group.decline() }
                    },
                );
                self.tell(who, tell.into_iter().collect());
            }
            Step::Leave(who) => {
                let tell = self.act(who, |group, _| group.leave());
                self.tell(who, tell.into_iter().collect());
            }
            Step::Post(who) => self.post(who),
            Step::Begin(who) => self.begin(who),
            Step::Tend(who) => self.tend(who),
            Step::Deliver(n, again) => self.deliver(n, again),
            Step::Bounce(n) => self.bounce(n),
        }
    }

    /// Everything that was said arrives, until nothing happens any more.
    fn drain(&mut self) {
        for _ in 0..10_000 {
            (0..AGENTS).for_each(|n| self.tend(n));
            if self.mail.is_empty() {
                return;
            }
            self.deliver(0, false);
        }
        panic!("it never comes to an end");
    }

    fn check(&self) {
        for (epoch, holders) in &self.holders {
            let members = &self.members[epoch];
            assert!(
                holders.is_subset(members),
                "{epoch}: {holders:?}, {members:?}"
            );
        }
    }

    /// Every post was taken once, in order, by whom it was for, or its author knows why not.
    fn check_ledger(&self) {
        for (n, agent) in self.agents.iter().enumerate() {
            for row in &agent.rows {
                let What::Post { id, .. } = row.what else {
                    continue;
                };
                let times = self.agents[row.to].taken.iter();
                let times = times.filter(|taken| **taken == (n, id)).count();
                match &row.end {
                    Some(None) => assert_eq!(times, 1, "post {id} of {n} to {}", row.to),
                    // A bounce may come after the message did.
                    Some(Some(_)) => assert!(times <= 1),
                    // Whoever is out, and has not heard so, may wait for a key for ever.
                    None => assert!(row.waits, "post {id} of {n} to {} is open", row.to),
                }
            }
            for from in 0..AGENTS {
                let posts = agent.taken.iter().filter(|(who, _)| *who == from);
                let posts: Vec<u64> = posts.map(|(_, id)| *id).collect();
                assert!(
                    posts.is_sorted_by(|one, next| one < next),
                    "{n} of {from}: {posts:?}"
                );
            }
        }
    }
}

/// One thing that happens. Numbers choose among what is there.
#[derive(Clone, Debug)]
enum Step {
    Invite(usize),
    Remove(usize),
    Rekey,
    Answer(usize, bool),
    Leave(usize),
    Post(usize),
    Begin(usize),
    Tend(usize),
    Deliver(usize, bool),
    Bounce(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let who = || 0_usize..AGENTS;
    prop_oneof![
        3 => (1_usize..AGENTS).prop_map(Step::Invite),
        1 => who().prop_map(Step::Remove),
        1 => Just(Step::Rekey),
        4 => (who(), prop::bool::weighted(0.9)).prop_map(|(who, yes)| Step::Answer(who, yes)),
        1 => who().prop_map(Step::Leave),
        5 => who().prop_map(Step::Post),
        2 => who().prop_map(Step::Begin),
        8 => who().prop_map(Step::Tend),
        12 => (any::<usize>(), prop::bool::weighted(0.2)).prop_map(|(n, again)| Step::Deliver(n, again)),
        1 => any::<usize>().prop_map(Step::Bounce),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_mail_does_all_who_are_in_agree_and_what_was_said_is_accounted_for(
        steps in proptest::collection::vec(step(), 0..160),
    ) {
        let mut world = World::new();
        for step in &steps {
            world.run(step);
            world.check();
        }
        world.drain();
        // Everybody speaks once more: whoever missed an epoch hears of it.
        for _ in 0..2 {
            for n in 0..AGENTS {
                world.post(n);
                world.drain();
            }
        }
        world.check();
        world.check_ledger();
        let owner = world.group(OWNER).unwrap();
        let current = owner.current().unwrap();
        for n in 0..AGENTS {
            let group = world.group(n);
            let standing = group.as_ref().map(Group::standing);
            if current.roster.member(&address(n).did).is_some() {
                prop_assert_eq!(standing, Some(Standing::Member), "agent {}", n);
                let group = group.unwrap();
                prop_assert_eq!(group.current(), Some(current));
            } else {
                prop_assert_ne!(standing, Some(Standing::Member), "agent {} is out", n);
                prop_assert_ne!(standing, Some(Standing::Joining), "agent {} is out", n);
            }
        }
    }
}

/// A group of three, all of whom know its newest epoch.
fn crew_of_three() -> World {
    let mut world = World::new();
    for who in 1..3 {
        world.run(&Step::Invite(who));
        world.drain();
        world.run(&Step::Answer(who, true));
        world.drain();
    }
    world
}

fn newest(world: &World, n: usize) -> u64 {
    let group = world.group(n).unwrap();
    group.current().unwrap().roster.epoch
}

#[test]
fn an_epoch_that_begins_while_mail_takes_the_word_about_the_one_before_is_told_too() {
    let mut world = crew_of_three();
    world.run(&Step::Rekey);
    world.run(&Step::Begin(OWNER));
    world.run(&Step::Rekey);
    world.drain();
    // Nobody has said anything by which a member could have found out.
    assert_eq!(world.posts, 0);
    for who in 1..3 {
        assert_eq!(newest(&world, who), newest(&world, OWNER), "agent {who}");
    }
}

#[test]
fn epochs_that_begin_before_mail_is_given_a_word_are_told_by_one() {
    let mut world = crew_of_three();
    let before = world.agents[OWNER].rows.len();
    (0..5).for_each(|_| world.run(&Step::Rekey));
    assert_eq!(world.agents[OWNER].rows.len(), before + 2);
    world.drain();
    for who in 1..3 {
        assert_eq!(newest(&world, who), newest(&world, OWNER), "agent {who}");
    }
}

#[test]
fn a_word_stands_for_an_epoch_only_until_mail_is_given_an_earlier_one() {
    let epoch = |epoch| Says::Epoch { epoch };
    let word = |given| Waiting {
        says: epoch(5),
        given,
    };
    assert!(word(None).stands_for(epoch(9)));
    assert!(word(Some(9)).stands_for(epoch(9)));
    assert!(!word(Some(8)).stands_for(epoch(9)));
    let invite = Says::Invite { n: 1 };
    assert!(!word(None).stands_for(invite));
    let invited = Waiting {
        says: invite,
        given: None,
    };
    assert!(!invited.stands_for(invite) && !invited.stands_for(epoch(1)));
}
