//! The table of close codes, and the faults that the checks name.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, anyhow};
use syn::parse::{Parse, ParseStream, Parser as _};
use syn::{Attribute, Ident, Item, LitInt, LitStr, Token};

use super::frames::shout;
use super::markdown::{self, is_code, quoted};
use super::source;
use super::{FEDERATION, Files};

const CLOSE: &str = "federation/src/close.rs";
const FAULT: &str = "federation/src/handshake/fault.rs";

/// Number → code and retry class.
type Closes = BTreeMap<u64, (String, String)>;

pub(super) fn check(files: &Files) -> Result<Vec<String>> {
    let document = files.text(FEDERATION)?;
    let coded = coded(files.text(CLOSE)?)?;
    let mut faults = compare(&told(document), &coded);
    let misbehaved = misbehaved(files.text(FAULT)?)?;
    let texts = files.below("docs/protocol/", ".md");
    let texts = texts.map(|(name, text)| match name {
        FEDERATION => without_close_table(text),
        _ => text.to_owned(),
    });
    faults.extend(compare_faults(
        document,
        &texts.collect::<String>(),
        &misbehaved,
    ));
    Ok(faults)
}

/// The names of all close codes.
pub(super) fn names(files: &Files) -> Result<BTreeSet<String>> {
    let closes = coded(files.text(CLOSE)?)?;
    Ok(closes.into_values().map(|(code, _)| code).collect())
}

struct Close {
    number: LitInt,
    text: LitStr,
    retry: Ident,
}

impl Parse for Close {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        input.call(Attribute::parse_outer)?;
        input.parse::<Ident>()?;
        input.parse::<Token![=]>()?;
        let number = input.parse()?;
        input.parse::<Token![,]>()?;
        let text = input.parse()?;
        input.parse::<Token![,]>()?;
        let retry = input.parse()?;
        Ok(Self {
            number,
            text,
            retry,
        })
    }
}

/// What the macro `close_codes!` lists.
fn coded(code: &str) -> Result<Closes> {
    let file = source::parse(CLOSE, code)?;
    let listed = file.items.iter().find_map(|item| {
        if let Item::Macro(item) = item {
            return item.mac.path.is_ident("close_codes").then_some(&item.mac);
        }
        None
    });
    let listed = listed.ok_or_else(|| anyhow!("{CLOSE}: tidy looks for `close_codes! {{ … }}`"))?;
    let lines = syn::punctuated::Punctuated::<Close, Token![;]>::parse_terminated
        .parse2(listed.tokens.clone())?;
    let lines = lines.iter().map(|line| {
        let retry = line.retry.to_string().to_lowercase();
        Ok((line.number.base10_parse()?, (line.text.value(), retry)))
    });
    lines.collect()
}

/// The table of section 7: number, code, retry, as often as there is room for.
fn told(document: &str) -> Closes {
    let tables = markdown::tables(document);
    let table = tables
        .iter()
        .filter(|table| table.section.starts_with("7."));
    let cells = table
        .flat_map(|table| &table.rows)
        .flat_map(|row| row.chunks(3));
    let closes = cells.filter_map(|cells| {
        let [number, code, retry] = cells else {
            return None;
        };
        let code = quoted(code).next()?.to_owned();
        Some((number.parse().ok()?, (code, retry.clone())))
    });
    closes.collect()
}

fn compare(told: &Closes, coded: &Closes) -> Vec<String> {
    let mut faults = Vec::new();
    for (number, (code, retry)) in coded {
        match told.get(number) {
            None => faults.push(format!(
                "{FEDERATION} section 7 lacks | {number} | `{code}` | {retry} | of {CLOSE}"
            )),
            Some(row) if (&row.0, &row.1) != (code, retry) => faults.push(format!(
                "{FEDERATION} section 7 says that {number} is `{}`, {}; {CLOSE} that it is `{code}`, {retry}",
                row.0, row.1
            )),
            Some(_) => {}
        }
    }
    let gone = told
        .iter()
        .filter(|(number, _)| !coded.contains_key(*number));
    faults.extend(gone.map(|(number, (code, _))| {
        format!("{FEDERATION} section 7 lists {number} `{code}`, which {CLOSE} does not")
    }));
    faults
}

fn misbehaved(code: &str) -> Result<BTreeSet<String>> {
    let file = source::parse(FAULT, code)?;
    let variants = &source::find_enum(&file, "Misbehaved")?.variants;
    Ok(variants
        .iter()
        .map(|variant| shout(&variant.ident.to_string()))
        .collect())
}

fn without_close_table(document: &str) -> String {
    let rows = markdown::section(document, "## 7.");
    let lines = document.lines().filter(|line| !rows.contains(line));
    lines.collect::<Vec<_>>().join("\n")
}

/// Each fault stands where its check is described, and the table of checks names no other.
fn compare_faults(document: &str, texts: &str, coded: &BTreeSet<String>) -> Vec<String> {
    let mut faults = Vec::new();
    let described: BTreeSet<_> = quoted(texts).collect();
    for fault in coded {
        if !described.contains(fault.as_str()) {
            faults.push(format!(
                "no document in docs/protocol says which check ends in `{fault}` ({FAULT}); section 7 alone does not"
            ));
        }
    }
    let tables = markdown::tables(document);
    let checks = tables
        .iter()
        .filter(|table| table.head.iter().any(|cell| cell == "check → fault"));
    for row in checks.flat_map(|table| &table.rows) {
        let named = row.last().into_iter().flat_map(|cell| quoted(cell));
        for name in named.filter(|name| is_code(name)) {
            if !coded.contains(name) {
                faults.push(format!(
                    "{FEDERATION} section 3.5 names the fault `{name}`, which `Misbehaved` in {FAULT} has not"
                ));
            }
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "## 3. A\n\n| frame | by | check → fault |\n|---|---|---|\n| any | both | size → `OWN_DID`, `doc` |\n\n\
        ## 7. Close codes\n\n| number | code | retry | number | code | retry |\n|---|---|---|---|---|---|\n\
        | 4400 | `IDLE` | now | 4425 | `OWN_DID` | later |\n| 4401 | `GONE` | soon | | | |\n";
    const CODE: &str = "macro_rules! close_codes { () => {} }\nclose_codes! {\n/// A.\nIdle = 4400, \"IDLE\", Now;\n\
        OwnDid = 4425, \"OWN_DID\", Later;\nGone = 4401, \"GONE\", Soon;\n}\n";

    #[test]
    fn a_table_that_agrees_passes() {
        assert_eq!(
            compare(&told(DOCUMENT), &coded(CODE).unwrap()),
            Vec::<String>::new()
        );
        let faults = BTreeSet::from(["OWN_DID".to_owned()]);
        let texts = without_close_table(DOCUMENT);
        assert_eq!(
            compare_faults(DOCUMENT, &texts, &faults),
            Vec::<String>::new()
        );
    }

    #[test]
    fn a_close_code_that_is_new_gone_or_other_is_found() {
        for (old, new) in [
            ("Gone = 4401, \"GONE\", Soon;", ""),
            (
                "Gone = 4401, \"GONE\", Soon;",
                "Gone = 4401, \"GONE\", Later;",
            ),
            ("\"IDLE\"", "\"QUIET\""),
            ("Idle =", "More = 4409, \"MORE\", Now; Idle ="),
        ] {
            let coded = coded(&CODE.replace(old, new)).unwrap();
            assert_eq!(compare(&told(DOCUMENT), &coded).len(), 1, "{new}");
        }
    }

    #[test]
    fn a_fault_that_no_check_names_and_a_name_that_is_no_fault_are_found() {
        let texts = without_close_table(DOCUMENT);
        let more = BTreeSet::from(["OWN_DID".to_owned(), "NEW_FAULT".to_owned()]);
        assert_eq!(compare_faults(DOCUMENT, &texts, &more).len(), 1);
        assert_eq!(compare_faults(DOCUMENT, &texts, &BTreeSet::new()).len(), 1);
        let code = "pub enum Misbehaved { OwnDid, BadMac }";
        assert!(misbehaved(code).unwrap().contains("BAD_MAC"));
    }
}
