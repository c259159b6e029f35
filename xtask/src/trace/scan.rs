//! The tests of a source file. It is read as tokens and not as Rust, because tests also stand in macros whose content is
//! no Rust (`proptest!`). Comments other than doc comments are not seen.
use anyhow::{Context, Result};
use proc_macro2::{Delimiter, Literal, TokenStream, TokenTree};
use std::str::FromStr;
use syn::Lit;

/// A test that runs without being asked for, and what of it can name a requirement.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Test {
    /// The function's name.
    pub(super) name: String,
    /// The modules it is in within its file.
    pub(super) modules: Vec<String>,
    /// Its doc comment; of a case, where its rule comes from.
    pub(super) doc: String,
    /// The strings in its body.
    pub(super) strings: Vec<String>,
}

/// Every function with an attribute `test` whatever its path, except ignored ones, and every case of a behaviour suite
/// (`cases![Bench: module::name, "rule"; …]`).
pub(super) fn tests(source: &str) -> Result<Vec<Test>> {
    let tokens = TokenStream::from_str(source)
        .ok()
        .context("cannot be read as Rust tokens")?;
    let mut found = Vec::new();
    walk(tokens, &[], &mut found);
    Ok(found)
}

fn walk(tokens: TokenStream, modules: &[String], found: &mut Vec<Test>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut rest = tokens.as_slice();
    // those of the item that is being read
    let mut attributes = Vec::new();
    loop {
        rest = match rest {
            [] => break,
            [TokenTree::Punct(hash), TokenTree::Group(attribute), after @ ..] if hash.as_char() == '#' => {
                attributes.push(attribute.stream());
                after
            }
            [TokenTree::Ident(word), TokenTree::Ident(name), after @ ..] if word == "fn" => {
                let end = after.iter().position(|token| is_body(token) || is_punct(token, ';'));
                let (end, after) = after.split_at(end.map_or(after.len(), |end| end + 1));
                let body = end.last().and_then(group).unwrap_or_default();
                if has(&attributes, "test") {
                    if !has(&attributes, "ignore") {
                        found.push(Test {
                            name: name.to_string(),
                            modules: modules.to_vec(),
                            doc: doc(&attributes),
                            strings: strings(body),
                        });
                    }
                } else {
                    walk(body, modules, found);
                }
                attributes.clear();
                after
            }
            [
                TokenTree::Ident(word),
                TokenTree::Ident(name),
                TokenTree::Group(body),
                after @ ..,
            ] if word == "mod" => {
                walk(body.stream(), &[modules, &[name.to_string()]].concat(), found);
                attributes.clear();
                after
            }
            [TokenTree::Ident(word), bang, TokenTree::Group(table), after @ ..]
                if word == "cases" && is_punct(bang, '!') =>
            {
                found.extend(cases(table.stream(), modules));
                after
            }
            [token, after @ ..] => {
                if let Some(inner) = group(token) {
                    walk(inner, modules, found);
                }
                if is_body(token) || is_punct(token, ';') {
                    attributes.clear();
                }
                after
            }
        };
    }
}

/// A case is `path::name, "rule"`; `;` ends it.
fn cases(table: TokenStream, modules: &[String]) -> Vec<Test> {
    let tokens: Vec<TokenTree> = table.into_iter().collect();
    let lines = tokens.split(|token| is_punct(token, ';'));
    lines
        .filter_map(|line| match line {
            [.., TokenTree::Ident(name), comma, TokenTree::Literal(rule)] if is_punct(comma, ',') => Some(Test {
                name: name.to_string(),
                modules: modules.to_vec(),
                doc: string(rule)?,
                strings: Vec::new(),
            }),
            _ => None,
        })
        .collect()
}

fn is_punct(token: &TokenTree, mark: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == mark)
}

fn is_body(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
}

fn group(token: &TokenTree) -> Option<TokenStream> {
    match token {
        TokenTree::Group(group) => Some(group.stream()),
        _ => None,
    }
}

/// Whether an attribute's path ends in this name.
fn has(attributes: &[TokenStream], name: &str) -> bool {
    attributes.iter().any(|attribute| {
        let path = attribute
            .clone()
            .into_iter()
            .take_while(|token| matches!(token, TokenTree::Ident(_)) || is_punct(token, ':'));
        matches!(path.last(), Some(TokenTree::Ident(last)) if last == name)
    })
}

/// The doc comment's lines.
fn doc(attributes: &[TokenStream]) -> String {
    let docs = attributes
        .iter()
        .filter(|attribute| has(std::slice::from_ref(*attribute), "doc"));
    docs.cloned().flat_map(strings).collect::<Vec<_>>().join("\n")
}

/// Every string in it, however deep.
fn strings(tokens: TokenStream) -> Vec<String> {
    tokens
        .into_iter()
        .flat_map(|token| match token {
            TokenTree::Group(group) => strings(group.stream()),
            TokenTree::Literal(literal) => string(&literal).into_iter().collect(),
            TokenTree::Ident(_) | TokenTree::Punct(_) => Vec::new(),
        })
        .collect()
}

fn string(literal: &Literal) -> Option<String> {
    match Lit::new(literal.clone()) {
        Lit::Str(text) => Some(text.value()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `modules::name|doc|strings` of each test.
    fn shown(source: &str) -> Vec<String> {
        let line = |test: Test| {
            let path = [test.modules, vec![test.name]].concat().join("::");
            format!("{path}|{}|{}", test.doc, test.strings.join(","))
        };
        tests(source).unwrap().into_iter().map(line).collect()
    }

    #[test]
    fn what_is_a_test() {
        for (source, expected) in [
            ("#[test] fn a() {}", &["a||"][..]),
            (
                "#[tokio::test(flavor = \"x\")] async fn a() -> Result<()> { }",
                &["a||"],
            ),
            ("#[test] #[should_panic] pub(crate) fn a() {} fn b() {}", &["a||"]),
            ("#[cfg(test)] mod t { #[test] fn a() {} } fn b() {}", &["t::a||"]),
            ("#[cfg(test)] mod t; fn a() {}", &[]),
            ("#[test_kit] fn a() {}", &[]),
            ("#[test] #[ignore = \"minutes\"] fn a() {}", &[]),
            (
                "proptest! { #![config(x)] #[test] fn a(n in 0..9u8, (x, y) in z()) { } }",
                &["a||"],
            ),
            ("#[x] struct A { #[y] b: fn(u8) } #[test] fn a() {}", &["a||"]),
            ("#[test] const A: u8 = 0; fn b() {}", &[]),
            ("trait T { fn a(); } #[test] fn b() {}", &["b||"]),
        ] {
            assert_eq!(shown(source), expected, "{source}");
        }
    }

    #[test]
    fn what_can_name_a_requirement() {
        for (source, expected) in [
            (
                "/// one\n#[test]\n/// two\n#[doc(hidden)] fn a() {}",
                &["a| one\n two|"][..],
            ),
            ("/// of the product\nfn a() { \"b\" } #[test] fn c() {}", &["c||"]),
            ("/// of the product\nstruct A {} #[test] fn c() {}", &["c||"]),
            ("/// of the module\nmod t { #[test] fn c() {} }", &["t::c||"]),
            (
                "#[test] fn a() { let t = [(1, \"b\\nc\")]; assert!(x, \"d {e}\"); }",
                &["a||b\nc,d {e}"],
            ),
            (
                "#[test] fn a() { r#\"b\"#; b\"c\"; 'd'; /* \"e\" */ } // \"f\"",
                &["a||b"],
            ),
        ] {
            assert_eq!(shown(source), expected, "{source}");
        }
    }

    #[test]
    fn cases_of_a_suite() {
        let table = "fn all<'f>() -> V { cases![Bench<'f>: basics::a, \"rule 1\"; b, \"rule 2\";] }";
        assert_eq!(shown(table), ["a|rule 1|", "b|rule 2|"]);
        let rule = "macro_rules! cases { ($f:path, $s:literal);* => { v![$($f, $s),*] }; }";
        assert_eq!(shown(rule), [""; 0]);
    }

    #[test]
    fn no_rust() {
        tests("fn a( {").unwrap_err();
    }
}
