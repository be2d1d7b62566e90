//! The feature that plants bugs in the core stays with the simulator.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde::Deserialize;

const CORE: &str = "entente-federation";
const FEATURE: &str = "planted-bugs";
const OWNER: &str = "entente-federation-sim";
/// Who may reach the simulator: the commands that run it.
const RUNNER: &str = "xtask";

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
    features: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    features: Vec<String>,
}

/// Whoever could ship a planted bug, out of `cargo metadata --no-deps`.
pub(super) fn check(metadata: &str) -> Result<Vec<String>> {
    let metadata: Metadata =
        serde_json::from_str(metadata).context("cargo metadata printed no JSON we know")?;
    let mut faults = Vec::new();
    for package in &metadata.packages {
        let name = package.name.as_str();
        for dependency in &package.dependencies {
            let plants =
                dependency.name == CORE && dependency.features.iter().any(|f| f == FEATURE);
            if plants && name != OWNER {
                faults.push(format!("{name} must not enable {FEATURE} of {CORE}"));
            }
            if dependency.name == OWNER && name != RUNNER {
                faults.push(format!("{name} must not depend on {OWNER}: it plants bugs"));
            }
        }
        // Also by a feature of its own, as in `x = ["entente-federation/planted-bugs"]`.
        let turned_on = package.features.iter().any(|(feature, others)| {
            let own = name == CORE && feature != FEATURE;
            others
                .iter()
                .any(|other| other.ends_with(&format!("/{FEATURE}")) || own && other == FEATURE)
        });
        if turned_on {
            faults.push(format!("a feature of {name} must not turn on {FEATURE}"));
        }
    }
    Ok(faults)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, dependency: &str, features: &str, own: &str) -> String {
        format!(
            r#"{{"packages": [{{"name": "{name}", "features": {{{own}}}, "dependencies": [{{"name": "{dependency}", "features": [{features}]}}]}}]}}"#
        )
    }

    #[test]
    fn only_the_simulator_may_plant_bugs() {
        let planted = "\"planted-bugs\"";
        for (name, dependency, features, own, faults) in [
            (OWNER, CORE, planted, "", 0),
            ("entente-node", CORE, "", "", 0),
            ("xtask", OWNER, "", "", 0),
            ("entente-node", CORE, planted, "", 1),
            ("entente-node", OWNER, "", "", 1),
            (
                "entente-node",
                CORE,
                "",
                r#""x": ["entente-federation/planted-bugs"]"#,
                1,
            ),
            (CORE, "serde", "", r#""planted-bugs": []"#, 0),
            (CORE, "serde", "", r#""default": ["planted-bugs"]"#, 1),
        ] {
            let found = check(&package(name, dependency, features, own)).unwrap();
            assert_eq!(found.len(), faults, "{name} {dependency} {features} {own}");
        }
    }
}
