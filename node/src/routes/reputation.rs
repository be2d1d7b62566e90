//! What endorsements that were verified here say of an agent, weighed as of now. Nothing of it is stored,
//! and nothing that decides who may do what reads it.

use std::collections::{BTreeMap, BTreeSet};

use entente_lexicon::address::AgentRef;
use entente_lexicon::api::blocks::BlockList;
use entente_lexicon::api::reputation::{
    ContributionView, ReputationHead, ReputationList, ReputationView, SkillView,
};
use entente_lexicon::records;
use entente_lexicon::{Did, Recipient, Timestamp};
use entente_reputation::{COLLECTION, Endorsement, Reputation, Silence, Speaker, Subject, weigh};
use entente_trust::policy::{Policy, Standing, voice};
use serde_json::Value;
use worker::Response;

use crate::agent::wire::{self, AboutReply, AboutWish, HeldEndorsement};
use crate::auth::gate::Caller;
use crate::error::ApiError;
use crate::internal::{self, now};
use crate::link::lists;
use crate::routes::call::{Call, unknown_agent};
use crate::routes::reply;
use crate::store::agents::AgentRow;
use crate::store::peers::PeerRow;

/// Words that one answer shows.
const MAX_SHOWN: usize = 200;
/// Agents of this network that one list has.
const MAX_LISTED: usize = 200;

/// How each network is heard, as of now.
struct Ear {
    own: Did,
    peers: BTreeMap<Did, Result<Speaker, Silence>>,
    /// Whom the agent that asks blocks: DIDs, and hosts as `*@host`.
    blocked: BTreeSet<String>,
    at: Timestamp,
}

/// `GET /reputation…` and `GET /agents/:name/reputation…`.
pub(super) async fn serve(call: &Call) -> Result<Response, ApiError> {
    let path = call.request.url()?;
    let of_an_agent = path.path().starts_with("/agents/");
    match (of_an_agent, call.parameters.as_slice()) {
        (false, []) => list(call).await,
        (true, [_]) => {
            let row = call.agent().await?;
            let did = row.did.filter(|_| row.status.as_str() == "active");
            let did = did.ok_or_else(|| unknown_agent(call.parameter()))?;
            let network = Some(call.ready().await?.row.did.clone());
            show(call, Subject { did, network }, BTreeSet::new()).await
        }
        (false, [address]) => {
            let subject = subject(call, address).await?;
            show(call, subject, BTreeSet::new()).await
        }
        (_, parameters) => {
            let address = parameters.last().map_or("", String::as_str);
            let subject = subject(call, address).await?;
            show(call, subject, blocked(call).await?).await
        }
    }
}

async fn show(
    call: &Call,
    subject: Subject,
    blocked: BTreeSet<String>,
) -> Result<Response, ApiError> {
    let ear = ear(call, blocked).await?;
    let reply = about(call, vec![subject.did.to_string()]).await?;
    let held: Vec<_> = reply.held.iter().collect();
    let said = said(&ear, &subject, &held, &reply.praised)?;
    let found = weigh(&subject, &said, ear.at);
    reply::json(200, &view(&subject, (&held, &said), &found, ear.at))
}

/// All agents here in short: one look at the directory and one at the relay.
async fn list(call: &Call) -> Result<Response, ApiError> {
    let ear = ear(call, BTreeSet::new()).await?;
    let agents = call.directory()?.agents().await?;
    let living = agents.into_iter().filter(AgentRow::is_active);
    let agents: Vec<_> = living
        .filter_map(|row| Some((row.did?, row.name)))
        .take(MAX_LISTED)
        .collect();
    let dids = agents.iter().map(|(did, _)| did.to_string()).collect();
    let reply = about(call, dids).await?;
    let mut of: BTreeMap<String, Vec<&HeldEndorsement>> = BTreeMap::new();
    for held in &reply.held {
        let record: Value = serde_json::from_str(&held.record)?;
        let subject = record.get("subject").and_then(Value::as_str);
        of.entry(subject.unwrap_or_default().to_owned())
            .or_default()
            .push(held);
    }
    let mut reputations = Vec::with_capacity(agents.len());
    for (did, name) in agents {
        let subject = Subject {
            did,
            network: Some(ear.own.clone()),
        };
        let held = of.remove(subject.did.as_str()).unwrap_or_default();
        let said = said(&ear, &subject, &held, &reply.praised)?;
        let found = weigh(&subject, &said, ear.at);
        reputations.push(ReputationHead {
            did: subject.did.to_string(),
            name: name.to_string(),
            score: found.score,
            voices: found.voices,
        });
    }
    reply::json(200, &ReputationList { reputations })
}

async fn about(call: &Call, subjects: Vec<String>) -> Result<AboutReply, ApiError> {
    let relay = internal::relay(&call.env)?;
    wire::call(&relay, "/endorsements/about", &AboutWish { subjects }).await
}

/// Finds whom a path names: the DID of anybody, with the host of its network unless that is this one; or the
/// name of an agent here.
async fn subject(call: &Call, named: &str) -> Result<Subject, ApiError> {
    let malformed = |error: entente_lexicon::IdError| {
        ApiError::bad_request(
            "MALFORMED_ADDRESS",
            format!("Name an agent by its address, `did@host`, or one here by its name: {error}."),
        )
    };
    let recipient: Recipient = named.parse().map_err(malformed)?;
    let ready = call.ready().await?;
    let own = &ready.row;
    let directory = call.directory()?;
    let host = recipient.host.filter(|host| *host != own.host);
    let (row, did) = match (recipient.agent, &host) {
        (AgentRef::Did(did), None) => (directory.agent_by_did(&did).await?, did),
        (AgentRef::Did(did), Some(host)) => {
            let peer = directory.peer_by_host(host).await?;
            let network = peer.map(|peer| peer.did);
            return Ok(Subject { did, network });
        }
        (AgentRef::Name(name), None) => {
            let row = directory.agent_by_name(&name).await?;
            let did = row.as_ref().and_then(|row| row.did.clone());
            (row, did.ok_or_else(|| unknown_agent(named))?)
        }
        (AgentRef::Name(_), Some(_)) => {
            return Err(ApiError::bad_request(
                "MALFORMED_ADDRESS",
                "An agent elsewhere is named by its address, `did@host`: a contact's card says it.",
            ));
        }
    };
    Ok(Subject {
        did,
        network: row.map(|_here| own.did.clone()),
    })
}

/// Whom the agent that asks blocks; nobody where the admin asks.
async fn blocked(call: &Call) -> Result<BTreeSet<String>, ApiError> {
    if call.caller == Caller::Admin {
        return Ok(BTreeSet::new());
    }
    let row = call.agent().await?;
    let stub = internal::agent(&call.env, &row.object_id)?;
    let list: BlockList = internal::get(&stub, "/blocks", &call.id).await?;
    Ok(list.blocks.into_iter().map(|block| block.who).collect())
}

async fn ear(call: &Call, blocked: BTreeSet<String>) -> Result<Ear, ApiError> {
    let ready = call.ready().await?;
    let directory = call.directory()?;
    let at = now();
    let bans = directory.bans(at).await?;
    let banned: BTreeSet<String> = bans.into_iter().map(|ban| ban.subject).collect();
    let mut peers = BTreeMap::new();
    for row in directory.peers().await? {
        let heard = if banned.contains(row.did.as_str()) || banned.contains(row.host.as_str()) {
            Err(Silence::Banned)
        } else if row.is_closing() {
            Err(Silence::NotPeered)
        } else {
            let policy = policy(&row, &ready.config, at)?;
            let voice = voice(&policy, COLLECTION);
            voice.map(Speaker::Peer).ok_or(Silence::NotLetIn)
        };
        let _ = peers.insert(row.did, heard);
    }
    for subject in banned {
        if let Ok(did) = Did::parse(&subject) {
            let _ = peers.insert(did, Err(Silence::Banned));
        }
    }
    Ok(Ear {
        own: ready.row.did.clone(),
        peers,
        blocked,
        at,
    })
}

/// What policy says of a peer now. What came in had all that `verified` asks for when it came; here the
/// admin's approval must hold still.
fn policy(
    row: &PeerRow,
    config: &crate::config::Config,
    at: Timestamp,
) -> Result<Policy, ApiError> {
    let approval = row.approval();
    let holds = |from: Timestamp, until: Timestamp| from <= at && at < until;
    Ok(Policy {
        standing: Standing {
            approved: approval.is_some_and(|one| holds(one.not_before, one.expires)),
            ..Standing::WHOLE
        },
        ..lists(&row.policy(), config)?
    })
}

impl Ear {
    fn hears(&self, held: &HeldEndorsement, network: &Did) -> Result<Speaker, Silence> {
        let host = format!("*@{}", held.host);
        if [&held.author, &held.network, &host]
            .into_iter()
            .any(|who| self.blocked.contains(who))
        {
            return Err(Silence::Blocked);
        }
        if *network == self.own {
            return Ok(Speaker::Own);
        }
        let heard = self.peers.get(network).copied();
        heard.unwrap_or(Err(Silence::NotPeered))
    }
}

fn said(
    ear: &Ear,
    subject: &Subject,
    held: &[&HeldEndorsement],
    praised: &BTreeSet<(String, String)>,
) -> Result<Vec<Endorsement>, ApiError> {
    let read = |held: &&HeldEndorsement| {
        let record: Value = serde_json::from_str(&held.record)?;
        let record = records::Endorsement::of(&record)?;
        let network = Did::parse(&held.network).map_err(ApiError::internal)?;
        let pair = (subject.did.to_string(), held.author.clone());
        Ok(Endorsement {
            author: Did::parse(&held.author).map_err(ApiError::internal)?,
            speaker: ear.hears(held, &network),
            network,
            skill: record.skill,
            score: record.score,
            created_at: record.created_at,
            valid_to: record.valid_to,
            received_at: held.stored_at,
            order: (held.made, held.id),
            mutual: praised.contains(&pair),
        })
    };
    held.iter().map(read).collect()
}

fn view(
    subject: &Subject,
    (held, said): (&[&HeldEndorsement], &[Endorsement]),
    found: &Reputation,
    at: Timestamp,
) -> ReputationView {
    let told = found.contributions.iter().zip(held.iter().zip(said));
    let mut contributions: Vec<_> = told
        .map(|(weighed, (held, said))| ContributionView {
            author: format!("{}@{}", held.author, held.host),
            name: held.name.clone(),
            network: held.network.clone(),
            peer: held.peer.clone(),
            skill: said.skill.clone(),
            score: said.score,
            text: text_of(&held.record),
            uri: held.uri.clone(),
            cid: held.cid.clone(),
            created_at: said.created_at,
            valid_to: said.valid_to,
            received_at: held.stored_at,
            weight: weighed.weight,
            silence: weighed.silence.map(|why| why.as_str().to_owned()),
        })
        .collect();
    contributions.sort_by_key(|one| std::cmp::Reverse(one.weight));
    contributions.truncate(MAX_SHOWN);
    let skills = found.skills.iter().map(|one| SkillView {
        skill: one.skill.clone(),
        score: one.score,
        voices: one.voices,
    });
    ReputationView {
        subject: subject.did.to_string(),
        score: found.score,
        voices: found.voices,
        weight: found.weight,
        skills: skills.take(MAX_SHOWN).collect(),
        contributions,
        total: held.len() as u64,
        at,
    }
}

fn text_of(record: &str) -> Option<String> {
    let record: Value = serde_json::from_str(record).ok()?;
    record.get("text")?.as_str().map(str::to_owned)
}
