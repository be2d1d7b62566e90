//! What a service of vectors answers never panics, and what is taken of it is whole.
#![no_main]

use entente_memory::vector::wire::{
    MAX_DIMENSIONS, VectorizeAnswer, WorkersAiAnswer, openai_answer,
};
use libfuzzer_sys::fuzz_target;

fn whole(vectors: &[Vec<f32>], texts: usize) {
    assert_eq!(vectors.len(), texts);
    for vector in vectors {
        assert!((1..=MAX_DIMENSIONS).contains(&vector.len()));
        assert!(vector.iter().all(|value| value.is_finite()));
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((count, answer)) = bytes.split_first() else {
        return;
    };
    let texts = usize::from(count % 4);
    if let Ok(vectors) = openai_answer(answer, texts) {
        whole(&vectors, texts);
    }
    if let Ok(answer) = serde_json::from_slice::<WorkersAiAnswer>(answer)
        && let Ok(vectors) = answer.vectors(texts)
    {
        whole(&vectors, texts);
    }
    if let Ok(answer) = serde_json::from_slice::<VectorizeAnswer>(answer) {
        assert!(answer.near().iter().all(|near| near.cosine.is_finite()));
    }
});
