//! Lenient parsing of the vendor's JSON: the only module that knows how loosely it is typed.
//!
//! Scalars arrive as string, number or boolean; absent values as a missing field, `null` or `""`; enumerations in any
//! case; lists plain or wrapped once more (`Vpcs.Vpc[]`, `RouterTableIds.RouterTableIds[]`). See `API.md`
//! §1. Unknown fields are ignored. What a field means is decided by the caller.

use pingtong_evidence::{Cidr, Timestamp};
use serde_json::{Map, Value};
use std::{fmt, net::IpAddr, str::FromStr};

/// Why a row cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RowError {
    field: String,
    found: Option<String>,
}

impl RowError {
    pub(crate) fn new(field: &str, found: Option<&str>) -> Self {
        const CHARACTERS_MAX: usize = 80;
        let found = found.map(|text| text.escape_debug().take(CHARACTERS_MAX).collect());
        Self { field: field.to_owned(), found }
    }
}

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.found {
            Some(found) => write!(f, "{} is \"{found}\"", self.field),
            None => write!(f, "{} is missing", self.field),
        }
    }
}

/// An object of the vendor's JSON.
#[derive(Clone, Copy)]
pub(crate) struct Row<'a>(&'a Map<String, Value>);

impl<'a> Row<'a> {
    pub(crate) fn new(map: &'a Map<String, Value>) -> Self {
        Self(map)
    }

    /// The text of a scalar; `None` if it is absent.
    pub(crate) fn text(self, name: &str) -> Option<String> {
        scalar(self.0.get(name)?)
    }

    /// A scalar's text in lower case, for enumerations.
    pub(crate) fn word(self, name: &str) -> Option<String> {
        self.text(name).map(|text| text.to_ascii_lowercase())
    }

    /// A value that must be present and parsable.
    pub(crate) fn id<T: FromStr>(self, name: &str) -> Result<T, RowError> {
        self.optional_id(name)?.ok_or_else(|| RowError::new(name, None))
    }

    /// A value that may be absent, but must be parsable if it is present.
    pub(crate) fn optional_id<T: FromStr>(self, name: &str) -> Result<Option<T>, RowError> {
        self.text(name).map(|text| text.parse().map_err(|_| RowError::new(name, Some(&text)))).transpose()
    }

    /// A CIDR block; host bits are cleared, as the cloud itself does.
    pub(crate) fn cidr(self, name: &str) -> Result<Cidr, RowError> {
        self.optional_cidr(name)?.ok_or_else(|| RowError::new(name, None))
    }

    pub(crate) fn optional_cidr(self, name: &str) -> Result<Option<Cidr>, RowError> {
        let read = |text: String| Cidr::parse_masked(&text).map_err(|_| RowError::new(name, Some(&text)));
        self.text(name).map(read).transpose()
    }

    /// A number; `None` if the field is absent or not a number.
    pub(crate) fn number<T: FromStr>(self, name: &str) -> Option<T> {
        self.text(name)?.parse().ok()
    }

    pub(crate) fn flag(self, name: &str) -> Option<bool> {
        match self.word(name)?.as_str() {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        }
    }

    /// A time in any of the vendor's formats; without a zone it is UTC. `None` if it is absent or cannot be parsed.
    pub(crate) fn time(self, name: &str) -> Option<Timestamp> {
        let text = self.text(name)?;
        let spaced = text.trim().replacen(' ', "T", 1);
        let short = |text: &str| text.strip_suffix('Z').map(|rest| format!("{rest}:00Z"));
        [Some(spaced.clone()), short(&spaced), Some(format!("{spaced}Z"))]
            .into_iter()
            .flatten()
            .find_map(|candidate| candidate.parse().ok())
    }

    /// The JSON value of a field, unchanged.
    pub(crate) fn value(self, name: &str) -> Option<&'a Value> {
        self.0.get(name)
    }

    pub(crate) fn object(self, name: &str) -> Option<Row<'a>> {
        self.0.get(name)?.as_object().map(Row)
    }

    /// A list, plain or wrapped; `None` if the field is absent or has no list.
    pub(crate) fn list(self, name: &str) -> Option<&'a [Value]> {
        unwrap_list(self.0.get(name)?)
    }

    /// The objects of a list; empty where it is absent.
    pub(crate) fn rows(self, name: &str) -> impl Iterator<Item = Row<'a>> + use<'a> {
        self.list(name).unwrap_or_default().iter().filter_map(|value| value.as_object().map(Row))
    }

    /// The scalars of a list; empty where it is absent.
    pub(crate) fn texts(self, name: &str) -> impl Iterator<Item = String> + use<'a> {
        self.list(name).unwrap_or_default().iter().filter_map(scalar)
    }

    /// The ids of a list; an error if one of them cannot be parsed.
    pub(crate) fn ids<T: FromStr>(self, name: &str) -> Result<Vec<T>, RowError> {
        self.texts(name).map(|text| text.parse().map_err(|_| RowError::new(name, Some(&text)))).collect()
    }

    /// The addresses of a list that can be parsed. The others are left out, because documents and exports mask them.
    pub(crate) fn addresses(self, name: &str) -> Vec<IpAddr> {
        self.texts(name).filter_map(|text| text.parse().ok()).collect()
    }
}

/// Removes a list from a document: plain, wrapped, or as the text of a JSON array, which CloudMonitor sends.
pub(crate) fn take_list(document: &mut Map<String, Value>, name: &str) -> Option<Vec<Value>> {
    match document.remove(name)? {
        Value::Array(list) => Some(list),
        Value::Object(members) if members.is_empty() => Some(vec![]),
        Value::Object(members) => {
            let mut lists = members.into_iter().filter_map(|(_, value)| match value {
                Value::Array(list) => Some(list),
                _ => None,
            });
            let first = lists.next();
            first.filter(|_| lists.next().is_none())
        }
        Value::String(text) if text.trim().is_empty() => Some(vec![]),
        Value::String(text) => serde_json::from_str(&text).ok(),
        _ => None,
    }
}

fn scalar(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => return None,
    };
    (!text.is_empty()).then_some(text)
}

/// The list in a value: the value itself, or the only list inside an object. An object without members is an empty
/// list.
fn unwrap_list(value: &Value) -> Option<&[Value]> {
    match value {
        Value::Array(list) => Some(list),
        Value::Object(members) if members.is_empty() => Some(&[]),
        Value::Object(members) => {
            let mut lists = members.values().filter_map(Value::as_array);
            lists.next().map(Vec::as_slice).filter(|_| lists.next().is_none())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn with<T>(value: &Value, read: impl FnOnce(Row<'_>) -> T) -> T {
        read(Row::new(value.as_object().unwrap()))
    }

    #[test]
    fn scalars_come_in_any_type() {
        let value = json!({"a": 1, "b": "1", "c": true, "d": "", "e": null, "f": "True", "g": {}});
        with(&value, |row| {
            assert_eq!((row.number::<u32>("a"), row.number::<u32>("b")), (Some(1), Some(1)));
            assert_eq!((row.flag("a"), row.flag("c"), row.flag("f")), (Some(true), Some(true), Some(true)));
            for absent in ["d", "e", "g", "h"] {
                assert_eq!(row.text(absent), None, "{absent}");
            }
        });
    }

    #[test]
    fn lists_come_wrapped_and_plain() {
        let value = json!({"a": ["x"], "b": {"B": ["x"]}, "c": {}, "d": {"X": ["x"], "Y": ["y"]}, "e": "x", "f": null});
        with(&value, |row| {
            assert_eq!(row.texts("a").collect::<Vec<_>>(), ["x"]);
            assert_eq!(row.texts("b").collect::<Vec<_>>(), ["x"]);
            assert_eq!(row.list("c").map(<[_]>::len), Some(0));
            for none in ["d", "e", "f", "g"] {
                assert_eq!(row.list(none), None, "{none}");
            }
        });
    }

    #[test]
    fn a_list_is_taken_out_whole() {
        let document =
            json!({"a": ["x"], "b": {"B": ["x"]}, "c": "[\"x\"]", "d": "", "e": {"X": [], "Y": []}, "f": "x", "g": 1});
        let mut document = document.as_object().unwrap().clone();
        for name in ["a", "b", "c"] {
            assert_eq!(take_list(&mut document, name).unwrap(), ["x"], "{name}");
        }
        assert_eq!(take_list(&mut document, "d"), Some(vec![]));
        for none in ["e", "f", "g", "h"] {
            assert_eq!(take_list(&mut document, none), None, "{none}");
        }
        assert!(document.is_empty());
    }

    #[test]
    fn times_come_in_several_forms() {
        let value =
            json!({"a": "2018-12-06T06:11:55Z", "b": "2019-04-25 11:44:17", "c": "2017-12-10T04:04Z", "d": "soon"});
        with(&value, |row| {
            assert_eq!(row.time("a").unwrap().to_string(), "2018-12-06T06:11:55.000Z");
            assert_eq!(row.time("b").unwrap().to_string(), "2019-04-25T11:44:17.000Z");
            assert_eq!(row.time("c").unwrap().to_string(), "2017-12-10T04:04:00.000Z");
            assert_eq!(row.time("d"), None);
        });
    }

    #[test]
    fn an_unreadable_value_is_named() {
        let value = json!({"CidrBlock": "banana"});
        with(&value, |row| {
            assert_eq!(row.cidr("CidrBlock").unwrap_err().to_string(), "CidrBlock is \"banana\"");
            assert_eq!(row.cidr("Other").unwrap_err().to_string(), "Other is missing");
        });
    }
}
