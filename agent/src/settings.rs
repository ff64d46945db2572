//! Settings of the agent: `agent.toml`.
//!
//! All mistakes in the file are reported at once, each with its line and the accepted form; unknown keys are mistakes.

use pingtong_cli::document::{Mistakes, Reader, Table};
use pingtong_evidence::{AccountId, AgentId, Cidr, LOAD_MBIT_MAX, LOAD_SECONDS_MAX};
use secrecy::SecretString;
use std::path::{Path, PathBuf};
use toml::de::DeTable;

/// Contents of `agent.toml`.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `https://HOST:PORT` of the collector.
    pub collector: String,
    /// The only certificate accepted from the collector, as PEM.
    pub certificate: String,
    /// Id of this agent.
    pub agent: AgentId,
    /// The agent's secret.
    pub secret: SecretString,
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
    #[error("{0}")]
    Mistakes(Mistakes),
}

/// Default of `rate_pps_max`.
const RATE_PPS_DEFAULT: u32 = 2_000;
/// Default of `load_seconds_max`.
const LOAD_SECONDS_DEFAULT: u32 = 3;
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
        let mut reader = Reader::new(text);
        let (document, errors) = DeTable::parse_recoverable(text);
        reader.syntax(errors);
        if !reader.is_clean() {
            return Err(SettingsError::Mistakes(reader.finish(name)));
        }
        let mut root = Table::root(&document);
        let settings = read(&mut reader, &mut root);
        reader.close(&root);
        settings.filter(|_| reader.is_clean()).ok_or_else(|| SettingsError::Mistakes(reader.finish(name)))
    }
}

/// Forms of URLs that the settings accept.
fn url(text: &str) -> Result<String, &'static str> {
    let known = text.starts_with("http://") || text.starts_with("https://");
    if known { Ok(text.to_owned()) } else { Err("not a URL") }
}

fn read(reader: &mut Reader<'_>, table: &mut Table<'_, '_>) -> Option<Settings> {
    let collector = reader.text(table, "collector", "\"https://HOST:PORT\"", |text| {
        text.strip_prefix("https://").map(|_| text.trim_end_matches('/').to_owned()).ok_or("not an https URL")
    });
    let certificate = reader.text(table, "certificate", "the collector's certificate as PEM text", |text| {
        if text.contains("-----BEGIN CERTIFICATE-----") { Ok(text.to_owned()) } else { Err("not PEM") }
    });
    let agent = reader.text(table, "agent", "the agent's id", AgentId::parse);
    let secret = reader.secret(table, "secret", "the agent's secret from enrolment", |text| {
        (!text.is_empty() && text.chars().all(|c| c.is_ascii_graphic())).then(|| SecretString::from(text))
    });
    let account = reader.text(table, "account", "the account's id, in quotes", AccountId::parse);
    let allow = reader.texts(table, "allow", "what the agent may probe, such as [\"172.16.0.0/16\"]", Cidr::parse);
    let spool = reader.text(table, "spool", "a directory", |text| {
        if text.is_empty() { Err("empty") } else { Ok(PathBuf::from(text)) }
    });
    let rate_pps_max = reader.number(table, "rate_pps_max", 1..=RATE_PPS_MAX, RATE_PPS_DEFAULT);
    let load_mbit_max = reader.number(table, "load_mbit_max", 0..=LOAD_MBIT_MAX, 0);
    let load_seconds_max = reader.number(table, "load_seconds_max", 1..=LOAD_SECONDS_MAX, LOAD_SECONDS_DEFAULT);
    let udp_echo = reader.ports(table, "udp_echo");
    let metadata = reader.text_if_given(table, "metadata", "\"http://ADDRESS\"", url);
    let cloud_endpoint = reader.text_if_given(table, "cloud_endpoint", "\"http://ADDRESS\" or \"https://HOST\"", url);
    let snapshot = reader.truth(table, "snapshot", true);
    Some(Settings {
        collector: collector?,
        certificate: certificate?,
        agent: agent?,
        secret: secret?,
        account: account?,
        allow: allow?,
        rate_pps_max,
        load_mbit_max,
        load_seconds_max,
        udp_echo,
        spool: spool?,
        metadata,
        cloud_endpoint,
        snapshot,
    })
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
        let text = "collector = \"http://x\"\nagent = \"a b\"\nallow = [\"10.0.0.1/8\", 7]\nspoool = \"x\"\nrate_pps_max = 0\nudp_echo = [7, 0]\nload_mbit_max = 201\nload_seconds_max = 0\n";
        let Err(SettingsError::Mistakes(mistakes)) = Settings::parse(text, "a.toml") else { panic!("accepted") };
        let text = mistakes.to_string();
        let lines: Vec<&str> = text.lines().collect();
        for expected in [
            "a.toml:1: collector = \"http://x\": not an https URL; accepted: ",
            "a.toml:1: \"certificate\" is missing",
            "a.toml:1: \"secret\" is missing",
            "a.toml:2: agent = \"a b\": ",
            "a.toml:3: allow[0] = \"10.0.0.1/8\": \"10.0.0.1/8\" has host bits set; probably 10.0.0.0/8 was meant",
            "a.toml:3: allow[1] = 7: accepted: ",
            "a.toml:4: unknown key \"spoool\"",
            "a.toml:5: rate_pps_max = 0: accepted: a whole number from 1 to 200000",
            "a.toml:6: udp_echo = [7, 0]: accepted: ",
            "a.toml:7: load_mbit_max = 201: accepted: a whole number from 0 to 200",
            "a.toml:8: load_seconds_max = 0: ",
        ] {
            assert!(lines.iter().any(|line| line.starts_with(expected)), "{expected} in {lines:#?}");
        }
    }

    #[test]
    fn a_secret_is_not_shown_in_a_mistake() {
        let text = GOOD.replace("\"00ff\"", "\"00 ff\"");
        let Err(SettingsError::Mistakes(mistakes)) = Settings::parse(&text, "a.toml") else { panic!("accepted") };
        assert!(mistakes.to_string().contains("secret = ***") && !mistakes.to_string().contains("00 ff"), "{mistakes}");
    }

    #[test]
    fn what_is_not_toml_has_a_line_too() {
        let Err(SettingsError::Mistakes(mistakes)) = Settings::parse("a = 1\nb = = 2\n", "a.toml") else { panic!() };
        assert!(mistakes.to_string().starts_with("a.toml:2: not TOML"), "{mistakes}");
    }
}
