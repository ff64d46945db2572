//! One access key as the vendor's services hand it out: id, secret, session token, end of validity.
//! Facts: `API.md` §6, §7.

use crate::{CredentialError, SecretString};
use pingtong_evidence::Timestamp;
use secrecy::ExposeSecret;
use serde_json::Value;

/// An access key, with a session token if it is a temporary one.
#[derive(Debug, Clone)]
pub struct AccessKey {
    /// The key's id.
    pub id: String,
    /// The key's secret.
    pub secret: SecretString,
    /// The session token of temporary credentials.
    pub token: Option<SecretString>,
    /// When temporary credentials expire.
    pub ends_at: Option<Timestamp>,
}

impl AccessKey {
    /// Whether both are the same key, with the same secret and token.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }

    fn parts(&self) -> (&str, &str, Option<&str>) {
        (&self.id, self.secret.expose_secret(), self.token.as_ref().map(ExposeSecret::expose_secret))
    }

    /// Parses the JSON that the metadata service and credentials services return. `from` names the service in errors.
    pub(crate) fn from_service(text: &str, from: &str) -> Result<Self, CredentialError> {
        let unusable = |what: &str| CredentialError::Unusable { from: from.to_owned(), what: what.to_owned() };
        let document: Value = serde_json::from_str(text).map_err(|_| unusable("the answer is not JSON"))?;
        if let Some(code) = document.get("Code").and_then(Value::as_str)
            && code != "Success"
        {
            return Err(unusable(&format!("code \"{}\"", code.escape_debug())));
        }
        Self::from_document(&document).ok_or_else(|| unusable("a field is missing"))
    }

    pub(crate) fn from_document(document: &Value) -> Option<Self> {
        let text = |name: &str| document.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        Some(Self {
            id: text("AccessKeyId")?.to_owned(),
            secret: SecretString::from(text("AccessKeySecret")?),
            token: text("SecurityToken").map(SecretString::from),
            ends_at: text("Expiration").and_then(|text| text.parse().ok()),
        })
    }
}
