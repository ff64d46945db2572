//! Both request signatures of the OpenAPI, as pure functions of what they sign.
//!
//! Current SDKs send ACS3-HMAC-SHA256; the older RPC form (HMAC-SHA1) is kept for gateways that support nothing else.
//! Rules: `API.md` §3. Both are checked against every vector of `testdata/signature-vectors.json`, which
//! the vendor's own SDKs produced. Nothing here reads the clock or generates a nonce.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use std::{collections::BTreeMap, fmt::Write as _};

/// Signature algorithm of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Signing {
    /// ACS3-HMAC-SHA256, in headers.
    #[default]
    Acs3,
    /// HMAC-SHA1, in parameters.
    Rpc,
}

/// Parameters of a call in their flattened form, such as `Filter.1.Value.2`; sorted, as both signatures require.
pub type Params = BTreeMap<String, String>;

/// What an ACS3 signature covers.
#[derive(Debug, Clone, Copy)]
pub struct Acs3Request<'a> {
    /// HTTP method: `POST` or `GET`.
    pub method: &'a str,
    /// Path of the URL: `/` for every product here.
    pub path: &'a str,
    /// Query parameters.
    pub query: &'a Params,
    /// The headers to sign, names in lower case; all of them are signed.
    pub headers: &'a BTreeMap<String, String>,
    /// Hex SHA-256 of the body.
    pub payload_sha256: &'a str,
}

/// A signature with the texts from which it was computed, so that a mismatch can be explained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The canonical request (ACS3) or the canonical parameters (RPC).
    pub canonical: String,
    /// The text to which the key was applied.
    pub string_to_sign: String,
    /// The signature: in hex (ACS3) or base64 (RPC).
    pub signature: String,
}

/// Percent-encoding of RFC 3986: unreserved characters stay, every other byte becomes `%XX` in upper case.
pub fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => encoded.push(char::from(byte)),
            _ => {
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    encoded
}

/// Parameters as `key=value` joined by `&`, both percent-encoded, sorted by key.
pub fn canonical_query(params: &Params) -> String {
    let pairs: Vec<String> =
        params.iter().map(|(key, value)| format!("{}={}", percent_encode(key), percent_encode(value))).collect();
    pairs.join("&")
}

/// SHA-256 as lower-case hex.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Signs with ACS3-HMAC-SHA256.
pub fn sign_acs3(request: &Acs3Request<'_>, secret: &str) -> Signed {
    let mut headers = String::new();
    for (name, value) in request.headers {
        let _ = writeln!(headers, "{name}:{}", value.trim());
    }
    let canonical = format!(
        "{}\n{}\n{}\n{headers}\n{}\n{}",
        request.method,
        request.path,
        canonical_query(request.query),
        signed_headers(request.headers),
        request.payload_sha256
    );
    let string_to_sign = format!("ACS3-HMAC-SHA256\n{}", sha256_hex(canonical.as_bytes()));
    // HMAC accepts keys of every length, so this error cannot occur; the server would merely refuse an empty signature.
    let signature = Hmac::<Sha256>::new_from_slice(secret.as_bytes())
        .map(|mac| hex(&mac.chain_update(string_to_sign.as_bytes()).finalize().into_bytes()))
        .unwrap_or_default();
    Signed { canonical, string_to_sign, signature }
}

/// The `Authorization` header of an ACS3 signature.
pub fn authorization(access_key_id: &str, headers: &BTreeMap<String, String>, signature: &str) -> String {
    format!(
        "ACS3-HMAC-SHA256 Credential={access_key_id},SignedHeaders={},Signature={signature}",
        signed_headers(headers)
    )
}

/// Signs with HMAC-SHA1 over query and form parameters together, without `Signature` itself.
pub fn sign_rpc(method: &str, params: &Params, secret: &str) -> Signed {
    let canonical = canonical_query(params);
    let string_to_sign = format!("{method}&%2F&{}", percent_encode(&canonical));
    // As above: this error cannot occur.
    let signature = Hmac::<Sha1>::new_from_slice(format!("{secret}&").as_bytes())
        .map(|mac| STANDARD.encode(mac.chain_update(string_to_sign.as_bytes()).finalize().into_bytes()))
        .unwrap_or_default();
    Signed { canonical, string_to_sign, signature }
}

fn signed_headers(headers: &BTreeMap<String, String>) -> String {
    headers.keys().map(String::as_str).collect::<Vec<_>>().join(";")
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn vectors() -> (String, Vec<Value>) {
        let file: Value = serde_json::from_str(include_str!("../testdata/signature-vectors.json")).unwrap();
        (file["access_key_secret"].as_str().unwrap().to_owned(), file["vectors"].as_array().unwrap().clone())
    }

    fn map(value: &Value) -> Params {
        let object = value.as_object().unwrap();
        object.iter().map(|(k, v)| (k.clone(), v.as_str().map_or_else(|| v.to_string(), str::to_owned))).collect()
    }

    #[test]
    fn acs3_agrees_with_every_vector_of_the_vendors_sdks() {
        let (secret, vectors) = vectors();
        let mut checked = 0;
        for vector in &vectors {
            for form in ["v3_as_sdk_sends", "v3_minimal_headers"] {
                let expected = &vector[form];
                let headers = map(&expected["headers"]);
                let query = map(&vector["query_params"]);
                let payload_sha256 = sha256_hex(vector["form_body"].as_str().unwrap().as_bytes());
                let signed = sign_acs3(
                    &Acs3Request {
                        method: vector["method"].as_str().unwrap(),
                        path: vector["path"].as_str().unwrap(),
                        query: &query,
                        headers: &headers,
                        payload_sha256: &payload_sha256,
                    },
                    &secret,
                );
                let name = &vector["name"];
                assert_eq!(signed.canonical, expected["canonical_request"].as_str().unwrap(), "{name} {form}");
                assert_eq!(signed.string_to_sign, expected["string_to_sign"].as_str().unwrap(), "{name} {form}");
                assert_eq!(signed.signature, expected["signature"].as_str().unwrap(), "{name} {form}");
                let header = authorization("testAccessKeyId", &headers, &signed.signature);
                assert_eq!(header, expected["authorization"].as_str().unwrap(), "{name} {form}");
                checked += 1;
            }
        }
        assert_eq!(checked, 16);
    }

    #[test]
    fn rpc_agrees_with_every_vector_of_the_vendors_sdks() {
        let (secret, vectors) = vectors();
        let mut checked = 0;
        for vector in &vectors {
            let expected = &vector["rpc_hmac_sha1"];
            let mut params = map(&expected["params_in_query"]);
            for pair in expected["form_body"].as_str().unwrap().split('&').filter(|pair| !pair.is_empty()) {
                let (key, value) = pair.split_once('=').unwrap();
                params.insert(form_decode(key), form_decode(value));
            }
            let signed = sign_rpc(expected["method"].as_str().unwrap(), &params, &secret);
            let name = &vector["name"];
            assert_eq!(signed.canonical, expected["canonicalized_query"].as_str().unwrap(), "{name}");
            assert_eq!(signed.string_to_sign, expected["string_to_sign"].as_str().unwrap(), "{name}");
            assert_eq!(signed.signature, expected["signature"].as_str().unwrap(), "{name}");
            checked += 1;
        }
        assert_eq!(checked, 8);
    }

    fn form_decode(text: &str) -> String {
        let mut bytes = vec![];
        let mut rest = text.bytes();
        while let Some(byte) = rest.next() {
            match byte {
                b'+' => bytes.push(b' '),
                b'%' => {
                    let digits = [rest.next().unwrap(), rest.next().unwrap()];
                    bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
                }
                _ => bytes.push(byte),
            }
        }
        String::from_utf8(bytes).unwrap()
    }
}
