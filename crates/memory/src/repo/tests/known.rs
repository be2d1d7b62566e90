//! Roots that others published.

use super::*;

fn root<'k>(keys: impl IntoIterator<Item = &'k str>) -> String {
    Stored::of(keys, leaf()).root.to_string()
}

/// The trees of the reference implementation's tests.
#[test]
fn small_trees_have_the_published_roots() {
    for (keys, expected) in [
        (
            &[][..],
            "bafyreie5737gdxlw5i64vzichcalba3z2v5n6icifvx5xytvske7mr3hpm",
        ),
        (
            &["com.example.record/3jqfcqzm3fo2j"],
            "bafyreibj4lsc3aqnrvphp5xmrnfoorvru4wynt6lwidqbm2623a6tatzdu",
        ),
        (
            &["com.example.record/3jqfcqzm3fx2j"],
            "bafyreih7wfei65pxzhauoibu3ls7jgmkju4bspy4t2ha2qdjnzqvoy33ai",
        ),
        (
            &[
                "com.example.record/3jqfcqzm3fp2j",
                "com.example.record/3jqfcqzm3fr2j",
                "com.example.record/3jqfcqzm3fs2j",
                "com.example.record/3jqfcqzm3ft2j",
                "com.example.record/3jqfcqzm4fc2j",
            ],
            "bafyreicmahysq4n6wfuxo522m6dpiy7z7qzym3dzs756t5n7nfdgccwq7m",
        ),
    ] {
        assert_eq!(root(keys.iter().copied()), expected, "{keys:?}");
    }
}

/// Keys, what is added, what is removed, the roots before and after.
type Case = (
    &'static [&'static str],
    &'static [&'static str],
    &'static [&'static str],
    &'static str,
    &'static str,
);

const POSTS: &[&str] = &[
    "app.bsky.feed.post/3lo3kqqljmfe2",
    "app.bsky.feed.post/3log4547dm6h2",
    "app.bsky.feed.post/3log45inogon2",
    "app.bsky.feed.post/3logaodrh74d2",
    "app.bsky.feed.post/3logteazog2n2",
    "app.bsky.feed.post/3lon5cqsbwrj2",
    "app.bsky.feed.repost/3l6sjhvqonco2",
];
const CASES: [Case; 6] = [
    (
        &[
            "A0/374913",
            "B1/986427",
            "C0/451630",
            "E0/670489",
            "F1/085263",
            "G0/765327",
        ],
        &["D2/269196"],
        &[],
        "bafyreicraprx2xwnico4tuqir3ozsxpz46qkcpox3obf5bagicqwurghpy",
        "bafyreihvay6pazw3dfa47u5d2tn3rd6pa57sr37bo5bqyvjuqc73ib65my",
    ),
    (
        &["A0/374913", "B0/601692", "D0/952776", "E0/670489"],
        &["C2/014073"],
        &[],
        "bafyreialm5sgf7pijawbschsjpdevid5rss5ip3d4n4w6cc4mhu53sfl4i",
        "bafyreibxh4iztp5l2yshz3ectg2qjpeyprpw2gogao3pvceowpq3k3thya",
    ),
    (
        &["A0/374913", "B2/827649", "C0/451630"],
        &["D2/269196"],
        &[],
        "bafyreigc6ay2qwfk7kuevvrczummpd64nknfo4yxpaooknfymzyb7u3ntq",
        "bafyreign6kxoll35r5f2ske6hjx7vg56aw3jn6r5hcopgrepzafpvohr2a",
    ),
    (
        &["A0/374913", "B2/827649", "D2/269196", "E0/670489"],
        &["C2/014073"],
        &["B2/827649", "D2/269196"],
        "bafyreiceld4icym4qjmdcn3dfgtxt7t66hdgyhvigessgmkvb56dx6amgi",
        "bafyreigkalika3taqauapfha556lo36zzcjoiifny5xeru6yis3nxw5ruq",
    ),
    (
        &[
            "B0/601692",
            "C2/014073",
            "D0/952776",
            "E2/819540",
            "F0/697858",
            "H0/131238",
        ],
        &["A2/827942", "G2/611528"],
        &["C2/014073"],
        "bafyreigr3plnts7dax6yokvinbhcqpyicdfgg6npvvyx6okc5jo55slfqi",
        "bafyreiftrcrbhrwmi37u4egedlg56gk3jeh3tvmqvwgowoifuklfysyx54",
    ),
    (
        POSTS,
        &["app.bsky.feed.post/3lon5dzeaihj2"],
        &[],
        "bafyreigfcsro2up7qi7l3rxdpg7n6gjtteotkmgrrqztl5oy2tf4ncl4ji",
        "bafyreig33hsjiplaixvmccy65n7rn3in5nsbtcittzx6k3w5wjfhk2sg3a",
    ),
];

/// `firehose/commit-proof-fixtures.json` of atproto's interoperability tests.
#[test]
fn changes_lead_from_the_published_roots_to_the_published_roots() {
    for (keys, added, removed, before, after) in CASES {
        let mut stored = Stored::of(keys.iter().copied(), leaf());
        assert_eq!(stored.root.to_string(), before, "{keys:?}");
        let writes = || added.iter().map(|key| (*key, Some(leaf())));
        let removals = || removed.iter().map(|key| (*key, None));
        let earlier = stored.clone();
        stored.change(writes().chain(removals()));
        assert_eq!(stored.root.to_string(), after, "{keys:?}");
        // In the other order, one at a time, and back again.
        let mut other = earlier.clone();
        for write in removals().chain(writes()) {
            other.change([write]);
        }
        assert_eq!(other.root, stored.root);
        other.change(removed.iter().map(|key| (*key, Some(leaf()))));
        other.change(added.iter().map(|key| (*key, None)));
        assert_eq!((other.root, &other.blocks), (earlier.root, &earlier.blocks));
    }
}
