//! Credentials: master keys, role credentials with their expiry, used nonces, tokens of the metadata service.
//!
//! They are not part of the world, because stale answers never concern keys. Secrets protect nothing outside the lab;
//! they only have to be distinct.

use jiff::{SignedDuration, Timestamp};
use std::{
    collections::BTreeMap,
    fmt,
    hash::{BuildHasher, Hasher, RandomState},
};

/// Lifetime of a role credential from the metadata service, and how long before its end a new one is issued.
const ROLE_LIFETIME: SignedDuration = SignedDuration::from_hours(6);
const ROLE_OVERLAP: SignedDuration = SignedDuration::from_mins(30);
/// How long nonces are remembered: longer than twice the permitted clock difference, after which a replay is too old.
const NONCE_MEMORY: SignedDuration = SignedDuration::from_mins(31);

/// The RAM roles of instances that run an agent, and of the collector.
pub(super) const AGENT_ROLE: &str = "pingtong-agent";
pub(super) const COLLECTOR_ROLE: &str = "pingtong-collector";

/// An access key.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    /// Access key id.
    pub access_key_id: String,
    /// Access key secret.
    pub access_key_secret: String,
    /// Security token of a temporary key; `None` for a permanent one.
    pub security_token: Option<String>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({}, ***)", self.access_key_id)
    }
}

/// The identity behind a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Identity {
    /// The account itself. RAM policies do not restrict it.
    Master,
    /// A session of a RAM role. It may only read.
    Role { name: String, session: String },
}

/// An authenticated caller.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) account: String,
    pub(super) identity: Identity,
}

#[derive(Clone)]
pub(super) struct Credential {
    pub(super) keys: Keys,
    pub(super) caller: Caller,
    pub(super) expires: Option<Timestamp>,
    pub(super) issued: Timestamp,
    pub(super) disabled: bool,
}

/// A RAM role.
struct RamRole {
    /// Ids of the accounts that may assume it. Instances get credentials of their `ram_role` without this check.
    trusts: Vec<String>,
}

#[derive(Default)]
pub(super) struct Keyring {
    by_id: BTreeMap<String, Credential>,
    masters: BTreeMap<String, Keys>,
    roles: BTreeMap<(String, String), RamRole>,
    nonces: BTreeMap<(String, String), Timestamp>,
    of_instances: BTreeMap<(String, String), Credential>,
    metadata_tokens: BTreeMap<String, (String, Timestamp)>,
}

impl Keyring {
    /// Creates the master key and the two roles of an account.
    pub(super) fn open_account(&mut self, account: &str, now: Timestamp) -> Keys {
        let keys = Keys {
            access_key_id: format!("LTAI5t{}", random_letters(18)),
            access_key_secret: random_letters(30),
            security_token: None,
        };
        let caller = Caller { account: account.to_owned(), identity: Identity::Master };
        let credential = Credential { keys: keys.clone(), caller, expires: None, issued: now, disabled: false };
        self.by_id.insert(keys.access_key_id.clone(), credential);
        self.masters.insert(account.to_owned(), keys.clone());
        for role in [AGENT_ROLE, COLLECTOR_ROLE] {
            let trusts = vec![account.to_owned()];
            self.roles.insert((account.to_owned(), role.to_owned()), RamRole { trusts });
        }
        keys
    }

    pub(super) fn master(&self, account: &str) -> Option<Keys> {
        self.masters.get(account).cloned()
    }

    /// Allows the account `trusted` to assume a role of `account`.
    pub(super) fn trust(&mut self, account: &str, role: &str, trusted: &str) {
        let role = self.roles.entry((account.to_owned(), role.to_owned())).or_insert(RamRole { trusts: Vec::new() });
        role.trusts.push(trusted.to_owned());
    }

    pub(super) fn has_role(&self, account: &str, role: &str) -> bool {
        self.roles.contains_key(&(account.to_owned(), role.to_owned()))
    }

    pub(super) fn may_assume(&self, account: &str, role: &str, caller: &Caller) -> bool {
        self.roles.get(&(account.to_owned(), role.to_owned())).is_some_and(|role| role.trusts.contains(&caller.account))
    }

    pub(super) fn find(&self, access_key_id: &str) -> Option<&Credential> {
        self.by_id.get(access_key_id)
    }

    /// Issues a temporary key for a session of a role.
    pub(super) fn issue(
        &mut self,
        account: &str,
        role: &str,
        session: &str,
        now: Timestamp,
        lifetime: SignedDuration,
    ) -> Credential {
        let keys = Keys {
            access_key_id: format!("STS.{}", random_letters(24)),
            access_key_secret: random_letters(44),
            security_token: Some(format!("CAIS{}", random_letters(300))),
        };
        let identity = Identity::Role { name: role.to_owned(), session: session.to_owned() };
        let caller = Caller { account: account.to_owned(), identity };
        let expires = now.checked_add(lifetime).ok();
        let credential = Credential { keys, caller, expires, issued: now, disabled: false };
        self.by_id.insert(credential.keys.access_key_id.clone(), credential.clone());
        credential
    }

    /// The current key of an instance's role. A new one is issued if the old one expires within [`ROLE_OVERLAP`].
    pub(super) fn of_instance(&mut self, account: &str, role: &str, instance: &str, now: Timestamp) -> Credential {
        let place = (instance.to_owned(), role.to_owned());
        if let Some(current) = self.of_instances.get(&place)
            && current.expires.is_some_and(|end| end.duration_since(now) > ROLE_OVERLAP)
        {
            return current.clone();
        }
        let fresh = self.issue(account, role, instance, now, ROLE_LIFETIME);
        self.of_instances.insert(place, fresh.clone());
        fresh
    }

    /// Records a nonce; returns false if it was used before.
    pub(super) fn first_use(&mut self, access_key_id: &str, nonce: &str, now: Timestamp) -> bool {
        self.nonces.retain(|_, used| now.duration_since(*used) < NONCE_MEMORY);
        self.nonces.insert((access_key_id.to_owned(), nonce.to_owned()), now).is_none()
    }

    /// Makes a temporary key expire immediately.
    pub(super) fn expire(&mut self, access_key_id: &str, now: Timestamp) {
        if let Some(credential) = self.by_id.get_mut(access_key_id)
            && credential.expires.is_some()
        {
            credential.expires = Some(now);
        }
    }

    /// Disables a key, or enables it again.
    pub(super) fn disable(&mut self, access_key_id: &str, disabled: bool) {
        if let Some(credential) = self.by_id.get_mut(access_key_id) {
            credential.disabled = disabled;
        }
    }

    pub(super) fn metadata_token(&mut self, instance: &str, now: Timestamp, lifetime: SignedDuration) -> String {
        let token = random_letters(56);
        let expires = now.checked_add(lifetime).unwrap_or(now);
        self.metadata_tokens.retain(|_, (_, end)| *end > now);
        self.metadata_tokens.insert(token.clone(), (instance.to_owned(), expires));
        token
    }

    pub(super) fn metadata_token_holds(&self, token: &str, instance: &str, now: Timestamp) -> bool {
        self.metadata_tokens.get(token).is_some_and(|(owner, end)| owner == instance && *end > now)
    }
}

fn random_letters(count: usize) -> String {
    const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    (0..count)
        .map(|_| RandomState::new().build_hasher().finish())
        .map(|draw| char::from(LETTERS[usize::try_from(draw % 62).unwrap_or(0)]))
        .collect()
}
