//! Settings of the agent: `agent.toml` and the environment.
//!
//! All mistakes in the file are reported at once, each with its line and the accepted form; unknown keys are mistakes.
//! No other module of this crate reads the environment.

#![expect(clippy::disallowed_methods, reason = "the one module that reads the environment")]

use crate::Lang;
use pingtong_evidence::{AccountId, AgentId, Cidr, LOAD_MBIT_MAX, LOAD_SECONDS_MAX};
use std::{
    fmt,
    ops::{Range, RangeInclusive},
    path::{Path, PathBuf},
};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// A secret that no log or error shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The secret itself, for requests to the collector.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Contents of `agent.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `https://HOST:PORT` of the collector.
    pub collector: String,
    /// The only certificate accepted from the collector, as PEM.
    pub certificate: String,
    /// Id of this agent.
    pub agent: AgentId,
    /// The agent's secret.
    pub secret: Secret,
    /// The account for which it reports.
    pub account: AccountId,
    /// Addresses that it may probe.
    pub allow: Vec<Cidr>,
    /// Maximum probes per second over all targets.
    pub rate_pps_max: u32,
    /// Maximum Mbit/s of a load that the plan requests; none is sent if it is 0, the default.
    pub load_mbit_max: u32,
    /// Maximum seconds of such a load.
    pub load_seconds_max: u32,
    /// UDP ports at which probes of other agents may be echoed, if the plan requests it and no service uses the port.
    pub udp_echo: Vec<u16>,
    /// Directory that keeps reports until the collector has them.
    pub spool: PathBuf,
    /// Base URL of the metadata service, if not the real one.
    pub metadata: Option<String>,
    /// Endpoint of all OpenAPI products, if not the VPC's own.
    pub cloud_endpoint: Option<String>,
    /// Whether this agent reads its account's configuration.
    pub snapshot: bool,
    /// Milliseconds by which this agent's wall clock is ahead of the host's. For tests of hosts with a wrong clock,
    /// where only the machine's own clock is available.
    pub clock_ahead_ms: i64,
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("cannot read settings \"{path}\"; make it with \"pingtong enroll … --out {path}\"")]
    Read {
        /// Path of the file.
        path: String,
        /// Why it cannot be read.
        #[source]
        source: std::io::Error,
    },
    /// The file has mistakes.
    #[error("{}", .0.join("\n"))]
    Mistakes(Vec<String>),
}

/// Default of `rate_pps_max`.
const RATE_PPS_DEFAULT: u32 = 2_000;
/// Default of `load_seconds_max`.
const LOAD_SECONDS_DEFAULT: u32 = 3;
/// Maximum of `clock_ahead_ms`, in either direction: a day.
const CLOCK_AHEAD_MS_MAX: i64 = 86_400_000;
/// Maximum of `rate_pps_max`.
const RATE_PPS_MAX: u32 = 200_000;

impl Settings {
    /// Reads a settings file.
    ///
    /// # Errors
    /// [`SettingsError`] if the file cannot be read, or with every mistake in it.
    pub fn load(path: &Path) -> Result<Self, SettingsError> {
        let shown = path.display().to_string();
        let text =
            std::fs::read_to_string(path).map_err(|source| SettingsError::Read { path: shown.clone(), source })?;
        Self::parse(&text, &shown)
    }

    /// Parses the text of a settings file; `name` is its name in messages.
    ///
    /// # Errors
    /// [`SettingsError::Mistakes`] if the text is not TOML, or a key is missing, unknown or has a wrong value.
    pub fn parse(text: &str, name: &str) -> Result<Self, SettingsError> {
        let mut reader = Reader { text, name, mistakes: vec![] };
        let document = match DeTable::parse(text) {
            Ok(document) => document,
            Err(error) => {
                reader.mistake(error.span().unwrap_or(0..0), &format!("not TOML: {}", error.message()));
                return Err(SettingsError::Mistakes(reader.finish()));
            }
        };
        let table = document.get_ref();
        reader.unknown_keys(table);
        let settings = reader.settings(table);
        match settings {
            Some(settings) if reader.mistakes.is_empty() => Ok(settings),
            _ => Err(SettingsError::Mistakes(reader.finish())),
        }
    }
}

/// The language of the environment: the first of `LC_ALL`, `LC_MESSAGES` and `LANG` that is set.
pub fn environment_lang() -> Lang {
    ["LC_ALL", "LC_MESSAGES", "LANG"]
        .iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|value| !value.is_empty())
        .map_or(Lang::En, |value| Lang::of_locale(&value))
}

/// The log filter of the environment, from `PINGTONG_LOG` or else `RUST_LOG`.
pub fn environment_log() -> Option<String> {
    std::env::var("PINGTONG_LOG").ok().or_else(|| std::env::var("RUST_LOG").ok()).filter(|value| !value.is_empty())
}

const KEYS: [&str; 15] = [
    "collector",
    "certificate",
    "agent",
    "secret",
    "account",
    "allow",
    "rate_pps_max",
    "load_mbit_max",
    "load_seconds_max",
    "udp_echo",
    "spool",
    "metadata",
    "cloud_endpoint",
    "snapshot",
    "clock_ahead_ms",
];

struct Reader<'t> {
    text: &'t str,
    name: &'t str,
    mistakes: Vec<(usize, String)>,
}

impl Reader<'_> {
    fn mistake(&mut self, at: Range<usize>, what: &str) {
        let before = self.text.get(..at.start.min(self.text.len())).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        self.mistakes.push((line, format!("{}:{line}: {what}", self.name)));
    }

    fn finish(mut self) -> Vec<String> {
        self.mistakes.sort();
        self.mistakes.into_iter().map(|(_, what)| what).collect()
    }

    fn unknown_keys(&mut self, table: &DeTable<'_>) {
        for key in table.keys() {
            if !KEYS.contains(&key.get_ref().as_ref()) {
                let what = format!("\"{}\" is no key of an agent; the keys are {}", key.get_ref(), KEYS.join(", "));
                self.mistake(key.span(), &what);
            }
        }
    }

    fn settings(&mut self, table: &DeTable<'_>) -> Option<Settings> {
        let collector = self.required(table, "collector", "\"https://HOST:PORT\"", |text| {
            text.starts_with("https://").then(|| text.trim_end_matches('/').to_owned())
        });
        let certificate = self.required(table, "certificate", "the collector's certificate as PEM text", |text| {
            text.contains("-----BEGIN CERTIFICATE-----").then(|| text.to_owned())
        });
        let agent = self.required(table, "agent", "the agent's id", |text| AgentId::parse(text).ok());
        let secret = self.required(table, "secret", "the agent's secret from enrolment", |text| {
            (!text.is_empty() && text.chars().all(|c| c.is_ascii_graphic())).then(|| Secret(text.to_owned()))
        });
        let account =
            self.required(table, "account", "the account's id, in quotes", |text| AccountId::parse(text).ok());
        let spool =
            self.required(table, "spool", "a directory", |text| (!text.is_empty()).then(|| PathBuf::from(text)));
        let allow = self.allow(table);
        let rate_pps_max = self.number(table, "rate_pps_max", 1..=RATE_PPS_MAX, RATE_PPS_DEFAULT);
        let load_mbit_max = self.number(table, "load_mbit_max", 0..=LOAD_MBIT_MAX, 0);
        let load_seconds_max = self.number(table, "load_seconds_max", 1..=LOAD_SECONDS_MAX, LOAD_SECONDS_DEFAULT);
        let udp_echo = self.ports(table, "udp_echo");
        let url = |text: &str| (text.starts_with("http://") || text.starts_with("https://")).then(|| text.to_owned());
        let metadata = self.optional(table, "metadata", "\"http://ADDRESS\"", url);
        let cloud_endpoint = self.optional(table, "cloud_endpoint", "\"http://ADDRESS\" or \"https://HOST\"", url);
        let snapshot = match table.get("snapshot").map(|value| (value.span(), value.get_ref())) {
            None => Some(true),
            Some((_, DeValue::Boolean(yes))) => Some(*yes),
            Some((at, _)) => {
                self.mistake(at, "\"snapshot\" must be true or false");
                None
            }
        };
        let clock_ahead_ms = self.clock_ahead(table);
        Some(Settings {
            collector: collector?,
            certificate: certificate?,
            agent: agent?,
            secret: secret?,
            account: account?,
            allow: allow?,
            rate_pps_max: rate_pps_max?,
            load_mbit_max: load_mbit_max?,
            load_seconds_max: load_seconds_max?,
            udp_echo: udp_echo?,
            spool: spool?,
            metadata,
            cloud_endpoint,
            snapshot: snapshot?,
            clock_ahead_ms: clock_ahead_ms?,
        })
    }

    fn required<T>(
        &mut self,
        table: &DeTable<'_>,
        key: &str,
        form: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        if table.get(key).is_none() {
            self.mistake(0..0, &format!("\"{key}\" is missing; it must be {form}"));
            return None;
        }
        self.optional(table, key, form, read)
    }

    fn optional<T>(
        &mut self,
        table: &DeTable<'_>,
        key: &str,
        form: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let value = table.get(key)?;
        let read = value.get_ref().as_str().and_then(read);
        if read.is_none() {
            let shown = if key == "secret" { String::from("***") } else { shown(value) };
            self.mistake(value.span(), &format!("\"{key}\" is {shown}; it must be {form}"));
        }
        read
    }

    fn allow(&mut self, table: &DeTable<'_>) -> Option<Vec<Cidr>> {
        let Some(value) = table.get("allow") else {
            self.mistake(0..0, "\"allow\" is missing; it lists what the agent may probe, such as [\"172.16.0.0/16\"]");
            return None;
        };
        let Some(items) = value.get_ref().as_array() else {
            self.mistake(value.span(), "\"allow\" must be a list of CIDR blocks such as [\"172.16.0.0/16\"]");
            return None;
        };
        let mut blocks = vec![];
        for item in items {
            match item.get_ref().as_str().map(Cidr::parse) {
                Some(Ok(block)) => blocks.push(block),
                Some(Err(error)) => self.mistake(item.span(), &format!("\"allow\": {error}")),
                None => self.mistake(item.span(), &format!("\"allow\": {} is no CIDR block in quotes", shown(item))),
            }
        }
        (blocks.len() == items.len()).then_some(blocks)
    }

    /// Reads a list of ports; empty if the key is missing.
    fn ports(&mut self, table: &DeTable<'_>, key: &str) -> Option<Vec<u16>> {
        let Some(value) = table.get(key) else { return Some(vec![]) };
        let form = "a list of ports such as [7], each from 1 to 65535";
        let Some(items) = value.get_ref().as_array() else {
            self.mistake(value.span(), &format!("\"{key}\" is {}; it must be {form}", shown(value)));
            return None;
        };
        let mut ports = vec![];
        for item in items {
            let port = match item.get_ref() {
                DeValue::Integer(number) => number.to_string().replace('_', "").parse().ok().filter(|port| *port > 0),
                _ => None,
            };
            match port {
                Some(port) => ports.push(port),
                None => self.mistake(item.span(), &format!("\"{key}\": {} is no port; it must be {form}", shown(item))),
            }
        }
        (ports.len() == items.len()).then_some(ports)
    }

    fn clock_ahead(&mut self, table: &DeTable<'_>) -> Option<i64> {
        let Some(value) = table.get("clock_ahead_ms") else { return Some(0) };
        let ahead = match value.get_ref() {
            DeValue::Integer(number) => number.to_string().replace('_', "").parse().ok(),
            _ => None,
        };
        let ahead = ahead.filter(|ahead: &i64| ahead.abs() <= CLOCK_AHEAD_MS_MAX);
        if ahead.is_none() {
            let what = format!("\"clock_ahead_ms\" is {}; it must be a number of at most a day", shown(value));
            self.mistake(value.span(), &what);
        }
        ahead
    }

    fn number(&mut self, table: &DeTable<'_>, key: &str, accepted: RangeInclusive<u32>, otherwise: u32) -> Option<u32> {
        let Some(value) = table.get(key) else { return Some(otherwise) };
        let number = match value.get_ref() {
            DeValue::Integer(number) => number.to_string().replace('_', "").parse().ok(),
            _ => None,
        };
        let number = number.filter(|number| accepted.contains(number));
        if number.is_none() {
            let (first, last) = (accepted.start(), accepted.end());
            let what = format!("\"{key}\" is {}; it must be a number from {first} to {last}", shown(value));
            self.mistake(value.span(), &what);
        }
        number
    }
}

/// A value as a message shows it: short, and on one line.
fn shown(value: &Spanned<DeValue<'_>>) -> String {
    match value.get_ref() {
        DeValue::String(text) => format!("{:?}", text.chars().take(60).collect::<String>()),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(yes) => yes.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(_) => String::from("a list"),
        DeValue::Table(_) => String::from("a table"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
collector = "https://100.100.0.10:7443/"
certificate = """
-----BEGIN CERTIFICATE-----
AA
-----END CERTIFICATE-----
"""
agent = "A.ecs1"
secret = "00ff"
account = "1000000000000001"
allow = ["172.16.0.0/16"]
rate_pps_max = 2000
spool = "/tmp/spool"
"#;

    #[test]
    fn reads_what_enrolment_writes() {
        let settings = Settings::parse(GOOD, "agent.toml").unwrap();
        assert_eq!(settings.collector, "https://100.100.0.10:7443");
        assert_eq!((settings.rate_pps_max, settings.snapshot, settings.metadata.is_none()), (2000, true, true));
        assert_eq!((settings.load_mbit_max, settings.udp_echo), (0, vec![]), "nothing is loaded or echoed unasked");
        let settings = Settings::parse(GOOD, "agent.toml").unwrap();
        assert!(!format!("{settings:?}").contains("00ff"), "a secret is never shown");
    }

    #[test]
    fn every_mistake_is_told_at_once_with_its_line() {
        let text = "collector = \"http://x\"\nagent = \"a b\"\nallow = [\"10.0.0.1/8\", 7]\nspoool = \"x\"\nrate_pps_max = 0\nudp_echo = [7, 0]\nload_mbit_max = 201\nload_seconds_max = 0\nclock_ahead_ms = \"x\"\n";
        let Err(SettingsError::Mistakes(mistakes)) = Settings::parse(text, "a.toml") else { panic!("accepted") };
        let lines: Vec<&str> = mistakes.iter().map(String::as_str).collect();
        for expected in [
            "a.toml:1: \"collector\" is \"http://x\"",
            "a.toml:1: \"certificate\" is missing",
            "a.toml:1: \"secret\" is missing",
            "a.toml:2: \"agent\"",
            "a.toml:3: \"allow\": \"10.0.0.1/8\" has host bits set; probably 10.0.0.0/8 was meant",
            "a.toml:3: \"allow\": 7 is no CIDR block",
            "a.toml:4: \"spoool\" is no key",
            "a.toml:5: \"rate_pps_max\" is 0",
            "a.toml:6: \"udp_echo\": 0 is no port",
            "a.toml:7: \"load_mbit_max\" is 201; it must be a number from 0 to 200",
            "a.toml:8: \"load_seconds_max\" is 0",
            "a.toml:9: \"clock_ahead_ms\" is \"x\"",
        ] {
            assert!(lines.iter().any(|line| line.starts_with(expected)), "{expected} in {lines:#?}");
        }
    }

    #[test]
    fn what_is_not_toml_has_a_line_too() {
        let Err(SettingsError::Mistakes(mistakes)) = Settings::parse("a = 1\nb = = 2\n", "a.toml") else { panic!() };
        assert!(mistakes[0].starts_with("a.toml:2: not TOML"), "{mistakes:?}");
    }
}
