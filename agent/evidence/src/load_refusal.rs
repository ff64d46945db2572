//! Why an agent sends no load although one was requested.

use serde::{Deserialize, Serialize};
use std::{fmt, net::IpAddr};

/// Why no load was sent. In JSON one string, whose first word is the reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum LoadRefusal {
    /// The agent's settings permit no load: `load_mbit_max` is 0.
    NotPermitted,
    /// The agent has no raw sockets, and a load needs them.
    NoRawSockets,
    /// The agent does not probe this address by ICMP.
    NoTarget(IpAddr),
    /// Half of the agent's `rate_pps_max` carries less than 1 Mbit/s.
    RateTooLow(u32),
    /// An agent of another version gave this reason in words of its own.
    Words(String),
}

impl fmt::Display for LoadRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPermitted => f.write_str("not_permitted"),
            Self::NoRawSockets => f.write_str("no_raw_sockets"),
            Self::NoTarget(address) => write!(f, "no_target {address}"),
            Self::RateTooLow(rate_pps_max) => write!(f, "rate_too_low {rate_pps_max}"),
            Self::Words(words) => f.write_str(words),
        }
    }
}

impl From<LoadRefusal> for String {
    fn from(refusal: LoadRefusal) -> Self {
        refusal.to_string()
    }
}

impl From<String> for LoadRefusal {
    fn from(text: String) -> Self {
        let known = match text.split_once(' ') {
            None if text == "not_permitted" => Some(Self::NotPermitted),
            None if text == "no_raw_sockets" => Some(Self::NoRawSockets),
            Some(("no_target", address)) => address.parse().ok().map(Self::NoTarget),
            Some(("rate_too_low", rate)) => rate.parse().ok().map(Self::RateTooLow),
            _ => None,
        };
        known.unwrap_or(Self::Words(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_read_back_and_words_of_other_versions_are_kept() {
        for refusal in [
            LoadRefusal::NotPermitted,
            LoadRefusal::NoRawSockets,
            LoadRefusal::NoTarget("10.0.0.1".parse().unwrap()),
            LoadRefusal::RateTooLow(100),
            LoadRefusal::Words("the agent's settings allow no load".to_owned()),
            LoadRefusal::Words("no_target anybody".to_owned()),
        ] {
            let text = serde_json::to_string(&refusal).unwrap();
            assert_eq!(serde_json::from_str::<LoadRefusal>(&text).unwrap(), refusal, "{text}");
        }
    }
}
