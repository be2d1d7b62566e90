//! The access table against docs/protocol/api.md.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow};
use syn::{Expr, File};

use super::markdown::{self, quoted};
use super::source;
use super::{API, Files};

const TABLE: &str = "node/src/auth/table.rs";
const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// Method and path → who may call.
type Routes = BTreeMap<String, String>;

pub(super) fn check(files: &Files) -> Result<Vec<String>> {
    let coded = coded(&source::parse(TABLE, files.text(TABLE)?)?)?;
    Ok(compare(files.text(API)?, &coded))
}

fn coded(file: &File) -> Result<Routes> {
    let table = source::constants(file).find(|constant| constant.ident == "TABLE");
    let Some(Expr::Reference(table)) = table.map(|constant| &*constant.expr) else {
        return Err(anyhow!(
            "{TABLE}: tidy looks for `const TABLE: &[Entry] = &[…]`"
        ));
    };
    let Expr::Array(entries) = &*table.expr else {
        return Err(anyhow!("{TABLE}: `TABLE` is no list"));
    };
    let mut routes = Routes::new();
    for entry in &entries.elems {
        let Expr::Call(entry) = entry else {
            return Err(anyhow!("{TABLE}: every line of `TABLE` is `entry(…)`"));
        };
        let mut arguments = entry.args.iter();
        let method = arguments.next().and_then(source::literal_text);
        let path = arguments.next().and_then(source::literal_text);
        let access = arguments.next().and_then(source::last_segment);
        let (Some(method), Some(path), Some(access)) = (method, path, access) else {
            return Err(anyhow!("{TABLE}: tidy cannot read a line of `TABLE`"));
        };
        routes.insert(format!("{method} {path}"), access);
    }
    Ok(routes)
}

fn compare(document: &str, coded: &Routes) -> Vec<String> {
    let mut told: BTreeMap<String, bool> = BTreeMap::new();
    for table in markdown::tables(document) {
        let public = table.section == "Public";
        for cell in table.rows.iter().filter_map(|row| row.first()) {
            told.extend(quoted(cell).filter_map(route).map(|route| (route, public)));
        }
    }
    let mut faults = Vec::new();
    for (route, access) in coded {
        let public = access == "Public";
        match told.get(route) {
            None => faults.push(format!("{API} has no row for `{route}` ({access} in {TABLE})")),
            Some(listed) if *listed != public => faults.push(format!(
                "{API}: `{route}` is {access} in {TABLE}; the section \"Public\" lists what anyone may call, and nothing else"
            )),
            Some(_) => {}
        }
    }
    let gone = told.keys().filter(|route| !coded.contains_key(*route));
    faults.extend(gone.map(|route| format!("{API} lists `{route}`, which {TABLE} has not")));
    faults
}

/// `GET /x?y=` as `GET /x`; nothing that is no route.
fn route(text: &str) -> Option<String> {
    let (method, path) = text.split_once(' ')?;
    let path = path.split(['?', '[', ' ']).next()?;
    (METHODS.contains(&method) && path.starts_with('/')).then(|| format!("{method} {path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "# A\n\n## Public\n\n| route | answer |\n|---|---|\n| `GET /health`, `GET /` | fine |\n\n\
        ## Agents\n\n| route | who | answer |\n|---|---|---|\n| `GET /agents/:name?cursor=` | agent | see `POST /never` |\n";
    const CODE: &str = "pub const TABLE: &[Entry] = &[entry(\"GET\", \"/health\", Public, Route::Health),\n\
        entry(\"GET\", \"/\", Access::Public, Route::Home), entry(\"GET\", \"/agents/:name\", AgentMail, Route::Show)];\n";

    fn faults(code: &str) -> Vec<String> {
        check(&Files::made(&[(API, DOCUMENT), (TABLE, code)])).unwrap()
    }

    #[test]
    fn routes_that_are_listed_pass() {
        assert_eq!(faults(CODE), Vec::<String>::new());
    }

    #[test]
    fn a_route_that_is_new_gone_renamed_or_opened_is_found() {
        for (old, new, count) in [
            ("\"/health\"", "\"/well\"", 2),
            ("AgentMail", "Public", 1),
            (
                "&[entry",
                "&[entry(\"POST\", \"/x\", Admin, Route::X), entry",
                1,
            ),
        ] {
            assert_eq!(faults(&CODE.replace(old, new)).len(), count, "{new}");
        }
        let files = Files::made(&[(API, DOCUMENT), (TABLE, "pub const OTHER: u8 = 1;")]);
        assert!(check(&files).is_err());
    }
}
