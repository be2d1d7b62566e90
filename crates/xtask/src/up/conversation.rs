//! The first conversation, labelled as the demo script's.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use entente_lexicon::Content;
use entente_lexicon::api::{Accepted, Inbox, LocalAgent, LocalNetwork, SendMessage};

use super::client::Client;

const THREAD: &str = "demo script";
const PATIENCE: Duration = Duration::from_secs(30);

/// Sends alice → diana and diana → alice and waits for both to arrive.
pub(crate) fn hold(alpha: &LocalNetwork, beta: &LocalNetwork) -> Result<()> {
    let (alice, diana) = (agent(alpha, "alice")?, agent(beta, "diana")?);
    say(
        alpha,
        alice,
        beta,
        diana,
        "Hello Diana, this is Alice on alpha. (demo script)",
    )?;
    say(
        beta,
        diana,
        alpha,
        alice,
        "Hello Alice, I read you on beta. (demo script)",
    )
}

fn agent<'a>(network: &'a LocalNetwork, name: &str) -> Result<&'a LocalAgent> {
    let found = network.agents.iter().find(|agent| agent.name == name);
    found.with_context(|| format!("{name} is missing on {}", network.name))
}

fn say(
    from: &LocalNetwork,
    sender: &LocalAgent,
    to: &LocalNetwork,
    recipient: &LocalAgent,
    text: &str,
) -> Result<()> {
    let message = SendMessage {
        to: recipient.address.clone(),
        content: Content::Text {
            text: text.to_owned(),
        },
        thread: Some(THREAD.to_owned()),
        priority: None,
        expires_at: None,
        // A run that was cut off here does not say it twice.
        idempotency_key: Some(format!("demo-script-{}", sender.name)),
        asynchronous: None,
    };
    let path = format!("/agents/{}/messages", sender.name);
    let accepted: Accepted = Client::new(&from.url, &sender.token).post(&path, &message)?;
    let inbox = Client::new(&to.url, &recipient.token);
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        let page: Inbox = inbox.read(&format!("/agents/{}/inbox?limit=200", recipient.name))?;
        if page
            .messages
            .iter()
            .any(|message| message.id == accepted.id)
        {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    bail!(
        "{}'s first message to {} was accepted (id {}) but did not arrive within {} s; the logs in the state folder may say why",
        sender.name,
        recipient.name,
        accepted.id,
        PATIENCE.as_secs()
    )
}
