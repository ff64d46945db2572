//! Reading an account's regions for whoever runs a command: finds out whose the credentials are, then gathers each region.
//!
//! An account that was named is still compared with what the cloud says of the credentials: configuration filed under
//! another's name would blame the wrong owner. Where the cloud does not say, the name given counts.

use crate::{
    BuildError, CallError, Client, ClientSettings, Credentials, EndpointRule, GatherScope, Watch, gather_watched,
};
use pingtong_evidence::{AccountId, IdError, RegionId, Snapshot, Timestamp, VpcId};
use std::time::Duration;

/// Time to find out whose the credentials are.
const IDENTITY_WITHIN: Duration = Duration::from_secs(15);
/// How the account is called before it is known.
const UNKNOWN_ACCOUNT: &str = "unknown";

/// What to read.
#[derive(Debug, Clone)]
pub struct Survey {
    /// Whose configuration; that of the credentials when not given.
    pub account: Option<AccountId>,
    /// In which regions.
    pub regions: Vec<RegionId>,
    /// Only this VPC's objects.
    pub vpc: Option<VpcId>,
    /// Which hosts are asked.
    pub endpoint: EndpointRule,
    /// What requests are signed with.
    pub credentials: Credentials,
    /// Time for each region.
    pub within: Duration,
    /// Calls per second of one API in one region.
    pub calls_per_second: u32,
    /// How far back ActionTrail is asked who changed what; none does not ask.
    pub changes: Option<Duration>,
}

/// Why nothing was read.
#[derive(Debug, thiserror::Error)]
pub enum SurveyError {
    /// No client can be made.
    #[error("cannot set up the calls to the cloud")]
    Client(#[from] BuildError),
    /// The cloud did not say whose the credentials are.
    #[error("cannot tell whose the credentials are; name the account with --account")]
    Whose(#[source] CallError),
    /// They are somebody else's.
    #[error("the credentials belong to account {found}, not to {named}; give those of {named}, or leave --account out")]
    Another {
        /// Who was named.
        named: AccountId,
        /// Whose they are.
        found: AccountId,
    },
    /// Never: the name for an account that is not known yet is an id.
    #[error("cannot name the account")]
    Name(#[from] IdError),
}

impl Survey {
    /// Reads the regions, one after another, for flow control counts by region and a watcher reads line by line. What a
    /// region refuses is a gap in its snapshot.
    ///
    /// # Errors
    /// [`SurveyError`], before anything was read.
    pub async fn read<F>(&self, now: F, watch: Watch<'_>) -> Result<Vec<Snapshot>, SurveyError>
    where
        F: Fn() -> Timestamp + Send + Sync,
    {
        let Some(first) = self.regions.first() else { return Ok(vec![]) };
        let account = self.whose(first).await?;
        let client = self.client(account.clone())?;
        let mut snapshots = vec![];
        for region in &self.regions {
            let mut scope = GatherScope::new(account.clone(), region.clone());
            scope.vpc.clone_from(&self.vpc);
            scope.within = self.within;
            scope.changes = self.changes;
            snapshots.push(gather_watched(&client, &scope, &now, watch).await);
        }
        Ok(snapshots)
    }

    fn client(&self, account: AccountId) -> Result<Client, BuildError> {
        let settings = ClientSettings::new(account, self.endpoint.clone(), self.credentials.clone());
        Client::new(ClientSettings { calls_per_second: self.calls_per_second, ..settings })
    }

    async fn whose(&self, region: &RegionId) -> Result<AccountId, SurveyError> {
        let asker = match &self.account {
            Some(named) => named.clone(),
            None => AccountId::parse(UNKNOWN_ACCOUNT)?,
        };
        match (self.client(asker)?.caller_identity(region, IDENTITY_WITHIN).await, &self.account) {
            (Ok(found), None) => Ok(found.account),
            (Ok(found), Some(named)) if found.account == *named => Ok(found.account),
            (Ok(found), Some(named)) => Err(SurveyError::Another { named: named.clone(), found: found.account }),
            (Err(_), Some(named)) => Ok(named.clone()),
            (Err(error), None) => Err(SurveyError::Whose(error)),
        }
    }
}
