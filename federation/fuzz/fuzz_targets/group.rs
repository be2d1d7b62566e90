//! No bytes that come for a group, or for many, make its reader panic, open, or are believed; and what is kept of a
//! group reads back as it was or not at all.
#![no_main]

use entente_groups::Group;
use entente_lexicon::{Content, Did};
use entente_trust::crypto::sign::SigningKey;
use entente_trust::group::{GroupKey, Place, Roster, open_text};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let key = GroupKey::from_bytes(&[1; 32]).expect("a key");
    let author = Did::from_scid(&[2; 32]);
    let place = Place {
        group: &[3; 16],
        epoch: 4,
        id: &[5; 16],
        author: &author,
    };
    assert!(open_text(&key, &place, bytes).is_err());
    if let Ok(read) = Roster::decode(bytes) {
        let owner = SigningKey::from_seed(&[6; 32]).verifying_key();
        assert!(read.verify(&owner).is_err());
        assert!(!key.fits(&read.roster));
    }
    if let Some(group) = Group::from_bytes(bytes) {
        let written = group.to_bytes().expect("it was read");
        assert_eq!(Group::from_bytes(&written), Some(group));
    }
    if let Ok(content @ (Content::Group(_) | Content::Topic(_) | Content::Cast(_))) =
        serde_json::from_slice(bytes)
    {
        let written = serde_json::to_vec(&content).expect("it was read");
        let again: Content = serde_json::from_slice(&written).expect("it was written");
        assert_eq!(again, content);
    }
});
