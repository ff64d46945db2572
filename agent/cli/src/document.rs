//! Reads a TOML document by hand, so that every mistake is reported at once, each with its line and the accepted form.
//!
//! Decides nothing about meaning: the settings of each program define its keys. Unknown keys are mistakes, because a mistyped
//! key that is silently ignored is a setting that silently has no effect.

use std::{
    collections::BTreeSet,
    fmt,
    ops::{Range, RangeInclusive},
};
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
pub struct Reader<'t> {
    text: &'t str,
    mistakes: Vec<Mistake>,
}

/// A table whose keys are taken one by one, so that the unknown ones remain.
pub struct Table<'d, 't> {
    path: String,
    at: Range<usize>,
    items: &'d DeTable<'t>,
    taken: BTreeSet<String>,
}

type Value<'d, 't> = &'d Spanned<DeValue<'t>>;

impl<'t> Reader<'t> {
    /// Starts to read the document `text`.
    pub fn new(text: &'t str) -> Self {
        Self { text, mistakes: vec![] }
    }

    /// Records a mistake at a byte range of the document.
    pub fn mistake(&mut self, at: &Range<usize>, what: impl Into<String>) {
        let before = self.text.get(..at.start.min(self.text.len())).unwrap_or(self.text);
        self.mistakes.push(Mistake { line: before.matches('\n').count() + 1, what: what.into() });
    }

    /// Records the syntax errors that the parser found.
    pub fn syntax(&mut self, errors: Vec<toml::de::Error>) {
        for error in errors {
            let at = error.span().unwrap_or(0..0);
            self.mistake(&at, format!("not TOML: {}", error.message()));
        }
    }

    /// Whether no mistake was recorded.
    pub fn is_clean(&self) -> bool {
        self.mistakes.is_empty()
    }

    /// Returns all mistakes, sorted and without duplicates.
    pub fn finish(self, file: &str) -> Mistakes {
        let mut all = self.mistakes;
        all.sort();
        all.dedup();
        Mistakes { file: file.to_owned(), all }
    }

    /// Reads a required text with `parse`; `accepted` describes the accepted form.
    pub fn text<T, E: fmt::Display>(
        &mut self,
        table: &mut Table<'_, '_>,
        key: &str,
        accepted: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let value = self.required(table, key, accepted)?;
        self.parsed(&table.name_of(key), value, accepted, parse)
    }

    /// Reads a required secret; no message shows its value.
    pub fn secret<T>(
        &mut self,
        table: &mut Table<'_, '_>,
        key: &str,
        accepted: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let value = self.required(table, key, accepted)?;
        let secret = value.get_ref().as_str().and_then(parse);
        if secret.is_none() {
            self.mistake(&value.span(), format!("{} = ***: accepted: {accepted}", table.name_of(key)));
        }
        secret
    }

    /// Reads a required list of texts; `None` if it or an item of it has a mistake.
    pub fn texts<T, E: fmt::Display>(
        &mut self,
        table: &mut Table<'_, '_>,
        key: &str,
        accepted: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<Vec<T>> {
        let value = self.required(table, key, accepted)?;
        let Some(items) = value.get_ref().as_array() else {
            self.wrong_kind(table, key, value, accepted);
            return None;
        };
        let name = |n: usize| format!("{}[{n}]", table.name_of(key));
        let all: Vec<_> =
            items.iter().enumerate().map(|(n, item)| self.parsed(&name(n), item, accepted, &parse)).collect();
        all.into_iter().collect()
    }

    /// Reads true or false; returns the default if the key is absent or has a mistake.
    pub fn truth(&mut self, table: &mut Table<'_, '_>, key: &str, default: bool) -> bool {
        let Some(value) = table.take(key) else { return default };
        let truth = value.get_ref().as_bool();
        if truth.is_none() {
            self.wrong_kind(table, key, value, "true or false");
        }
        truth.unwrap_or(default)
    }

    fn parsed<T, E: fmt::Display>(
        &mut self,
        name: &str,
        value: Value<'_, '_>,
        accepted: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let Some(text) = value.get_ref().as_str() else {
            self.refuse(name, value, accepted);
            return None;
        };
        parse(text)
            .map_err(|why| self.mistake(&value.span(), format!("{name} = \"{text}\": {why}; accepted: {accepted}")))
            .ok()
    }

    /// Reads a text as [`Reader::text`] does; `None` if the key is absent.
    pub fn text_if_given<T, E: fmt::Display>(
        &mut self,
        table: &mut Table<'_, '_>,
        key: &str,
        accepted: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        if table.has(key) { self.text(table, key, accepted, parse) } else { None }
    }

    /// Reads a whole number within bounds; returns the default if the key is absent.
    pub fn number<N: TryFrom<i128> + PartialOrd + fmt::Display>(
        &mut self,
        table: &mut Table<'_, '_>,
        key: &str,
        range: RangeInclusive<N>,
        default: N,
    ) -> N {
        let Some(value) = table.take(key) else { return default };
        let number = integer(value).filter(|number| range.contains(number));
        if number.is_none() {
            let accepted = format!("a whole number from {} to {}", range.start(), range.end());
            self.wrong_kind(table, key, value, &accepted);
        }
        number.unwrap_or(default)
    }

    /// Takes the required table under `key`.
    pub fn table<'d, 'u>(&mut self, table: &mut Table<'d, 'u>, key: &str, accepted: &str) -> Option<Table<'d, 'u>> {
        let value = self.required(table, key, accepted)?;
        let path = table.name_of(key);
        let inner = Table::of(value, path);
        if inner.is_none() {
            self.wrong_kind(table, key, value, accepted);
        }
        inner
    }

    /// Takes an array of tables under `key`; empty if the key is absent.
    pub fn tables<'d, 'u>(&mut self, table: &mut Table<'d, 'u>, key: &str, accepted: &str) -> Vec<Table<'d, 'u>> {
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
    pub fn port_pair(&mut self, table: &mut Table<'_, '_>, key: &str) -> Option<(u16, u16)> {
        let accepted = "two ports from 1 to 65535, the lower first, such as [443, 443]";
        let ports = self.port_list(table, key, accepted, |ports| matches!(ports, [first, last] if first <= last))?;
        ports.first().copied().zip(ports.last().copied())
    }

    /// Takes a list of ports from 1 to 65535; empty if the key is absent.
    pub fn ports(&mut self, table: &mut Table<'_, '_>, key: &str) -> Vec<u16> {
        self.port_list(table, key, "a list of ports from 1 to 65535, such as [7]", |_| true).unwrap_or_default()
    }

    fn port_list(
        &mut self,
        table: &mut Table<'_, '_>,
        key: &str,
        accepted: &str,
        fits: impl FnOnce(&[u16]) -> bool,
    ) -> Option<Vec<u16>> {
        let value = table.take(key)?;
        let ports =
            value.get_ref().as_array().and_then(|items| items.iter().map(integer).collect::<Option<Vec<u16>>>());
        let ports = ports.filter(|ports| !ports.contains(&0) && fits(ports));
        if ports.is_none() {
            self.wrong_kind(table, key, value, accepted);
        }
        ports
    }

    /// Records a mistake for every key that was not taken.
    pub fn close(&mut self, table: &Table<'_, '_>) {
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
        self.refuse(&table.name_of(key), value, accepted);
    }

    fn refuse(&mut self, name: &str, value: Value<'_, '_>, accepted: &str) {
        let given = self.text.get(value.span()).unwrap_or("").lines().next().unwrap_or("").to_owned();
        self.mistake(&value.span(), format!("{name} = {given}: accepted: {accepted}"));
    }
}

/// A whole number; `None` if the value is of another kind or does not fit.
fn integer<N: TryFrom<i128>>(value: Value<'_, '_>) -> Option<N> {
    let digits = value.get_ref().as_integer()?;
    i128::from_str_radix(digits.as_str(), digits.radix()).ok().and_then(|number| N::try_from(number).ok())
}

impl<'d, 't> Table<'d, 't> {
    /// The table of the whole document.
    pub fn root(document: &'d Spanned<DeTable<'t>>) -> Self {
        Self { path: String::new(), at: 0..0, items: document.get_ref(), taken: BTreeSet::new() }
    }

    fn of(value: Value<'d, 't>, path: String) -> Option<Self> {
        let items = value.get_ref().as_table()?;
        Some(Self { path, at: value.span(), items, taken: BTreeSet::new() })
    }

    /// Byte range of the table, for mistakes about the table as a whole.
    pub fn at(&self) -> Range<usize> {
        self.at.clone()
    }

    /// The path of the table, as the user would write it.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether the key is present. The key counts as known from then on, but its value is not taken.
    pub fn has(&mut self, key: &str) -> bool {
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
