//! Symbols: the names by which scenarios refer to the objects that the cloud has created (`${A.vpc1.route_table}`).

use std::collections::BTreeMap;

/// Values by name, and the region in which an account has an object.
#[derive(Debug, Clone, Default)]
pub struct Symbols {
    values: BTreeMap<String, String>,
    /// By account and id: a peering connection is one object of two accounts in two regions.
    regions: BTreeMap<(String, String), String>,
}

/// A `${name}` that is not defined.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("nothing is named \"${{{name}}}\"{}", hint(.near))]
pub struct UnknownSymbol {
    name: String,
    near: Vec<String>,
}

fn hint(near: &[String]) -> String {
    if near.is_empty() { String::new() } else { format!("; there are {}", near.join(", ")) }
}

impl Symbols {
    /// Sets a name to a plain value.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.values.insert(name.into(), value.into());
    }

    /// Sets a name to the id of an object that `account` has in `region`.
    pub fn set_in(&mut self, account: &str, region: &str, name: impl Into<String>, id: impl Into<String>) {
        let id = id.into();
        self.regions.insert((account.to_owned(), id.clone()), region.to_owned());
        self.set(name, id);
    }

    /// The value of a name.
    ///
    /// # Errors
    /// Fails if the name is not defined; the error lists names with the same first part.
    pub fn get(&self, name: &str) -> Result<&str, UnknownSymbol> {
        self.values.get(name).map(String::as_str).ok_or_else(|| {
            let head = name.split('.').next().unwrap_or(name);
            let near = self.values.keys().filter(|k| k.split('.').next() == Some(head)).take(12).cloned().collect();
            UnknownSymbol { name: name.to_owned(), near }
        })
    }

    /// Returns `text` with every `${name}` replaced.
    ///
    /// # Errors
    /// Fails if a name is not defined.
    pub fn resolve(&self, text: &str) -> Result<String, UnknownSymbol> {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            out.push_str(before);
            let Some((name, tail)) = after.split_once('}') else {
                out.push_str("${");
                rest = after;
                continue;
            };
            out.push_str(self.get(name)?);
            rest = tail;
        }
        Ok(out + rest)
    }

    /// The region of the first of these values that is the id of an object of `account`. The other side's ids, which
    /// some calls take too, do not count.
    pub fn region_of<'a>(&self, account: &str, values: impl IntoIterator<Item = &'a String>) -> Option<&str> {
        let region = |v: &String| self.regions.get(&(account.to_owned(), v.clone()));
        values.into_iter().find_map(region).map(String::as_str)
    }

    /// The shortest name that has this value, for display.
    pub fn name_of(&self, value: &str) -> Option<&str> {
        self.values.iter().filter(|(_, v)| *v == value).map(|(n, _)| n.as_str()).min_by_key(|n| (n.len(), *n))
    }

    /// All names with their values.
    pub fn all(&self) -> &BTreeMap<String, String> {
        &self.values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_names_inside_text_and_tells_what_it_does_not_know() {
        let mut s = Symbols::default();
        s.set_in("A", "cn-qingdao", "p.initiator", "ri-1");
        s.set("p.acceptor", "ri-2");
        assert_eq!(s.resolve("${p.initiator}~${p.acceptor}").unwrap(), "ri-1~ri-2");
        assert_eq!(s.resolve("no symbol, ${ open").unwrap(), "no symbol, ${ open");
        assert_eq!(s.region_of("A", &["x".to_owned(), "ri-1".to_owned()]), Some("cn-qingdao"));
        assert_eq!(s.region_of("B", &["ri-1".to_owned()]), None);
        let error = s.resolve("${p.nobody}").unwrap_err().to_string();
        assert!(error.contains("p.nobody") && error.contains("p.initiator"), "{error}");
    }
}
