//! Announcing by hand, and what everybody then sees.

use entente_e2e::Options;
use playwright_rs::protocol::Viewport;

use super::trust::{aside, look, press, text_of};
use super::*;

/// Networks of their own: an empty panel is photographed first.
fn networks() -> &'static Deployment {
    static SHARED: OnceLock<Deployment> = OnceLock::new();
    SHARED.get_or_init(|| Options::default().networks(2).start())
}

/// Neither the page nor anything in the panel is wider than its place, on any screen.
async fn fits(screen: &Screen) {
    let wider = "() => [...document.querySelectorAll('html, .announcements, .announcements *')] \
        .filter((one) => one.scrollWidth > one.clientWidth + 1 && getComputedStyle(one).display !== 'inline') \
        .filter((one) => !one.closest('svg, textarea, select, input, .sr-only')) \
        .map((one) => one.outerHTML.slice(0, 120))";
    for width in [1440, 1280, 360] {
        let size = Viewport { width, height: 900 };
        screen.page.set_viewport_size(size).await.unwrap();
        let found: Vec<String> = screen.page.evaluate(wider, None::<&()>).await.unwrap();
        assert_eq!(found, Vec::<String>::new(), "too wide at {width} px");
    }
}

fn row(own: bool) -> String {
    format!("[data-testid=announcement-row][data-own='{own}']")
}

/// Fills in the form and sends it.
async fn announce(screen: &Screen, said: &str) {
    let button = screen.sees("[data-testid=announce-send]").await;
    let empty = button.is_disabled().await.unwrap();
    assert!(empty, "nothing is written yet");
    let field = screen.sees("[data-testid=announce-text]").await;
    field.fill(said, None).await.unwrap();
    let collection = screen.sees("[data-testid=announce-collection]").await;
    collection.fill("agent.public.*", None).await.unwrap();
    assert!(button.is_disabled().await.unwrap(), "that is no collection");
    collection.fill("agent.public.hours", None).await.unwrap();
    press(screen, "[data-testid=announce-send]").await;
}

/// An announcement of alice of alpha is there, as text and in the feed.
async fn reads(screen: &Screen, own: bool, said: &str, author: &str) {
    let row = row(own);
    let text = text_of(screen, &format!("{row} [data-testid=announcement-text]")).await;
    assert_eq!(text, said, "markup is shown as text");
    let shown = text_of(screen, &format!("{row} [data-testid=announcement-author]")).await;
    assert_eq!(shown, author);
    let kind = if own { "made" } else { "received" };
    let event = format!("[data-testid=event-row][data-kind='announcement.{kind}']");
    screen.sees(&event).await;
}

/// What a program announces: data, and a word and a collection as long as they may be.
async fn diana_announces(deployment: &'static Deployment) {
    let data = json!({ "kind": "json", "data": { "seats": 12, "free": true } });
    let word = json!({ "kind": "text", "text": "endless".repeat(120) });
    let long = format!("agent.{}", "c".repeat(122));
    aside(move || {
        let diana = deployment.agent("diana");
        for (collection, content) in [("agent.public.tables", data), (long.as_str(), word)] {
            let body = json!({ "collection": collection, "content": content });
            let _ = diana
                .client
                .post(&diana.path("/announce"), &body)
                .expect(202);
        }
    })
    .await;
}

/// A long text of a stranger begins short, and is whole when asked for.
async fn unfolds(screen: &Screen, own: bool) {
    let long = format!("{}:has-text('endless')", row(own));
    let text = format!("{long} [data-testid=announcement-text]");
    let short = text_of(screen, &text).await;
    press(screen, "[data-testid=announcement-more]").await;
    let whole = text_of(screen, &text).await;
    assert!(short.len() < whole.len() && whole == "endless".repeat(120));
    fits(screen).await;
    press(screen, "[data-testid=announcement-more]").await;
    fits(screen).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_announces_as_an_agent_and_observers_elsewhere_read_it() {
    let deployment = aside(networks).await;
    let (alpha, beta) = (deployment.network("alpha"), deployment.network("beta"));
    let there = Screen::open(&beta.dashboard).await;
    there.sees("[data-testid=announcements-empty]").await;
    there.lacks("announce-send").await;
    let here = admin(alpha).await;
    here.sees("[data-testid=announcements-empty]").await;
    look(&here, "announcements-none").await;

    let said = "We open at nine. <b>Everybody</b> is welcome.";
    announce(&here, said).await;
    let author = format!("alice@{}", alpha.host);
    reads(&here, true, said, &author).await;
    reads(&there, false, said, &author).await;
    let field = here.sees("[data-testid=announce-text]").await;
    assert_eq!(field.input_value(None).await.unwrap(), "");

    diana_announces(deployment).await;
    unfolds(&here, false).await;
    unfolds(&there, true).await;
    look(&here, "announcements").await;
    look(&there, "announcements-observer").await;
    for screen in [&here, &there] {
        assert_eq!(screen.errors(), Vec::<String>::new());
    }
    there.close().await;

    field.fill(&"x".repeat(9_000), None).await.unwrap();
    press(&here, "[data-testid=announce-send]").await;
    here.shows("announce-error", "data-code", "CONTENT_TOO_LARGE")
        .await;
    let kept = field.input_value(None).await.unwrap();
    assert_eq!(kept.len(), 9_000, "what was refused can be mended");
    here.close().await;
}
