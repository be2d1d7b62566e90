//! The `Fanout` objects, some per network: each holds the sockets of a part of the firehose's
//! subscribers and shows them what the relay pushes.
//!
//! What they decide is [`entente_firehose`]; [`driver`] does what it says. Start at [`object`].

mod driver;
mod object;
mod store;
pub(crate) mod wire;

pub use object::Fanout;
