//! What a password must be: long and hard to guess (SEC-04), or as the old manual had it (USR-12).

use super::{first, invalid};
use crate::model::User;
use crate::{Error, Result};
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::LazyLock;
use unicode_normalization::UnicodeNormalization;

/// How many characters a password has, after normalisation (SEC-04).
pub const PASSWORD_LENGTH: RangeInclusive<usize> = 12..=128;
/// The same by the old manual's rule (USR-12).
pub const CLASSIC_PASSWORD_LENGTH: RangeInclusive<usize> = 6..=16;
/// How many different characters a password has at least, so that it is no key held down.
const DIFFERENT_CHARACTERS: usize = 5;
/// Up to so many digits and signs behind a common password do not make it another.
const ORNAMENTS: usize = 6;

static COMMON: LazyLock<BTreeSet<&str>> = LazyLock::new(|| {
    let list = include_str!("data/common_passwords.txt");
    list.lines().filter(|line| !line.starts_with('#')).collect()
});

/// The form in which passwords are hashed and compared: NFC, so that one password typed on two systems is one.
#[must_use]
pub fn normal_password(password: &str) -> String {
    password.nfc().collect()
}

/// Everything that is wrong with a password for an account.
#[must_use]
pub fn password_violations(password: &str, user: &User, classic: bool) -> Vec<Error> {
    let normal = normal_password(password);
    if classic {
        return classic_violations(&normal);
    }
    let mut found = Vec::from_iter(length_violation(&normal, PASSWORD_LENGTH));
    let folded = normal.to_lowercase();
    if folded.chars().collect::<BTreeSet<_>>().len() < DIFFERENT_CHARACTERS {
        found.push(
            wrong("password.repetitive", "the password repeats a few characters")
                .with_remedy("use five different characters or more"),
        );
    }
    if is_common(&folded) {
        found.push(
            wrong("password.common", "many people use this password, and it is known")
                .with_remedy("choose another one, e.g. four words that have nothing to do with each other"),
        );
    }
    if is_derived(&folded, user) {
        found.push(
            wrong(
                "password.derived",
                "the password holds the id, the mail address or the name of its account",
            )
            .with_remedy("choose one that has nothing to do with them"),
        );
    }
    found
}

/// Refuses a password for an account; `classic` says by which rule
/// ([`classic_passwords`](crate::Settings::classic_passwords)).
///
/// # Errors
/// `Invalid`: `password.length`; by SEC-04 `password.repetitive`, `password.common`, `password.derived`; by USR-12
/// `password.classes`. None of them holds the password.
pub fn check_password(password: &str, user: &User, classic: bool) -> Result<()> {
    first(password_violations(password, user, classic))
}

fn wrong(code: &str, message: &str) -> Error {
    invalid(code, "password", message)
}

fn length_violation(password: &str, allowed: RangeInclusive<usize>) -> Option<Error> {
    let length = password.chars().count();
    let (least, most) = (allowed.start(), allowed.end());
    (!allowed.contains(&length)).then(|| {
        wrong("password.length", "the password is too short or too long")
            .with_remedy(format!("give it {least} to {most} characters"))
    })
}

fn classic_violations(password: &str) -> Vec<Error> {
    let mut found = Vec::from_iter(length_violation(password, CLASSIC_PASSWORD_LENGTH));
    type Class = (&'static str, fn(char) -> bool);
    let classes: [Class; 4] = [
        ("small letter", char::is_lowercase),
        ("capital letter", char::is_uppercase),
        ("digit", |c| c.is_ascii_digit()),
        ("special character", |c| {
            !c.is_alphanumeric() && !c.is_whitespace() && !c.is_control()
        }),
    ];
    let missing = classes.iter().filter(|(_, class)| !password.chars().any(class));
    let missing: Vec<_> = missing.map(|(name, _)| *name).collect();
    if !missing.is_empty() {
        let message = format!("the password has no {}", missing.join(", no "));
        found.push(
            wrong("password.classes", &message)
                .with_remedy("use small and capital letters, digits and special characters"),
        );
    }
    found
}

/// Whether it is a common password, or one with a few digits and signs behind it.
fn is_common(folded: &str) -> bool {
    let core = folded.trim_end_matches(|c: char| !c.is_alphabetic());
    let ornaments = folded.chars().count() - core.chars().count();
    COMMON.contains(folded) || (ornaments <= ORNAMENTS && COMMON.contains(core))
}

/// Whether it holds a word of what everybody knows of the account, forwards or backwards.
fn is_derived(folded: &str, user: &User) -> bool {
    let mail = user.mail.split('@').next().unwrap_or_default();
    let known = [user.id.as_str(), mail, &user.name].map(|text| text.nfc().collect::<String>().to_lowercase());
    let words = known.iter().flat_map(|text| text.split(|c: char| !c.is_alphanumeric()));
    let whole = known.iter().map(String::as_str);
    words.chain(whole).any(|word| {
        let length = word.chars().count();
        // A Hangul name has two or three syllables; a Latin word of three letters is in many a word.
        let telling = length >= if word.is_ascii() { 4 } else { 2 };
        telling && (folded.contains(word) || folded.contains(&word.chars().rev().collect::<String>()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use crate::model::UserRole;
    use proptest::prelude::*;

    fn anna() -> User {
        User {
            id: "anna.kim".into(),
            name: "Anna Kim 안나".to_owned(),
            mail: "akim@example.org".to_owned(),
            role: UserRole::Operator,
            groups: BTreeSet::new(),
            must_change_password: false,
            created_by: "root".to_owned(),
            created_at: jiff::Timestamp::UNIX_EPOCH,
            modified_at: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn sec_04_what_a_password_must_be() {
        let rows = [
            ("correct horse battery", None),
            ("twelve chars", None),
            ("elevenchars", Some("password.length")),
            ("", Some("password.length")),
            ("abababababababab", Some("password.repetitive")),
            ("1q2w3e4r5t6y", Some("password.common")),
            ("Password2026!", Some("password.common")),
            ("my-Anna.Kim-2026", Some("password.derived")),
            ("to mika is anna", Some("password.derived")),
            ("of 안나 the great", Some("password.derived")),
        ];
        for (password, code) in rows {
            let found = check_password(password, &anna(), false);
            assert_eq!(found.as_ref().err().map(Error::code), code, "{password}");
            if let Err(e) = found {
                assert_eq!((e.kind(), e.field()), (ErrorKind::Invalid, Some("password")));
                assert!(e.remedy().is_some());
                assert!(password.is_empty() || !e.to_string().contains(password), "{e}");
            }
        }
        let long = "abcdefghij".repeat(12);
        assert!(check_password(&format!("{long}12345678"), &anna(), false).is_ok());
        assert!(check_password(&format!("{long}123456789"), &anna(), false).is_err());
    }

    #[test]
    fn usr_12_the_classic_rule() {
        let rows = [
            ("aB3$ef", None),
            ("aB3$efghijklmnop", None),
            ("aB3$e", Some("password.length")),
            ("aB3$efghijklmnopq", Some("password.length")),
            ("ab3$ef", Some("password.classes")),
            ("AB3$EF", Some("password.classes")),
            ("aBc$ef", Some("password.classes")),
            ("aB3def", Some("password.classes")),
            ("aB3 ef", Some("password.classes")),
        ];
        for (password, code) in rows {
            let found = check_password(password, &anna(), true);
            assert_eq!(found.err().map(|e| e.code().to_owned()).as_deref(), code, "{password}");
        }
    }

    /// Twelve Hangul syllables are twelve, also when they are typed in their parts.
    #[test]
    fn sec_04_characters_count_after_normalisation() {
        let composed = "가나다라마바사아자차카타";
        let parts: String = composed.nfd().collect();
        assert!(parts.chars().count() > composed.chars().count());
        assert_eq!(normal_password(&parts), composed);
        assert!(check_password(&parts, &anna(), false).is_ok());
        let eleven: String = "가나다라마바사아자차카".nfd().collect();
        assert!(check_password(&eleven, &anna(), false).is_err());
    }

    #[test]
    fn sec_04_the_list_of_common_passwords_is_in_order() {
        let lines: Vec<_> = include_str!("data/common_passwords.txt")
            .lines()
            .filter(|l| !l.starts_with('#'))
            .collect();
        assert!(lines.len() > 3000 && lines.is_sorted(), "{}", lines.len());
        assert!(lines.iter().all(|l| l.len() >= 6 && *l == l.to_lowercase()));
    }

    proptest! {
        /// Whoever puts a word of the account into a password is refused, wherever and however written.
        #[test]
        fn sec_04_no_word_of_the_account(before in "[a-z0-9 ]{8,20}", after in "[a-z0-9 ]{0,20}", upper: bool, which in 0..3_usize) {
            let word = ["anna", "akim", "anna.kim"][which];
            let word = if upper { word.to_uppercase() } else { word.to_owned() };
            let found = password_violations(&format!("{before}{word}{after}"), &anna(), false);
            prop_assert!(found.iter().any(|e| e.code() == "password.derived"));
        }

        /// Length is counted in characters, and only it is wrong with random text.
        #[test]
        fn sec_04_length(password in "[a-z가-힣!-/]{0,140}") {
            let length = normal_password(&password).chars().count();
            let found = password_violations(&password, &anna(), false);
            let too = found.iter().any(|e| e.code() == "password.length");
            prop_assert_eq!(too, !(12..=128).contains(&length));
        }

        /// What the classic rule takes has all four classes; what lacks one is refused.
        #[test]
        fn usr_12_classes(password in "[a-zA-Z0-9!-/]{6,16}") {
            let has = |class: fn(&char) -> bool| password.chars().any(|c| class(&c));
            let all = has(char::is_ascii_lowercase) && has(char::is_ascii_uppercase) && has(char::is_ascii_digit)
                && has(char::is_ascii_punctuation);
            prop_assert_eq!(check_password(&password, &anna(), true).is_ok(), all);
        }
    }
}
