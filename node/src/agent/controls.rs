//! Records of the control stream that concern this agent's mail: that it was read.

use std::collections::BTreeSet;
use std::rc::Rc;

use entente_federation::frame::control::Control;
use entente_lexicon::{Did, Host, MessageId, ReceiptStatus};
use entente_trust::crypto::sign::{VerifyingKey, kid};
use entente_trust::message::read::ReadMark;

use crate::agent::contacts::Contact;
use crate::agent::core::Core;
use crate::agent::deliver::signer_at;
use crate::agent::journey::KeptProof;
use crate::agent::store::{AgentStore, End, hex_list, id_bytes};
use crate::agent::wire::{Controls, DeliveryReply};
use crate::error::ApiError;
use crate::internal;
use crate::params;
use crate::proof::Proof;
use crate::store::sqlite::StoreError;

/// A record that is none, or of an unknown kind.
const CONTROL_UNKNOWN: &str = "CONTROL_UNKNOWN";
/// A mark names a message that its reader never got from this agent.
const READ_UNKNOWN: &str = "READ_UNKNOWN";
/// A mark was not signed by the agent that it speaks for.
const READ_INVALID: &str = "READ_INVALID";

/// Which network speaks for whom.
struct Speaker {
    network: Did,
    host: Host,
    agent: Did,
}

impl AgentStore {
    /// Returns which of these messages this agent sent to an agent of a network.
    fn sent_to(&self, ids: &[[u8; 16]], to: &Speaker) -> Result<Vec<[u8; 16]>, StoreError> {
        let rows = self.db.rows(
            "SELECT id FROM messages WHERE outgoing = 1 AND peer = ? AND network = ?
             AND id IN (SELECT unhex(value) FROM json_each(?))",
            params![
                to.agent.as_str(),
                to.network.as_str(),
                hex_list(ids.iter().copied())
            ],
        )?;
        rows.iter().map(|row| id_bytes(row, 0)).collect()
    }
}

impl Core {
    /// Takes records; each is taken, known already, or refused with a code.
    pub(super) async fn take_controls(
        self: &Rc<Self>,
        controls: Controls,
    ) -> Result<DeliveryReply, ApiError> {
        let network = Did::parse(&controls.network).map_err(ApiError::internal)?;
        let host = Host::parse(&controls.host).map_err(ApiError::internal)?;
        let mut refused = Vec::with_capacity(controls.items.len());
        for item in &controls.items {
            let speaker = Speaker {
                network: network.clone(),
                host: host.clone(),
                agent: Did::parse(&item.from).map_err(ApiError::internal)?,
            };
            let code = match Control::decode(&item.bytes) {
                Some(Control::Read(mark)) => self.take_mark(&speaker, &mark).await?,
                // What a network says, its link verifies and tells as a receipt.
                Some(Control::Outcome(_)) | None => Some(CONTROL_UNKNOWN),
            };
            refused.push(code.map(str::to_owned));
        }
        Ok(DeliveryReply { refused })
    }

    /// Takes a mark: what it names of ours, sent to that agent of that network, was read.
    async fn take_mark(
        self: &Rc<Self>,
        speaker: &Speaker,
        mark: &ReadMark,
    ) -> Result<Option<&'static str>, ApiError> {
        // Before any key is looked up: who never got mail from here makes no work.
        let known = self.store.sent_to(&mark.ids, speaker)?;
        if known.is_empty() {
            return Ok(Some(READ_UNKNOWN));
        }
        let me = self.identity()?;
        let Speaker {
            network,
            host,
            agent,
        } = speaker;
        let reader = match self.contact_at(agent, network, host).await {
            Ok(contact) => contact,
            Err(error) if error.status < 500 => return Ok(Some(READ_UNKNOWN)),
            Err(error) => return Err(error),
        };
        let Some(signer) = self.signer_of(&reader, mark, &me.did).await? else {
            return Ok(Some(READ_INVALID));
        };
        let end = End {
            at: mark.at.min(internal::now()),
            by: network.to_string(),
            code: None,
            sent: None,
        };
        let statement = mark.statement(agent, &me.did);
        let kid = kid(&signer.to_multikey());
        let proof = Proof::signed("read", &kid, statement, mark.signature()).encode();
        let proof = KeptProof::new(&proof);
        let ended = self.store.transaction(|| {
            let mut ended = Vec::new();
            for id in &known {
                let id = MessageId::from_bytes(*id);
                let status = ReceiptStatus::Read;
                if let Some(step) = self.store.step(&id, status, &end, Some(&proof))? {
                    ended.extend(self.ends(id, &step, status, &end)?);
                }
            }
            Ok::<_, ApiError>(ended)
        })?;
        self.announce_ends(ended);
        let named: BTreeSet<_> = mark.ids.iter().collect();
        Ok((known.len() < named.len()).then_some(READ_UNKNOWN))
    }

    /// Finds the reader's key under a mark; asks for its card again before it says that there is
    /// none.
    async fn signer_of(
        self: &Rc<Self>,
        reader: &Rc<Contact>,
        mark: &ReadMark,
        writer: &Did,
    ) -> Result<Option<VerifyingKey>, ApiError> {
        let find = |contact: &Contact| {
            let signer = signer_at(contact, mark.at, |key| {
                mark.is_by(&contact.did, key, writer)
            });
            signer.cloned()
        };
        if let Some(signer) = find(reader) {
            return Ok(Some(signer));
        }
        let reader = self.ask_again(reader).await?;
        Ok(find(&reader))
    }
}
