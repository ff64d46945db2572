//! Reads a TOML document by hand, so that every mistake is reported at once, each with its line and the accepted form.
//!
//! Decides nothing about meaning: [`crate::settings`] defines the keys. Unknown keys are mistakes, because a mistyped
//! key that is silently ignored is a setting that silently has no effect.

use std::{collections::BTreeSet, fmt, ops::Range};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// A mistake in a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    /// Line in the file, from 1.
    pub line: usize,
    /// What is wrong and what would be accepted.
    pub what: String,
}

/// All mistakes of one file, in the order of its lines.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Mistakes {
    /// Name of the file, as the user gave it.
    pub file: String,
    /// The mistakes; never empty.
    pub all: Vec<Mistake>,
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, mistake) in self.all.iter().enumerate() {
            let separator = if n == 0 { "" } else { "\n" };
            write!(f, "{separator}{}:{}: {}", self.file, mistake.line, mistake.what)?;
        }
        Ok(())
    }
}

/// Collects mistakes while a document is read.
pub(crate) struct Reader<'t> {
    text: &'t str,
    mistakes: Vec<Mistake>,
}

/// A table whose keys are taken one by one, so that the unknown ones remain.
pub(crate) struct Table<'d, 't> {
    path: String,
    at: Range<usize>,
    items: &'d DeTable<'t>,
    taken: BTreeSet<String>,
}

type Value<'d, 't> = &'d Spanned<DeValue<'t>>;

impl<'t> Reader<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        Self { text, mistakes: vec![] }
    }

    /// Records a mistake at a byte range of the document.
    pub(crate) fn mistake(&mut self, at: &Range<usize>, what: impl Into<String>) {
        let before = self.text.get(..at.start.min(self.text.len())).unwrap_or(self.text);
        self.mistakes.push(Mistake { line: before.matches('\n').count() + 1, what: what.into() });
    }

    /// Records the syntax errors that the parser found.
    pub(crate) fn syntax(&mut self, errors: Vec<toml::de::Error>) {
        for error in errors {
            let at = error.span().unwrap_or(0..0);
            self.mistake(&at, format!("not TOML: {}", error.message()));
        }
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.mistakes.is_empty()
    }

    /// Returns all mistakes, sorted and without duplicates.
    pub(crate) fn finish(self, file: &str) -> Mistakes {
        let mut all = self.mistakes;
        all.sort();
        all.dedup();
        Mistakes { file: file.to_owned(), all }
    }

    /// Reads a required text with `parse`; `accepted` describes the accepted form.
    pub(crate) fn text<T, E: fmt::Display>(
        &mut self,
        table: &mut Table<'_, '_>,
        key: &str,
        accepted: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let value = self.required(table, key, accepted)?;
        let Some(text) = value.get_ref().as_str() else {
            self.wrong_kind(table, key, value, accepted);
            return None;
        };
        match parse(text) {
            Ok(parsed) => Some(parsed),
            Err(why) => {
                let what = format!("{} = \"{text}\": {why}; accepted: {accepted}", table.name_of(key));
                self.mistake(&value.span(), what);
                None
            }
        }
    }

    /// Reads a text as [`Reader::text`] does; `None` if the key is absent.
    pub(crate) fn text_if_given<T, E: fmt::Display>(
        &mut self,
        table: &mut Table<'_, '_>,
        key: &str,
        accepted: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        if table.has(key) { self.text(table, key, accepted, parse) } else { None }
    }

    /// Reads a whole number within bounds; returns the default if the key is absent.
    pub(crate) fn number(
        &mut self,
        table: &mut Table<'_, '_>,
        key: &str,
        range: std::ops::RangeInclusive<u64>,
        default: u64,
    ) -> u64 {
        let Some(value) = table.take(key) else { return default };
        let number = value
            .get_ref()
            .as_integer()
            .and_then(|digits| u64::from_str_radix(digits.as_str(), digits.radix()).ok())
            .filter(|number| range.contains(number));
        if number.is_none() {
            let accepted = format!("a whole number from {} to {}", range.start(), range.end());
            self.wrong_kind(table, key, value, &accepted);
        }
        number.unwrap_or(default)
    }

    /// Takes the required table under `key`.
    pub(crate) fn table<'d, 'u>(
        &mut self,
        table: &mut Table<'d, 'u>,
        key: &str,
        accepted: &str,
    ) -> Option<Table<'d, 'u>> {
        let value = self.required(table, key, accepted)?;
        let path = table.name_of(key);
        let inner = Table::of(value, path);
        if inner.is_none() {
            self.wrong_kind(table, key, value, accepted);
        }
        inner
    }

    /// Takes an array of tables under `key`; empty if the key is absent.
    pub(crate) fn tables<'d, 'u>(
        &mut self,
        table: &mut Table<'d, 'u>,
        key: &str,
        accepted: &str,
    ) -> Vec<Table<'d, 'u>> {
        let Some(value) = table.take(key) else { return vec![] };
        let Some(array) = value.get_ref().as_array() else {
            self.wrong_kind(table, key, value, accepted);
            return vec![];
        };
        let mut tables = vec![];
        for (n, item) in array.iter().enumerate() {
            match Table::of(item, format!("{}[{n}]", table.name_of(key))) {
                Some(inner) => tables.push(inner),
                None => {
                    self.mistake(
                        &item.span(),
                        format!("{}[{n}] is no table; accepted: {accepted}", table.name_of(key)),
                    );
                }
            }
        }
        tables
    }

    /// Takes two ports from 1 to 65535, the lower one first; `None` if the key is absent.
    pub(crate) fn port_pair(&mut self, table: &mut Table<'_, '_>, key: &str) -> Option<(u16, u16)> {
        let value = table.take(key)?;
        let ports: Vec<u16> = value
            .get_ref()
            .as_array()
            .into_iter()
            .flat_map(|array| array.iter())
            .filter_map(|item| item.get_ref().as_integer())
            .filter_map(|digits| u16::from_str_radix(digits.as_str(), digits.radix()).ok())
            .collect();
        match ports[..] {
            [first, last] if first <= last && first > 0 => Some((first, last)),
            _ => {
                self.wrong_kind(table, key, value, "two ports from 1 to 65535, the lower first, such as [443, 443]");
                None
            }
        }
    }

    /// Records a mistake for every key that was not taken.
    pub(crate) fn close(&mut self, table: &Table<'_, '_>) {
        let known = table.taken.iter().cloned().collect::<Vec<_>>().join(", ");
        for key in table.items.keys() {
            if !table.taken.contains(key.get_ref().as_ref()) {
                let what = format!("unknown key \"{}\"; accepted here: {known}", table.name_of(key.get_ref()));
                self.mistake(&key.span(), what);
            }
        }
    }

    fn required<'d, 'u>(&mut self, table: &mut Table<'d, 'u>, key: &str, accepted: &str) -> Option<Value<'d, 'u>> {
        let value = table.take(key);
        if value.is_none() {
            let what = format!("\"{}\" is missing; accepted: {accepted}", table.name_of(key));
            self.mistake(&table.at, what);
        }
        value
    }

    fn wrong_kind(&mut self, table: &Table<'_, '_>, key: &str, value: Value<'_, '_>, accepted: &str) {
        let given = self.text.get(value.span()).unwrap_or("").lines().next().unwrap_or("").to_owned();
        self.mistake(&value.span(), format!("{} = {given}: accepted: {accepted}", table.name_of(key)));
    }
}

impl<'d, 't> Table<'d, 't> {
    pub(crate) fn root(document: &'d Spanned<DeTable<'t>>) -> Self {
        Self { path: String::new(), at: 0..0, items: document.get_ref(), taken: BTreeSet::new() }
    }

    fn of(value: Value<'d, 't>, path: String) -> Option<Self> {
        let items = value.get_ref().as_table()?;
        Some(Self { path, at: value.span(), items, taken: BTreeSet::new() })
    }

    /// Byte range of the table, for mistakes about the table as a whole.
    pub(crate) fn at(&self) -> Range<usize> {
        self.at.clone()
    }

    /// The path of the table, as the user would write it.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Whether the key is present. The key counts as known from then on, but its value is not taken.
    pub(crate) fn has(&mut self, key: &str) -> bool {
        self.taken.insert(key.to_owned());
        self.items.contains_key(key)
    }

    fn take(&mut self, key: &str) -> Option<Value<'d, 't>> {
        self.taken.insert(key.to_owned());
        self.items.get(key)
    }

    fn name_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}
