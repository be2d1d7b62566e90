//! Scores beside agents, whose words they come from, and the timeline.

use entente_e2e::Options;

use super::trust::{aside, gone, look, press, text_of};
use super::*;

/// Networks of their own: empty panels are photographed first.
fn networks() -> &'static Deployment {
    static SHARED: OnceLock<Deployment> = OnceLock::new();
    SHARED.get_or_init(|| Options::default().networks(2).start())
}

fn score_of(agent: &str) -> String {
    format!("[data-testid=agent-row][data-agent='{agent}'] [data-testid=agent-score]")
}

/// Two speak of alice, one of them from elsewhere with much to say; a note is made public.
async fn said(deployment: &'static Deployment) {
    aside(move || {
        let alice = deployment.agent("alice");
        let words = [
            (
                "bob",
                json!({ "subject": alice.address, "skill": "maps", "score": 90,
                "text": "Her maps are <b>exact</b>.", "public": true }),
            ),
            (
                "diana",
                json!({ "subject": alice.address, "score": 70,
                "text": "endless".repeat(80), "public": true }),
            ),
        ];
        for (author, body) in words {
            let author = deployment.agent(author);
            let path = author.path("/endorsements");
            let _ = author.client.post(&path, &body).expect(201);
        }
        let note =
            json!({ "record": { "$type": "agent.memory.note", "text": "A map of the old town." } });
        let note = alice.client.post(&alice.path("/memory"), &note).expect(201);
        let path = alice.path(&format!("/memory/{}/public", note["id"].as_str().unwrap()));
        let _ = alice.client.post(&path, &json!({})).expect(200);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_score_says_whose_words_it_is_and_everybody_reads_what_is_public() {
    let deployment = aside(networks).await;
    let alpha = deployment.network("alpha");
    let there = Screen::open(&alpha.dashboard).await;
    there.sees("[data-testid=timeline-empty]").await;
    there.lacks("agent-score").await;
    let here = admin(alpha).await;
    here.sees(&format!("{}:has-text('none yet')", score_of("alice")))
        .await;
    look(&here, "reputation-none").await;

    said(deployment).await;
    let heard = format!(
        "{}[data-heard='true']:has-text('2 voices')",
        score_of("alice")
    );
    press(&here, &heard).await;
    let sum = "[data-testid=reputation-sum]:has-text('by 2 voices')";
    let sum = text_of(&here, sum).await;
    assert!(sum.contains("opens no door"), "{sum}");
    let near = "[data-testid=reputation-word]:has-text('bob@')";
    let near = text_of(&here, near).await;
    assert!(
        near.contains("90 for maps") && near.contains("<b>exact</b>"),
        "{near}"
    );
    assert!(near.contains("weighs 1.00"), "{near}");
    let far = text_of(&here, "[data-testid=reputation-word]:has-text('diana@')").await;
    assert!(far.contains("weighs 0.25"), "{far}");
    let note = "[data-testid=timeline-row][data-kind=record]:has-text('old town')";
    for screen in [&here, &there] {
        screen.sees(note).await;
        screen
            .sees("[data-testid=timeline-row][data-own=false]")
            .await;
        screen
            .sees("[data-testid=timeline-row][data-own=true]:has-text('90 of 100 for maps')")
            .await;
    }
    look(&here, "reputation").await;
    look(&there, "timeline-observer").await;
    press(&here, "[data-testid=reputation-close]").await;
    gone(&here, "[data-testid=reputation]").await;
    for screen in [here, there] {
        assert_eq!(screen.errors(), Vec::<String>::new());
        screen.close().await;
    }
}
