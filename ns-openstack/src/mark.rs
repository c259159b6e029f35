//! Where tokens are kept. OpenStack has no one place: each kind of thing gets the one that is written in the same call
//! that creates it, so that no crash can come between. Pure text work; `create` says which kind uses which.
//!
//! | kind | place |
//! | --- | --- |
//! | project | tag |
//! | right in a project | tag of the project |
//! | network, subnet, router, port, floating IP, router interface (its port) | description |
//! | security group; its rules | part of the description, after the user's text |
//! | flavour | its id |
//! | keypair, server group | end of the name |
//! | server | tag: Nova filters by it, and not by metadata; the guest does not see it |
//! | volume | metadata |

use ns_core::provider::{CreatedKind, Token};
use ns_core::{Error, ErrorKind};

/// Length of a token.
const LENGTH: usize = 35;
/// Room that Neutron has for a description, in characters.
const DESCRIPTION_MAX: usize = 255;
/// Room that Nova has for a name.
const NAME_MAX: usize = 255;

/// `name-<token>`, without the token that the name may have from an earlier recovery.
pub(crate) fn name(name: &str, token: &Token) -> String {
    let mut plain = name;
    while let Some((rest, last)) = split_last(plain, LENGTH)
        && is_token(last)
        && let Some(rest) = rest.strip_suffix('-')
    {
        plain = rest;
    }
    let plain: String = plain.chars().take(NAME_MAX - LENGTH - 1).collect();
    format!("{plain}-{token}")
}

/// Whether a name ends with this token.
pub(crate) fn name_has(name: &str, token: &Token) -> bool {
    name.strip_suffix(token.as_str())
        .is_some_and(|rest| rest.ends_with('-'))
}

/// `text [token]..`, without tokens that the text may have from an earlier recovery, and with room for one more.
pub(crate) fn description(text: &str, token: &Token) -> String {
    let mut plain = text.trim_end();
    while let Some((rest, last)) = split_last(plain, LENGTH + 2)
        && last
            .strip_prefix('[')
            .and_then(|l| l.strip_suffix(']'))
            .is_some_and(is_token)
    {
        plain = rest.trim_end();
    }
    let plain: String = plain.chars().take(DESCRIPTION_MAX - 2 * (LENGTH + 3)).collect();
    add(&plain, token)
}

/// Adds another token to a description made by [`description`].
pub(crate) fn add(text: &str, token: &Token) -> String {
    format!("{text} [{token}]").trim_start().to_owned()
}

/// Takes a token out of a description.
pub(crate) fn without(text: &str, token: &Token) -> String {
    text.replace(&format!("[{token}]"), "")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

/// Whether a description holds this token.
pub(crate) fn description_has(text: &str, token: &Token) -> bool {
    text == token.as_str() || text.contains(&format!("[{token}]"))
}

/// Whether a description holds any token: the thing is one of ours.
pub(crate) fn description_is_ours(text: &str) -> bool {
    let bare = |word: &str| is_token(word.trim_start_matches('[').trim_end_matches(']'));
    text.split_whitespace().any(bare)
}

fn is_token(text: &str) -> bool {
    let digits = text.strip_prefix("ns-");
    digits.is_some_and(|d| d.len() == LENGTH - 3 && d.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// Splits off the last `length` bytes.
fn split_last(text: &str, length: usize) -> Option<(&str, &str)> {
    text.split_at_checked(text.len().checked_sub(length)?)
}

/// The refusal to touch what does not carry the token (INV-30).
pub(crate) fn not_ours(kind: CreatedKind, id: &str) -> Error {
    Error::new(
        ErrorKind::Refused,
        "token.mismatch",
        "the thing does not carry the token: it is not ours to remove",
    )
    .with("kind", format!("{kind:?}"))
    .with("id", id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ns_core::model::{JobId, TaskKey};

    fn token(n: u8) -> Token {
        Token::of(&JobId::new("j"), &TaskKey::new(format!("t{n}")))
    }

    #[test]
    fn names() {
        let (a, b) = (token(1), token(2));
        let marked = name("key", &a);
        assert_eq!(marked, format!("key-{a}"));
        assert!(name_has(&marked, &a) && !name_has(&marked, &b) && !name_has(a.as_str(), &a));
        assert_eq!(
            name(&marked, &b),
            format!("key-{b}"),
            "a recovery back does not pile tokens up"
        );
        assert_eq!(name(&"é".repeat(300), &a).chars().count(), NAME_MAX);
    }

    #[test]
    fn descriptions() {
        let (a, b, c) = (token(1), token(2), token(3));
        let text = add(&description("web rules", &a), &b);
        assert_eq!(text, format!("web rules [{a}] [{b}]"));
        assert!(description_has(&text, &a) && description_has(&text, &b) && !description_has(&text, &c));
        assert_eq!(description(&text, &c), format!("web rules [{c}]"));
        assert_eq!(without(&text, &b), format!("web rules [{a}]"));
        assert_eq!(description("", &a), format!("[{a}]"));
        let long = add(&description(&"é".repeat(300), &a), &b);
        assert!(long.chars().count() <= DESCRIPTION_MAX, "{}", long.chars().count());
        assert!(description_is_ours(&text) && description_is_ours(a.as_str()));
        assert!(!description_is_ours("ns-not-a-token") && !description_is_ours(""));
    }
}
