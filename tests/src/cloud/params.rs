//! Request parameters, flattened as the wire has them (`Permissions.1.Policy`), and the errors of reading them.
//!
//! Empty values count as absent, booleans are read in any case, unknown parameters are ignored: as the real API does.

use super::wire::Refusal;
use ipnet::Ipv4Net;
use std::{collections::BTreeMap, net::Ipv4Addr};

/// Longest list that is read from numbered parameters; the vendor's own limits are 100 and less.
const LIST_MAX: usize = 200;

/// Parameters of one call, or of one member of a list.
#[derive(Debug, Clone, Default)]
pub(super) struct Params(pub(super) BTreeMap<String, String>);

impl Params {
    /// The value when it is there and not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// The value, or empty text.
    pub(super) fn text(&self, name: &str) -> String {
        self.get(name).unwrap_or_default().to_owned()
    }

    /// The value, or the refusal that it is missing.
    pub(super) fn need(&self, name: &str) -> Result<&str, Refusal> {
        self.get(name).ok_or_else(|| {
            Refusal::new(400, &format!("Missing{name}"), &format!("{name} is mandatory for this action."))
        })
    }

    /// A number, when it is there.
    pub(super) fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, Refusal> {
        self.get(name)
            .map(|value| {
                value.parse().map_err(|_| {
                    Refusal::new(
                        400,
                        &format!("Invalid{name}"),
                        &format!("The specified value \"{value}\" of {name} is not valid."),
                    )
                })
            })
            .transpose()
    }

    /// True when it says so, in any case.
    pub(super) fn yes(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// A list of values in any of the forms seen: `Name.1`, a JSON array in a string, or comma-separated.
    pub(super) fn list(&self, name: &str) -> Vec<String> {
        let numbered: Vec<String> =
            (1..=LIST_MAX).map_while(|n| self.get(&format!("{name}.{n}")).map(str::to_owned)).collect();
        if !numbered.is_empty() {
            return numbered;
        }
        let Some(plain) = self.get(name) else { return Vec::new() };
        serde_json::from_str::<Vec<String>>(plain).unwrap_or_else(|_| {
            plain.split(',').map(|one| one.trim().to_owned()).filter(|one| !one.is_empty()).collect()
        })
    }

    /// Members of a list of objects: `Name.1.Key`, in the order of their numbers, gaps allowed.
    pub(super) fn members(&self, name: &str) -> Vec<Params> {
        let prefix = format!("{name}.");
        let mut found: BTreeMap<usize, Params> = BTreeMap::new();
        for (key, value) in &self.0 {
            let Some((number, rest)) = key.strip_prefix(&prefix).and_then(|tail| tail.split_once('.')) else {
                continue;
            };
            let Ok(number) = number.parse::<usize>() else { continue };
            if (1..=LIST_MAX).contains(&number) {
                found.entry(number).or_default().0.insert(rest.to_owned(), value.clone());
            }
        }
        found.into_values().collect()
    }

    /// Whether the row's value is the one asked for; anything goes when nothing was asked for.
    pub(super) fn wants(&self, name: &str, actual: &str) -> bool {
        self.get(name).is_none_or(|wanted| wanted.eq_ignore_ascii_case(actual))
    }

    /// As [`Params::wants`], for parameters that take several values.
    pub(super) fn wants_one_of(&self, name: &str, actual: &str) -> bool {
        let wanted = self.list(name);
        wanted.is_empty() || wanted.iter().any(|one| one == actual)
    }
}

/// Reads an IPv4 block; a bare address is a block of one. Host bits are cleared when `masked`, refused otherwise.
pub(super) fn read_block(text: &str, masked: bool) -> Option<Ipv4Net> {
    let net = text.parse::<Ipv4Net>().ok().or_else(|| text.parse::<Ipv4Addr>().ok().map(Ipv4Net::from))?;
    (masked || net.addr() == net.network()).then(|| net.trunc())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(pairs: &[(&str, &str)]) -> Params {
        Params(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn lists_are_read_in_every_form_of_the_wire() {
        for form in [&[("Id.1", "a"), ("Id.2", "b")][..], &[("Id", "[\"a\",\"b\"]")], &[("Id", "a, b")]] {
            assert_eq!(params(form).list("Id"), ["a", "b"]);
        }
        let members = params(&[("P.10.K", "z"), ("P.2.K", "y"), ("P.2.V.1", "w")]).members("P");
        assert_eq!(members.len(), 2);
        assert_eq!(members[0].list("V"), ["w"]);
        assert_eq!(members[1].get("K"), Some("z"));
    }

    #[test]
    fn bare_addresses_are_blocks_of_one() {
        assert_eq!(read_block("10.0.0.1", false).map(|net| net.to_string()), Some("10.0.0.1/32".to_owned()));
        assert_eq!(read_block("10.0.0.1/8", false), None);
        assert_eq!(read_block("10.0.0.1/8", true).map(|net| net.to_string()), Some("10.0.0.0/8".to_owned()));
    }
}
