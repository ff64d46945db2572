//! `enroll`: makes a credential for one agent and writes the `agent.toml` that holds it.
//!
//! Works without a running server, and beside one, which notices the enrolment within a second. Enrolling a name again
//! replaces its credential; the old one is invalid from then on.

use crate::{
    clock, credential,
    data_dir::{DataDir, DataDirError, write_whole},
    plan::roster,
    settings::{NoService, Service, Settings},
    store::{AgentRow, Store, StoreError, hash_of},
};
use pingtong_evidence::{AccountId, AgentId, Cidr, EndpointSet, InstanceId, Snapshot, Timestamp};
use secrecy::ExposeSecret as _;
use std::{
    collections::BTreeSet,
    fmt::Write as _,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// Arguments of an enrolment.
#[derive(Debug, Clone)]
pub(crate) struct Enrolment {
    /// The agent's name, which becomes its id.
    pub(crate) name: AgentId,
    /// The account that it reports for.
    pub(crate) account: AccountId,
    /// The instance that it will run on.
    pub(crate) instance: Option<InstanceId>,
    /// Address blocks that it may probe; if empty, the far ends of its expectations.
    pub(crate) allow: Vec<Cidr>,
    /// An OpenAPI endpoint to use instead of the region's own.
    pub(crate) cloud_endpoint: Option<String>,
    /// A metadata service to use instead of the well-known one.
    pub(crate) metadata: Option<String>,
    /// The directory in which the agent stores reports while the collector is unreachable.
    pub(crate) spool: Option<PathBuf>,
    /// Path of the `agent.toml` to write.
    pub(crate) out: PathBuf,
}

/// Private address blocks, in which VPCs lie: an agent may probe them while the blocks of its expectations' VPCs are
/// not known yet.
const PRIVATE_BLOCKS: [&str; 3] = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"];

/// Result of an enrolment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Enrolled {
    /// VPCs and vSwitches whose blocks are not known yet; because of them, any private address is allowed.
    pub(crate) unknown: Vec<String>,
    /// Whether the name was enrolled before, so that its credential was replaced.
    pub(crate) replaced: bool,
    /// Address blocks that the agent may probe.
    pub(crate) allow: BTreeSet<Cidr>,
}

/// Why an agent could not be enrolled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EnrollError {
    /// The settings name no service.
    #[error(transparent)]
    Service(#[from] NoService),
    /// The account is on no link.
    #[error("account \"{account}\" is on no link of the settings; accepted: {accepted}")]
    Account {
        /// The given account.
        account: AccountId,
        /// The accounts of all links, as a list in one text.
        accepted: String,
    },
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The kernel returned no random numbers.
    #[error("cannot make a secret")]
    Random(#[source] getrandom::Error),
    /// `agent.toml` cannot be written.
    #[error("cannot write \"{}\"; name another file with --out", path.display())]
    Out {
        /// Path of the file.
        path: PathBuf,
        /// The I/O error.
        #[source]
        source: io::Error,
    },
}

/// Enrols one agent and writes its `agent.toml` with mode 0600.
///
/// # Errors
/// If the settings define no service, the account is on no link, the data directory or the store fails, or a file
/// cannot be written. No credential is valid then that was not valid before.
pub(crate) fn enroll(settings: &Settings, data: &Path, wanted: &Enrolment) -> Result<Enrolled, EnrollError> {
    let accounts = settings.accounts();
    if !accounts.contains(&wanted.account) {
        let accepted = accounts.iter().map(AccountId::as_str).collect::<Vec<_>>().join(", ");
        return Err(EnrollError::Account { account: wanted.account.clone(), accepted });
    }
    let service = settings.service()?;
    let dir = DataDir::create(data)?;
    let store = Store::open(&dir.store_path())?;
    let (identity, _) = dir.prepare(&store, &service.url)?;
    let secret = credential::generate().map_err(EnrollError::Random)?;
    let now = clock::now();
    let row = AgentRow {
        id: wanted.name.clone(),
        account: wanted.account.clone(),
        instance: wanted.instance.clone(),
        secret_hash: hash_of(secret.expose_secret()),
        enrolled_at: now,
        seen_at: None,
        hello: None,
    };
    let (allow, unknown) = if wanted.allow.is_empty() {
        default_allow(settings, &store, &row, now)?
    } else {
        (wanted.allow.iter().copied().collect(), vec![])
    };
    let text = agent_toml(service, &identity.certificate_pem, wanted, secret.expose_secret(), &allow);
    // Write the file first: if that fails, the credential that works must not have been replaced.
    write_whole(&wanted.out, 0o600, &text).map_err(|source| EnrollError::Out { path: wanted.out.clone(), source })?;
    let replaced = store.enroll(&row.id, &row.account, row.instance.as_ref(), &row.secret_hash, now)?;
    Ok(Enrolled { unknown, replaced, allow })
}

/// The far ends of the agent's expectations; empty if no expectation names its instance. The second value lists the
/// sets whose blocks only a snapshot could show, while there is no snapshot. If there are such sets, [`PRIVATE_BLOCKS`]
/// are allowed instead.
fn default_allow(
    settings: &Settings,
    store: &Store,
    row: &AgentRow,
    now: Timestamp,
) -> Result<(BTreeSet<Cidr>, Vec<String>), EnrollError> {
    let mut snapshots = vec![];
    for expected in &settings.links {
        for side in [&expected.link.initiator, &expected.link.acceptor] {
            snapshots.extend(store.snapshots_of(side, now.plus(Duration::from_mins(1)), 1)?);
        }
    }
    let (mut allow, unknown) = roster::allowed_for(&settings.links, row, |set| blocks_of(set, &snapshots));
    if !unknown.is_empty() {
        allow = PRIVATE_BLOCKS.iter().filter_map(|block| Cidr::parse(block).ok()).collect();
    }
    let unknown = unknown
        .iter()
        .map(|set| match set {
            EndpointSet::Vpc(vpc) => vpc.to_string(),
            EndpointSet::VSwitch(vswitch) => vswitch.to_string(),
            EndpointSet::Cidr(cidr) => cidr.to_string(),
            EndpointSet::Instance { id, .. } => id.to_string(),
        })
        .collect();
    Ok((allow, unknown))
}

fn blocks_of(set: &EndpointSet, snapshots: &[Arc<Snapshot>]) -> Vec<Cidr> {
    let mut blocks = vec![];
    for snapshot in snapshots {
        match set {
            EndpointSet::Vpc(id) => {
                for vpc in snapshot.vpcs.known().into_iter().flatten().filter(|vpc| &vpc.id == id) {
                    blocks.push(vpc.cidr);
                    blocks.extend(&vpc.secondary_cidrs);
                }
            }
            EndpointSet::VSwitch(id) => {
                let vswitches = snapshot.vswitches.known().into_iter().flatten();
                blocks.extend(vswitches.filter(|vswitch| &vswitch.id == id).map(|vswitch| vswitch.cidr));
            }
            EndpointSet::Instance { .. } | EndpointSet::Cidr(_) => {}
        }
    }
    blocks
}

fn agent_toml(
    service: &Service,
    certificate: &str,
    wanted: &Enrolment,
    secret: &str,
    allow: &BTreeSet<Cidr>,
) -> String {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let spool = wanted.spool.clone().unwrap_or_else(|| PathBuf::from("/var/lib/pingtong-agent/spool"));
    let allow: Vec<String> = allow.iter().map(|cidr| quoted(&cidr.to_string())).collect();
    let mut text = String::from("# For one agent only: it holds the agent's secret.\n");
    let _ = writeln!(text, "collector = {}", quoted(service.url.as_str()));
    let _ = writeln!(text, "certificate = \"\"\"\n{}\n\"\"\"", certificate.trim());
    let _ = writeln!(text, "agent = {}", quoted(wanted.name.as_str()));
    let _ = writeln!(text, "secret = {}", quoted(secret));
    let _ = writeln!(text, "account = {}", quoted(wanted.account.as_str()));
    let _ =
        writeln!(text, "# Addresses that the agent may probe, whatever its plan says.\nallow = [{}]", allow.join(", "));
    let _ = writeln!(text, "rate_pps_max = 2000");
    let _ = writeln!(
        text,
        "# What else the owner of this host may allow: probes echoed at UDP ports that nobody serves, and loads of the path.\n\
         # udp_echo = [7007]\n# load_mbit_max = 20\n# load_seconds_max = 3"
    );
    let _ = writeln!(text, "spool = {}", quoted(&spool.display().to_string()));
    for (key, value) in [("metadata", &wanted.metadata), ("cloud_endpoint", &wanted.cloud_endpoint)] {
        if let Some(value) = value {
            let _ = writeln!(text, "{key} = {}", quoted(value));
        }
    }
    text
}
