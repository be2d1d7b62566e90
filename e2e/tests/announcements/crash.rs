//! What was answered is announced, whatever happens to the network that answered.

use super::*;

#[test]
fn a_network_killed_after_its_answer_loses_no_announcement() {
    // A deployment of its own: it is killed.
    let deployment = Deployment::start(2);
    let (alpha, beta) = (deployment.network("alpha"), deployment.network("beta"));
    let agent = alpha.create_agent("outlives-it");
    let mut ids = Vec::new();
    for round in 0..3 {
        // With beta away nothing can leave before the kill.
        deployment.kill9("beta");
        for number in 0..5 {
            ids.push(announce(
                &agent,
                "agent.public.crash",
                &format!("{round}.{number}"),
            ));
        }
        deployment.kill9("alpha");
        deployment.restart("alpha");
        deployment.restart("beta");
    }
    // With beta up the offer itself is cut off.
    for round in 0..3 {
        ids.push(announce(
            &agent,
            "agent.public.crash",
            &format!("again {round}"),
        ));
        deployment.kill9("alpha");
        deployment.restart("alpha");
    }
    for id in &ids {
        let _ = wait_for_announcement(beta, id);
    }
    let mine = |network: &Network| {
        let all = listed(network);
        let mine = all.iter().filter(|one| one["from"] == agent.address);
        let mut ids: Vec<_> = mine
            .map(|one| one["id"].as_str().unwrap().to_owned())
            .collect();
        ids.reverse();
        ids
    };
    assert_eq!(mine(beta), ids, "each once, in order");
    assert_eq!(mine(alpha), ids);
}
