//! Request parameters, flattened as the wire has them (`Permissions.1.Policy`), and the errors of reading them.
//!
//! Empty values count as absent, booleans are read in any case, unknown parameters are ignored: as the real API does.

use crate::cloud::calls::refusal::Refusal;
use ipnet::Ipv4Net;
use std::{collections::BTreeMap, net::Ipv4Addr};

/// Longest list that is read from numbered parameters; the vendor's own limits are 100 and less.
const LIST_MAX: usize = 200;

/// Parameters of one call, or of one member of a list.
#[derive(Debug, Clone, Default)]
pub(in crate::cloud) struct Params {
    values: BTreeMap<String, String>,
    /// Path prefix of these parameters in their call: empty for the call's own, `Permissions[].` for members of a list,
    /// `None` for parameters that the cloud built. Only the contract test uses it.
    #[cfg(test)]
    at: Option<String>,
}

impl Params {
    /// The parameters of a call.
    pub(in crate::cloud) fn new(values: BTreeMap<String, String>) -> Self {
        Self {
            values,
            #[cfg(test)]
            at: Some(String::new()),
        }
    }

    /// Parameters that the cloud itself builds from a call in another form.
    pub(in crate::cloud) fn made<const N: usize>(values: [(&str, String); N]) -> Self {
        Self {
            values: values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            #[cfg(test)]
            at: None,
        }
    }

    /// All parameters, as received.
    pub(in crate::cloud) fn all(&self) -> &BTreeMap<String, String> {
        &self.values
    }

    /// The trimmed value; `None` if it is absent or empty.
    pub(in crate::cloud) fn get(&self, name: &str) -> Option<&str> {
        #[cfg(test)]
        asked::note(self.at.as_deref(), name);
        self.value(name)
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// These parameters, overridden by `others`.
    pub(in crate::cloud) fn overlaid(mut self, others: &Params) -> Self {
        self.values.extend(others.values.clone());
        #[cfg(test)]
        self.at.clone_from(&others.at);
        self
    }

    /// These parameters with the value of one replaced or added.
    pub(in crate::cloud) fn with(mut self, name: &str, value: &str) -> Self {
        self.values.insert(name.to_owned(), value.to_owned());
        self
    }

    /// These parameters without the named ones.
    pub(in crate::cloud) fn without(mut self, names: &[&str]) -> Self {
        self.values.retain(|name, _| !names.contains(&name.as_str()));
        self
    }

    /// The value, or empty text.
    pub(in crate::cloud) fn text(&self, name: &str) -> String {
        self.get(name).unwrap_or_default().to_owned()
    }

    /// The value, or the refusal that it is missing.
    pub(in crate::cloud) fn need(&self, name: &str) -> Result<&str, Refusal> {
        self.get(name).ok_or_else(|| {
            Refusal::new(400, &format!("Missing{name}"), &format!("{name} is mandatory for this action."))
        })
    }

    /// The value as a number; `None` if it is absent, a refusal if it is not a number.
    pub(in crate::cloud) fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, Refusal> {
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

    /// Whether the value is `true`, in any letter case.
    pub(in crate::cloud) fn yes(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// A list of values in any of the forms seen: `Name.1`, a JSON array in a string, or comma-separated.
    pub(in crate::cloud) fn list(&self, name: &str) -> Vec<String> {
        let plain = self.get(name);
        let numbered: Vec<String> =
            (1..=LIST_MAX).map_while(|n| self.value(&format!("{name}.{n}")).map(str::to_owned)).collect();
        if !numbered.is_empty() {
            return numbered;
        }
        let Some(plain) = plain else { return Vec::new() };
        serde_json::from_str::<Vec<String>>(plain).unwrap_or_else(|_| {
            plain.split(',').map(|one| one.trim().to_owned()).filter(|one| !one.is_empty()).collect()
        })
    }

    /// Members of a list of objects: `Name.1.Key`, in the order of their numbers, gaps allowed.
    pub(in crate::cloud) fn members(&self, name: &str) -> Vec<Params> {
        #[cfg(test)]
        asked::note(self.at.as_deref(), name);
        let prefix = format!("{name}.");
        let mut found: BTreeMap<usize, Params> = BTreeMap::new();
        for (key, value) in &self.values {
            let Some((number, rest)) = key.strip_prefix(&prefix).and_then(|tail| tail.split_once('.')) else {
                continue;
            };
            let Ok(number) = number.parse::<usize>() else { continue };
            if (1..=LIST_MAX).contains(&number) {
                let member = found.entry(number).or_default();
                member.values.insert(rest.to_owned(), value.clone());
                #[cfg(test)]
                {
                    member.at = self.at.as_ref().map(|at| format!("{at}{name}[]."));
                }
            }
        }
        found.into_values().collect()
    }

    /// Whether a row's value matches the parameter, in any letter case. True if the parameter is absent.
    pub(in crate::cloud) fn wants(&self, name: &str, actual: &str) -> bool {
        self.get(name).is_none_or(|wanted| wanted.eq_ignore_ascii_case(actual))
    }

    /// As [`Params::wants`], for parameters that take several values. Here letter case counts.
    pub(in crate::cloud) fn wants_one_of(&self, name: &str, actual: &str) -> bool {
        let wanted = self.list(name);
        wanted.is_empty() || wanted.iter().any(|one| one == actual)
    }
}

/// Reads an IPv4 block; a bare address is a /32. Host bits are cleared if `masked`, and refused otherwise.
pub(in crate::cloud) fn read_block(text: &str, masked: bool) -> Option<Ipv4Net> {
    let net = text.parse::<Ipv4Net>().ok().or_else(|| text.parse::<Ipv4Addr>().ok().map(Ipv4Net::from))?;
    (masked || net.addr() == net.network()).then(|| net.trunc())
}

/// Parameter names that handlers read, so that the contract test can compare them with the SDKs' models. They are kept
/// per thread, because a test handles its calls on its own thread.
#[cfg(test)]
pub(in crate::cloud) mod asked {
    use std::{cell::RefCell, collections::BTreeSet};

    thread_local! {
        static NAMES: RefCell<BTreeSet<String>> = const { RefCell::new(BTreeSet::new()) };
    }

    pub(in crate::cloud) fn note(at: Option<&str>, name: &str) {
        if let Some(at) = at {
            NAMES.with_borrow_mut(|names| _ = names.insert(format!("{at}{name}")));
        }
    }

    /// The names that handlers read since the previous call of `take`.
    pub(in crate::cloud) fn take() -> BTreeSet<String> {
        NAMES.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(pairs: &[(&str, &str)]) -> Params {
        Params::new(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
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
