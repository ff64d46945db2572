//! `pingtong-agent snapshot`: this account's configuration, read once with the instance's RAM role.
//!
//! Account, region and VPC come from the metadata service, with or without an `agent.toml`. What could not be read is a
//! gap in the result, never an error; the exit code distinguishes a complete snapshot from one with gaps.

use crate::{Exit, Lang, cli::SnapshotArgs, clock::wall, render, settings::Settings, uplink::client::Collector};
use anyhow::{Context, bail};
use pingtong_cloud::{
    Client, ClientSettings, Credentials, EndpointRule, GatherScope, MetadataClient, Progress, RedactionKey,
    gather_watched, progress, summary,
};
use pingtong_evidence::{MetadataFact, Report, ReportBody, ReportId, SCHEMA, Snapshot};
use std::{
    fs::OpenOptions,
    io::{self, IsTerminal, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

/// Takes the snapshot, prints a summary of it, and writes it or sends it to the collector.
///
/// # Errors
/// Fails if settings or identity are not available or disagree, or if the result cannot be written or sent.
pub async fn run(args: &SnapshotArgs, json: bool, lang: Lang) -> anyhow::Result<Exit> {
    let settings = args.config.as_deref().map(Settings::load).transpose()?;
    let of_settings = |value: fn(&Settings) -> Option<String>| settings.as_ref().and_then(value);
    let metadata = args.metadata.clone().or_else(|| of_settings(|settings| settings.metadata.clone()));
    let metadata = MetadataClient::new(metadata.as_deref())?;
    let endpoint = args.endpoint.clone().or_else(|| of_settings(|settings| settings.cloud_endpoint.clone()));
    let identity = metadata
        .identity()
        .await
        .context("account and region are not known without the metadata service; run this on the instance, or use \"pingtong snapshot\"")?;
    if let Some(settings) = settings.as_ref().filter(|settings| settings.account != identity.account) {
        bail!(
            "the settings are those of account {}, this instance is of account {}; use the file that was made for it",
            settings.account,
            identity.account
        );
    }
    let snapshot = take(args, identity.clone(), metadata, endpoint.as_deref(), lang).await?;
    if !args.quiet {
        let text = summary(&snapshot);
        render::aside(lang.pick(&text.zh, &text.en));
    }
    let exit = if snapshot.gaps.is_empty() { Exit::Fine } else { Exit::Undecided };
    match (settings.filter(|_| args.to_collector), &args.out) {
        (Some(settings), _) => report(&settings, &identity, snapshot).await?,
        (None, out) => put(out.as_deref(), &shown(args, snapshot)?, json)?,
    }
    Ok(exit)
}

async fn take(
    args: &SnapshotArgs,
    identity: MetadataFact,
    metadata: MetadataClient,
    endpoint: Option<&str>,
    lang: Lang,
) -> anyhow::Result<Snapshot> {
    let credentials = Credentials::instance_role(metadata);
    let settings = ClientSettings::new(identity.account.clone(), EndpointRule::parse(endpoint)?, credentials);
    let client = Client::new(settings)?;
    let mut scope = GatherScope::new(identity.account, identity.region);
    scope.vpc = identity.vpc.filter(|_| !args.all_vpcs);
    scope.changes = args.changes.map(|hours| Duration::from_secs(hours * 3_600));
    scope.within = Duration::from_secs(args.within);
    let watched = !args.quiet && io::stderr().is_terminal();
    let watch = |step: &Progress<'_>| {
        if watched {
            let text = progress(step);
            render::aside(lang.pick(&text.zh, &text.en));
        }
    };
    Ok(gather_watched(&client, &scope, wall, &watch).await)
}

fn shown(args: &SnapshotArgs, snapshot: Snapshot) -> anyhow::Result<Snapshot> {
    if !args.redact {
        return Ok(snapshot);
    }
    let key = RedactionKey::random().context("no random key for the pseudonyms")?;
    let redacted = key.redact(std::slice::from_ref(&snapshot)).pop();
    redacted.context("the snapshot could not be redacted")
}

/// Writes the snapshot: as one line with `--json`, for programs that read line by line; otherwise indented for people.
fn put(out: Option<&Path>, snapshot: &Snapshot, json: bool) -> anyhow::Result<()> {
    let write = |to: &mut dyn io::Write| -> io::Result<()> {
        let mut to = io::BufWriter::new(to);
        if json {
            serde_json::to_writer(&mut to, snapshot)?;
        } else {
            serde_json::to_writer_pretty(&mut to, snapshot)?;
        }
        to.write_all(b"\n")?;
        to.flush()
    };
    let Some(path) = out else { return Ok(write(&mut io::stdout().lock())?) };
    whole(path, write).with_context(|| format!("cannot write \"{}\"; name another file with --out", path.display()))
}

/// Writes a file completely or not at all, readable only by its owner from the first byte on.
fn whole(path: &Path, write: impl FnOnce(&mut dyn io::Write) -> io::Result<()>) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let fresh = PathBuf::from(name);
    match std::fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&fresh)?;
    write(&mut file)?;
    file.sync_all()?;
    std::fs::rename(&fresh, path)
}

async fn report(settings: &Settings, identity: &MetadataFact, snapshot: Snapshot) -> anyhow::Result<()> {
    let id = ReportId::parse(&uuid::Uuid::now_v7().to_string())?;
    let report = Report { id, at: wall(), body: ReportBody::Snapshot(Box::new(snapshot)) };
    let batch = serde_json::json!({
        "schema": SCHEMA,
        "agent": settings.agent,
        "instance": identity.instance,
        "account": settings.account,
        "reports": [report],
    });
    Collector::new(settings)?.reports(batch.to_string()).await.context("the collector did not take the snapshot")?;
    Ok(())
}
