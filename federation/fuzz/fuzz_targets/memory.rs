//! Sealed memory that came from storage or from a stranger never panics what takes it apart, and
//! nothing that was not sealed opens.
#![no_main]

use std::convert::Infallible;
use std::sync::OnceLock;

use entente_lexicon::Did;
use entente_trust::crypto::dh::DhSecret;
use entente_trust::crypto::kem::KemSecret;
use entente_trust::crypto::sign::SigningKey;
use entente_trust::memory::blob::{self, BlobEncoder, BlobReader};
use entente_trust::memory::share::{self, RecipientSecret, Share};
use entente_trust::memory::{Dek, Kek, KekRing, Place, record, wrap};
use libfuzzer_sys::fuzz_target;
use rand_core::{TryCryptoRng, TryRng};

/// The same keys in every run.
struct Counter(u8);

impl TryRng for Counter {
    type Error = Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from(self.0))
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from(self.0))
    }
    fn try_fill_bytes(&mut self, target: &mut [u8]) -> Result<(), Infallible> {
        for byte in target {
            self.0 = self.0.wrapping_mul(5).wrapping_add(1);
            *byte = self.0;
        }
        Ok(())
    }
}

impl TryCryptoRng for Counter {}

struct World {
    owner: Did,
    signing: SigningKey,
    hybrid: KemSecret,
    dek: Dek,
    keks: KekRing,
    header: blob::BlobHeader,
}

static WORLD: OnceLock<World> = OnceLock::new();

fn place(owner: &Did) -> Place<'_> {
    Place {
        owner,
        collection: "agent.memory.fact",
        rkey: "a",
    }
}

fn world() -> World {
    let mut rng = Counter(1);
    let owner = Did::from_scid(&[7; 32]);
    let dek = Dek::generate(&mut rng);
    let header = *BlobEncoder::begin(&dek, &place(&owner), &mut rng).header();
    World {
        signing: SigningKey::from_seed(&[7; 32]),
        hybrid: KemSecret::from_seed(&[8; 32]),
        keks: KekRing::new(Kek::generate(1, &mut rng), []),
        owner,
        dek,
        header,
    }
}

fuzz_target!(|bytes: &[u8]| {
    let world = WORLD.get_or_init(world);
    let place = place(&world.owner);
    assert!(record::open(&world.dek, &place, 3, bytes).is_err());
    assert!(wrap::unwrap(&world.keks, &place, world.dek.id(), bytes).is_err());
    let share = Share {
        place,
        recipient: &world.owner,
        dek: world.dek.id(),
    };
    let (owner, classical) = (world.signing.verifying_key(), DhSecret::from_seed(&[9; 32]));
    let kid = share::peek(bytes).map(|named| named.recipient_kid);
    let kid = kid.unwrap_or_default();
    for secret in [
        RecipientSecret::Hybrid(&world.hybrid),
        RecipientSecret::Classical(&classical),
    ] {
        assert!(share.open(bytes, &owner, &kid, secret).is_err());
    }
    let _ = blob::check_form(bytes);
    // The first bytes say how long the blob should be and in which pieces it comes.
    let Some(([size, piece], body)) = bytes.split_first_chunk() else {
        return;
    };
    let size = u64::from(*size) * 1_000;
    if let Ok(reader) = BlobReader::open(&world.dek, &place, &world.header, size) {
        let mut decoder = reader.decoder(body.len() as u64);
        let mut out = Vec::new();
        let pieces = body.chunks(usize::from(*piece) + 1);
        let pushed: Result<Vec<_>, _> = pieces.map(|piece| decoder.push(piece, &mut out)).collect();
        assert!(pushed.is_err() || decoder.finish(&mut out).is_err());
    }
});
