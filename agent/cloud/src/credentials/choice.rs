//! Credentials selected by the flags of a command: an access key if given, otherwise a profile, otherwise the
//! credentials that this host provides. A role can be assumed with any of them.
//!
//! A secret is never an argument: every user of a machine can see the arguments of every process, and shells keep them
//! in their history. It is read from a file or from standard input.

use crate::{Credentials, EndpointRule, SecretString, SettingsError, credentials::settings::assumed};
use pingtong_evidence::RegionId;
use std::{
    io::{self, Read},
    path::{Path, PathBuf},
};

/// Maximum size in bytes of a file that holds a secret; session tokens have a few thousand bytes.
const SECRET_BYTES_MAX: u64 = 64 << 10;

/// The flags of one command. If no flag is set, the credentials of this host are used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice {
    /// Id of an access key.
    pub access_key_id: Option<String>,
    /// File with the secret of the key, `-` for standard input.
    pub access_key_secret_file: Option<PathBuf>,
    /// File with the session token of a temporary key, `-` for standard input.
    pub security_token_file: Option<PathBuf>,
    /// A profile of the `aliyun` CLI.
    pub profile: Option<String>,
    /// ARN of a role to assume.
    pub role_arn: Option<String>,
    /// External id that the trust policy of the role requires.
    pub external_id: Option<String>,
}

/// Why the flags yield no credentials.
#[derive(Debug, thiserror::Error)]
pub enum ChoiceError {
    /// The access key is incomplete: its id or its secret is missing.
    #[error(
        "--access-key-id and --access-key-secret-file go together; give the secret in a file, or on standard input with \"-\""
    )]
    HalfKey,
    /// Secret and session token are both to be read from standard input.
    #[error("standard input cannot be both the secret and the token; give one of them as a file")]
    OneInput,
    /// A file with a secret cannot be read.
    #[error("cannot read the secret in \"{path}\"")]
    File {
        /// Path of the file.
        path: PathBuf,
        /// Error of the operating system.
        #[source]
        source: io::Error,
    },
    /// A file holds no usable secret: it is empty, too long, or not a single printable ASCII word.
    #[error("\"{path}\" holds no secret: {what}")]
    Content {
        /// Path of the file.
        path: PathBuf,
        /// What is wrong with the content.
        what: &'static str,
    },
    /// The credentials of the profile or of this host cannot be used.
    #[error(transparent)]
    Settings(#[from] SettingsError),
}

impl Choice {
    /// Returns the credentials. A role is assumed in `region`, at the endpoint that all other calls use.
    ///
    /// # Errors
    /// Fails if the access key is incomplete, if a secret cannot be read or is malformed, or if the profile or this
    /// host has no usable credentials.
    pub fn credentials(&self, region: &RegionId, endpoint: &EndpointRule) -> Result<Credentials, ChoiceError> {
        self.credentials_or(|| Credentials::of_this_host(None, region), region, endpoint)
    }

    /// As [`Choice::credentials`], with `host` supplying the credentials of this host.
    ///
    /// # Errors
    /// As [`Choice::credentials`]; also returns the error of `host`.
    pub fn credentials_or(
        &self,
        host: impl FnOnce() -> Result<Credentials, SettingsError>,
        region: &RegionId,
        endpoint: &EndpointRule,
    ) -> Result<Credentials, ChoiceError> {
        let base = match (self.key()?, &self.profile) {
            (Some(key), _) => key,
            (None, Some(name)) => Credentials::of_profile(name, region)?,
            (None, None) => host()?,
        };
        Ok(self.with_role(base, region, endpoint))
    }

    /// The access key that the flags specify; `None` if they specify no part of one.
    fn key(&self) -> Result<Option<Credentials>, ChoiceError> {
        let (id, secret) = match (&self.access_key_id, &self.access_key_secret_file) {
            (Some(id), Some(secret)) => (id, secret),
            (None, None) if self.security_token_file.is_none() => return Ok(None),
            _ => return Err(ChoiceError::HalfKey),
        };
        let input = Path::new("-");
        if secret == input && self.security_token_file.as_deref() == Some(input) {
            return Err(ChoiceError::OneInput);
        }
        let token = self.security_token_file.as_deref().map(secret_of).transpose()?;
        Ok(Some(Credentials::fixed(id.clone(), secret_of(secret)?, token)))
    }

    fn with_role(&self, base: Credentials, region: &RegionId, endpoint: &EndpointRule) -> Credentials {
        let Some(arn) = self.role_arn.clone() else { return base };
        let mut role = assumed(base, arn, None, None, self.external_id.clone(), region.clone());
        if let Credentials::AssumedRole(role) = &mut role {
            role.endpoint = endpoint.clone();
        }
        role
    }
}

fn secret_of(path: &Path) -> Result<SecretString, ChoiceError> {
    let unread = |source| ChoiceError::File { path: path.to_owned(), source };
    let wrong = |what| ChoiceError::Content { path: path.to_owned(), what };
    let mut text = String::new();
    let read = if path == Path::new("-") {
        io::stdin().lock().take(SECRET_BYTES_MAX + 1).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(SECRET_BYTES_MAX + 1).read_to_string(&mut text))
    };
    if read.map_err(unread)? as u64 > SECRET_BYTES_MAX {
        return Err(wrong("it has more than 64 KiB"));
    }
    let secret = text.trim();
    if secret.is_empty() {
        return Err(wrong("it is empty"));
    }
    if !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(wrong("give the secret alone, on one line"));
    }
    Ok(SecretString::from(secret))
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret as _;

    fn region() -> RegionId {
        RegionId::parse("cn-qingdao").unwrap()
    }

    fn credentials(choice: &Choice) -> Result<Credentials, ChoiceError> {
        choice.credentials(&region(), &EndpointRule::Public)
    }

    #[test]
    fn a_key_comes_with_its_secret_in_a_file_and_may_assume_a_role() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("secret");
        std::fs::write(&file, "hush\n").unwrap();
        let mut choice = Choice {
            access_key_id: Some("LTAI".to_owned()),
            access_key_secret_file: Some(file.clone()),
            // An access key takes precedence over a profile.
            profile: Some("nobody".to_owned()),
            ..Choice::default()
        };
        assert!(
            matches!(credentials(&choice), Ok(Credentials::Fixed(key)) if key.id == "LTAI" && key.secret.expose_secret() == "hush")
        );
        choice.role_arn = Some("acs:ram::1:role/r".to_owned());
        choice.external_id = Some("e".to_owned());
        let found = credentials(&choice).unwrap();
        assert!(!format!("{found:?}").contains("hush"));
        let Credentials::AssumedRole(role) = found else { panic!("{found:?}") };
        assert_eq!((role.arn.as_str(), role.external_id.as_deref()), ("acs:ram::1:role/r", Some("e")));
        std::fs::write(&file, " \n").unwrap();
        assert!(matches!(credentials(&choice), Err(ChoiceError::Content { .. })));
    }

    #[test]
    fn half_a_key_is_refused() {
        let id = Choice { access_key_id: Some("LTAI".to_owned()), ..Choice::default() };
        let token = Choice { security_token_file: Some("t".into()), ..Choice::default() };
        let twice = Choice {
            access_key_id: Some("LTAI".to_owned()),
            access_key_secret_file: Some("-".into()),
            security_token_file: Some("-".into()),
            ..Choice::default()
        };
        assert!(matches!(credentials(&id), Err(ChoiceError::HalfKey)));
        assert!(matches!(credentials(&token), Err(ChoiceError::HalfKey)));
        assert!(matches!(credentials(&twice), Err(ChoiceError::OneInput)));
    }
}
