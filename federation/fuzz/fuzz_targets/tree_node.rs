//! A node has one encoding, and a tree of any nodes is walked or refused.
#![no_main]

use entente_memory::repo::block::{MemoryBlocks, cbor_cid};
use entente_memory::repo::node::NodeData;
use entente_memory::repo::walk::{Item, Walk, path};
use entente_memory::repo::{Key, Tree};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(node) = NodeData::decode(bytes) {
        assert_eq!(node.encode(), bytes);
    }
    let root = cbor_cid(bytes);
    let blocks = MemoryBlocks::from([(root, bytes.to_vec())]);
    let key = Key::parse(b"agent.memory.note/first").expect("a key");
    let _ = path(&blocks, &root, &key);
    let items: Result<Vec<Item>, _> = Walk::new(&blocks, &root).collect();
    if let Ok(items) = items {
        // What the walk believes is the tree that its keys make.
        let nothing = MemoryBlocks::new();
        let mut tree = Tree::empty(&nothing);
        for item in items {
            if let Item::Leaf(key, value) = item {
                tree.put(key, value).expect("no lookups");
            }
        }
        assert_eq!(tree.finish().0, root);
    }
    if let Ok(mut tree) = Tree::load(&blocks, &root) {
        let _ = tree.put(key.clone(), root).and_then(|_| tree.remove(&key));
        let _ = tree.finish();
    }
});
