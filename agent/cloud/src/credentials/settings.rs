//! Credentials from where users keep them: the environment and the profile file of the `aliyun` CLI.
//!
//! No other module of this crate reads the environment. Names: `API.md` §7.1. The supported modes of a
//! profile are those of the CLI that contain a secret, or that lead to one without a browser.
#![expect(clippy::disallowed_methods, reason = "the environment is read here, once, and nowhere else")]

use crate::{AssumedRole, BuildError, Credentials, EndpointRule, MetadataClient, SecretString, transport::row::Row};
use pingtong_evidence::RegionId;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Maximum number of references in a chain of profiles.
const CHAIN_MAX: u32 = 5;
/// Maximum size in bytes of a profile file.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Why no credentials were found.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// No source of credentials is configured.
    #[error(
        "no credentials found; set ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET, or run \"aliyun configure\""
    )]
    Nothing,
    /// The profile file cannot be read.
    #[error("cannot read the profile file \"{path}\"")]
    File {
        /// Path of the file.
        path: PathBuf,
        /// Error of the operating system.
        #[source]
        source: std::io::Error,
    },
    /// The profile file is not in the format of the CLI, or the profile cannot be used.
    #[error("profile file \"{path}\": {what}")]
    Profile {
        /// Path of the file.
        path: PathBuf,
        /// What is wrong, and how to correct it.
        what: String,
    },
    /// The client of a configured source of credentials cannot be created.
    #[error("credentials cannot be set up")]
    Build(#[from] BuildError),
}

impl Credentials {
    /// Credentials of the environment: an access key, otherwise a credentials service, otherwise a profile, otherwise
    /// the role of an instance if one is named. An access key with a role to assume assumes that role.
    ///
    /// # Errors
    /// [`SettingsError`] if no source is configured, or if the configured profile or metadata client cannot be used.
    pub fn from_environment(region: &RegionId) -> Result<Self, SettingsError> {
        from_variables(&|name| std::env::var(name).ok(), None, region)
    }

    /// Credentials of the user and host that run this program: those of the environment, otherwise those of `profile`
    /// (the current profile if `None`), otherwise those of the instance's role.
    ///
    /// # Errors
    /// [`SettingsError`] if a configured source cannot be used, or if no source is left because the environment
    /// disables the metadata service. That the default profile file is missing is an error only if `profile` is given.
    pub fn of_this_host(profile: Option<&str>, region: &RegionId) -> Result<Self, SettingsError> {
        let variable = |name: &str| std::env::var(name).ok();
        match from_variables(&variable, profile, region) {
            Err(SettingsError::Nothing) if profile.is_none() && !is_set(&variable, "ECS_METADATA_DISABLED") => {
                Ok(Self::instance_role(metadata_of(&variable)?))
            }
            found => found,
        }
    }

    /// Credentials of the profile of that name, whatever other credentials the environment contains.
    ///
    /// # Errors
    /// [`SettingsError`] if there is no profile file, if it cannot be read or parsed, or if the profile is missing,
    /// incomplete or of an unsupported mode.
    pub fn of_profile(name: &str, region: &RegionId) -> Result<Self, SettingsError> {
        let variable = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
        let file = profile_file(&variable, true).ok_or(SettingsError::Nothing)?;
        Self::from_profile(&file, Some(name), region)
    }

    /// Credentials of a profile in the file at `path`; of the current profile if `name` is `None`.
    ///
    /// # Errors
    /// [`SettingsError`] if the file cannot be read or parsed, or if the profile is missing, incomplete or of an
    /// unsupported mode.
    pub fn from_profile(path: &Path, name: Option<&str>, region: &RegionId) -> Result<Self, SettingsError> {
        let wrong = |what: &str| SettingsError::Profile { path: path.to_owned(), what: what.to_owned() };
        let unread = |source| SettingsError::File { path: path.to_owned(), source };
        if std::fs::metadata(path).map_err(unread)?.len() > FILE_BYTES_MAX {
            return Err(wrong("longer than 1 MiB"));
        }
        let text = std::fs::read_to_string(path).map_err(unread)?;
        let document: Value = serde_json::from_str(&text).map_err(|error| wrong(&error.to_string()))?;
        let document = document.as_object().ok_or_else(|| wrong("not a JSON object"))?;
        let file = Row::new(document);
        let name = name.map(str::to_owned).or_else(|| file.text("current")).unwrap_or_else(|| "default".to_owned());
        profile(file, &name, region, CHAIN_MAX).map_err(|problem| match problem {
            Problem::Wrong(what) => wrong(&what),
            Problem::Build(error) => SettingsError::Build(error),
        })
    }
}

fn from_variables(
    variable: &dyn Fn(&str) -> Option<String>,
    named: Option<&str>,
    region: &RegionId,
) -> Result<Credentials, SettingsError> {
    let get = |name: &str| variable(&format!("ALIBABA_CLOUD_{name}")).filter(|text| !text.is_empty());
    if let (Some(id), Some(secret)) = (get("ACCESS_KEY_ID"), get("ACCESS_KEY_SECRET")) {
        let base = Credentials::fixed(id, SecretString::from(secret), get("SECURITY_TOKEN").map(SecretString::from));
        let region = get("STS_REGION").and_then(|text| text.parse().ok()).unwrap_or_else(|| region.clone());
        return Ok(match get("ROLE_ARN") {
            None => base,
            Some(arn) => assumed(base, arn, get("ROLE_SESSION_NAME"), None, None, region),
        });
    }
    if let Some(address) = get("CREDENTIALS_URI") {
        return Ok(Credentials::Service(address));
    }
    // A profile that was requested by name must not be skipped because its file is missing.
    if let Some(file) = profile_file(variable, named.is_some()) {
        let named = named.map(str::to_owned).or_else(|| get("PROFILE"));
        return Credentials::from_profile(&file, named.as_deref(), region);
    }
    match get("ECS_METADATA") {
        Some(role) => Ok(Credentials::InstanceRole { metadata: metadata_of(variable)?, role: Some(role) }),
        None => Err(SettingsError::Nothing),
    }
}

/// Whether a variable is "true", as the vendor's SDKs interpret theirs.
fn is_set(variable: &dyn Fn(&str) -> Option<String>, name: &str) -> bool {
    variable(&format!("ALIBABA_CLOUD_{name}")).is_some_and(|text| text.eq_ignore_ascii_case("true"))
}

/// Client of the instance's metadata service; hardened mode only if the environment requires it.
fn metadata_of(variable: &dyn Fn(&str) -> Option<String>) -> Result<MetadataClient, BuildError> {
    let client = MetadataClient::new(None)?;
    Ok(if is_set(variable, "IMDSV1_DISABLED") { client.hardened_only() } else { client })
}

/// Path of the CLI's profile file. A default file that does not exist is returned only if it is `needed`.
fn profile_file(variable: &dyn Fn(&str) -> Option<String>, needed: bool) -> Option<PathBuf> {
    let named = variable("ALIBABA_CLOUD_CREDENTIALS_FILE").filter(|text| !text.is_empty());
    named.map(PathBuf::from).or_else(|| {
        let file = PathBuf::from(variable("HOME")?).join(".aliyun").join("config.json");
        (needed || file.exists()).then_some(file)
    })
}

enum Problem {
    Wrong(String),
    Build(BuildError),
}

fn profile(file: Row<'_>, name: &str, region: &RegionId, chain: u32) -> Result<Credentials, Problem> {
    let row = file
        .rows("profiles")
        .find(|row| row.text("name").as_deref() == Some(name))
        .ok_or_else(|| Problem::Wrong(format!("no profile \"{name}\"")))?;
    let need = |field: &str| {
        row.text(field).ok_or_else(|| {
            Problem::Wrong(format!("profile \"{name}\" lacks \"{field}\"; run \"aliyun configure --profile {name}\""))
        })
    };
    let key = |token: bool| {
        let token = if token { Some(SecretString::from(need("sts_token")?)) } else { None };
        Ok(Credentials::fixed(need("access_key_id")?, SecretString::from(need("access_key_secret")?), token))
    };
    let instance = || {
        let metadata = MetadataClient::new(None).map_err(Problem::Build)?;
        Ok(Credentials::InstanceRole { metadata, role: row.text("ram_role_name") })
    };
    let with_role = |base| {
        let sts = row.text("sts_region").or_else(|| row.text("region_id")).and_then(|text| text.parse().ok());
        let (session, seconds) = (row.text("ram_session_name"), row.number("expired_seconds"));
        Ok(assumed(
            base,
            need("ram_role_arn")?,
            session,
            seconds,
            row.text("external_id"),
            sts.unwrap_or_else(|| region.clone()),
        ))
    };
    match row.word("mode").as_deref() {
        None | Some("ak") => key(false),
        Some("ststoken") => key(true),
        Some("ramrolearn") => with_role(key(false)?),
        Some("ecsramrole") => instance(),
        Some("ramrolearnwithrolename") => with_role(instance()?),
        Some("credentialsuri") => Ok(Credentials::Service(need("credentials_uri")?)),
        Some("chainableramrolearn") if chain > 0 => {
            with_role(profile(file, &need("source_profile")?, region, chain - 1)?)
        }
        Some("chainableramrolearn") => {
            Err(Problem::Wrong(format!("profiles lead to one another more than {CHAIN_MAX} times")))
        }
        Some(mode) => Err(Problem::Wrong(format!(
            "profile \"{name}\" has mode \"{mode}\"; accepted are AK, StsToken, RamRoleArn, EcsRamRole, RamRoleArnWithRoleName, ChainableRamRoleArn and CredentialsURI"
        ))),
    }
}

pub(crate) fn assumed(
    base: Credentials,
    arn: String,
    session: Option<String>,
    seconds: Option<u32>,
    external_id: Option<String>,
    region: RegionId,
) -> Credentials {
    let session = session.unwrap_or_else(|| "pingtong".to_owned());
    let seconds = seconds.filter(|seconds| *seconds >= 900).unwrap_or(3600);
    Credentials::AssumedRole(Box::new(AssumedRole {
        base,
        arn,
        session,
        seconds,
        external_id,
        region,
        endpoint: EndpointRule::Public,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn region() -> RegionId {
        RegionId::parse("cn-qingdao").unwrap()
    }

    fn environment(set: &[(&str, &str)]) -> Result<Credentials, SettingsError> {
        let set: BTreeMap<String, String> = set.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        named_in_environment(&set, None)
    }

    fn named_in_environment(set: &BTreeMap<String, String>, named: Option<&str>) -> Result<Credentials, SettingsError> {
        from_variables(&|name| set.get(name).cloned(), named, &region())
    }

    #[test]
    fn a_named_profile_counts_after_a_key_and_is_never_passed_over() {
        let home = tempfile::tempdir().unwrap();
        let mut set = BTreeMap::from([("HOME".to_owned(), home.path().display().to_string())]);
        assert!(matches!(named_in_environment(&set, None), Err(SettingsError::Nothing)));
        assert!(matches!(named_in_environment(&set, Some("ops")), Err(SettingsError::File { .. })));
        let directory = home.path().join(".aliyun");
        std::fs::create_dir(&directory).unwrap();
        let text = r#"{"current":"default","profiles":[
            {"name":"default","mode":"AK","access_key_id":"d","access_key_secret":"s"},
            {"name":"ops","mode":"AK","access_key_id":"o","access_key_secret":"s"}]}"#;
        std::fs::write(directory.join("config.json"), text).unwrap();
        let id = |found: Result<Credentials, SettingsError>| match found.unwrap() {
            Credentials::Fixed(key) => key.id,
            other => panic!("{other:?}"),
        };
        assert_eq!(id(named_in_environment(&set, None)), "d");
        assert_eq!(id(named_in_environment(&set, Some("ops"))), "o");
        for (name, value) in [("ACCESS_KEY_ID", "env"), ("ACCESS_KEY_SECRET", "s")] {
            set.insert(format!("ALIBABA_CLOUD_{name}"), value.to_owned());
        }
        assert_eq!(id(named_in_environment(&set, Some("ops"))), "env");
    }

    #[test]
    fn the_environment_gives_a_key_or_a_role_or_says_what_to_set() {
        let key = [("ALIBABA_CLOUD_ACCESS_KEY_ID", "id"), ("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "hush")];
        assert!(matches!(environment(&key), Ok(Credentials::Fixed(key)) if key.id == "id"));
        let role = [key[0], key[1], ("ALIBABA_CLOUD_ROLE_ARN", "acs:ram::1:role/r")];
        assert!(matches!(environment(&role), Ok(Credentials::AssumedRole(role)) if role.seconds == 3600));
        assert!(matches!(environment(&[]), Err(SettingsError::Nothing)));
        assert!(!format!("{:?}", environment(&role)).contains("hush"));
    }

    #[test]
    fn every_mode_of_a_profile_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.json");
        let text = r#"{"current":"sts","profiles":[
            {"name":"ak","mode":"AK","access_key_id":"a","access_key_secret":"s"},
            {"name":"sts","mode":"StsToken","access_key_id":"a","access_key_secret":"s","sts_token":"t"},
            {"name":"arn","mode":"RamRoleArn","access_key_id":"a","access_key_secret":"s","ram_role_arn":"acs:ram::1:role/r","ram_session_name":"n"},
            {"name":"ecs","mode":"EcsRamRole","ram_role_name":"r"},
            {"name":"uri","mode":"CredentialsURI","credentials_uri":"http://127.0.0.1:1/"},
            {"name":"chain","mode":"ChainableRamRoleArn","source_profile":"ak","ram_role_arn":"acs:ram::1:role/r"},
            {"name":"loop","mode":"ChainableRamRoleArn","source_profile":"loop","ram_role_arn":"acs:ram::1:role/r"},
            {"name":"half","mode":"AK","access_key_id":"a"},
            {"name":"odd","mode":"Telepathy"}]}"#;
        std::fs::write(&path, text).unwrap();
        let read = |name| Credentials::from_profile(&path, name, &region());
        assert!(matches!(read(None), Ok(Credentials::Fixed(key)) if key.token.is_some()));
        assert!(matches!(read(Some("ak")), Ok(Credentials::Fixed(key)) if key.token.is_none()));
        assert!(matches!(read(Some("arn")), Ok(Credentials::AssumedRole(role)) if role.session == "n"));
        assert!(matches!(read(Some("ecs")), Ok(Credentials::InstanceRole { role: Some(role), .. }) if role == "r"));
        assert!(matches!(read(Some("uri")), Ok(Credentials::Service(address)) if address == "http://127.0.0.1:1/"));
        assert!(matches!(read(Some("chain")), Ok(Credentials::AssumedRole(_))));
        for (name, part) in [
            ("loop", "lead to one another"),
            ("half", "access_key_secret"),
            ("odd", "telepathy"),
            ("none", "no profile"),
        ] {
            let error = read(Some(name)).unwrap_err().to_string();
            assert!(error.contains(part), "{name}: {error}");
        }
    }
}
