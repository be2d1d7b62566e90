//! Ports that no other test takes, in this process or another.

use std::fs::{self, File};
use std::net::TcpListener;

/// Where ranges begin: below the ports that systems give to clients.
const FIRST: u16 = 12_000;
/// A deployment's networks and fake peers fit in one range.
const LENGTH: u16 = 80;
const RANGES: u16 = 225;

/// A range of ports, ours until this is dropped or the process ends, however that ends.
///
/// The lock is what makes it ours: whether ports are free says nothing about those of a network that was killed and is
/// about to start again.
#[derive(Debug)]
pub(crate) struct Ports {
    /// The port before the first.
    pub(crate) base: u16,
    _lock: File,
}

impl Ports {
    /// Takes a range of which `count` ports are free.
    ///
    /// # Panics
    /// If there is none, or if more are asked for than a range has.
    pub(crate) fn take(count: u16) -> Self {
        assert!(count < LENGTH, "{count} ports are more than a range has");
        let folder = std::env::temp_dir().join("entente-ports");
        fs::create_dir_all(&folder).expect("the folder of locks");
        let mut bytes = [0; 2];
        getrandom::fill(&mut bytes).expect("entropy");
        let start = u16::from_be_bytes(bytes) % RANGES;
        for step in 0..RANGES {
            let range = (start + step) % RANGES;
            let lock = File::create(folder.join(range.to_string())).expect("a lock");
            let base = FIRST + range * LENGTH;
            let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
            if lock.try_lock().is_ok() && (1..=count).all(|index| free(base + index)) {
                return Self { base, _lock: lock };
            }
        }
        panic!("no {count} free ports in a row");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_have_the_same_ports_even_while_nobody_listens() {
        let taken: Vec<_> = (0..20).map(|_| Ports::take(30)).collect();
        let mut bases: Vec<_> = taken.iter().map(|ports| ports.base).collect();
        bases.sort_unstable();
        bases.dedup();
        assert_eq!(bases.len(), taken.len());
    }
}
