//! What the Worker settles before any object is woken: who signed a request and whether its sender
//! is put aside; what all objects of an isolate share, a budget of bytes; and how long a body is waited for.

pub mod bounds;
pub mod budget;
pub mod penalty;
pub mod signature;
pub mod stall;
