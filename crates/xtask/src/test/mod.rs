use crate::paths::Repo;
pub(crate) fn run(_: &Repo, _: &crate::cli::Test) -> anyhow::Result<std::process::ExitCode> {
    Ok(std::process::ExitCode::SUCCESS)
}
