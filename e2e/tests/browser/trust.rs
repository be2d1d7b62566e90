//! Trust by hand: who asks to peer, approvals on both sides, previews and bans.

use entente_e2e::fake_peer::{FakePeer, SignedUpgrade, dial_with};
use entente_e2e::wait::{PATIENCE, wait_until};
use entente_e2e::{Agent, Network, Options};
use playwright_rs::expect;
use playwright_rs::protocol::Viewport;
use serde_json::{Value, json};

use super::*;

const LARGE: Viewport = Viewport {
    width: 1440,
    height: 900,
};

/// Networks of their own: what is done here would disturb the other tests.
fn networks() -> &'static Deployment {
    static SHARED: OnceLock<Deployment> = OnceLock::new();
    SHARED.get_or_init(|| Options::default().networks(3).fake_peers(1).start())
}

/// Does what waits without yielding off the browser's runtime.
pub(super) async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work)
        .await
        .expect("the work is done")
}

fn row(network: &Network) -> String {
    row_of(&network.host)
}

pub(super) fn row_of(host: &str) -> String {
    format!("[data-testid=peer-row][data-host='{host}']")
}

pub(super) async fn press(screen: &Screen, selector: &str) {
    let button = screen.sees(selector).await;
    button.click(None).await.expect("it can be pressed");
}

pub(super) async fn gone(screen: &Screen, selector: &str) {
    let none = expect(screen.page.locator(selector))
        .with_timeout(screen::PATIENCE)
        .to_have_count(0)
        .await;
    none.unwrap_or_else(|error| panic!("{selector} is still there: {error}"));
}

/// Photographs a view as it is and checks it, by day, by night, wide and narrow.
pub(super) async fn look(screen: &Screen, name: &str) {
    screen.page.set_viewport_size(LARGE).await.unwrap();
    accessibility::check(screen, name).await;
    screen.photograph(name).await;
    screen.photograph_narrow(&format!("{name}-narrow")).await;
    let scheme = |scheme: &str| format!("document.documentElement.style.colorScheme = '{scheme}'");
    screen
        .page
        .evaluate_expression(&scheme("dark"))
        .await
        .unwrap();
    accessibility::check(screen, &format!("dark {name}")).await;
    screen.photograph(&format!("{name}-dark")).await;
    screen
        .page
        .evaluate_expression(&scheme("light dark"))
        .await
        .unwrap();
}

pub(super) async fn text_of(screen: &Screen, selector: &str) -> String {
    screen.sees(selector).await.inner_text().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_asks_is_accepted_by_its_fingerprint_and_links() {
    let deployment = aside(networks).await;
    let (alpha, gamma) = (deployment.network("alpha"), deployment.network("gamma"));
    let screen = Screen::open(&alpha.dashboard).await;
    screen.shows("viewer", "data-viewer", "observer").await;
    for id in ["requests", "bans", "approval", "preview"] {
        screen.lacks(id).await;
    }
    screen.enter(&alpha.admin_key).await;
    screen.sees("[data-testid=requests-empty]").await;
    aside(move || {
        let wish = json!({ "peerUrl": alpha.url, "trustLevel": "open" });
        let _ = gamma
            .admin
            .post("/admin/federation/peers", &wish)
            .expect(201);
    })
    .await;
    let request = format!("[data-testid=request-row][data-host='{}']", gamma.host);
    screen.sees(&request).await;
    let shown = text_of(
        &screen,
        &format!("{request} [data-testid=request-fingerprint]"),
    )
    .await;
    let listed = aside(|| {
        let list = alpha.admin.get("/admin/federation/requests").expect(200);
        list["requests"][0]["fingerprint"]
            .as_str()
            .unwrap()
            .to_owned()
    })
    .await;
    let words = |text: &str| {
        text.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(words(&shown), words(&listed));

    press(&screen, &format!("{request} [data-testid=request-reject]")).await;
    screen.sees("[data-testid=request-reject-confirm]").await;
    press(&screen, &format!("{request} [data-testid=request-accept]")).await;
    let level = screen
        .page
        .locator(format!("{request} [data-testid=peer-level]"));
    level.select_option("open", None).await.unwrap();
    look(&screen, "requests").await;
    press(&screen, "[data-testid=request-accept-confirm]").await;
    gone(&screen, &request).await;
    screen.sees(&row(gamma)).await;
    // gamma dials again by itself.
    aside(move || {
        let path = format!("/admin/federation/peers/{}/probe", alpha.did);
        wait_until("the link to be up", PATIENCE, || {
            let _ = gamma.admin.post(&path, &json!({}));
            alpha.peer(&gamma.did)["state"] == "up"
        });
    })
    .await;
    screen.sees(&format!("{}[data-state=up]", row(gamma))).await;
    screen.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_admins_approve_by_fingerprint_and_the_link_is_up_at_verified() {
    let deployment = aside(networks).await;
    let (beta, gamma) = (deployment.network("beta"), deployment.network("gamma"));
    let pairs = [(beta, gamma), (gamma, beta)];
    for (network, peer) in pairs {
        aside(move || {
            let path = format!("/admin/federation/peers/{}", peer.did);
            let change = json!({ "trustLevel": "verified" });
            let _ = network.admin.patch(&path, &change).expect(200);
        })
        .await;
    }
    let mut screens = Vec::new();
    for (network, peer) in pairs {
        let screen = admin(network).await;
        let card = format!("{} [data-testid=approval]", row(peer));
        screen.sees(&card).await;
        screen
            .sees(&format!(
                "{card} [data-testid=approval-ours][data-holds=false]"
            ))
            .await;
        let approve = screen
            .page
            .locator(format!("{card} [data-testid=approval-approve]"));
        assert!(approve.is_disabled().await.unwrap(), "not compared yet");
        // The graph says so too, and does not call it unreachable.
        screen
            .sees(&format!(
                "[data-testid=peer-node][data-host='{}'][data-state^=waiting]",
                peer.host
            ))
            .await;
        let compared = screen
            .page
            .locator(format!("{card} [data-testid=approval-compared]"));
        compared.check(None).await.unwrap();
        look(&screen, &format!("approval-{}", network.name)).await;
        approve.click(None).await.unwrap();
        screen
            .sees(&format!(
                "{card} [data-testid=approval-ours][data-holds=true]"
            ))
            .await;
        screens.push((screen, card, peer));
    }
    for (screen, card, peer) in &screens {
        let theirs = format!("{card} [data-testid=approval-theirs][data-holds=true]");
        screen.sees(&theirs).await;
        screen.sees(&format!("{}[data-state=up]", row(peer))).await;
    }
    let (screen, card, peer) = &screens[0];
    screen.photograph("approved").await;
    press(screen, &format!("{card} [data-testid=approval-withdraw]")).await;
    screen
        .sees(&format!(
            "{card} [data-testid=approval-ours][data-holds=false]"
        ))
        .await;
    gone(screen, &format!("{}[data-state=up]", row(peer))).await;
    for (screen, ..) in screens {
        screen.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_shows_what_the_network_says_and_changes_nothing() {
    let deployment = aside(networks).await;
    let (alpha, beta) = (deployment.network("alpha"), deployment.network("beta"));
    let screen = admin(alpha).await;
    press(&screen, &format!("{} [data-testid=peer-edit]", row(beta))).await;
    let field = screen
        .page
        .locator(format!("{} [data-testid=peer-level]", row(beta)));
    screen.lacks("preview").await;
    let change = |level: &'static str| {
        move || -> Value {
            let path = format!("/admin/federation/peers/{}/preview", beta.did);
            let mut body = json!({ "trustLevel": level });
            if level == "allowlist" {
                body["allowAgents"] = json!([]);
            }
            alpha.admin.post(&path, &body).expect(200)
        }
    };
    for level in ["allowlist", "private"] {
        field.select_option(level, None).await.unwrap();
        let said = aside(change(level)).await;
        let link = said["link"]["after"].as_str().unwrap();
        screen
            .sees(&format!("[data-testid=preview][data-link='{link}']"))
            .await;
        for group in ["agents", "collections", "recent", "queued"] {
            let numbers = &said[group];
            screen
                .sees(&format!(
                    "[data-testid=preview-row][data-group={group}][data-before='{}'][data-after='{}']\
                     [data-stops='{}'][data-starts='{}']",
                    numbers["passBefore"], numbers["passAfter"], numbers["stops"], numbers["starts"],
                ))
                .await;
        }
        assert!(said["agents"]["stops"].as_u64().unwrap() > 0, "{said}");
        screen.sees("[data-testid=preview-example]").await;
        look(&screen, &format!("preview-{level}")).await;
    }
    press(&screen, "[data-testid=peer-cancel]").await;
    screen.lacks("preview").await;
    aside(|| assert_eq!(alpha.peer(&beta.did)["trustLevel"], "open")).await;
    screen.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_banned_network_is_refused_until_the_ban_is_lifted() {
    let deployment = aside(networks).await;
    let alpha = deployment.network("alpha");
    let peer = aside(move || {
        let peer = FakePeer::start(deployment.take_peer_port());
        peer.join(alpha, "open");
        peer
    })
    .await;
    let (did, host) = (
        peer.identity.did.to_string(),
        peer.identity.host.to_string(),
    );
    let screen = admin(alpha).await;
    let card = format!("[data-testid=peer-row][data-host='{host}']");
    screen.sees(&card).await;
    screen.sees("[data-testid=bans-empty]").await;
    let fill = async |id: &str, text: &str| {
        screen.id(id).fill(text, None).await.unwrap();
    };
    // Its next step is said where the ban is refused.
    fill("ban-subject", "did:nonsense").await;
    fill("ban-reason", "a typo").await;
    press(&screen, "[data-testid=ban-add]").await;
    screen
        .sees("[data-testid=ban-error][data-code=MALFORMED_ADDRESS]")
        .await;

    fill("ban-subject", &did).await;
    fill("ban-reason", "it sent a secret word").await;
    screen.id("ban-end").select_option("2", None).await.unwrap();
    press(&screen, "[data-testid=ban-add]").await;
    let ban = format!("[data-testid=ban-row][data-subject='{did}']");
    screen.sees(&ban).await;
    screen.sees(&format!("{card}[data-state=refused]")).await;
    screen.sees(&format!("{card} [data-testid=peer-ban]")).await;
    look(&screen, "bans").await;
    let public = aside(|| alpha.public.get("/relay/peers").text()).await;
    assert!(!public.contains("secret word"));
    let peer = aside(move || {
        let upgrade = SignedUpgrade::new(&peer.identity, alpha);
        assert!(dial_with(alpha, &upgrade.headers()).is_err(), "refused");
        peer
    })
    .await;
    press(&screen, &format!("{ban} [data-testid=ban-lift]")).await;
    screen.sees("[data-testid=bans-empty]").await;
    aside(move || {
        wait_until("it to be let in again", PATIENCE, || {
            let upgrade = SignedUpgrade::new(&peer.identity, alpha);
            dial_with(alpha, &upgrade.headers()).is_ok()
        });
    })
    .await;
    screen.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_nodes_of_the_graph_can_be_pressed() {
    let deployment = aside(networks).await;
    let (alpha, beta) = (deployment.network("alpha"), deployment.network("beta"));
    let screen = admin(alpha).await;
    press(
        &screen,
        &format!("[data-testid=peer-node][data-host='{}']", beta.host),
    )
    .await;
    screen.sees("[data-testid=link-detail]").await;
    press(&screen, "[data-testid=agent-node][data-agent=alice]").await;
    screen
        .sees("[data-testid=agent-node][data-agent=alice][aria-pressed=true]")
        .await;
    screen.close().await;
}

/// Two networks at verified between which mail was written before: it carries no origin. Returns the
/// sender and the messages.
fn unsigned_mail(deployment: &Deployment) -> (Agent, Vec<String>) {
    let (near, far) = (deployment.network("alpha"), deployment.network("beta"));
    let (alice, diana) = (deployment.agent("alice"), deployment.agent("diana"));
    let first = alice.send(&diana.address, "while all is open");
    alice.wait_for_status(&first, "delivered");
    deployment.kill9("beta");
    let ids = ["hold this", "and this"].map(|text| alice.send(&diana.address, text));
    let verified = |network: &Network, peer: &Network, agent: &Agent| {
        let path = format!("/admin/federation/peers/{}", peer.did);
        let wish = json!({ "trustLevel": "verified", "allowAgents": [agent.did] });
        let _ = network.admin.patch(&path, &wish).expect(200);
        let approved = network.admin.post(&format!("{path}/approve"), &json!({}));
        let _ = approved.expect(200);
    };
    verified(near, far, diana);
    deployment.restart("beta");
    verified(far, near, alice);
    for id in &ids {
        alice.wait_for_status(id, "quarantined");
    }
    (alice.clone(), ids.to_vec())
}

#[tokio::test(flavor = "multi_thread")]
async fn held_mail_is_released_and_refused_by_hand() {
    static OWN: OnceLock<Deployment> = OnceLock::new();
    let deployment = aside(|| OWN.get_or_init(|| Options::default().networks(2).start())).await;
    let (alice, ids) = aside(|| unsigned_mail(deployment)).await;
    let screen = admin(deployment.network("beta")).await;
    let row = |id: &str| format!("[data-testid=held-row][data-message='{id}']");
    for id in &ids {
        screen.sees(&row(id)).await;
    }
    assert_eq!(
        text_of(&screen, "[data-testid=quarantine-count]").await,
        "2 waiting for you"
    );
    screen
        .sees("[data-testid=held-row][data-reason=ORIGIN_MISSING]")
        .await;
    look(&screen, "quarantine").await;
    press(
        &screen,
        &format!("{} [data-testid=held-release]", row(&ids[0])),
    )
    .await;
    gone(&screen, &row(&ids[0])).await;
    press(
        &screen,
        &format!("{} [data-testid=held-refuse]", row(&ids[1])),
    )
    .await;
    screen.sees("[data-testid=quarantine-empty]").await;
    screen.photograph("quarantine-empty").await;
    let ended = aside(move || {
        alice.wait_for_status(&ids[0], "delivered");
        alice.wait_for_status(&ids[1], "refused")
    });
    let refused = ended.await;
    let last = refused["receipts"]
        .as_array()
        .unwrap()
        .last()
        .unwrap()
        .clone();
    assert_eq!(last["code"], "QUARANTINE_REFUSED");
    assert_eq!(screen.errors(), Vec::<String>::new());
    screen.close().await;
}
