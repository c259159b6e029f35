//! Questions to a list: which entries (filter and search), in which order, which part (UI-04). One shape for every list of
//! the product. What can be asked of a kind of thing is told by its [`Queryable::FIELDS`]; here is only how a list that is
//! at hand is cut down.

use super::CloudId;
use crate::{Error, ErrorKind, Result};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Bound;

/// What a thing has in one of its fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldValue<'a> {
    /// Text, compared by its characters.
    Text(&'a str),
    /// A number.
    Number(u64),
    /// Yes or no.
    Flag(bool),
    /// A time.
    Time(Timestamp),
    /// Several texts: a condition holds when it holds for one of them. Ordered by the first.
    Texts(Vec<&'a str>),
    /// It has none; before everything in order, and only `absent` finds it.
    Absent,
}

impl<'a> From<&'a str> for FieldValue<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}
impl<'a> From<&'a String> for FieldValue<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(text)
    }
}
impl<'a> From<&'a CloudId> for FieldValue<'a> {
    fn from(id: &'a CloudId) -> Self {
        Self::Text(id.as_str())
    }
}
impl From<u64> for FieldValue<'_> {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}
impl From<u32> for FieldValue<'_> {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}
impl From<bool> for FieldValue<'_> {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}
impl From<Timestamp> for FieldValue<'_> {
    fn from(time: Timestamp) -> Self {
        Self::Time(time)
    }
}
impl<'a, T: Into<Self>> From<Option<T>> for FieldValue<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Absent, Into::into)
    }
}
impl<'a> FromIterator<&'a str> for FieldValue<'a> {
    fn from_iter<I: IntoIterator<Item = &'a str>>(texts: I) -> Self {
        Self::Texts(texts.into_iter().collect())
    }
}

impl FieldValue<'_> {
    /// The order of a list. Values of one field are of one variant, or absent.
    fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::Number(a), Self::Number(b)) => a.cmp(b),
            (Self::Flag(a), Self::Flag(b)) => a.cmp(b),
            (Self::Time(a), Self::Time(b)) => a.cmp(b),
            (Self::Texts(a), Self::Texts(b)) => a.first().cmp(&b.first()),
            (a, b) => (*a != Self::Absent).cmp(&(*b != Self::Absent)),
        }
    }

    /// Compares with a value that was given as text; none when the text is no value of this kind.
    fn compare(&self, given: &str) -> Option<Ordering> {
        match self {
            Self::Text(text) => Some((*text).cmp(given)),
            Self::Number(number) => given.parse().ok().map(|g| number.cmp(&g)),
            Self::Flag(flag) => given.parse().ok().map(|g| flag.cmp(&g)),
            Self::Time(time) => given.parse().ok().map(|g| time.cmp(&g)),
            Self::Texts(_) | Self::Absent => None,
        }
    }

    fn contains(&self, given: &str) -> bool {
        match self {
            Self::Text(text) => has(text, given),
            Self::Texts(texts) => texts.iter().any(|text| has(text, given)),
            _ => false,
        }
    }
}

/// Whether a text holds another, whatever the case of their letters.
fn has(text: &str, part: &str) -> bool {
    part.is_empty() || text.to_lowercase().contains(&part.to_lowercase())
}

/// One thing that can be asked of a kind of thing.
pub struct Field<T: ?Sized> {
    /// Its name in conditions and orders.
    pub name: &'static str,
    /// What texts its values are given as.
    pub form: FieldForm,
    /// Reads it.
    pub of: for<'a> fn(&'a T) -> FieldValue<'a>,
}

impl<T: ?Sized> std::fmt::Debug for Field<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.name, self.form.looks_like())
    }
}

/// What a field's values look like when they are given as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldForm {
    /// Any text.
    Text,
    /// Digits.
    Number,
    /// `true` or `false`.
    Flag,
    /// As in RFC 3339, e.g. `2026-01-31T08:00:00Z`.
    Time,
}

impl FieldForm {
    fn takes(self, given: &str) -> bool {
        match self {
            Self::Text => true,
            Self::Number => given.parse::<u64>().is_ok(),
            Self::Flag => given.parse::<bool>().is_ok(),
            Self::Time => given.parse::<Timestamp>().is_ok(),
        }
    }

    const fn looks_like(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number => "a number",
            Self::Flag => "true or false",
            Self::Time => "a time such as 2026-01-31T08:00:00Z",
        }
    }
}

/// A kind of thing that lists can be made of.
pub trait Queryable: Sized + 'static {
    /// What can be asked of it. `id` and `name` are always among them.
    const FIELDS: &'static [Field<Self>];

    /// Its id: what lists are ordered by when nothing else is said, and when everything else is equal.
    fn query_id(&self) -> &str;
}

/// What a condition asks of a field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Is {
    /// Is one of these.
    OneOf(Vec<String>),
    /// Is none of these, or absent.
    NoneOf(Vec<String>),
    /// Holds this text, whatever the case of its letters.
    Containing(String),
    /// Is this or more, or later.
    AtLeast(String),
    /// Is this or less, or earlier.
    AtMost(String),
    /// There is none.
    Absent,
}

/// A condition on one field. Several in a query all have to hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// The field's name.
    pub field: String,
    /// What is asked of it.
    pub is: Is,
}

/// One key of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SortKey {
    /// The field's name.
    pub field: String,
    /// Greatest first.
    pub descending: bool,
}

/// A part of a list: at most `limit` entries after the place where the part before ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// What [`Listing::next`] of the part before said; none for the first part. In the order of ids it is simply the last id.
    pub after: Option<String>,
    /// How many at most: 1 to 1000.
    pub limit: usize,
}

impl Default for Page {
    fn default() -> Self {
        Self {
            after: None,
            limit: 100,
        }
    }
}

/// A question to a list.
///
/// ```
/// use ns_core::model::Query;
///
/// let query = Query::default()
///     .equal("status", "ACTIVE")
///     .search("web")
///     .sort("name")
///     .limit(20);
/// assert_eq!(query.page.limit, 20);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Query {
    /// Conditions that all hold.
    pub filter: Vec<Condition>,
    /// Text that the name holds, whatever the case of its letters, or the whole id.
    pub search: Option<String>,
    /// The order; by id when empty, and where all keys are equal.
    pub sort: Vec<SortKey>,
    /// Which part.
    pub page: Page,
}

impl Query {
    /// Only those whose field is this.
    #[must_use]
    pub fn equal(self, field: impl Into<String>, value: impl Into<String>) -> Self {
        self.with(field, Is::OneOf(vec![value.into()]))
    }

    /// Only those whose field meets a condition.
    #[must_use]
    pub fn with(mut self, field: impl Into<String>, is: Is) -> Self {
        self.filter.push(Condition {
            field: field.into(),
            is,
        });
        self
    }

    /// Only those whose name holds this text, or whose id is this.
    #[must_use]
    pub fn search(mut self, text: impl Into<String>) -> Self {
        self.search = Some(text.into());
        self
    }

    /// Ordered by a field, after the keys that were named before.
    #[must_use]
    pub fn sort(mut self, field: impl Into<String>) -> Self {
        self.sort.push(SortKey {
            field: field.into(),
            descending: false,
        });
        self
    }

    /// Ordered by a field, greatest first, after the keys that were named before.
    #[must_use]
    pub fn sort_descending(mut self, field: impl Into<String>) -> Self {
        self.sort.push(SortKey {
            field: field.into(),
            descending: true,
        });
        self
    }

    /// At most so many: 1 to 1000.
    #[must_use]
    pub const fn limit(mut self, limit: usize) -> Self {
        self.page.limit = limit;
        self
    }

    /// The part after another: give what its [`Listing::next`] said, with the same conditions and order.
    #[must_use]
    pub fn after(mut self, next: impl Into<String>) -> Self {
        self.page.after = Some(next.into());
        self
    }
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing<T> {
    /// The entries.
    pub items: Vec<T>,
    /// How many entries there are in all that meet the query's conditions, as of this reading.
    pub total: usize,
    /// Where the next part begins; none when this was the last. It stays good when entries come and go meanwhile: nothing that
    /// stays is left out or told twice.
    pub next: Option<String>,
}

impl<T: Clone> Listing<&T> {
    /// The same with entries of its own.
    #[must_use]
    pub fn cloned(self) -> Listing<T> {
        let Self { items, total, next } = self;
        let items = items.into_iter().cloned().collect();
        Listing { items, total, next }
    }
}

impl<T> IntoIterator for Listing<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;
    fn into_iter(self) -> Self::IntoIter {
        self.items.into_iter()
    }
}

/// Answers a query from a list that is at hand.
///
/// # Errors
/// `Invalid`, naming the field of the query: a page out of range, a field that there is not, a value that is none of the field,
/// a beginning that no part gave.
pub fn answer<'a, T: Queryable + Clone>(all: impl Iterator<Item = &'a T>, query: &Query) -> Result<Listing<T>> {
    answer_with(all, query).map(Listing::cloned)
}

fn answer_with<'a, T: Queryable>(all: impl Iterator<Item = &'a T>, query: &Query) -> Result<Listing<&'a T>> {
    let mut answer = Answer::<T, &T>::new(query)?;
    all.for_each(|thing| answer.offer(thing));
    Ok(answer.end())
}

/// Answers a query from things that are kept by their ids. Where no condition and no order is asked for, only the part itself is
/// gone through.
///
/// # Errors
/// Those of [`answer`].
pub(crate) fn answer_by_id<'a, T: Queryable>(all: &'a BTreeMap<CloudId, T>, query: &Query) -> Result<Listing<&'a T>> {
    if !query.filter.is_empty() || query.search.is_some() || !query.sort.is_empty() {
        return answer_with(all.values(), query);
    }
    let mut answer = Answer::<T, &T>::new(query)?;
    let after = query.page.after.as_deref().map(CloudId::new);
    let from = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
    answer.kept = all
        .range((from, Bound::Unbounded))
        .map(|(_, thing)| thing)
        .take(answer.enough())
        .collect();
    answer.total = all.len();
    Ok(answer.end())
}

/// An answer in the making, for lists that are too long to be at hand as a whole: things are offered one by one, in whatever order,
/// and of those only about as many are kept as the part holds.
pub(crate) struct Answer<'q, T: 'static, H = T> {
    query: &'q Query,
    conditions: Vec<(&'static Field<T>, &'q Is)>,
    keys: Vec<(&'static Field<T>, bool)>,
    /// Where the part before ended.
    after: Option<Place>,
    total: usize,
    kept: Vec<H>,
}

impl<'q, T: Queryable, H: Borrow<T>> Answer<'q, T, H> {
    /// Begins to answer.
    ///
    /// # Errors
    /// Those of [`answer`].
    pub(crate) fn new(query: &'q Query) -> Result<Self> {
        if !(1..=1000).contains(&query.page.limit) {
            return Err(invalid("page.limit", "limit", "a page holds 1 to 1000 entries")
                .with("value", query.page.limit)
                .with_remedy("ask for fewer at a time and go on where the part before ended"));
        }
        let conditions = query.filter.iter().map(|c| checked::<T>(c)).collect::<Result<_>>()?;
        let keys: Vec<_> = query
            .sort
            .iter()
            .map(|key| Ok((field::<T>(&key.field, "sort")?, key.descending)))
            .collect::<Result<_>>()?;
        let after = query.page.after.as_deref();
        Ok(Self {
            query,
            conditions,
            after: after.map(|place| Place::read(place, keys.len())).transpose()?,
            keys,
            total: 0,
            kept: Vec::new(),
        })
    }

    /// Counts a thing if it is asked for, and keeps it as long as it may be of this part.
    pub(crate) fn offer(&mut self, thing: H) {
        if !self.asks_for(thing.borrow()) {
            return;
        }
        self.total += 1;
        let told = |place: &Place| place.is_at_or_behind(thing.borrow(), &self.keys);
        if self.after.as_ref().is_some_and(told) {
            return;
        }
        self.kept.push(thing);
        // Seldom enough that the sorting costs little.
        if self.kept.len() >= 2 * self.enough() {
            self.cut();
        }
    }

    /// The part.
    pub(crate) fn end(mut self) -> Listing<H> {
        self.cut();
        let more = self.kept.len() > self.query.page.limit;
        self.kept.truncate(self.query.page.limit);
        let last = self.kept.last().filter(|_| more);
        let next = last.map(|last| Place::of(last.borrow(), &self.keys).write());
        Listing {
            items: self.kept,
            total: self.total,
            next,
        }
    }

    /// One more than the part holds, which tells that there is a next.
    const fn enough(&self) -> usize {
        self.query.page.limit + 1
    }

    fn cut(&mut self) {
        let keys = &self.keys;
        let order = |a: &T, b: &T| {
            let by_keys = keys.iter().map(|(field, descending)| {
                let order = (field.of)(a).order(&(field.of)(b));
                if *descending { order.reverse() } else { order }
            });
            by_keys
                .fold(Ordering::Equal, Ordering::then)
                .then_with(|| a.query_id().cmp(b.query_id()))
        };
        self.kept.sort_unstable_by(|a, b| order(a.borrow(), b.borrow()));
        self.kept.truncate(self.enough());
    }

    fn asks_for(&self, thing: &T) -> bool {
        let named = |text: &str| {
            let name = T::FIELDS.iter().find(|f| f.name == "name");
            thing.query_id() == text || name.is_some_and(|name| (name.of)(thing).contains(text))
        };
        self.conditions.iter().all(|(field, is)| holds(&(field.of)(thing), is))
            && self.query.search.as_deref().is_none_or(named)
    }
}

type Keys<T> = [(&'static Field<T>, bool)];

/// A place in an order: the keys of the entry it stands behind, and its id.
struct Place {
    keys: Vec<Option<String>>,
    id: String,
}

impl Place {
    fn of<T: Queryable>(thing: &T, keys: &Keys<T>) -> Self {
        let text = |value: FieldValue<'_>| match value {
            FieldValue::Text(text) => Some(text.to_owned()),
            FieldValue::Number(number) => Some(number.to_string()),
            FieldValue::Flag(flag) => Some(flag.to_string()),
            FieldValue::Time(time) => Some(time.to_string()),
            FieldValue::Texts(texts) => texts.first().map(|text| (*text).to_owned()),
            FieldValue::Absent => None,
        };
        Self {
            keys: keys.iter().map(|(field, _)| text((field.of)(thing))).collect(),
            id: thing.query_id().to_owned(),
        }
    }

    /// In the order of ids it is the last id. Else JSON, so that no separator has to be forbidden in names.
    fn write(self) -> String {
        match self.keys.is_empty() {
            true => self.id,
            false => serde_json::json!([self.keys, self.id]).to_string(),
        }
    }

    fn read(text: &str, keys: usize) -> Result<Self> {
        if keys == 0 {
            let id = text.to_owned();
            return Ok(Self { keys: Vec::new(), id });
        }
        match serde_json::from_str::<(Vec<Option<String>>, String)>(text) {
            Ok((found, id)) if found.len() == keys => Ok(Self { keys: found, id }),
            _ => Err(
                invalid("page.after", "after", "no part of a list in this order ended there")
                    .with_remedy("give what `next` of the part before said, with the same order"),
            ),
        }
    }

    /// Whether this place is at a thing or behind it, so that a part that begins here leaves the thing out.
    fn is_at_or_behind<T: Queryable>(&self, thing: &T, keys: &Keys<T>) -> bool {
        for ((field, descending), place) in keys.iter().zip(&self.keys) {
            let value = (field.of)(thing);
            let order = match (&value, place) {
                (FieldValue::Texts(texts), place) => texts.first().copied().cmp(&place.as_deref()),
                (FieldValue::Absent, place) => false.cmp(&place.is_some()),
                (_, None) => Ordering::Greater,
                (value, Some(place)) => value.compare(place).unwrap_or(Ordering::Equal),
            };
            match if *descending { order.reverse() } else { order } {
                Ordering::Equal => {}
                Ordering::Less => return true,
                Ordering::Greater => return false,
            }
        }
        thing.query_id() <= self.id.as_str()
    }
}

fn holds(value: &FieldValue<'_>, is: &Is) -> bool {
    let equals = |given: &String| match value {
        FieldValue::Texts(texts) => texts.contains(&given.as_str()),
        value => value.compare(given) == Some(Ordering::Equal),
    };
    match is {
        Is::OneOf(given) => given.iter().any(equals),
        Is::NoneOf(given) => !given.iter().any(equals),
        Is::Containing(part) => value.contains(part),
        Is::AtLeast(given) => value.compare(given).is_some_and(Ordering::is_ge),
        Is::AtMost(given) => value.compare(given).is_some_and(Ordering::is_le),
        Is::Absent => match value {
            FieldValue::Texts(texts) => texts.is_empty(),
            value => *value == FieldValue::Absent,
        },
    }
}

fn checked<T: Queryable>(condition: &Condition) -> Result<(&'static Field<T>, &Is)> {
    let field = field::<T>(&condition.field, "filter")?;
    let given: &[String] = match &condition.is {
        Is::OneOf(given) | Is::NoneOf(given) => given,
        Is::AtLeast(given) | Is::AtMost(given) => std::slice::from_ref(given),
        Is::Containing(_) | Is::Absent => &[],
    };
    if let Some(wrong) = given.iter().find(|given| !field.form.takes(given)) {
        let message = format!("`{wrong}` is no value of {}", field.name);
        return Err(invalid("query.value", format!("filter[{}]", field.name), message)
            .with_remedy(format!("give {}", field.form.looks_like())));
    }
    Ok((field, &condition.is))
}

fn field<T: Queryable>(name: &str, part: &str) -> Result<&'static Field<T>> {
    T::FIELDS.iter().find(|f| f.name == name).ok_or_else(|| {
        let names: Vec<_> = T::FIELDS.iter().map(|f| f.name).collect();
        invalid(
            "query.field",
            part,
            format!("there is nothing called `{name}` to ask for"),
        )
        .with_remedy(format!("ask for one of {}", names.join(", ")))
    })
}

fn invalid(code: &str, field: impl Into<String>, message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, code, message).with_field(field)
}

/// Tells what can be asked of a kind of thing: each field with its form and how it is read.
macro_rules! queryable {
    ($ty:ty, $($id:ident).+; $($name:literal $form:ident = |$this:ident| $value:expr),* $(,)?) => {
        impl $crate::model::Queryable for $ty {
            const FIELDS: &'static [$crate::model::Field<Self>] = &[
                $($crate::model::Field {
                    name: $name,
                    form: $crate::model::FieldForm::$form,
                    of: |$this| $crate::model::FieldValue::from($value),
                }),*
            ];
            fn query_id(&self) -> &str {
                self.$($id).+.as_str()
            }
        }
    };
}
pub(crate) use queryable;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, Clone, PartialEq, Eq)]
    struct Thing {
        id: String,
        name: String,
        size: u64,
        on: Option<String>,
        tags: Vec<String>,
    }

    queryable! { Thing, id;
        "id" Text = |t| &t.id,
        "name" Text = |t| &t.name,
        "size" Number = |t| t.size,
        "on" Text = |t| t.on.as_ref(),
        "tags" Text = |t| t.tags.iter().map(String::as_str).collect::<FieldValue<'_>>(),
    }

    fn thing(id: &str, name: &str, size: u64, on: Option<&str>, tags: &[&str]) -> Thing {
        Thing {
            id: id.into(),
            name: name.into(),
            size,
            on: on.map(Into::into),
            tags: tags.iter().map(|t| (*t).to_owned()).collect(),
        }
    }

    fn things() -> Vec<Thing> {
        vec![
            thing("a", "Web-1", 3, Some("h1"), &["x"]),
            thing("b", "web-2", 1, None, &[]),
            thing("c", "데이터", 10, Some("h2"), &["x", "y"]),
            thing("d", "db", 2, Some("h1"), &["y"]),
        ]
    }

    fn ids(query: &Query) -> String {
        let found = answer(things().iter(), query).unwrap();
        found.items.iter().map(|t| t.id.as_str()).collect()
    }

    #[test]
    fn ui_04_conditions_search_and_order() {
        let q = Query::default;
        for (query, expected) in [
            (q(), "abcd"),
            (q().equal("on", "h1"), "ad"),
            (q().with("on", Is::NoneOf(vec!["h1".into()])), "bc"),
            (q().with("on", Is::Absent), "b"),
            (q().with("tags", Is::Absent), "b"),
            (q().equal("tags", "y"), "cd"),
            (q().with("size", Is::AtLeast("3".into())), "ac"),
            (
                q().with("size", Is::AtMost("3".into()))
                    .with("name", Is::Containing("WEB".into())),
                "ab",
            ),
            (q().search("web"), "ab"),
            (q().search("이터"), "c"),
            (q().search("d"), "d"),
            (q().sort("size"), "bdac"),
            (q().sort_descending("size"), "cadb"),
            (q().sort("on").sort_descending("name"), "bdac"),
        ] {
            assert_eq!(ids(&query), expected, "{query:?}");
        }
    }

    #[test]
    fn ui_04_what_cannot_be_asked_is_refused_with_its_field() {
        let q = Query::default;
        for (query, code, field) in [
            (q().limit(0), "page.limit", "limit"),
            (q().limit(1001), "page.limit", "limit"),
            (q().equal("colour", "red"), "query.field", "filter"),
            (q().sort("colour"), "query.field", "sort"),
            (q().equal("size", "big"), "query.value", "filter[size]"),
            (
                q().with("size", Is::AtLeast("-1".into())),
                "query.value",
                "filter[size]",
            ),
            (q().sort("size").after("b"), "page.after", "after"),
            (
                q().sort("size").sort("name").after("[[\"1\"],\"b\"]"),
                "page.after",
                "after",
            ),
        ] {
            let error = answer(things().iter(), &query).unwrap_err();
            assert_eq!(
                (error.kind(), error.code(), error.field()),
                (ErrorKind::Invalid, code, Some(field))
            );
            assert!(error.remedy().is_some());
        }
    }

    fn any_things() -> impl Strategy<Value = Vec<Thing>> {
        let one = (
            "[a-c]{1,2}",
            0_u64..4,
            proptest::option::of("[hH]"),
            proptest::collection::vec("[x-z]", 0..3),
        );
        proptest::collection::vec(one, 0..20).prop_map(|all| {
            let with_ids = all.into_iter().enumerate().map(|(n, (name, size, on, tags))| Thing {
                id: format!("{n:02}"),
                name,
                size,
                on,
                tags,
            });
            with_ids.collect()
        })
    }

    proptest! {
        /// A part is the same whether the list is at hand or comes thing by thing, in whatever order it comes, and little more than the
        /// part is kept while it comes.
        #[test]
        fn ui_04_a_list_need_not_be_at_hand(
            (all, mixed) in any_things().prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle())),
            limit in 1_usize..5,
            part in 0_usize..5,
            keys in proptest::collection::vec((0_usize..5, any::<bool>()), 0..3),
            size in proptest::option::of(0_u64..4),
        ) {
            let mut query = Query::default();
            if let Some(size) = size {
                query = query.with("size", Is::AtLeast(size.to_string()));
            }
            for (key, descending) in keys {
                let field = Thing::FIELDS[key].name;
                query = if descending { query.sort_descending(field) } else { query.sort(field) };
            }
            let whole = answer(all.iter(), &query.clone().limit(1000)).unwrap().items;
            let Some(expected) = whole.chunks(limit).nth(part) else { return Ok(()) };
            if let Some(last) = part.checked_sub(1).and_then(|before| whole.chunks(limit).nth(before)?.last()) {
                let before = answer(whole.iter(), &query.clone().limit(whole.iter().position(|t| t == last).unwrap() + 1));
                query = query.after(before.unwrap().next.unwrap());
            }
            let query = query.limit(limit);
            let mut coming = Answer::<Thing>::new(&query).unwrap();
            for thing in mixed {
                coming.offer(thing);
                prop_assert!(coming.kept.len() < 2 * (limit + 1));
            }
            let found = coming.end();
            prop_assert_eq!(&found.items[..], expected);
            prop_assert_eq!(found.total, whole.len());
            prop_assert_eq!(found.next.is_some(), (part + 1) * limit < whole.len());
        }

        /// The short way gives what the long one does, whatever is asked for and wherever it begins.
        #[test]
        fn ui_04_by_their_ids(
            all in any_things(),
            limit in 0_usize..25,
            after in proptest::option::of(0_usize..25),
            asked in 0_usize..4,
        ) {
            let by_id = all.iter().map(|t| (CloudId::new(&t.id), t.clone())).collect();
            let mut query = match asked {
                0 => Query::default().sort("size"),
                1 => Query::default().with("size", Is::AtLeast("2".into())),
                2 => Query::default().search("0"),
                _ => Query::default(),
            };
            query.page = Page { after: after.map(|id| format!("{id:02}")), limit };
            let records = |e: Error| e.to_record();
            let short = answer_by_id::<Thing>(&by_id, &query).map(Listing::cloned).map_err(records);
            prop_assert_eq!(short, answer(all.iter(), &query).map_err(records));
        }

        /// Whatever is taken away between two parts, what stays is told once.
        #[test]
        fn ui_04_parts_join_to_the_whole(
            all in any_things(),
            limit in 1_usize..5,
            keys in proptest::collection::vec((0_usize..5, any::<bool>()), 0..3),
            gone in 0_usize..20,
        ) {
            let mut query = Query::default().limit(limit);
            for (key, descending) in keys {
                let field = Thing::FIELDS[key].name;
                query = if descending { query.sort_descending(field) } else { query.sort(field) };
            }
            let whole = answer(all.iter(), &query.clone().limit(1000)).unwrap();
            prop_assert_eq!(whole.total, all.len());
            let mut left = all.clone();
            let mut told = Vec::new();
            loop {
                let part = answer(left.iter(), &query).unwrap();
                prop_assert!(part.items.len() <= limit);
                told.extend(part.items);
                let Some(next) = part.next else { break };
                query.page.after = Some(next);
                left.retain(|t| t.id != format!("{gone:02}"));
            }
            let stays: Vec<_> = whole.items.iter().filter(|t| t.id != format!("{gone:02}")).collect();
            let told_of_those: Vec<_> = told.iter().filter(|t| t.id != format!("{gone:02}")).collect();
            prop_assert_eq!(stays, told_of_those);
        }
    }
}
