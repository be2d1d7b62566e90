//! axe-core on a page as it is.

use serde::Deserialize;

use crate::screen::Screen;

#[derive(Debug, Deserialize)]
struct Violation {
    id: String,
    help: String,
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
struct Node {
    html: String,
}

/// Fails with a list if axe finds anything to complain of.
pub(crate) async fn check(screen: &Screen, view: &str) {
    let path = entente_e2e::deployment::root().join("node_modules/axe-core/axe.min.js");
    let source = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; `npm ci` installs it", path.display()));
    screen
        .page
        .evaluate_expression(&source)
        .await
        .expect("axe loads");
    let found: Vec<Violation> = screen
        .page
        .evaluate(
            "() => axe.run(document).then((result) => result.violations)",
            None::<&()>,
        )
        .await
        .expect("axe runs");
    let list: Vec<_> = found
        .iter()
        .map(|one| {
            let places: Vec<_> = one
                .nodes
                .iter()
                .take(3)
                .map(|node| node.html.as_str())
                .collect();
            format!("{}: {} at {}", one.id, one.help, places.join(" | "))
        })
        .collect();
    assert!(list.is_empty(), "the {view} view:\n{}", list.join("\n"));
}
