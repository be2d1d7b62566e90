//! What the Worker settles before any object is woken: who signed a request and whether its sender
//! is put aside; and what all objects of an isolate share, a budget of bytes.

pub mod bounds;
pub mod budget;
pub mod penalty;
pub mod signature;
