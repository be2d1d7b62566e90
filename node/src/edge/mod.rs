//! What the Worker settles before any object is woken: who signed a request.

pub mod signature;
