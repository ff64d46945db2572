//! Reads a listing to its end, in either style of paging, within limits.
//!
//! Decides when a listing is complete. A listing that stops before its own total, repeats a page token or exceeds a
//! limit is an error, never a short list, because a row that was not read does not mean that the object does not exist.
//! Rows are converted to objects page by page, so a large account is never held as JSON. Paging styles:
//! `API.md` §4.

use crate::{
    CallError, Client,
    client::Call,
    signing::Params,
    transport::endpoint::Product,
    transport::row::{Row, RowError, take_list},
};
use pingtong_evidence::{Provenance, RegionId, Source, Timestamp};
use serde_json::{Map, Value};
use tokio::time::Instant;

/// Maximum pages of one listing: 50 000 rows at the smallest page size used here.
const PAGES_MAX: u32 = 1000;
/// Maximum rows of one listing: a server that ignores the page size must not exhaust the memory.
const ROWS_MAX: usize = 500_000;
/// How many times an incomplete listing is read again: rows may disappear while it is read.
const REREADS_MAX: u32 = 1;
/// Rows of a numbered page: the maximum of these APIs.
pub(crate) const PAGE_SIZE: u32 = 50;

/// How a listing is divided into pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paging {
    /// By page number: `PageNumber`, `PageSize`, `TotalCount`.
    Number,
    /// By `NextToken`, with a page size under the given parameter name, which differs between APIs.
    Token(&'static str, u32),
    /// The whole listing is one answer.
    Whole,
}

/// A listing API.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ListingApi {
    pub(crate) product: Product,
    pub(crate) action: &'static str,
    /// Name of the field that holds the list, which may be wrapped in another object.
    pub(crate) container: &'static str,
    pub(crate) paging: Paging,
    /// Whether the API accepts the parameter `RegionId`.
    pub(crate) regional: bool,
}

impl ListingApi {
    /// The RAM action, such as `vpc:DescribeVpcs`.
    pub(crate) fn name(&self) -> String {
        format!("{}:{}", self.product.code(), self.action)
    }
}

/// Clock supplied by the caller of the gatherer.
pub(crate) type Now<'a> = &'a (dyn Fn() -> Timestamp + Send + Sync);

/// All rows of a listing, with the answers that contained them.
#[derive(Debug)]
pub(crate) struct Listing<T> {
    /// The objects; their provenance is an index into `sources`.
    pub(crate) rows: Vec<T>,
    pub(crate) sources: Vec<Source>,
    /// The first answer without its list: the fields that apply to the whole listing.
    pub(crate) head: Map<String, Value>,
}

impl<T> Default for Listing<T> {
    fn default() -> Self {
        Self { rows: vec![], sources: vec![], head: Map::new() }
    }
}

/// What one page reports besides its rows.
pub(crate) struct Page {
    /// Number of rows of the whole listing, as the API counts them.
    pub(crate) total: Option<usize>,
    /// The token of the next page.
    pub(crate) next: Option<String>,
    /// Number of rows on this page.
    pub(crate) count: usize,
}

impl<T> Listing<T> {
    /// Adds the rows of one answer. The error says what in the answer cannot be read.
    pub(crate) fn add(
        &mut self,
        container: &str,
        mut document: Map<String, Value>,
        source: Source,
        read: &impl Fn(Row<'_>, Provenance) -> Result<T, RowError>,
    ) -> Result<Page, PageError> {
        let head = Row::new(&document);
        let (total, next) = (head.number("TotalCount"), head.text("NextToken"));
        let rows = match take_list(&mut document, container) {
            Some(rows) => rows,
            None if total == Some(0) => vec![],
            None => return Err(PageError::NoList(format!("{container} is missing"))),
        };
        let (count, before) = (rows.len(), self.rows.len());
        let provenance = Provenance(u32::try_from(self.sources.len()).unwrap_or(u32::MAX));
        for (index, row) in rows.into_iter().enumerate() {
            let Value::Object(row) = row else {
                return Err(PageError::NoList(format!("{container} holds something else than objects")));
            };
            let object = read(Row::new(&row), provenance)
                .map_err(|error| PageError::Row(format!("row {}: {error}", before + index + 1)))?;
            self.rows.push(object);
        }
        if self.sources.is_empty() {
            self.head = document;
        }
        self.sources.push(source);
        Ok(Page { total, next, count })
    }
}

/// Why a page is unusable.
#[derive(Debug)]
pub(crate) enum PageError {
    /// The list is missing, incomplete or not a list: a retry may return it.
    NoList(String),
    /// A row cannot be understood: a retry would return it again.
    Row(String),
}

impl Client {
    /// Reads a listing to its end.
    pub(crate) async fn list<T>(
        &self,
        api: &ListingApi,
        region: &RegionId,
        params: &Params,
        (deadline, now): (Instant, Now<'_>),
        read: &(impl Fn(Row<'_>, Provenance) -> Result<T, RowError> + Sync),
    ) -> Result<Listing<T>, CallError> {
        let unreadable = |what| {
            let call = Call { product: api.product, action: api.action, region, params };
            CallError::Unreadable { call: self.name(&call), what }
        };
        let mut rereads = 0;
        loop {
            match self.list_once(api, region, params, (deadline, now), read).await? {
                Ok(listing) => return Ok(listing),
                Err(PageError::NoList(what)) if rereads == REREADS_MAX => return Err(unreadable(what)),
                Err(PageError::NoList(_)) => rereads += 1,
                Err(PageError::Row(what)) => return Err(unreadable(what)),
            }
        }
    }

    /// Reads a listing once. The inner error says why it is incomplete or unreadable.
    async fn list_once<T>(
        &self,
        api: &ListingApi,
        region: &RegionId,
        params: &Params,
        (deadline, now): (Instant, Now<'_>),
        read: &(impl Fn(Row<'_>, Provenance) -> Result<T, RowError> + Sync),
    ) -> Result<Result<Listing<T>, PageError>, CallError> {
        let mut params = params.clone();
        if api.regional {
            params.entry("RegionId".to_owned()).or_insert_with(|| region.to_string());
        }
        let mut pager = Pager::new(api);
        loop {
            pager.ask(&mut params);
            let call = Call { product: api.product, action: api.action, region, params: &params };
            let answer = self.call(call, deadline).await?;
            let source = Source { api: api.name(), request_id: answer.request_id, at: now() };
            match pager.take(answer.document, source, read) {
                Ok(Step::More) => {}
                Ok(Step::Done) => return Ok(Ok(pager.listing)),
                Err(error) => return Ok(Err(error)),
            }
        }
    }
}

/// Whether a listing has further pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Ask for the next page.
    More,
    /// All rows have been read.
    Done,
}

/// State of a listing that is being read. Makes no calls.
pub(crate) struct Pager<'a, T> {
    api: &'a ListingApi,
    page: u32,
    token: Option<String>,
    pub(crate) listing: Listing<T>,
}

impl<'a, T> Pager<'a, T> {
    pub(crate) fn new(api: &'a ListingApi) -> Self {
        Self { api, page: 0, token: None, listing: Listing::default() }
    }

    /// Sets the parameters that ask for the next page.
    pub(crate) fn ask(&mut self, params: &mut Params) {
        self.page += 1;
        match self.api.paging {
            Paging::Number => {
                params.insert("PageNumber".to_owned(), self.page.to_string());
                params.insert("PageSize".to_owned(), PAGE_SIZE.to_string());
            }
            Paging::Token(size_name, size) => {
                params.insert(size_name.to_owned(), size.to_string());
                if let Some(token) = &self.token {
                    params.insert("NextToken".to_owned(), token.clone());
                }
            }
            Paging::Whole => {}
        }
    }

    /// Processes the answer to the last request.
    pub(crate) fn take(
        &mut self,
        document: Map<String, Value>,
        source: Source,
        read: &impl Fn(Row<'_>, Provenance) -> Result<T, RowError>,
    ) -> Result<Step, PageError> {
        let page = self.listing.add(self.api.container, document, source, read)?;
        let have = self.listing.rows.len();
        let more = match self.api.paging {
            Paging::Whole => false,
            Paging::Number => match page.total {
                Some(total) => have < total && page.count > 0,
                None => page.count >= PAGE_SIZE as usize,
            },
            Paging::Token(..) => page.next.is_some(),
        };
        if !more {
            // With token paging, some APIs count only the rows of the page as the total, which is then below the rows
            // received, never above.
            return match page.total {
                Some(total) if have < total => {
                    Err(PageError::NoList(format!("the listing ended after {have} of {total} rows")))
                }
                _ => Ok(Step::Done),
            };
        }
        if matches!(self.api.paging, Paging::Token(..)) && page.next == self.token {
            return Err(PageError::NoList("the listing gave the same page token twice".to_owned()));
        }
        if self.page >= PAGES_MAX {
            return Err(PageError::Row(format!("the listing has more than {PAGES_MAX} pages")));
        }
        if have > ROWS_MAX {
            return Err(PageError::Row(format!("the listing has more than {ROWS_MAX} rows")));
        }
        self.token = page.next;
        Ok(Step::More)
    }
}
