//! Reads the regions of an account for a command: determines to which account the credentials belong, then gathers each
//! region.
//!
//! If the user names an account, it is still compared with the account that the cloud reports for the credentials,
//! because configuration recorded under another account would blame the wrong owner. If the cloud reports no account,
//! the named one is used.

use crate::{
    BuildError, CallError, Client, ClientSettings, Credentials, EndpointRule, GatherScope, Watch, gather_watched,
};
use pingtong_evidence::{AccountId, IdError, RegionId, Snapshot, Timestamp, VpcId};
use std::time::Duration;

/// Time limit for determining to which account the credentials belong.
const IDENTITY_WITHIN: Duration = Duration::from_secs(15);
/// Name of the account until it is known.
const UNKNOWN_ACCOUNT: &str = "unknown";

/// What to read, and how.
#[derive(Debug, Clone)]
pub struct Survey {
    /// Account to read; the account of the credentials if `None`.
    pub account: Option<AccountId>,
    /// Regions to read.
    pub regions: Vec<RegionId>,
    /// Reads only this VPC's objects.
    pub vpc: Option<VpcId>,
    /// Selects the API hosts.
    pub endpoint: EndpointRule,
    /// Source of the access keys that sign requests.
    pub credentials: Credentials,
    /// Time limit for each region.
    pub within: Duration,
    /// Calls per second of one API in one region.
    pub calls_per_second: u32,
    /// How far back to ask ActionTrail for configuration changes; `None` makes no such call.
    pub changes: Option<Duration>,
}

/// Why nothing was read.
#[derive(Debug, thiserror::Error)]
pub enum SurveyError {
    /// The client cannot be created.
    #[error("cannot set up the calls to the cloud")]
    Client(#[from] BuildError),
    /// The cloud did not report to which account the credentials belong, and no account was named.
    #[error("the owner of the credentials is not known; name the account with --account")]
    Whose(#[source] CallError),
    /// The credentials belong to another account than the named one.
    #[error("the credentials belong to account {found}, not to {named}; give those of {named}, or leave --account out")]
    Another {
        /// Account that the user named.
        named: AccountId,
        /// Account to which the credentials belong.
        found: AccountId,
    },
    /// Never occurs: the name for an account that is not known yet is a valid id.
    #[error("cannot name the account")]
    Name(#[from] IdError),
}

impl Survey {
    /// Reads the regions one after another, because flow control counts by region and the user reads the progress line
    /// by line. What a region refuses is a gap in its snapshot.
    ///
    /// # Errors
    /// [`SurveyError`] if the account cannot be determined, differs from the named one, or a client cannot be created.
    /// In each case nothing has been read.
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
