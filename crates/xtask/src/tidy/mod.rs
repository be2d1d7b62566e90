use crate::paths::Repo;
use anyhow::Result;
pub(crate) fn run(_: &Repo) -> Result<()> {
    Ok(())
}
