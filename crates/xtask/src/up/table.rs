//! What `up` prints in the end.

use entente_lexicon::api::LocalNetwork;

/// Network, DID, dashboard and admin key in aligned columns, then the agents.
pub(crate) fn render(networks: &[LocalNetwork]) -> String {
    let head = ["network", "DID", "dashboard", "admin key"].map(str::to_owned);
    let mut rows = vec![head];
    for network in networks {
        rows.push([
            network.name.clone(),
            network.did.clone(),
            network.dashboard.clone(),
            network.admin_key.clone(),
        ]);
    }
    let mut text = align(&rows);
    for network in networks.iter().filter(|network| !network.agents.is_empty()) {
        let names: Vec<_> = network
            .agents
            .iter()
            .map(|agent| agent.name.as_str())
            .collect();
        text += &format!("agents on {}: {}\n", network.name, names.join(", "));
    }
    text
}

fn align<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(String::len)
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<_> = (0..N).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells: Vec<_> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        text += cells.join("  ").trim_end();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_end_without_blanks() {
        let rows = [
            ["a".to_owned(), "b".to_owned()],
            ["long".to_owned(), "x".to_owned()],
        ];
        assert_eq!(align(&rows), "a     b\nlong  x\n");
    }
}
