//! Who may call what. Start at [`table`]: a route that is not in it does not exist, and one that
//! does not name its callers cannot be written.

pub mod find;
pub mod gate;
pub(crate) mod percent;
pub mod recall;
pub mod route;
pub mod table;

#[cfg(test)]
mod table_tests;
