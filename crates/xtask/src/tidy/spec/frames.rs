//! Frame kinds, streams, the fields of the opening frames and the handshake's labels.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens as _;
use syn::{Expr, File, ImplItem, Item, Pat};

use super::markdown;
use super::source;
use super::{FEDERATION, Files};

const SESSION: &str = "federation/src/frame/session.rs";
const EXAMPLES: &str = "docs/protocol/examples.md";
const STREAM: &str = "federation/src/frame/stream.rs";
pub(super) const OPENING: &str = "federation/src/frame/opening.rs";
pub(super) const LABELLED: [&str; 2] = [
    "federation/src/handshake/keys.rs",
    "federation/src/handshake/transcript.rs",
];
pub(super) const BODIES: [(&str, &str); 4] = [
    ("HELLO", "Hello"),
    ("HELLO_ACK", "HelloAck"),
    ("AUTH", "Auth"),
    ("READY", "Ready"),
];

pub(super) fn check(files: &Files) -> Result<Vec<String>> {
    let document = files.text(FEDERATION)?;
    let code = files.text(SESSION)?;
    let mut faults = kinds(document, code)?;
    faults.extend(streams(document, files)?);
    faults.extend(bodies(document, files.text(OPENING)?)?);
    faults.extend(examples(files)?);
    let mut labels = BTreeSet::new();
    for name in LABELLED {
        labels.extend(labels_of(&source::parse(name, files.text(name)?)?));
    }
    faults.extend(compare_labels(document, &labels));
    Ok(faults)
}

fn kinds(document: &str, code: &str) -> Result<Vec<String>> {
    let coded = numbers_of(&source::parse(SESSION, code)?, "to_byte").with_context(|| {
        format!("{SESSION}: tidy looks for `fn to_byte`, one match from kinds to numbers")
    })?;
    let mut faults = Vec::new();
    let layout = markdown::section(document, "## 4.").join("\n");
    let comment: String = code
        .lines()
        .filter_map(|line| line.strip_prefix("//!"))
        .collect::<Vec<_>>()
        .join("\n");
    for (place, text) in [
        (format!("{FEDERATION} section 4"), layout),
        (format!("the comment on top of {SESSION}"), comment),
    ] {
        let told = pairs(&text, "type:", "counter");
        if told != coded {
            faults.push(format!(
                "{place} lists the frame types {told:?}, `Kind` in {SESSION} has {coded:?}: write `type: 1 MSG, …` with every number and name"
            ));
        }
    }
    Ok(faults)
}

/// The numbers and names that a method such as `Kind::to_byte` maps.
fn numbers_of(file: &File, method: &str) -> Option<BTreeMap<u64, String>> {
    let methods = file.items.iter().filter_map(|item| {
        if let Item::Impl(block) = item
            && block.trait_.is_none()
        {
            return Some(&block.items);
        }
        None
    });
    let found = methods.flatten().find_map(|item| {
        if let ImplItem::Fn(function) = item
            && function.sig.ident == method
        {
            return function.block.stmts.last();
        }
        None
    });
    let Some(syn::Stmt::Expr(Expr::Match(table), None)) = found else {
        return None;
    };
    let pairs = table.arms.iter().filter_map(|arm| {
        let Pat::Path(kind) = &arm.pat else {
            return None;
        };
        let name = kind.path.segments.last()?.ident.to_string();
        Some((source::literal_number(&arm.body)?, shout(&name)))
    });
    Some(pairs.collect())
}

/// `HelloAck` as `HELLO_ACK`.
pub(super) fn shout(name: &str) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.extend(letter.to_uppercase());
    }
    text
}

/// Each kind of frame has a section of examples.md.
fn examples(files: &Files) -> Result<Vec<String>> {
    let document = files.text(EXAMPLES)?;
    let kinds = numbers_of(&source::parse(SESSION, files.text(SESSION)?)?, "to_byte");
    let opening = BODIES.iter().map(|(name, _)| (*name).to_owned());
    let names = opening.chain(kinds.into_iter().flatten().map(|(_, name)| name));
    let missing = names.filter(|name| !document.contains(&format!("\n## {name}\n")));
    let fault = |name| {
        format!(
            "{EXAMPLES} has no section `## {name}`: add a golden frame and its fields, read by federation/tests/all/examples.rs"
        )
    };
    Ok(missing.map(fault).collect())
}

/// What stands as `1 MSG, 2 ACK` between two words.
fn pairs(text: &str, from: &str, to: &str) -> BTreeMap<u64, String> {
    let text = text.split_once(from).map_or("", |(_, after)| after);
    let text = text.split_once(to).map_or("", |(before, _)| before);
    let words = text
        .split([',', ';', ' ', '\n'])
        .filter(|word| !word.is_empty());
    let words: Vec<_> = words.collect();
    let pairs = words.windows(2).filter_map(|pair| {
        let [number, name] = pair else { return None };
        let name_like = name.starts_with(char::is_alphabetic);
        Some((number.parse().ok()?, name_like.then(|| (*name).to_owned())?))
    });
    pairs.collect()
}

/// `stream: 1 msg, 2 evt, 3 ctl; 0 where …` against the enum `Stream`, or the constants `STREAM_…`.
fn streams(document: &str, files: &Files) -> Result<Vec<String>> {
    let layout = markdown::section(document, "## 4.").join("\n");
    let told = pairs(&layout, "stream:", ";");
    let mut coded = BTreeMap::new();
    for (name, text) in files.below("federation/src/frame/", ".rs") {
        let file = source::parse(name, text)?;
        if name == STREAM {
            let numbers = numbers_of(&file, "number").into_iter().flatten();
            coded.extend(numbers.map(|(number, name)| (number, name.to_lowercase())));
        }
        for constant in source::constants(&file) {
            let name = constant.ident.to_string();
            if let Some(stream) = name.strip_prefix("STREAM_")
                && let Some(number) = source::value(&file, &name)
            {
                coded.insert(number, stream.to_lowercase());
            }
        }
    }
    Ok(if told == coded {
        Vec::new()
    } else {
        vec![format!(
            "{FEDERATION} section 4 lists the streams {told:?}, federation/src/frame has {coded:?}: write `stream: 1 msg, …; 0 where …` with every number and name"
        )]
    })
}

/// The maps of section 3.3 against the structs that serde reads them into.
fn bodies(document: &str, code: &str) -> Result<Vec<String>> {
    let file = source::parse(OPENING, code)?;
    let section = markdown::section(document, "## 3.").join("\n");
    let mut faults = Vec::new();
    for (number, (name, structure)) in BODIES.iter().enumerate() {
        let start = format!("\n{} {name} ", number + 1);
        let told = section
            .split_once(&start)
            .map(|(_, after)| keys(after))
            .unwrap_or_default();
        let coded = fields(&file, structure);
        if told != coded {
            faults.push(format!(
                "{FEDERATION} section 3.3 gives {name} the fields {told:?}, `{structure}` in {OPENING} has {coded:?}"
            ));
        }
    }
    let party = fields(&file, "Party").join(", ");
    if !section.contains(&format!("from:{{{party}}}")) {
        faults.push(format!(
            "{FEDERATION} section 3.3 must write `from:{{{party}}}`, the fields of `Party` in {OPENING}"
        ));
    }
    Ok(faults)
}

/// The keys of the first `{…}`, without those of maps inside; `t:1` and `cursors` both have one.
fn keys(text: &str) -> Vec<String> {
    let mut depth = 0_u32;
    let mut members = vec![String::new()];
    for letter in text.chars().skip_while(|letter| *letter != '{') {
        match letter {
            '{' | '[' => depth += 1,
            '}' | ']' => depth = depth.saturating_sub(1),
            ',' if depth == 1 => members.push(String::new()),
            _ if depth == 1 => members
                .last_mut()
                .into_iter()
                .for_each(|last| last.push(letter)),
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    let keys = members.iter().filter_map(|member| member.split(':').next());
    keys.map(|key| key.trim().to_owned())
        .filter(|key| !key.is_empty())
        .collect()
}

/// The fields of a struct, in order.
pub(super) fn fields(file: &File, name: &str) -> Vec<String> {
    let found = file.items.iter().find_map(|item| {
        if let Item::Struct(found) = item {
            return (found.ident == name).then_some(found);
        }
        None
    });
    let fields = found.into_iter().flat_map(|found| &found.fields);
    fields
        .filter_map(|field| Some(field.ident.as_ref()?.to_string()))
        .collect()
}

/// The byte strings of a file that name the protocol.
pub(super) fn labels_of(file: &File) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    collect(file.to_token_stream(), &mut found);
    found
}

fn collect(tokens: TokenStream, found: &mut BTreeSet<String>) {
    for tree in tokens {
        match tree {
            TokenTree::Group(group) => collect(group.stream(), found),
            TokenTree::Literal(literal) => {
                let bytes = syn::parse_str::<syn::LitByteStr>(&literal.to_string());
                let text = bytes.map(|bytes| String::from_utf8_lossy(&bytes.value()).into_owned());
                found.extend(text.ok().filter(|text| text.starts_with("entente/1")));
            }
            TokenTree::Ident(_) | TokenTree::Punct(_) => {}
        }
    }
}

fn compare_labels(document: &str, coded: &BTreeSet<String>) -> Vec<String> {
    let told = quoted_labels(&markdown::section(document, "## 3.").join("\n"));
    let missing = coded.difference(&told).map(|label| {
        format!(
            "{FEDERATION} section 3 does not name the label \"{label}\" of federation/src/handshake"
        )
    });
    let stale = told.difference(coded).map(|label| {
        format!("{FEDERATION} section 3 names the label \"{label}\", which federation/src/handshake does not use")
    });
    missing.chain(stale).collect()
}

/// The texts in double quotes that name the protocol.
pub(super) fn quoted_labels(text: &str) -> BTreeSet<String> {
    let quoted = text
        .lines()
        .flat_map(|line| line.split('"').skip(1).step_by(2));
    quoted
        .filter(|text| text.starts_with("entente/1"))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "## 3. Opening\n\n```\nT0 = H(\"entente/1 transcript\")\n\n\
        1 HELLO     → {t:1, versions:[uint], shares:[[suite, kem key]], from:{did, host}, nonce:32, want}\n\
        2 HELLO_ACK ← {t:2, ct}   \"entente/1 ack\"\n3 AUTH → {t:3,\n              cursors}\n4 READY ← {t:4, session:16}\n```\n\
        ## 4. Session\n```\n0   1  type: 1 MSG, 2 HELLO_ACK,\n       3 BYE\n1   8  counter: from 0\n9   1  stream: 1 msg, 2 evt; 0 where none\n```\n";
    const CODE: &str = "//! 0 1 type: 1 MSG, 2 HELLO_ACK, 3 BYE\n//! 1 8 counter\nenum Kind { Msg }\nimpl Kind { const fn to_byte(self) -> u8 { match self { Self::Msg => 1, Self::HelloAck => 2, Self::Bye => 3 } } }\n";
    const STRUCTS: &str = "struct Party { did: Did, host: Host }\nstruct Hello { t: u8, versions: V, shares: S, from: Party, nonce: N, want: L }\n\
        struct HelloAck { t: u8, ct: C }\nstruct Auth { t: u8, cursors: C }\nstruct Ready { t: u8, session: S }\n";

    #[test]
    fn frames_that_agree_pass() {
        assert_eq!(kinds(DOCUMENT, CODE).unwrap(), Vec::<String>::new());
        assert_eq!(bodies(DOCUMENT, STRUCTS).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn a_frame_kind_of_another_number_or_name_is_found() {
        let document = DOCUMENT.replace("3 BYE", "3 BYE, 4 STATUS");
        assert_eq!(kinds(&document, CODE).unwrap().len(), 1);
        let code = CODE.replace("Self::Bye => 3", "Self::Bye => 4");
        assert_eq!(kinds(DOCUMENT, &code).unwrap().len(), 2);
        assert!(kinds(DOCUMENT, "enum Kind {}").is_err());
    }

    #[test]
    fn a_kind_of_frame_without_an_example_is_found() {
        let document = "\n## HELLO\n\n## HELLO_ACK\n\n## AUTH\n\n## READY\n\n## MSG\n\n## BYE\n";
        let missing = examples(&Files::made(&[(EXAMPLES, document), (SESSION, CODE)]));
        assert_eq!(missing.unwrap().len(), 0);
        let document = document.replace("## BYE\n", "");
        let missing = examples(&Files::made(&[(EXAMPLES, &document), (SESSION, CODE)]));
        assert_eq!(missing.unwrap().len(), 1);
    }

    #[test]
    fn a_stream_that_only_one_of_both_knows_is_found() {
        let files = |code| Files::made(&[("federation/src/frame/a.rs", code)]);
        let both = files("const STREAM_MSG: u64 = 1;\nconst STREAM_EVT: u8 = 2;");
        assert_eq!(streams(DOCUMENT, &both).unwrap(), Vec::<String>::new());
        let listed = "impl Stream { fn number(self) -> u8 { match self { Self::Msg => 1, Self::Evt => 2 } } }";
        let listed = Files::made(&[(STREAM, listed)]);
        assert_eq!(streams(DOCUMENT, &listed).unwrap(), Vec::<String>::new());
        let one = files("const STREAM_MSG: u64 = 1;");
        assert_eq!(streams(DOCUMENT, &one).unwrap().len(), 1);
    }

    #[test]
    fn a_field_that_is_new_gone_or_moved_is_found() {
        for (old, new) in [
            ("ct: C", "ct: C, extra: X"),
            ("session: S", ""),
            ("versions: V, shares: S", "shares: S, versions: V"),
            ("did: Did", "id: Did"),
        ] {
            let code = STRUCTS.replace(old, new);
            assert_eq!(bodies(DOCUMENT, &code).unwrap().len(), 1, "{new}");
        }
    }

    #[test]
    fn a_label_that_only_one_of_both_has_is_found() {
        let code = "const A: &[u8] = b\"entente/1 transcript\";\nfn f() { g(&[b\"entente/1 ack\", &[0]]); }";
        let labels = labels_of(&source::parse("x.rs", code).unwrap());
        assert_eq!(compare_labels(DOCUMENT, &labels), Vec::<String>::new());
        let other = BTreeSet::from(["entente/1 other".to_owned()]);
        assert_eq!(compare_labels(DOCUMENT, &other).len(), 3);
    }
}
