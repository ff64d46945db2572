//! Texts: ids, names, the vendor's terms, and messages.
//!
//! A pseudonym keeps the kind of its text, not its identity: `vpc-…` stays `vpc-…`, an account stays a number. Rules
//! for messages, in this order: 1. A text that is replaced elsewhere is replaced here. 2. A quoted text is replaced
//! unless it is the name of an API field. 3. An address or a block becomes its pseudonym; an API action or error code
//! stays. 4. A word of ASCII letters stays, and so does a number of at most four digits. 5. Anything else becomes a
//! pseudonym.

use super::{Redact, Redactor};
use crate::Cidr;
use std::{collections::BTreeSet, net::IpAddr};

/// Prefixes of the vendor's ids; the longest one that matches is kept.
const PREFIXES: [&str; 34] = [
    "cen-",
    "ecr-",
    "eip-",
    "eni-",
    "ep-",
    "gwlbe-",
    "havip-",
    "hd-",
    "i-",
    "igw-",
    "ipv4gw-",
    "ipv6gw-",
    "lb-",
    "nacl-",
    "nae-",
    "ngw-",
    "pcc-",
    "pl-",
    "ri-",
    "rte-",
    "rtg-",
    "sg-",
    "sgr-",
    "tr-",
    "tr-attach-",
    "vbr-",
    "vco-",
    "vgw-",
    "vpc-",
    "vpn-",
    "vrt-",
    "vsw-",
    "vtb-",
    "vpcpeer-",
];
/// Digits of the pseudonym of an account.
const ACCOUNT_DIGITS: usize = 16;
/// Characters of a pseudonym, five bits each: long enough that two of them are never the same.
const PSEUDONYM_LENGTH: usize = 20;
/// Digits of the longest number that a message may keep.
const NUMBER_DIGITS_MAX: usize = 4;
const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
/// Path from which the credentials of an instance's role are requested; stands for an action in gaps.
const CREDENTIALS: &str = "ram/security-credentials";
const KIND_TEXT: u8 = 1;
const KIND_MAC: u8 = 2;

impl Redactor<'_> {
    /// Pseudonym of an id, or of any text that identifies one thing.
    pub(crate) fn id(&self, text: &str) -> String {
        self.replaced(text, || self.pseudonym(text, prefix_of(text)))
    }

    /// Pseudonym of a name that a user chose; empty for an empty name.
    pub(super) fn name(&self, text: &str) -> String {
        self.replaced(text, || self.pseudonym(text, "name-"))
    }

    /// Pseudonym of a hardware address, or of any text in its place.
    pub(super) fn mac(&self, text: &str) -> String {
        self.replaced(text, || {
            let image = self.image(KIND_MAC, text.to_ascii_lowercase().as_bytes());
            // 0x02 is the bit for locally administered addresses, which no manufacturer assigns.
            image[..5].iter().fold("02".to_owned(), |mac, byte| format!("{mac}:{byte:02x}"))
        })
    }

    /// Keeps a term of the vendor's; replaces a text of any other form.
    pub(super) fn word(&self, text: &str) -> String {
        let vendors = text.is_empty() || text == CREDENTIALS || is_action(text) || is_code(text) || is_spec(text);
        if vendors && !self.originals.borrow().contains_key(text) { text.to_owned() } else { self.id(text) }
    }

    /// Redacts a message for people.
    pub(super) fn message(&self, text: &str) -> String {
        let mut text = text.to_owned();
        let mut placed = BTreeSet::new();
        // Of two phrases that begin alike, the longer one comes first.
        for phrase in self.phrases.borrow().iter().rev().filter(|phrase| !phrase.is_empty()) {
            if text.contains(phrase.as_str()) {
                let image = self.unknown(phrase);
                text = text.replace(phrase.as_str(), &image);
                placed.insert(image);
            }
        }
        let mut out = String::new();
        for (at, piece) in text.split('"').enumerate() {
            if at > 0 {
                out.push('"');
            }
            let quoted = at % 2 == 1;
            if quoted && !piece.is_empty() && !is_field_name(piece) && !placed.contains(piece) {
                out.push_str(&self.unknown(piece));
            } else {
                self.words(piece, &placed, &mut out);
            }
        }
        out
    }

    fn words(&self, text: &str, placed: &BTreeSet<String>, out: &mut String) {
        for word in text.split_inclusive(char::is_whitespace) {
            let inner = inner(word);
            let start = word.find(inner).unwrap_or_default();
            let (before, after) = (&word[..start], &word[start + inner.len()..]);
            out.extend(before.chars().filter(char::is_ascii));
            if placed.contains(inner) || self.is_harmless(inner) {
                out.push_str(inner);
            } else {
                out.push_str(&self.unknown(inner));
            }
            out.extend(after.chars().filter(char::is_ascii));
        }
    }

    /// Whether a word of a message identifies nothing.
    fn is_harmless(&self, word: &str) -> bool {
        let number = word.len() <= NUMBER_DIGITS_MAX && word.bytes().all(|byte| byte.is_ascii_digit());
        (number || is_letters(word) || is_action(word) || is_code(word)) && !self.originals.borrow().contains_key(word)
    }

    /// Pseudonym of a text whose kind is known only from its form.
    fn unknown(&self, text: &str) -> String {
        if text.is_empty() {
            return String::new();
        }
        if let Some(image) = self.originals.borrow().get(text) {
            return image.clone();
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return address.redact(self).to_string();
        }
        if let Ok(block) = Cidr::parse_masked(text) {
            return block.redact(self).to_string();
        }
        self.pseudonym(text, prefix_of(text))
    }

    /// Returns the pseudonym of a text and remembers it.
    fn replaced(&self, text: &str, image: impl FnOnce() -> String) -> String {
        if text.is_empty() {
            return String::new();
        }
        if let Some(known) = self.originals.borrow().get(text) {
            return known.clone();
        }
        let image = image();
        self.originals.borrow_mut().insert(text.to_owned(), image.clone());
        if text.contains(|c: char| c.is_whitespace() || c == '"') || inner(text) != text {
            self.phrases.borrow_mut().insert(text.to_owned());
        }
        image
    }

    fn pseudonym(&self, text: &str, prefix: &str) -> String {
        let image = self.image(KIND_TEXT, text.as_bytes());
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            let digits = image.iter().take(ACCOUNT_DIGITS - 1).map(|byte| char::from(b'0' + byte % 10));
            return std::iter::once('1').chain(digits).collect();
        }
        let token = image.iter().take(PSEUDONYM_LENGTH).map(|byte| char::from(LETTERS[usize::from(byte % 32)]));
        prefix.chars().chain(token).collect()
    }
}

/// The vendor's prefix that an id begins with, or a neutral one.
fn prefix_of(text: &str) -> &'static str {
    PREFIXES.into_iter().filter(|prefix| text.starts_with(prefix)).max_by_key(|p| p.len()).unwrap_or("x-")
}

/// A word without the punctuation around it.
fn inner(word: &str) -> &str {
    word.trim_matches(|c: char| !c.is_alphanumeric())
}

fn is_letters(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphabetic())
}

/// Whether a text looks like a field or a call of the API, such as `CidrBlock`.
fn is_field_name(text: &str) -> bool {
    text.len() > 3 && is_capitalised(text) && text.bytes().any(|byte| byte.is_ascii_lowercase())
}

fn is_capitalised(text: &str) -> bool {
    is_letters(text) && text.starts_with(|c: char| c.is_ascii_uppercase())
}

/// Whether a text is an API action, such as `vpc:DescribeVpcs`.
fn is_action(text: &str) -> bool {
    text.split_once(':')
        .is_some_and(|(product, call)| !product.is_empty() && is_letters(product) && is_field_name(call))
}

/// Whether a text is an error code, such as `Forbidden.RAM`.
fn is_code(text: &str) -> bool {
    text.split('.').all(is_capitalised)
}

/// Whether a text is a specification, such as `Mini.2`.
fn is_spec(text: &str) -> bool {
    text.split_once('.')
        .is_some_and(|(name, size)| is_capitalised(name) && size.len() <= 2 && size.parse::<u8>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::super::tests::by_key;

    #[test]
    fn a_pseudonym_tells_what_it_is_and_not_which() {
        by_key(1, |by| {
            for (text, prefix) in [("vpc-1", "vpc-"), ("tr-attach-1", "tr-attach-"), ("i-x", "i-"), ("secret", "x-")] {
                let image = by.id(text);
                assert!(image.starts_with(prefix) && image != text, "{text} became {image}");
                assert_eq!(by.id(text), image);
            }
            let account = by.id("1000000000000001");
            assert!(account.len() == 16 && account.bytes().all(|byte| byte.is_ascii_digit()), "{account}");
            assert_eq!(by.id(""), "");
        });
    }

    #[test]
    fn what_the_vendor_says_is_kept() {
        by_key(1, |by| {
            for word in ["vpc:DescribeVpcs", "ram/security-credentials", "Forbidden.RAM", "Mini.2", "Large.1", ""] {
                assert_eq!(by.word(word), word);
            }
            for word in ["10.0.0.1", "saved/DescribeVpcs 最新.json", "a/b-c", "a.b.c.d.e", "i-bp67f5d4a90"] {
                assert_ne!(by.word(word), word);
            }
        });
    }

    #[test]
    fn a_message_keeps_its_words_and_loses_what_names_something() {
        by_key(1, |by| {
            let _ = (by.name("my prod"), by.name("alice"), by.id("vpc-1"));
            let told = by.message(
                "row 3: \"CidrBlock\" is \"host bits\" for alice in my prod (vpc-1, 10.1.2.3), i-unseen at http://proxy.corp:80: timed out",
            );
            for kept in ["row 3: \"CidrBlock\" is", " for ", "timed out", "(vpc-"] {
                assert!(told.contains(kept), "{kept:?} in {told}");
            }
            for lost in ["alice", "my prod", "vpc-1,", "10.1.2.3", "unseen", "proxy", "corp", "host bits"] {
                assert!(!told.contains(lost), "{lost:?} in {told}");
            }
            assert!(told.contains(&by.id("vpc-1")) && told.contains(&by.address([10, 1, 2, 3].into()).to_string()));
            let harmless = "status 503 for vpc:DescribeVpcs with Forbidden.RAM";
            assert_eq!(by.message(harmless), harmless);
        });
    }
}
