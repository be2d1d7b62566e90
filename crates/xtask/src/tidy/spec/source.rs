//! Just enough Rust: items outside tests, constants and their values, string literals.

use anyhow::{Context as _, Result, anyhow};
use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{BinOp, Expr, File, ImplItem, Item, ItemConst, ItemEnum, Lit, LitStr, Stmt};

/// Reads a file and forgets its tests.
pub(super) fn parse(name: &str, text: &str) -> Result<File> {
    let mut file =
        syn::parse_file(text).with_context(|| format!("{name} is no Rust that parses"))?;
    file.items.retain(|item| !is_test(item));
    Ok(file)
}

fn is_test(item: &Item) -> bool {
    let Item::Mod(module) = item else {
        return false;
    };
    module.attrs.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute
                .parse_args::<syn::Path>()
                .is_ok_and(|path| path.is_ident("test"))
    })
}

/// The enum of that name.
pub(super) fn find_enum<'a>(file: &'a File, name: &str) -> Result<&'a ItemEnum> {
    let mut items = file.items.iter().filter_map(|item| {
        if let Item::Enum(found) = item {
            return (found.ident == name).then_some(found);
        }
        None
    });
    items
        .next()
        .ok_or_else(|| anyhow!("there is no enum {name} any more: tidy looks for it"))
}

/// Every constant at the top of a file.
pub(super) fn constants(file: &File) -> impl Iterator<Item = &ItemConst> {
    file.items.iter().filter_map(|item| {
        if let Item::Const(constant) = item {
            return Some(constant);
        }
        None
    })
}

/// The value of a constant, or of a field of the `Default` of a struct, in a file.
pub(super) fn value(file: &File, name: &str) -> Option<u64> {
    if let Some(constant) = constants(file).find(|constant| constant.ident == name) {
        return evaluate(file, &constant.expr);
    }
    defaults(file)
        .find(|(field, _)| field == name)
        .and_then(|(_, expr)| evaluate(file, expr))
}

/// The fields that `impl Default` sets.
pub(super) fn defaults(file: &File) -> impl Iterator<Item = (String, &Expr)> {
    let blocks = file.items.iter().filter_map(|item| {
        if let Item::Impl(block) = item {
            let (_, name, _) = block.trait_.as_ref()?;
            return name.is_ident("Default").then_some(block);
        }
        None
    });
    let bodies = blocks
        .flat_map(|block| &block.items)
        .filter_map(|item| {
            if let ImplItem::Fn(function) = item {
                return function.block.stmts.last();
            }
            None
        })
        .filter_map(|statement| {
            if let Stmt::Expr(Expr::Struct(made), None) = statement {
                return Some(made);
            }
            None
        });
    bodies.flat_map(|made| &made.fields).filter_map(|field| {
        if let syn::Member::Named(name) = &field.member {
            return Some((name.to_string(), &field.expr));
        }
        None
    })
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the rest of the language is no number"
)]
fn evaluate(file: &File, expr: &Expr) -> Option<u64> {
    match expr {
        Expr::Lit(literal) => number(&literal.lit),
        Expr::Paren(inner) => evaluate(file, &inner.expr),
        Expr::Cast(inner) => evaluate(file, &inner.expr),
        Expr::Binary(sum) => {
            let (left, right) = (evaluate(file, &sum.left)?, evaluate(file, &sum.right)?);
            match sum.op {
                BinOp::Add(_) => left.checked_add(right),
                BinOp::Sub(_) => left.checked_sub(right),
                BinOp::Mul(_) => left.checked_mul(right),
                BinOp::Shl(_) => left.checked_shl(u32::try_from(right).ok()?),
                _ => None,
            }
        }
        Expr::Path(path) => {
            let name = path.path.get_ident()?;
            let constant = constants(file).find(|constant| constant.ident == *name)?;
            evaluate(file, &constant.expr)
        }
        // A `Duration`, in milliseconds as everywhere.
        Expr::Call(call) => {
            let value = evaluate(file, call.args.first()?)?;
            match last_segment(&call.func)?.as_str() {
                "from_secs" => value.checked_mul(1000),
                "from_millis" => Some(value),
                _ => None,
            }
        }
        _ => None,
    }
}

/// The last part of a path such as `ApiError::new`.
pub(super) fn last_segment(expr: &Expr) -> Option<String> {
    let Expr::Path(path) = expr else {
        return None;
    };
    Some(path.path.segments.last()?.ident.to_string())
}

fn number(literal: &Lit) -> Option<u64> {
    if let Lit::Int(number) = literal {
        return number.base10_parse().ok();
    }
    None
}

/// A whole number that stands as such.
pub(super) fn literal_number(expr: &Expr) -> Option<u64> {
    let Expr::Lit(literal) = expr else {
        return None;
    };
    number(&literal.lit)
}

/// A text that stands as such.
pub(super) fn literal_text(expr: &Expr) -> Option<String> {
    if let Expr::Lit(literal) = expr
        && let Lit::Str(text) = &literal.lit
    {
        return Some(text.value());
    }
    None
}

/// Collects the string literals of a file, also inside macros; not what `skip` calls or macros take.
pub(super) struct Texts<'a> {
    skip: &'a [&'a str],
    /// What was found.
    pub(super) found: Vec<String>,
}

impl<'a> Texts<'a> {
    pub(super) fn of(file: &File, skip: &'a [&'a str]) -> Vec<String> {
        let mut texts = Self {
            skip,
            found: Vec::new(),
        };
        texts.visit_file(file);
        texts.found
    }

    fn tokens(&mut self, tokens: TokenStream) {
        for tree in tokens {
            match tree {
                TokenTree::Group(group) => self.tokens(group.stream()),
                TokenTree::Literal(literal) => {
                    let text = syn::parse_str::<LitStr>(&literal.to_string());
                    self.found.extend(text.map(|text| text.value()));
                }
                TokenTree::Ident(_) | TokenTree::Punct(_) => {}
            }
        }
    }
}

impl<'ast> Visit<'ast> for Texts<'_> {
    fn visit_lit_str(&mut self, text: &'ast LitStr) {
        self.found.push(text.value());
    }

    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        let name = last_segment(&call.func);
        if !name.is_some_and(|name| self.skip.contains(&name.as_str())) {
            visit::visit_expr_call(self, call);
        }
    }

    fn visit_macro(&mut self, invoked: &'ast syn::Macro) {
        let name = invoked.path.segments.last().map(|s| s.ident.to_string());
        if !name.is_some_and(|name| self.skip.contains(&name.as_str())) {
            self.tokens(invoked.tokens.clone());
        }
    }

    // Documentation is text, but no literal.
    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_are_computed() {
        let text = "const A: u64 = 64 * 1024;\npub const B: usize = (1 << 53) - 1;\nconst C: u64 = A + 2;\n\
            const D: Duration = Duration::from_secs(5);\nstruct L { a: u32 }\n\
            impl Default for L { fn default() -> Self { Self { a: 1_024, b: A as u64 } } }\n";
        let file = parse("x.rs", text).unwrap();
        let value = |name| value(&file, name);
        assert_eq!(value("A"), Some(65536));
        assert_eq!(value("B"), Some(9_007_199_254_740_991));
        assert_eq!(value("C"), Some(65538));
        assert_eq!(value("D"), Some(5000));
        assert_eq!(value("a"), Some(1024));
        assert_eq!(value("b"), Some(65536));
        assert_eq!(value("x"), None);
    }

    #[test]
    fn literals_are_found_but_not_in_tests_comments_or_what_is_skipped() {
        let text = "/// \"DOC_COMMENT\"\nfn f() { g(\"ONE\"); variable(env, \"TWO\"); json!({\"a\": \"THREE\"}); env!(\"FOUR\"); }\n\
            #[cfg(test)]\nmod tests { const X: &str = \"FIVE\"; }\n";
        let file = parse("x.rs", text).unwrap();
        assert_eq!(
            Texts::of(&file, &["variable", "env"]),
            ["ONE", "a", "THREE"]
        );
        assert!(parse("x.rs", "fn {").is_err());
    }
}
