//! Networks that die between a word and whoever is to hear it.

use super::*;

#[test]
fn what_was_answered_is_heard_and_what_was_withdrawn_is_not_whoever_dies() {
    let (_turn, deployment) = deployment();
    let (alpha, beta) = (deployment.network("alpha"), deployment.network("beta"));
    let author = alpha.create_agent("tireless");
    let subject = beta.create_agent("steady");
    // The author's network dies as soon as it has answered.
    let word = praise(&author, &subject.address, 90);
    deployment.kill9("alpha");
    deployment.restart("alpha");
    let told = wait_for_voices(beta, &subject.address, 1);
    assert_eq!(told["contributions"][0]["cid"], word["cid"]);
    // It is said again while the other network is away, and withdrawn while it is; both die.
    deployment.kill9("beta");
    let _ = praise(&author, &subject.address, 10);
    let rkey = word["id"].as_str().unwrap().split(':').nth(1).unwrap();
    let path = author.path(&format!("/endorsements/{rkey}"));
    assert_eq!(author.client.delete(&path).status, 204);
    deployment.kill9("alpha");
    deployment.restart("alpha");
    assert_eq!(reputation(alpha, &subject.address)["total"], 0);
    deployment.restart("beta");
    let told = wait_for_voices(beta, &subject.address, 0);
    assert_eq!(told["total"], 0);
    // And once more it counts, once.
    let _ = praise(&author, &subject.address, 60);
    let told = wait_for_voices(beta, &subject.address, 1);
    assert_eq!(
        (&told["total"], &told["weight"]),
        (&json!(1), &json!(250_000))
    );
}
