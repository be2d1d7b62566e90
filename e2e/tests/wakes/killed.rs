//! kill -9 while agents are being woken.

use super::*;

const ROUNDS: usize = 4;
const EACH: usize = 8;

#[test]
fn kill_9_on_either_side_wakes_an_agent_once_for_each_event_and_in_order() {
    // A deployment of its own: it is killed.
    let deployment = Deployment::start(2);
    let (alpha, beta) = (deployment.network("alpha"), deployment.network("beta"));
    let speaker = alpha.create_agent("kill-speaker");
    let (far, near) = (
        beta.create_agent("kill-far"),
        alpha.create_agent("kill-near"),
    );
    let filter = json!({ "collections": ["agent.public.kill"] });
    let (_, _) = (leave(&far, &filter), leave(&near, &filter));
    let mut ids = Vec::new();
    for round in 0..ROUNDS {
        for _ in 0..EACH {
            ids.push(announce(&speaker, "agent.public.kill"));
        }
        // At once, so that something is under way.
        deployment.kill9("beta");
        if round % 2 == 0 {
            deployment.kill9("alpha");
            deployment.restart("alpha");
        }
        deployment.restart("beta");
    }
    let last = ids.last().unwrap();
    assert_eq!(
        subjects(&woken_by(&near, last)),
        ids,
        "near: each once, in order"
    );
    assert_eq!(
        subjects(&woken_by(&far, last)),
        ids,
        "far: each once, in order"
    );
    let cursors: Vec<String> = wakes(&far)
        .iter()
        .map(|wake| wake["cursor"].as_str().unwrap().to_owned())
        .collect();
    // From any place on, what follows is the same.
    let (place, rest) = cursors.split_at(cursors.len() / 2);
    let again = page(&far, place.last().unwrap(), 200);
    let again: Vec<_> = again["wakes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|wake| wake["cursor"].clone())
        .collect();
    assert_eq!(again, rest);
}
