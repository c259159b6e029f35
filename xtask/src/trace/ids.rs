//! Ids of the rule book, and where a text or a name mentions them. Knows nothing of tests.
use anyhow::{Context, Result, bail};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{Display, Formatter},
};

/// `PLAN-61`: a prefix in capitals and two digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id {
    prefix: String,
    number: u8,
}

impl Id {
    fn read(word: &str) -> Option<Self> {
        let (prefix, digits) = word.split_once('-')?;
        let prefix_is = !prefix.is_empty() && prefix.bytes().all(|b| b.is_ascii_uppercase());
        Some(Self {
            prefix: prefix_is.then(|| prefix.to_owned())?,
            number: two_digits(digits)?,
        })
    }

    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }
}

impl Display for Id {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{:02}", self.prefix, self.number)
    }
}

fn two_digits(text: &str) -> Option<u8> {
    let two = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
    two.then(|| text.parse().ok()).flatten()
}

/// A line `CL-01 text` for each id; none twice.
pub(super) fn read_table(data: &str) -> Result<BTreeMap<Id, String>> {
    let mut table = BTreeMap::new();
    for line in data.lines().filter(|line| !line.is_empty()) {
        let (word, text) = line.split_once(' ').with_context(|| format!("no text: {line}"))?;
        let id = Id::read(word).with_context(|| format!("no id: {line}"))?;
        if table.insert(id, text.to_owned()).is_some() {
            bail!("twice: {word}");
        }
    }
    Ok(table)
}

/// Every id of the rule book with its title.
#[derive(Debug)]
pub(super) struct RuleBook {
    pub(super) titles: BTreeMap<Id, String>,
}

/// What is mentioned somewhere.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Mentions {
    /// Ids the rule book has.
    pub(super) known: BTreeSet<Id>,
    /// A prefix the rule book has with a number that it has not.
    pub(super) unknown: BTreeSet<Id>,
}

impl Mentions {
    pub(super) fn add(&mut self, more: Self) {
        self.known.extend(more.known);
        self.unknown.extend(more.unknown);
    }
}

/// What matters of a word.
enum Word {
    Id(Id),
    To,
    Other,
}

impl RuleBook {
    pub(super) fn read(data: &str) -> Result<Self> {
        Ok(Self {
            titles: read_table(data)?,
        })
    }

    pub(super) fn has_prefix(&self, prefix: &str) -> bool {
        self.titles.keys().any(|id| id.prefix == prefix)
    }

    /// `PG-08, PG-20` in a text; `PLAN-61 … PLAN-63` and `PLAN-61 to PLAN-63` are all from one to the other.
    pub(super) fn in_text(&self, text: &str) -> Mentions {
        let text = text.replace('…', " to ").replace("...", " to ");
        let words = text.split(|c: char| !(c.is_alphanumeric() || c == '-' || c == '_'));
        self.collect(words.filter(|word| !word.is_empty()).map(|word| match Id::read(word) {
            Some(id) => Word::Id(id),
            None if word == "to" => Word::To,
            None => Word::Other,
        }))
    }

    /// `pg_08_pg_20_already_protected`; `plan_61_to_63` and `plan_61_to_plan_63` are all from one to the other.
    pub(super) fn in_name(&self, name: &str) -> Mentions {
        let mut prefix = String::new();
        self.collect(name.split('_').filter_map(|part| {
            if let Some(number) = two_digits(part) {
                let prefix = prefix.clone();
                return Some(Word::Id(Id { prefix, number }));
            }
            if part == "to" {
                // the number after it may go without a prefix
                return Some(Word::To);
            }
            let upper = part.to_ascii_uppercase();
            let is_prefix = self.has_prefix(&upper);
            prefix = if is_prefix { upper } else { String::new() };
            // a prefix belongs to the number that follows
            (!is_prefix).then_some(Word::Other)
        }))
    }

    fn collect(&self, words: impl Iterator<Item = Word>) -> Mentions {
        let mut found = Mentions::default();
        let mut before: Option<Id> = None;
        let mut to = false;
        for word in words {
            match word {
                Word::Id(id) if self.has_prefix(&id.prefix) => {
                    if let Some(from) = before.filter(|from| to && from.prefix == id.prefix && *from < id) {
                        let between = self.titles.range(&from..&id).map(|(id, _)| id.clone());
                        found.known.extend(between);
                    }
                    let known = self.titles.contains_key(&id);
                    let list = if known { &mut found.known } else { &mut found.unknown };
                    list.insert(id.clone());
                    before = Some(id);
                    to = false;
                }
                Word::To => to = true,
                Word::Id(_) | Word::Other => {
                    before = None;
                    to = false;
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book() -> RuleBook {
        let ids = [
            "CL-02", "PG-08", "PG-20", "PLAN-44", "PLAN-45", "PLAN-60", "PLAN-61", "PLAN-62",
        ];
        RuleBook::read(&ids.map(|id| format!("{id} a title\n")).concat()).unwrap()
    }

    fn shown(found: &Mentions) -> String {
        let known = found.known.iter().map(Id::to_string);
        let unknown = found.unknown.iter().map(|id| format!("?{id}"));
        known.chain(unknown).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn texts() {
        for (text, expected) in [
            ("PG-08, PG-20: refused", "PG-08 PG-20"),
            ("(CL-02) and `PG-08`'s", "CL-02 PG-08"),
            ("PLAN-44 … PLAN-61", "PLAN-44 PLAN-45 PLAN-60 PLAN-61"),
            ("PLAN-44…PLAN-61", "PLAN-44 PLAN-45 PLAN-60 PLAN-61"),
            ("PLAN-44 ... PLAN-45", "PLAN-44 PLAN-45"),
            ("PLAN-60 to\n PLAN-62", "PLAN-60 PLAN-61 PLAN-62"),
            ("PLAN-62 to PLAN-60", "PLAN-60 PLAN-62"),
            ("PLAN-60 is added to PLAN-62", "PLAN-60 PLAN-62"),
            ("PG-08 to PLAN-60", "PG-08 PLAN-60"),
            // a gap of the rule book
            ("PLAN-50 … PLAN-61", "PLAN-60 PLAN-61 ?PLAN-50"),
            ("SHA-256, UTF-16, PG-8, PG-080, pg-08, XPG-08, A-PG-08, PG-08-1", ""),
        ] {
            assert_eq!(shown(&book().in_text(text)), expected, "{text}");
        }
    }

    #[test]
    fn names() {
        for (name, expected) in [
            ("pg_08_already_protected", "PG-08"),
            ("refused_pg_08_pg_20", "PG-08 PG-20"),
            ("plan_44_to_61_each", "PLAN-44 PLAN-45 PLAN-60 PLAN-61"),
            ("plan_60_to_plan_62", "PLAN-60 PLAN-61 PLAN-62"),
            ("pg_08_to_plan_60", "PG-08 PLAN-60"),
            ("pg_09", "?PG-09"),
            ("pg_8_plan_610_table_12_facts_13_01_pg", ""),
        ] {
            assert_eq!(shown(&book().in_name(name)), expected, "{name}");
        }
    }

    #[test]
    fn bad_tables() {
        for data in ["CL-01", "CL-1 one", "CL-01 one\nCL-01 two"] {
            read_table(data).unwrap_err();
        }
    }
}
