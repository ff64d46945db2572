//! Reads accounts whose owners grant the collector a role. If an account's only instance is stopped or its agent is
//! dead, nothing else can read the account.
//!
//! Decides which accounts are read and how much of each; the resulting snapshots count like an agent's. A role that may
//! not be assumed is not an error, since its owner decides: then the collector does not read the account. Keys come
//! from the sources of `pingtong-cloud` (environment, profile, this host's role) and are never stored.

use crate::{
    clock,
    settings::{ExpectedLink, Settings},
};
use futures_util::future::join_all;
use pingtong_cloud::{
    AssumedRole, BuildError, Client, ClientSettings, CredentialError, Credentials, GatherScope, SettingsError, gather,
};
use pingtong_evidence::{AccountId, RegionId, RequestTag, Side, Snapshot, VpcId};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Session name, which appears in the owner's audit log (ActionTrail).
const SESSION: &str = "pingtong-collector";
/// Lifetime of a session in seconds; every role allows it.
const SESSION_S: u32 = 3600;

/// Why no role can be assumed at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GrantError {
    /// The collector has no usable credentials to assume them with.
    #[error("cannot assume the roles of [[account]]; set the collector's own credentials right")]
    Credentials(#[source] SettingsError),
    /// No client for the cloud can be made.
    #[error("cannot set up the calls to the cloud")]
    Client(#[from] BuildError),
}

/// The accounts that the collector may read, each with its client.
pub(crate) struct Grants {
    readers: BTreeMap<AccountId, Reader>,
}

struct Reader {
    client: Client,
    /// Result of the latest attempt to assume the role; `None` before the first attempt. Only a change is logged.
    trouble: Mutex<Option<Result<(), String>>>,
}

/// One unit to read: an account's configuration in a region, as far as it concerns these VPCs.
type Place = (AccountId, RegionId, BTreeSet<VpcId>);

impl Grants {
    /// Finds the credentials and makes a client for each granted role. Without a granted role no credentials are
    /// needed, and none are looked for.
    ///
    /// # Errors
    /// If the collector's own credentials are not usable, or a client cannot be made.
    pub(crate) fn new(settings: &Settings) -> Result<Self, GrantError> {
        let mut readers = BTreeMap::new();
        for grant in &settings.grants {
            let of_account = settings.links.iter().flat_map(|expected| Side::BOTH.map(|side| expected.link.side(side)));
            // The settings reject a grant for an account of no link.
            let Some(region) =
                of_account.into_iter().find(|side| side.account == grant.account).map(|side| &side.region)
            else {
                continue;
            };
            let base =
                Credentials::of_this_host(settings.profile.as_deref(), region).map_err(GrantError::Credentials)?;
            let credentials = Credentials::AssumedRole(Box::new(AssumedRole {
                base,
                arn: grant.role.clone(),
                session: SESSION.to_owned(),
                seconds: SESSION_S,
                external_id: grant.external_id.clone(),
                region: region.clone(),
                endpoint: settings.endpoint.clone(),
            }));
            let client =
                Client::new(ClientSettings::new(grant.account.clone(), settings.endpoint.clone(), credentials))?;
            readers.insert(grant.account.clone(), Reader { client, trouble: Mutex::default() });
        }
        Ok(Self { readers })
    }

    /// Whether there is no account to read.
    pub(crate) fn is_empty(&self) -> bool {
        self.readers.is_empty()
    }

    /// Reads, at the same time, everything that these links cross in the accounts that grant a role. What was not read
    /// `within` the time is a gap in the snapshot; an account whose role cannot be assumed yields no snapshot.
    pub(crate) async fn gather(
        &self,
        links: &[&ExpectedLink],
        request: Option<&RequestTag>,
        within: Duration,
    ) -> Vec<Snapshot> {
        let read = places(links).into_iter().filter_map(|(account, region, vpcs)| {
            let reader = self.readers.get(&account)?;
            let mut scope = GatherScope::new(account, region).answering(request.cloned());
            // If one link joins two VPCs of the same account and region, they are read together: one snapshot then
            // covers both or says why not.
            let mut vpcs = vpcs.into_iter();
            scope.vpc = match (vpcs.next(), vpcs.next()) {
                (one, None) => one,
                _ => None,
            };
            scope.within = within;
            Some(reader.gather(scope))
        });
        join_all(read).await.into_iter().flatten().collect()
    }
}

impl Reader {
    async fn gather(&self, mut scope: GatherScope) -> Option<Snapshot> {
        let begun_at = Instant::now();
        let ready = self.client.ready(scope.within).await;
        self.note(&scope.account, ready.as_ref());
        ready.ok()?;
        scope.within = scope.within.saturating_sub(begun_at.elapsed());
        Some(gather(&self.client, &scope, clock::now).await)
    }

    fn note(&self, account: &AccountId, ready: Result<&(), &CredentialError>) {
        let now = ready.copied().map_err(ToString::to_string);
        let mut last = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_ref() == Some(&now) {
            return;
        }
        match &now {
            Ok(()) => tracing::info!(account.id = %account, "the collector reads the account by itself"),
            Err(error) => {
                tracing::warn!(account.id = %account, error, "the collector cannot read the account by itself");
            }
        }
        *last = Some(now);
    }
}

fn places(links: &[&ExpectedLink]) -> BTreeSet<Place> {
    let mut places = BTreeSet::new();
    for expected in links {
        let mut of_link: BTreeMap<(AccountId, RegionId), BTreeSet<VpcId>> = BTreeMap::new();
        for side in Side::BOTH.map(|side| expected.link.side(side)) {
            of_link.entry((side.account.clone(), side.region.clone())).or_default().insert(side.vpc.clone());
        }
        places.extend(of_link.into_iter().map(|((account, region), vpcs)| (account, region, vpcs)));
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;
    use std::fmt::Write as _;

    fn settings(sides: &[[(&str, &str, &str); 2]]) -> Settings {
        let mut text = "listen = \"127.0.0.1:1\"\nurl = \"https://127.0.0.1:1\"\n".to_owned();
        for (n, ends) in sides.iter().enumerate() {
            let _ = write!(text, "[[link]]\nid = \"l{n}\"\nkind = \"vpc-peering\"\n");
            for (key, (account, region, vpc)) in ["initiator", "acceptor"].iter().zip(ends) {
                let _ = writeln!(text, "{key} = {{ account = \"{account}\", region = \"{region}\", vpc = \"{vpc}\" }}");
            }
        }
        Settings::parse(&text, "c").unwrap()
    }

    #[test]
    fn each_vpc_is_read_once_and_two_of_one_link_together() {
        let settings = settings(&[
            [("1", "r", "hub"), ("2", "r", "x")],
            [("1", "r", "hub"), ("3", "r", "y")],
            [("1", "r", "other"), ("3", "r", "y")],
            [("4", "r", "a"), ("4", "r", "b")],
            [("4", "r", "a"), ("4", "s", "c")],
        ]);
        let links: Vec<&ExpectedLink> = settings.links.iter().collect();
        let told: Vec<String> = places(&links)
            .into_iter()
            .map(|(account, region, vpcs)| {
                format!("{account} {region} {}", vpcs.iter().map(VpcId::as_str).collect::<Vec<_>>().join("+"))
            })
            .collect();
        assert_eq!(told, ["1 r hub", "1 r other", "2 r x", "3 r y", "4 r a", "4 r a+b", "4 s c"]);
    }

    #[test]
    fn without_a_grant_no_credentials_are_looked_for() {
        assert!(Grants::new(&settings(&[[("1", "r", "a"), ("2", "r", "b")]])).unwrap().is_empty());
    }
}
