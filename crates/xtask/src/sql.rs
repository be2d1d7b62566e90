//! `cargo xtask sql`: reads a running local network's D1 through its supervisor.

use anyhow::Result;

use crate::cli::Sql;

/// Runs the statement and prints the rows.
pub(crate) fn run(args: &Sql) -> Result<()> {
    let folder = crate::up::state::StateFolder::open(&args.state.folder)?;
    let table = query(&folder, &args.network, &args.statement)?;
    print!("{}", render(&table));
    Ok(())
}

#[cfg(unix)]
fn query(folder: &crate::up::state::StateFolder, network: &str, statement: &str) -> Result<Table> {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use anyhow::{Context as _, bail};

    folder.running(network)?.with_context(|| {
        format!("network {network} is not running; start it with `cargo xtask up --only {network}`")
    })?;
    // A socket's path may not be longer than about 100 bytes: go there and use its bare name.
    let home = std::env::current_dir()?;
    std::env::set_current_dir(folder.network(network))?;
    let connected = UnixStream::connect(crate::up::state::CONTROL);
    std::env::set_current_dir(home)?;
    let mut socket = connected.with_context(|| {
        format!("network {network} does not listen on its control socket; restart it")
    })?;
    socket.set_read_timeout(Some(Duration::from_secs(30)))?;
    writeln!(socket, "{}", serde_json::json!({ "sql": statement }))?;
    let mut line = String::new();
    BufReader::new(socket).read_line(&mut line)?;
    let answer: Answer =
        serde_json::from_str(&line).context("the supervisor's answer is no JSON")?;
    match answer {
        Answer::Rows(table) => Ok(table),
        Answer::Error { error } => bail!("{error}"),
    }
}

#[cfg(not(unix))]
fn query(_: &crate::up::state::StateFolder, _: &str, _: &str) -> Result<Table> {
    anyhow::bail!("this command needs Unix sockets")
}

/// What a statement gave.
#[derive(serde::Deserialize)]
struct Table {
    columns: Vec<String>,
    rows: Vec<Vec<serde_json::Value>>,
}

#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Answer {
    Rows(Table),
    Error { error: String },
}

/// Tab-separated, headed by the columns' names; a single value alone.
fn render(table: &Table) -> String {
    match table.rows.as_slice() {
        [] => "(no rows)\n".into(),
        [row] if row.len() == 1 => line(row),
        rows => {
            let head = table.columns.join("\t") + "\n";
            head + &rows.iter().map(|row| line(row)).collect::<String>()
        }
    }
}

fn line(row: &[serde_json::Value]) -> String {
    let cells: Vec<_> = row.iter().map(cell).collect();
    cells.join("\t") + "\n"
}

fn cell(value: &serde_json::Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Table {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn one_value_is_printed_alone() {
        assert_eq!(
            render(&table(r#"{"columns":["did"],"rows":[["did:cf:abc"]]}"#)),
            "did:cf:abc\n"
        );
    }

    #[test]
    fn tables_have_a_head() {
        let two = table(r#"{"columns":["b","a"],"rows":[[1,"x"],[2,null]]}"#);
        assert_eq!(render(&two), "b\ta\n1\tx\n2\tnull\n");
        assert_eq!(
            render(&table(r#"{"columns":["b"],"rows":[]}"#)),
            "(no rows)\n"
        );
    }
}
