//! Reading a listing to its end, in either style of paging, within bounds.
//!
//! Decides when a listing is complete: a listing that stops before its own total, repeats a page's token or breaks a
//! bound is an error and never a short list, since missing is not absent. Styles: `alibaba-cloud-api.md` §1.3.

use crate::{
    CallError, Client,
    client::Call,
    endpoint::Product,
    row::{Row, RowError},
    signing::Params,
};
use pingtong_evidence::{Provenance, RegionId, Source, Timestamp};
use serde_json::{Map, Value};
use tokio::time::Instant;

/// Pages of one listing: 10 000 rows at the smallest page size used here.
const PAGES_MAX: u32 = 200;
/// Times a listing is read anew when it came out incomplete: rows may vanish while it is read.
const REREADS_MAX: u32 = 1;

/// How a listing is cut into pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paging {
    /// `PageNumber`, `PageSize`, `TotalCount`.
    Number,
    /// `NextToken` with a size under the given name, which differs between APIs.
    Token(&'static str, u32),
    /// One answer.
    Whole,
}

/// A listing API.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ListingApi {
    pub(crate) product: Product,
    pub(crate) action: &'static str,
    /// The field that holds the list, wrapped or not.
    pub(crate) container: &'static str,
    pub(crate) paging: Paging,
}

impl ListingApi {
    /// The RAM action.
    pub(crate) fn name(&self) -> String {
        format!("{}:{}", self.product.code(), self.action)
    }
}

/// Time as the gatherer's caller tells it.
pub(crate) type Now<'a> = &'a (dyn Fn() -> Timestamp + Send + Sync);

/// All rows of a listing, with the answers they came in.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// Rows with the index of their answer in `sources`.
    rows: Vec<(Map<String, Value>, u32)>,
    pub(crate) sources: Vec<Source>,
    /// The first answer without its list: what it says of the whole.
    pub(crate) head: Map<String, Value>,
}

impl Listing {
    /// Reads every row; the first that cannot be read makes the list unknown. `offset` is where `sources` go.
    pub(crate) fn convert<T>(
        &self,
        offset: usize,
        read: impl Fn(Row<'_>, Provenance) -> Result<T, RowError>,
    ) -> Result<Vec<T>, String> {
        let offset = u32::try_from(offset).unwrap_or(u32::MAX);
        let rows = self.rows.iter().enumerate();
        rows.map(|(index, (row, answer))| {
            read(Row::new(row), Provenance(offset.saturating_add(*answer)))
                .map_err(|error| format!("row {}: {error}", index + 1))
        })
        .collect()
    }
}

impl Client {
    /// Reads a listing to its end.
    pub(crate) async fn list(
        &self,
        api: &ListingApi,
        region: &RegionId,
        params: &Params,
        deadline: Instant,
        now: Now<'_>,
    ) -> Result<Listing, CallError> {
        let mut rereads = 0;
        loop {
            match self.list_once(api, region, params, deadline, now).await? {
                Ok(listing) => return Ok(listing),
                Err(what) if rereads == REREADS_MAX => {
                    let call = Call { product: api.product, action: api.action, region, params };
                    return Err(CallError::Unreadable { call: self.name(&call), what });
                }
                Err(_) => rereads += 1,
            }
        }
    }

    /// The inner error says how the listing came out incomplete.
    async fn list_once(
        &self,
        api: &ListingApi,
        region: &RegionId,
        params: &Params,
        deadline: Instant,
        now: Now<'_>,
    ) -> Result<Result<Listing, String>, CallError> {
        const PAGE_SIZE: u32 = 50;
        let mut params = params.clone();
        params.entry("RegionId".to_owned()).or_insert_with(|| region.to_string());
        let mut listing = Listing::default();
        let mut token: Option<String> = None;
        for page in 1..=PAGES_MAX {
            match api.paging {
                Paging::Number => {
                    params.insert("PageNumber".to_owned(), page.to_string());
                    params.insert("PageSize".to_owned(), PAGE_SIZE.to_string());
                }
                Paging::Token(size_name, size) => {
                    params.insert(size_name.to_owned(), size.to_string());
                    if let Some(token) = &token {
                        params.insert("NextToken".to_owned(), token.clone());
                    }
                }
                Paging::Whole => {}
            }
            let call = Call { product: api.product, action: api.action, region, params: &params };
            let mut answer = self.call(call, deadline).await?;
            let head = Row::new(&answer.document);
            let total: Option<usize> = head.number("TotalCount");
            let next = head.text("NextToken");
            let rows = match head.list(api.container) {
                Some(rows) => rows.to_vec(),
                None if total == Some(0) => vec![],
                None => return Ok(Err(format!("{} is missing", api.container))),
            };
            let count = rows.len();
            for row in rows {
                match row {
                    Value::Object(row) => listing.rows.push((row, page - 1)),
                    _ => return Ok(Err(format!("{} holds something else than objects", api.container))),
                }
            }
            listing.sources.push(Source { api: api.name(), request_id: answer.request_id, at: now() });
            if page == 1 {
                answer.document.remove(api.container);
                listing.head = answer.document;
            }
            let have = listing.rows.len();
            let more = match api.paging {
                Paging::Whole => false,
                Paging::Number => match total {
                    Some(total) => have < total && count > 0,
                    None => count >= PAGE_SIZE as usize,
                },
                Paging::Token(..) => next.is_some(),
            };
            if !more {
                // In token paging some APIs count only the page: then the total is below what came, never above.
                return Ok(match total {
                    Some(total) if have < total => Err(format!("the listing ended after {have} of {total} rows")),
                    _ => Ok(listing),
                });
            }
            if matches!(api.paging, Paging::Token(..)) {
                if next == token {
                    return Ok(Err("the listing gave the same page token twice".to_owned()));
                }
                token = next;
            }
        }
        Ok(Err(format!("the listing has more than {PAGES_MAX} pages")))
    }
}
