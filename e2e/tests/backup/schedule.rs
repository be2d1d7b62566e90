use entente_e2e::wait::{PATIENCE, wait_for, wait_until};
use entente_e2e::{Network, Options};
use serde_json::{Value, json};

use super::{backups, everything, lose, parts, restore, store};

const INDEX: u8 = 3;

fn whole(list: &Value) -> Vec<u64> {
    let all = list["generations"].as_array().unwrap();
    let whole = all.iter().filter(|one| one["state"] == "whole");
    whole
        .map(|one| one["generation"].as_u64().unwrap())
        .collect()
}

/// Waits until nothing waits to be backed up, and returns the generations there are.
fn settled(network: &Network, after: u64) -> Vec<u64> {
    wait_for("everything to be backed up", PATIENCE, || {
        let list = backups(network);
        let newest = whole(&list).first().copied().unwrap_or_default();
        (list["changed"] == 0 && list["running"] == false && newest > after).then(|| whole(&list))
    })
}

#[test]
fn what_changed_is_backed_up_by_itself_and_old_generations_go() {
    let deployment = Options::default()
        .networks(1)
        .var("BACKUP_EVERY_SECONDS", "1")
        .var("BACKUP_GENERATIONS", "2")
        .start();
    let (alpha, alice) = (deployment.network("alpha"), deployment.agent("alice"));
    let mut newest = settled(alpha, 0)[0];
    for number in 0..4 {
        let _ = store(alice, &format!("tide table {number}"));
        let now = settled(alpha, newest);
        assert!(now[0] > newest && now.len() <= 2, "{now:?} after {newest}");
        newest = now[0];
    }
    let list = backups(alpha);
    assert_eq!((&list["everyMs"], &list["kept"]), (&json!(1000), &json!(2)));
    assert!(list["generations"][0]["ageMs"].as_u64().is_some());
    wait_until("the bucket to be swept", PATIENCE, || {
        parts(&deployment, "alpha", INDEX).len() <= 2
    });
    let kept = everything(alice);
    // Nobody asked for the backup that this comes from.
    let _running = lose(&deployment, "alpha");
    let _ = restore(alpha, &json!({})).expect(200);
    assert_eq!(everything(alice), kept);
    let _ = store(alice, "after the restore");
    assert!(settled(alpha, newest)[0] > newest);
}
