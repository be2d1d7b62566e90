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
mod announcements;
mod keys;
mod reputation;
mod screen;
mod trust;

use std::sync::OnceLock;

use entente_e2e::{Deployment, Network};
use screen::Screen;
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

/// What an observer of alpha must never come to see.
fn secrets(deployment: &Deployment, said: &[&str]) -> Vec<String> {
    let mut secrets: Vec<_> = said.iter().map(|text| (*text).to_owned()).collect();
    for network in [deployment.network("alpha"), deployment.network("beta")] {
        for agent in &network.agents {
            secrets.extend([agent.name.clone(), agent.did.clone()]);
        }
    }
    // A name so short that it is part of other words proves nothing.
    secrets.retain(|secret| secret != "eve");
    secrets
}

#[tokio::test(flavor = "multi_thread")]
async fn an_observer_sees_that_messages_flow_but_neither_names_nor_bodies() {
    let deployment = ready().await;
    let screen = Screen::open(&deployment.network("alpha").dashboard).await;
    screen.shows("viewer", "data-viewer", "observer").await;
    screen.shows("connection", "data-state", "connected").await;
    screen.sees("[data-testid=observer-notice]").await;
    screen.sees("[data-testid=peer-node]").await;
    screen.lacks("compose").await;
    screen.lacks("inbox-message").await;

    let said = ["nobody but diana reads this", "hidden thread"];
    let sent = tokio::task::spawn_blocking(move || {
        let (alice, diana) = (deployment.agent("alice"), deployment.agent("diana"));
        let content = json!({ "kind": "text", "text": said[0] });
        let id =
            alice.send_body(&json!({ "to": diana.address, "content": content, "thread": said[1] }));
        alice.wait_for_status(&id, "delivered");
    });
    sent.await.unwrap();
    screen
        .sees("[data-testid=event-row][data-kind='message.delivered']")
        .await;
    screen.photograph("observer").await;
    screen.photograph_narrow("observer-narrow").await;

    let shown = screen.text().await.to_lowercase();
    screen.records("message.delivered");
    let frames = screen.frames().concat();
    for secret in secrets(deployment, &said) {
        assert!(!shown.contains(&secret), "the page shows {secret}");
        assert!(!frames.contains(&secret), "a frame carries {secret}");
    }
    assert_eq!(screen.errors(), Vec::<String>::new());
    screen.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_admin_key_is_said_plainly_and_opens_nothing() {
    let deployment = ready().await;
    let gamma = deployment.network("gamma");
    let screen = Screen::open(&gamma.dashboard).await;
    screen.enter("this is not the admin key").await;
    let error = screen.sees("[data-testid=admin-error]").await;
    let said = error.inner_text().await.unwrap();
    assert!(said.contains("not this network’s admin key"), "{said}");
    screen.shows("viewer", "data-viewer", "observer").await;
    screen.lacks("compose").await;
    // The right key works after that.
    screen.enter(&gamma.admin_key).await;
    screen.shows("viewer", "data-viewer", "admin").await;
    // It is in memory only.
    screen.page.reload(None).await.unwrap();
    screen.shows("viewer", "data-viewer", "observer").await;
    let all = "() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie])";
    let kept: String = screen.page.evaluate(all, None::<&()>).await.unwrap();
    assert!(!kept.contains(&gamma.admin_key), "{kept}");
    screen.close().await;
}

/// Opens a dashboard and enters its admin's key.
async fn admin(network: &Network) -> Screen {
    let screen = Screen::open(&network.dashboard).await;
    screen.enter(&network.admin_key).await;
    screen.shows("viewer", "data-viewer", "admin").await;
    screen
}

/// Diana opens an unread letter, and alice sees that she did.
async fn read_and_told(deployment: &'static Deployment, near: &Screen, far: &Screen, said: &str) {
    let beta = deployment.network("beta");
    let wish = json!({ "readReceipts": true });
    let told =
        tokio::task::spawn_blocking(move || beta.admin.patch("/agents/diana", &wish).expect(200));
    assert_eq!(told.await.unwrap()["readReceipts"], true);
    let letter = far.sees_letter(said).await;
    far.sees("[data-testid=inbox-message][data-status=delivered] [data-testid=unread-dot]")
        .await;
    far.photograph("admin-unread").await;
    letter
        .get_by_test_id("open-letter")
        .click(None)
        .await
        .unwrap();
    far.sees(&format!(
        "[data-testid=inbox-message][data-status=read]:has-text(\"{said}\")"
    ))
    .await;
    near.sees("[data-testid=journey][data-status=read]").await;
    near.sees("[data-testid=journey-sent]").await;
    near.sees("[data-testid=journey-read]").await;
    near.photograph("admin-read").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_main_job_is_done_by_hand() {
    let deployment = ready().await;
    let (alpha, beta) = (deployment.network("alpha"), deployment.network("beta"));
    let near = admin(alpha).await;
    // The federation and the agents, by name.
    near.sees(&format!(
        "[data-testid=peer-node][data-host='{}']",
        beta.host
    ))
    .await;
    for name in ["alice", "bob", "charlie"] {
        near.sees(&format!("[data-testid=agent-row][data-agent={name}]"))
            .await;
    }

    // Alice writes to diana and watches the message arrive.
    let question = "Diana, can you read this?";
    near.write("alice", &format!("diana@{}", beta.host), question)
        .await;
    near.sees("[data-testid=journey][data-status=delivered]")
        .await;
    near.sees("[data-testid=journey-accepted]").await;
    near.sees("[data-testid=journey-delivered]").await;
    near.photograph("admin-sent").await;

    // On beta's dashboard diana has it, and answers.
    let far = admin(beta).await;
    far.choose("diana").await;
    let letter = far.sees_letter(question).await;
    read_and_told(deployment, &near, &far, question).await;
    letter.get_by_test_id("reply").click(None).await.unwrap();
    let answer = "Every word of it.";
    far.id("compose-text").fill(answer, None).await.unwrap();
    far.id("compose-send").click(None).await.unwrap();
    far.sees("[data-testid=journey-delivered]").await;
    far.photograph("admin-answered").await;

    // Alice sees the answer without reloading.
    near.sees_letter(answer).await;
    near.sees("[data-testid=event-row][data-kind='message.received']")
        .await;
    near.photograph("admin").await;
    near.photograph_narrow("admin-narrow").await;

    // Bodies came by the inbox alone, never by the firehose.
    near.records("message.received");
    let frames = near.firehose_frames().concat();
    assert!(!frames.contains(question) && !frames.contains(answer));
    for screen in [near, far] {
        assert_eq!(screen.errors(), Vec::<String>::new());
        screen.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_views_are_accessible() {
    let deployment = ready().await;
    let alpha = deployment.network("alpha");
    let screen = Screen::open(&alpha.dashboard).await;
    screen.shows("connection", "data-state", "connected").await;
    screen.sees("[data-testid=peer-node]").await;
    accessibility::check(&screen, "observer").await;
    screen.enter(&alpha.admin_key).await;
    screen.write("bob", "charlie", "accessible?").await;
    screen.sees("[data-testid=journey-delivered]").await;
    accessibility::check(&screen, "admin").await;
    screen.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_says_why_something_is_late_and_shows_its_last_messages() {
    let deployment = ready().await;
    let (alpha, beta) = (deployment.network("alpha"), deployment.network("beta"));
    let sent = tokio::task::spawn_blocking(move || {
        let (alice, diana) = (deployment.agent("alice"), deployment.agent("diana"));
        let id = alice.send(&diana.address, "a secret between two agents");
        alice.wait_for_status(&id, "delivered");
        id
    });
    let id = sent.await.unwrap();
    let screen = admin(alpha).await;
    let button = format!(
        "[data-testid=peer-row][data-host='{}'] [data-testid=peer-detail]",
        beta.host
    );
    screen.sees(&button).await.click(None).await.unwrap();
    let why = screen
        .sees("[data-testid=link-why]:has-text(\"link\")")
        .await;
    let said = why.inner_text().await.unwrap();
    assert!(said.starts_with("The link"), "{said}");
    screen
        .sees(&format!(
            "[data-testid=link-message][data-message='{id}'][data-status=delivered]"
        ))
        .await;
    screen.sees("[data-testid=link-history] li").await;
    screen.sees("[data-testid=outlook][data-level=open]").await;
    screen.sees("[data-testid=outlook-room]").await;
    accessibility::check(&screen, "link detail").await;
    screen.photograph("link-detail").await;
    screen.photograph_narrow("link-detail-narrow").await;
    let dark = "document.documentElement.style.colorScheme = 'dark'";
    screen.page.evaluate_expression(dark).await.unwrap();
    accessibility::check(&screen, "dark link detail").await;
    screen.photograph("link-detail-dark").await;
    screen.id("link-probe").click(None).await.unwrap();
    assert!(!screen.frames().concat().contains("a secret between"));
    screen.close().await;
}
