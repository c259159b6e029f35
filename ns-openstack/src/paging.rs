//! Lists, page by page. A page is read straight into its items (no tree in between), so memory is bounded by one page
//! and the order of members in the answer is kept where it means something.

use crate::call::malformed;
use crate::error::Service;
use crate::session::Session;
use futures::Stream;
use futures::stream::try_unfold;
use ns_core::{Error, ErrorKind, Result};
use serde::de::{DeserializeOwned, DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::marker::PhantomData;

/// A list of one kind of thing.
#[derive(Debug, Clone)]
pub(crate) struct List {
    pub(crate) service: Service,
    pub(crate) path: &'static [&'static str],
    /// The member of the answer that holds the items.
    pub(crate) key: &'static str,
    pub(crate) query: Vec<(&'static str, String)>,
    pub(crate) version: Option<&'static str>,
    pub(crate) paging: Paging,
}

/// How a list goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paging {
    /// After the last item's id, as long as the answer links to a next page.
    Marker,
    /// By number of items, until there are none.
    Offset,
    /// Not at all.
    Whole,
}

/// What a page needs of its items.
pub(crate) trait Item: DeserializeOwned + Send {
    /// What the next page starts after.
    fn marker(&self) -> &str;
}

impl List {
    pub(crate) fn new(service: Service, path: &'static [&'static str], key: &'static str) -> Self {
        Self {
            service,
            path,
            key,
            query: Vec::new(),
            version: None,
            paging: Paging::Marker,
        }
    }
    pub(crate) fn with(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.query.push((key, value.into()));
        self
    }
    pub(crate) const fn version(mut self, version: &'static str) -> Self {
        self.version = Some(version);
        self
    }
    pub(crate) const fn paging(mut self, paging: Paging) -> Self {
        self.paging = paging;
        self
    }

    /// The pages, each fetched when asked for.
    pub(crate) fn pages<T: Item>(self, session: &Session) -> impl Stream<Item = Result<Vec<T>>> + Send + '_ {
        let start = Some(Cursor::Start);
        try_unfold((self, start), move |(list, cursor)| async move {
            let Some(cursor) = cursor else { return Ok(None) };
            let page: Page<T> = list.fetch(session, &cursor).await?;
            let next = list.after(&cursor, &page);
            if page.truncated {
                return Err(Error::new(
                    ErrorKind::Rejected,
                    format!("{}.truncated", list.service.as_str()),
                    "the service gives only part of the list",
                )
                .with("list", list.key)
                .with_remedy("raise the service's list_limit"));
            }
            if next.is_some() && next == Some(cursor) {
                let code = format!("{}.paging", list.service.as_str());
                return Err(
                    Error::new(ErrorKind::Rejected, code, "the service gives the same page again")
                        .with("list", list.key),
                );
            }
            Ok(Some((page.items, (list, next))))
        })
    }

    /// All items of a list that is known to be short.
    pub(crate) async fn all<T: Item>(self, session: &Session) -> Result<Vec<T>> {
        use futures::TryStreamExt;
        self.pages(session).try_concat().await
    }

    async fn fetch<T: Item>(&self, session: &Session, cursor: &Cursor) -> Result<Page<T>> {
        let mut call = session.get(self.service, self.path);
        if let Some(version) = self.version {
            call = call.version(version);
        }
        for (key, value) in &self.query {
            call = call.query(key, value);
        }
        if self.paging != Paging::Whole {
            call = call.query("limit", session.config.page_size.to_string());
        }
        call = match cursor {
            Cursor::Start => call,
            Cursor::After(marker) => call.query("marker", marker),
            Cursor::Offset(count) => call.query("offset", count.to_string()),
        };
        self.read(&call.send().await?.body)
    }

    /// The page that an answer is.
    pub(crate) fn read<T: Item>(&self, body: &[u8]) -> Result<Page<T>> {
        let mut deserializer = serde_json::Deserializer::from_slice(body);
        let seed = PageSeed {
            key: self.key,
            items: PhantomData,
        };
        seed.deserialize(&mut deserializer)
            .map_err(|e| malformed(self.service, &e).with("list", self.key))
    }

    fn after<T: Item>(&self, cursor: &Cursor, page: &Page<T>) -> Option<Cursor> {
        let last = page.items.last()?;
        match self.paging {
            Paging::Whole => None,
            Paging::Marker => page.more.then(|| Cursor::After(last.marker().to_owned())),
            Paging::Offset => Some(Cursor::Offset(page.items.len() + cursor.count())),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Cursor {
    Start,
    After(String),
    Offset(usize),
}

impl Cursor {
    const fn count(&self) -> usize {
        match self {
            Self::Offset(count) => *count,
            _ => 0,
        }
    }
}

pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    /// The answer links to a next page.
    more: bool,
    truncated: bool,
}

struct PageSeed<T> {
    key: &'static str,
    items: PhantomData<T>,
}

#[derive(Deserialize)]
struct Link {
    #[serde(default)]
    rel: String,
}

/// Keystone's form: `"links": {"next": ".." or null}`.
#[derive(Deserialize)]
struct Links {
    next: Option<String>,
}

impl<'de, T: Item> DeserializeSeed<'de> for PageSeed<T> {
    type Value = Page<T>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Page<T>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, T: Item> Visitor<'de> for PageSeed<T> {
    type Value = Page<T>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a page of {}", self.key)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Page<T>, A::Error> {
        let mut items = None;
        let (mut more, mut truncated) = (false, false);
        while let Some(key) = map.next_key::<String>()? {
            if key == self.key {
                items = Some(map.next_value()?);
            } else if key == "links" {
                more |= map.next_value::<Links>()?.next.is_some();
            } else if key.ends_with("_links") {
                more |= map.next_value::<Vec<Link>>()?.iter().any(|link| link.rel == "next");
            } else if key == "truncated" {
                truncated = map.next_value()?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        let items = items.ok_or_else(|| serde::de::Error::missing_field(self.key))?;
        Ok(Page { items, more, truncated })
    }
}
