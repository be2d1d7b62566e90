//! The dashboard in a real browser: what an observer sees, and the main job done by hand.
//!
//! `CHROME_PATH` names the browser, else the system's is taken. With `ENTENTE_SCREENSHOTS` set to a
//! folder the views are photographed into it.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod accessibility;
mod screen;

use std::sync::OnceLock;

use entente_e2e::Deployment;
use playwright_rs::expect;
use screen::{PATIENCE, Screen};
use serde_json::json;

fn deployment() -> &'static Deployment {
    static SHARED: OnceLock<Deployment> = OnceLock::new();
    SHARED.get_or_init(|| Deployment::start(3))
}

/// Starts the deployment off the browser's runtime: it waits without yielding.
async fn ready() -> &'static Deployment {
    tokio::task::spawn_blocking(deployment)
        .await
        .expect("the deployment starts")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_observer_sees_that_messages_flow_but_neither_names_nor_bodies() {
    let deployment = ready().await;
    let screen = Screen::open(&deployment.network("alpha").dashboard).await;
    screen.shows("viewer", "data-viewer", "observer").await;
    screen.shows("connection", "data-state", "connected").await;
    expect(screen.id("observer-notice"))
        .with_timeout(PATIENCE)
        .to_be_visible()
        .await
        .unwrap();
    expect(screen.id("peer-node").first())
        .with_timeout(PATIENCE)
        .to_be_visible()
        .await
        .unwrap();
    expect(screen.id("compose")).to_have_count(0).await.unwrap();
    expect(screen.id("inbox-message"))
        .to_have_count(0)
        .await
        .unwrap();

    let secret = "nobody but diana reads this";
    tokio::task::spawn_blocking(move || {
        let (alice, diana) = (deployment.agent("alice"), deployment.agent("diana"));
        let id = alice.send_body(&json!({
            "to": diana.address, "content": { "kind": "text", "text": secret }, "thread": "hidden thread",
        }));
        alice.wait_for_status(&id, "delivered");
    })
    .await
    .unwrap();
    let delivered = screen
        .page
        .locator("[data-testid=event-row][data-kind='message.delivered']");
    expect(delivered.first())
        .with_timeout(PATIENCE)
        .to_be_visible()
        .await
        .unwrap();
    screen.photograph("observer").await;
    screen.photograph_narrow("observer-narrow").await;

    let shown = screen.text().await;
    let frames = screen.frames().concat();
    assert!(
        frames.contains("message.delivered"),
        "the frames were recorded"
    );
    let alpha = deployment.network("alpha");
    let mut hidden = vec![secret.to_owned(), "hidden thread".to_owned()];
    hidden.extend(
        alpha
            .agents
            .iter()
            .flat_map(|agent| [agent.name.clone(), agent.did.clone()]),
    );
    hidden.extend(
        deployment
            .network("beta")
            .agents
            .iter()
            .map(|agent| agent.did.clone()),
    );
    hidden.push("diana".to_owned());
    for hidden in hidden {
        assert!(
            !shown.to_lowercase().contains(&hidden),
            "the page shows {hidden}"
        );
        assert!(!frames.contains(&hidden), "a frame carries {hidden}");
    }
    screen.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_admin_key_is_said_plainly_and_opens_nothing() {
    let deployment = ready().await;
    let screen = Screen::open(&deployment.network("gamma").dashboard).await;
    screen.enter("this is not the admin key").await;
    let error = screen.id("admin-error");
    expect(error.clone())
        .with_timeout(PATIENCE)
        .to_be_visible()
        .await
        .unwrap();
    expect(error)
        .to_contain_text("not this network’s admin key")
        .await
        .unwrap();
    screen.shows("viewer", "data-viewer", "observer").await;
    expect(screen.id("compose")).to_have_count(0).await.unwrap();
    // The right key works after that.
    screen.enter(&deployment.network("gamma").admin_key).await;
    screen.shows("viewer", "data-viewer", "admin").await;
    // It is in memory only.
    screen.page.reload(None).await.unwrap();
    screen.shows("viewer", "data-viewer", "observer").await;
    let kept: String = screen
        .page
        .evaluate(
            "() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie])",
            None::<&()>,
        )
        .await
        .unwrap();
    assert!(
        !kept.contains(&deployment.network("gamma").admin_key),
        "{kept}"
    );
    screen.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_main_job_is_done_by_hand() {
    let deployment = ready().await;
    let (alpha, beta) = (deployment.network("alpha"), deployment.network("beta"));
    let near = Screen::open(&alpha.dashboard).await;
    near.enter(&alpha.admin_key).await;
    near.shows("viewer", "data-viewer", "admin").await;

    // The federation and the agents, by name.
    let peer = near.page.locator(format!(
        "[data-testid=peer-node][data-host='{}']",
        beta.host
    ));
    expect(peer)
        .with_timeout(PATIENCE)
        .to_be_visible()
        .await
        .unwrap();
    for name in ["alice", "bob", "charlie"] {
        let row = near
            .page
            .locator(format!("[data-testid=agent-row][data-agent={name}]"));
        expect(row)
            .with_timeout(PATIENCE)
            .to_be_visible()
            .await
            .unwrap();
    }

    // Alice writes to diana and watches the message arrive.
    let question = "Diana, can you read this?";
    near.write("alice", &format!("diana@{}", beta.host), question)
        .await;
    let journey = near
        .page
        .locator("[data-testid=journey][data-status=delivered]");
    expect(journey)
        .with_timeout(PATIENCE)
        .to_be_visible()
        .await
        .unwrap();
    expect(near.id("journey-accepted"))
        .to_be_visible()
        .await
        .unwrap();
    expect(near.id("journey-delivered"))
        .to_be_visible()
        .await
        .unwrap();
    near.photograph("admin-sent").await;

    // On beta's dashboard diana has it, and answers.
    let far = Screen::open(&beta.dashboard).await;
    far.enter(&beta.admin_key).await;
    far.choose("diana").await;
    let letter = far.id("inbox-message").last();
    expect(letter.clone())
        .with_timeout(PATIENCE)
        .to_contain_text(question)
        .await
        .unwrap();
    letter.get_by_test_id("reply").click(None).await.unwrap();
    let answer = "Every word of it.";
    far.id("compose-text").fill(answer, None).await.unwrap();
    far.id("compose-send").click(None).await.unwrap();
    expect(far.id("journey-delivered"))
        .with_timeout(PATIENCE)
        .to_be_visible()
        .await
        .unwrap();
    far.photograph("admin-answered").await;

    // Alice sees the answer without reloading.
    let reply = near.id("inbox-message").last();
    expect(reply)
        .with_timeout(PATIENCE)
        .to_contain_text(answer)
        .await
        .unwrap();
    let event = near
        .page
        .locator("[data-testid=event-row][data-kind='message.received']");
    expect(event.first())
        .with_timeout(PATIENCE)
        .to_be_visible()
        .await
        .unwrap();
    near.photograph("admin").await;
    near.photograph_narrow("admin-narrow").await;

    // Bodies came by the inbox alone, never by the firehose.
    let frames = near.firehose_frames().concat();
    assert!(
        frames.contains("message.received")
            && !frames.contains(question)
            && !frames.contains(answer)
    );
    assert_eq!(near.errors(), Vec::<String>::new());
    assert_eq!(far.errors(), Vec::<String>::new());
    near.close().await;
    far.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_views_are_accessible() {
    let deployment = ready().await;
    let alpha = deployment.network("alpha");
    let screen = Screen::open(&alpha.dashboard).await;
    screen.shows("connection", "data-state", "connected").await;
    expect(screen.id("peer-node").first())
        .with_timeout(PATIENCE)
        .to_be_visible()
        .await
        .unwrap();
    accessibility::check(&screen, "observer").await;
    screen.enter(&alpha.admin_key).await;
    expect(screen.id("compose"))
        .with_timeout(PATIENCE)
        .to_be_visible()
        .await
        .unwrap();
    screen.write("bob", "alice", "accessible?").await;
    expect(screen.id("journey-delivered"))
        .with_timeout(PATIENCE)
        .to_be_visible()
        .await
        .unwrap();
    accessibility::check(&screen, "admin").await;
    screen.close().await;
}
