//! Public events: what lists let through, which way, and what is told of the rest.

use std::collections::BTreeSet;

use entente_federation::frame::items::{self, WireItem};
use entente_federation::frame::session::Kind;
use entente_federation::{Change, Code, Event, Input, Item, Stream};
use entente_lexicon::{Did, Timestamp, TrustLevel};
use entente_trust::announcement::{Announcement, MAX_ANNOUNCEMENT};
use entente_trust::policy::Policy;

use crate::hand::HandSession;
use crate::pair::{ALPHA, BETA, Pair, agent, policy};

fn lists(collections: &[&str]) -> Policy {
    let globs = collections.iter().map(|glob| glob.parse().unwrap());
    Policy {
        allow_collections: Some(globs.collect()),
        ..Policy::new(TrustLevel::Allowlist, BTreeSet::new())
    }
}

fn did(pair: &Pair, node: usize) -> Did {
    pair.nodes[node].config.own.did.clone()
}

/// An announcement of alpha's agent 0, for beta.
fn announcement(pair: &Pair, id: u8, collection: &str, network: Did) -> Item {
    announcement_to(&did(pair, BETA), id, collection, network)
}

fn announcement_to(to: &Did, id: u8, collection: &str, network: Did) -> Item {
    let announcement = Announcement {
        id: [id; 16],
        from: agent(ALPHA, 0),
        network,
        collection: collection.to_owned(),
        at: Timestamp(1),
        content: r#"{"kind":"text","text":"hello"}"#.to_owned(),
        kid: String::new(),
    };
    Item {
        id: [id; 16],
        from: agent(ALPHA, 0),
        to: to.clone(),
        bytes: announcement.with_signature([0; 64]).unwrap().into(),
        expires: None,
    }
}

fn announce(pair: &mut Pair, items: Vec<Item>) {
    let stream = Stream::Evt;
    pair.input(ALPHA, Input::Enqueue { stream, items });
}

/// Ids of what beta stored.
fn received(pair: &Pair) -> Vec<u8> {
    let received = &pair.nodes[BETA].store.received.evt;
    received.iter().map(|item| item.id[0]).collect()
}

/// The codes with which beta let something go.
fn refused(pair: &Pair) -> Vec<String> {
    let events = pair.nodes[BETA].events.iter();
    let codes = events.filter_map(|event| match event {
        Event::Refused { code, .. } => Some(code.as_str().to_owned()),
        _ => None,
    });
    codes.collect()
}

#[test]
fn a_receiver_that_lists_collections_gets_only_those() {
    let mut pair = Pair::new(31);
    pair.nodes[BETA].config.policy = lists(&["news.*"]);
    pair.start_both();
    let own = did(&pair, ALPHA);
    let items = [(1, "news.a"), (2, "gossip"), (3, "news.b.c")]
        .map(|(id, collection)| announcement(&pair, id, collection, own.clone()));
    announce(&mut pair, items.to_vec());
    assert!(pair.run_until(30_000, |pair| pair.view(ALPHA).queued_events == 0));
    assert_eq!(received(&pair), [1, 3]);
    assert_eq!(refused(&pair), ["COLLECTION_NOT_ALLOWED"]);
    assert!(pair.nodes[BETA].store.gaps.is_empty());
}

#[test]
fn a_sender_that_lists_collections_keeps_the_others_to_itself() {
    let mut pair = Pair::new(32);
    pair.nodes[ALPHA].config.policy = lists(&["news.*"]);
    pair.start_both();
    let own = did(&pair, ALPHA);
    let items = [(1, "news.a"), (2, "gossip")]
        .map(|(id, collection)| announcement(&pair, id, collection, own.clone()));
    announce(&mut pair, items.to_vec());
    assert_eq!(
        pair.nodes[ALPHA].store.outcome.get(&[2; 16]),
        Some(&Some(Code::from_static("COLLECTION_NOT_ALLOWED")))
    );
    assert!(pair.run_until(30_000, |pair| pair.view(ALPHA).queued_events == 0));
    assert_eq!(received(&pair), [1]);
    assert!(refused(&pair).is_empty());
}

#[test]
fn a_list_that_shrinks_withdraws_what_still_waits() {
    let mut pair = Pair::new(33);
    pair.nodes[ALPHA].config.policy = lists(&["news.*", "gossip"]);
    pair.start(ALPHA);
    let own = did(&pair, ALPHA);
    let items = [(1, "gossip"), (2, "news.a")]
        .map(|(id, collection)| announcement(&pair, id, collection, own.clone()));
    announce(&mut pair, items.to_vec());
    pair.nodes[ALPHA].config.policy = lists(&["news.*"]);
    pair.input(ALPHA, Input::Policy(lists(&["news.*"])));
    pair.start(BETA);
    assert!(pair.run_until(60_000, |pair| pair.view(ALPHA).queued_events == 0));
    assert_eq!(received(&pair), [2]);
    assert!(refused(&pair).is_empty());
}

#[test]
fn another_networks_event_passes_only_where_that_network_is_listed() {
    let other = agent(BETA, 9);
    let run = |of_alpha: Policy, of_beta: Policy| {
        let mut pair = Pair::new(34);
        pair.nodes[ALPHA].config.policy = of_alpha;
        pair.nodes[BETA].config.policy = of_beta;
        pair.start_both();
        let items = vec![announcement(&pair, 1, "news", other.clone())];
        announce(&mut pair, items);
        assert!(pair.run_until(30_000, |pair| pair.view(ALPHA).queued_events == 0));
        (received(&pair), refused(&pair))
    };
    let listed = || Policy {
        allow_networks: BTreeSet::from([other.clone()]),
        ..policy(TrustLevel::Open)
    };
    let open = || policy(TrustLevel::Open);
    assert_eq!(run(open(), listed()), (vec![], vec![]));
    let refusal = vec!["NETWORK_NOT_ALLOWED".to_owned()];
    assert_eq!(run(listed(), open()), (vec![], refusal));
    assert_eq!(run(listed(), listed()), (vec![1], vec![]));
}

/// Changes a sound event of a peer's into something that no honest peer sends.
fn spoilt(sound: &Item) -> Vec<Item> {
    vec![
        Item {
            bytes: b"junk".as_slice().into(),
            ..sound.clone()
        },
        Item {
            bytes: vec![0; MAX_ANNOUNCEMENT + 1].into(),
            ..sound.clone()
        },
        Item {
            id: [8; 16],
            ..sound.clone()
        },
        Item {
            from: agent(ALPHA, 1),
            ..sound.clone()
        },
        Item {
            to: agent(BETA, 1),
            ..sound.clone()
        },
    ]
}

#[test]
fn what_is_no_event_is_refused_by_the_receiver_alone_and_blocks_nothing() {
    let mut session = HandSession::open(35);
    let _ = session.confirm();
    let me = session.hand.me.did.clone();
    let victim = session.hand.victim.did.clone();
    let sound = announcement_to(&victim, 9, "news", me);
    let mut items = spoilt(&sound);
    items.push(sound);
    let wire: Vec<_> = items.into_iter().map(WireItem::Message).collect();
    let mut body = Vec::new();
    items::write(&mut body, 0, &wire);
    let out = session.send(Kind::Msg, (Stream::Evt.number(), 5, 1), &body);
    let codes = out.events.iter().map(|event| match event {
        Event::Refused { code, .. } => code.as_str(),
        other => panic!("{other:?}"),
    });
    let codes: Vec<_> = codes.collect();
    let (malformed, large) = ("EVENT_MALFORMED", "EVENT_TOO_LARGE");
    assert_eq!(codes, [malformed, large, malformed, malformed, malformed]);
    let stored = out.changes.iter().filter_map(|change| match change {
        Change::Received { seq, .. } => Some(*seq),
        _ => None,
    });
    assert_eq!(stored.collect::<Vec<_>>(), [6]);
    // All six are acknowledged.
    let (header, _) = session.read(&out.transmits[0].1);
    assert_eq!((header.kind, header.seq), (Kind::Ack, 6));
}

#[test]
fn a_link_takes_nothing_that_is_no_event_of_its_own_network() {
    let mut pair = Pair::new(36);
    pair.start_both();
    let own = did(&pair, ALPHA);
    let sound = announcement(&pair, 9, "news", own);
    announce(&mut pair, spoilt(&sound));
    assert_eq!(pair.view(ALPHA).queued_events, 0);
}
