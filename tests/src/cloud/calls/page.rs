//! The three paging styles (`API.md` §4), and the injected fault that loses a page.
//!
//! A lost page: the rows are split into pages of half their number, or of the requested size if that is smaller. The
//! last page is never returned, while `TotalCount` still counts every row if the API has it. If the API has no
//! `TotalCount` and all rows fit one page, nothing is lost, because no reader could detect the loss.

use crate::cloud::{calls::params::Params, calls::refusal::Refusal};
use serde_json::{Map, Value, json};

/// One page of a listing.
pub(in crate::cloud) struct Page {
    pub(in crate::cloud) rows: Vec<Value>,
    /// Paging fields of the style: `PageNumber`, `TotalCount`, `NextToken`, …
    pub(in crate::cloud) fields: Map<String, Value>,
}

impl Page {
    /// The answer `{fields…, outer: {inner: rows}}`.
    pub(in crate::cloud) fn under(self, outer: &str, inner: &str) -> Value {
        let mut answer = self.fields;
        answer.insert(outer.to_owned(), json!({ inner: self.rows }));
        Value::Object(answer)
    }

    /// The answer `{fields…, name: rows}`, for the products that do not wrap rows twice.
    pub(in crate::cloud) fn flat(self, name: &str) -> Value {
        let mut answer = self.fields;
        answer.insert(name.to_owned(), Value::Array(self.rows));
        Value::Object(answer)
    }
}

/// Paging by `PageNumber` and `PageSize` (default 10, at most `size_max`), with `TotalCount`.
pub(in crate::cloud) fn numbered(
    rows: Vec<Value>,
    params: &Params,
    size_max: usize,
    lose: bool,
) -> Result<Page, Refusal> {
    let number: usize = params.number("PageNumber")?.unwrap_or(1);
    let size: usize = params.number("PageSize")?.unwrap_or(10);
    if number == 0 || size == 0 || size > size_max {
        return Err(Refusal::new(400, "InvalidParameter", "The specified PageNumber or PageSize is not valid."));
    }
    let total = rows.len();
    let rows = kept(rows, size, lose, true);
    let rows = rows.into_iter().skip((number - 1).saturating_mul(size)).take(size).collect();
    let fields = json!({ "PageNumber": number, "PageSize": size, "TotalCount": total });
    Ok(Page { rows, fields: object(fields) })
}

/// Parameter name, limits and optional fields of a token paging style.
pub(in crate::cloud) struct TokenStyle {
    /// `MaxResults`, or `MaxResult` of DescribeRouteEntryList.
    pub(in crate::cloud) size: &'static str,
    pub(in crate::cloud) size_default: usize,
    pub(in crate::cloud) size_max: usize,
    /// Whether answers have `TotalCount`.
    pub(in crate::cloud) total: bool,
    /// Whether answers repeat the page size under its parameter name.
    pub(in crate::cloud) echo: bool,
}

/// Paging by `NextToken` with a maximum page size; an empty token ends the listing.
pub(in crate::cloud) fn tokens(
    rows: Vec<Value>,
    params: &Params,
    style: &TokenStyle,
    lose: bool,
) -> Result<Page, Refusal> {
    let size: usize = params.number(style.size)?.unwrap_or(style.size_default);
    if size == 0 || size > style.size_max {
        let message = format!("The specified {} is not valid.", style.size);
        return Err(Refusal::new(400, &format!("InvalidParameter.{}", style.size), &message));
    }
    let start = match params.get("NextToken") {
        None => 0,
        Some(token) => read_token(token)
            .ok_or_else(|| Refusal::new(400, "InvalidParameter.NextToken", "The specified NextToken is not valid."))?,
    };
    let total = rows.len();
    let rows = kept(rows, size, lose, style.total);
    let end = start.saturating_add(size);
    let next = if end < rows.len() { write_token(end) } else { String::new() };
    let rows = rows.into_iter().skip(start).take(size).collect();
    let mut fields = object(json!({ "NextToken": next }));
    if style.total {
        fields.insert("TotalCount".to_owned(), json!(total));
    }
    if style.echo {
        fields.insert(style.size.to_owned(), json!(size));
    }
    Ok(Page { rows, fields })
}

/// The rows of a listing that can be returned. `visible` says whether a total count reveals the lost ones.
pub(in crate::cloud) fn kept<T>(mut rows: Vec<T>, size: usize, lose: bool, visible: bool) -> Vec<T> {
    if !lose || (!visible && rows.len() <= size) || rows.is_empty() {
        return rows;
    }
    let page = rows.len().div_ceil(2).min(size);
    let last = (rows.len() - 1) / page * page;
    rows.truncate(last.max(1));
    rows
}

/// Tokens are opaque to readers; the vendor's are long and start with letters.
fn write_token(position: usize) -> String {
    format!("AAAAA{position:016x}")
}

fn read_token(token: &str) -> Option<usize> {
    usize::from_str_radix(token.strip_prefix("AAAAA")?, 16).ok()
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(count: usize) -> Vec<Value> {
        (0..count).map(|n| json!(n)).collect()
    }

    fn params(pairs: &[(&str, &str)]) -> Params {
        Params::new(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
    }

    const STYLE: TokenStyle =
        TokenStyle { size: "MaxResult", size_default: 10, size_max: 100, total: true, echo: false };

    #[test]
    fn an_unpaged_call_loses_rows_beyond_ten() {
        let page = numbered(rows(12), &params(&[]), 50, false).expect("page");
        assert_eq!((page.rows.len(), &page.fields["TotalCount"]), (10, &json!(12)));
        assert!(numbered(rows(1), &params(&[("PageSize", "51")]), 50, false).is_err());
    }

    #[test]
    fn tokens_lead_through_all_rows() {
        let (mut token, mut seen) = (String::new(), 0);
        loop {
            let page = tokens(rows(25), &params(&[("NextToken", token.as_str())]), &STYLE, false).expect("page");
            seen += page.rows.len();
            token = page.fields["NextToken"].as_str().expect("token").to_owned();
            if token.is_empty() {
                break;
            }
        }
        assert_eq!(seen, 25);
    }

    #[test]
    fn a_lost_page_shows_in_the_total_only() {
        let page = tokens(rows(5), &params(&[]), &STYLE, true).expect("page");
        assert_eq!(
            (page.rows.len(), &page.fields["TotalCount"], &page.fields["NextToken"]),
            (3, &json!(5), &json!(""))
        );
        let page = numbered(rows(4), &params(&[]), 50, true).expect("page");
        assert_eq!((page.rows.len(), &page.fields["TotalCount"]), (2, &json!(4)));
        let silent = TokenStyle { total: false, ..STYLE };
        assert_eq!(tokens(rows(5), &params(&[]), &silent, true).expect("page").rows.len(), 5);
    }
}
