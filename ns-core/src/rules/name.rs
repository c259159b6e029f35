//! Names that people give to clusters, groups and plans (CL-04, PG-06, PLAN-04, OPEN-06).

use super::invalid;
use crate::{Error, ErrorKind, Result};
use std::ops::RangeInclusive;
use unicode_normalization::UnicodeNormalization;

/// How many characters a name has, after normalisation.
pub const NAME_LENGTH: RangeInclusive<usize> = 1..=255;

/// The form in which names are stored and compared: NFC (OPEN-06).
#[must_use]
pub fn normal_name(name: &str) -> String {
    name.nfc().collect()
}

/// Checks a name and gives the form in which it is stored and compared: NFC, so that one name typed on two systems is one.
///
/// Allowed are Hangul syllables and compatibility jamo, English letters, digits, and `-`, `_`, `#`, `.`; no blanks.
///
/// # Errors
/// `Invalid`: `name.length` or `name.characters`.
///
/// ```
/// use ns_core::rules::check_name;
/// assert_eq!(check_name("name", "결제-web_1.2#3")?, "결제-web_1.2#3");
/// assert_eq!(check_name("name", "my group").unwrap_err().code(), "name.characters");
/// # Ok::<(), ns_core::Error>(())
/// ```
pub fn check_name(field: &str, name: &str) -> Result<String> {
    let normal = normal_name(name);
    let length = normal.chars().count();
    if !NAME_LENGTH.contains(&length) {
        return Err(
            invalid("name.length", field, format!("the name has {length} characters"))
                .with_remedy("give it 1 to 255 characters"),
        );
    }
    if let Some(wrong) = normal.chars().find(|c| !allowed(*c)) {
        return Err(invalid("name.characters", field, format!("the name holds {wrong:?}"))
            .with_remedy("use Hangul, English letters, digits, '-', '_', '#' or '.'"));
    }
    Ok(normal)
}

fn allowed(c: char) -> bool {
    let hangul = ('\u{ac00}'..='\u{d7a3}').contains(&c) || ('\u{3131}'..='\u{318e}').contains(&c);
    hangul || c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '#' | '.')
}

/// Checks form and uniqueness: `taken` are the names of the others it must differ from.
///
/// # Errors
/// As [`check_name`]; `Conflict`, `name.taken`.
pub fn check_new_name<'a>(field: &str, name: &str, taken: impl IntoIterator<Item = &'a str>) -> Result<String> {
    let normal = check_name(field, name)?;
    if taken.into_iter().any(|other| other.nfc().eq(normal.chars())) {
        return Err(Error::new(
            ErrorKind::Conflict,
            "name.taken",
            format!("the name {normal} is used already"),
        )
        .with_field(field)
        .with_remedy("choose another name"));
    }
    Ok(normal)
}
