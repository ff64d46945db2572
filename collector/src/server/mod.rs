//! `serve`: owns sockets, threads, tasks and time. It has one loop and one shutdown path.

mod fresh;
mod gathering;
mod grants;
mod intake;
mod metrics;
mod shared;
mod watch;

pub(crate) use grants::GrantError;
pub(crate) use intake::{RefusalBody, SnapshotsReply, SnapshotsRequest, VerifyRequest};

use crate::{
    clock,
    data_dir::{DataDir, DataDirError},
    keeper::Keeper,
    settings::{NoService, Settings},
    store::{Store, StoreError},
};
use axum_server::{Handle, tls_rustls::RustlsConfig};
use grants::Grants;
use shared::ServerState;
use std::{
    io,
    net::{SocketAddr, TcpListener},
    path::Path,
    sync::Arc,
    time::Duration,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{Instant, MissedTickBehavior, interval, interval_at},
};
use tokio_util::task::TaskTracker;
use watch::Watch;

/// How often to look for enrolments by another process.
const REFRESH_PERIOD: Duration = Duration::from_secs(1);
const LOOK_PERIOD: Duration = Duration::from_secs(5);
const READ_PERIOD: Duration = Duration::from_mins(1);
const READ_WITHIN: Duration = Duration::from_secs(30);
const FORGET_PERIOD: Duration = Duration::from_mins(2);
/// How often to store when agents were last seen: `pingtong agents` shows times that are at most this old.
const SEEN_PERIOD: Duration = Duration::from_secs(10);
/// How long current requests may take to finish after shutdown begins.
const GRACE: Duration = Duration::from_secs(2);

/// Why `serve` could not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    /// The settings name no service.
    #[error(transparent)]
    Service(#[from] NoService),
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The server cannot listen on its address.
    #[error("cannot listen on {address}; is another program using it, and is the address this machine's?")]
    Listen {
        /// The address from the settings.
        address: SocketAddr,
        /// The I/O error.
        #[source]
        source: io::Error,
    },
    /// The certificate or its key cannot be used.
    #[error(
        "cannot use the certificate \"{path}\" and its key; delete certificate.pem and key.pem there and enroll again"
    )]
    Tls {
        /// Path of the certificate.
        path: String,
        /// The I/O error.
        #[source]
        source: io::Error,
    },
    /// The granted roles cannot be assumed with the collector's own credentials.
    #[error(transparent)]
    Grants(#[from] GrantError),
    /// The server or a signal handler failed.
    #[error("the server stopped by itself")]
    Server(#[source] io::Error),
}

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// If a part of the service cannot start, or the server ends without a signal.
pub(crate) async fn serve(settings: Settings, data: &Path) -> Result<(), ServeError> {
    let service = settings.service()?.clone();
    let grants = Grants::new(&settings)?;
    let dir = DataDir::create(data)?;
    let _held = dir.hold()?;
    let (identity, admin) = dir.prepare(&Store::open(&dir.store_path())?, &service.url)?;
    let tls = RustlsConfig::from_pem(identity.certificate_pem.into_bytes(), identity.key_pem.into_bytes())
        .await
        .map_err(|source| ServeError::Tls { path: dir.certificate_path().display().to_string(), source })?;
    let listen = |source| ServeError::Listen { address: service.listen, source };
    let listener = TcpListener::bind(service.listen).map_err(listen)?;
    listener.set_nonblocking(true).map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    let keeper = Keeper::start(&dir.store_path())?;
    let shared = Arc::new(ServerState::start(settings, keeper, admin, grants).await?);

    let tasks = TaskTracker::new();
    let handle = Handle::new();
    let server = axum_server::from_tcp_rustls(listener, tls).map_err(ServeError::Server)?.handle(handle.clone());
    let mut server = tasks.spawn(server.serve(intake::router(Arc::clone(&shared)).into_make_service()));
    tracing::info!(listen = %address, url = %service.url, "serving");
    let outcome = run_loop(&shared, &tasks, &mut server).await;

    shared.stop.cancel();
    handle.graceful_shutdown(Some(GRACE));
    tasks.close();
    tasks.wait().await;
    if let Ok(shared) = Arc::try_unwrap(shared) {
        let seen = shared.seen();
        shared.keeper.write(move |store| store.keep_seen(&seen)).await?;
        shared.keeper.close();
    } else {
        tracing::warn!("a request was cut off; what it was acknowledged for is kept");
    }
    tracing::info!("stopped");
    outcome
}

type Server = tokio::task::JoinHandle<io::Result<()>>;

async fn run_loop(shared: &Arc<ServerState>, tasks: &TaskTracker, server: &mut Server) -> Result<(), ServeError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(ServeError::Server)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ServeError::Server)?;
    let mut refresh = interval(REFRESH_PERIOD);
    let mut forget = interval(FORGET_PERIOD);
    let mut keep_seen = interval_at(Instant::now() + SEEN_PERIOD, SEEN_PERIOD);
    for ticks in [&mut refresh, &mut forget, &mut keep_seen] {
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    }
    tasks.spawn(look_steadily(Arc::clone(shared)));
    if !shared.grants.is_empty() {
        tasks.spawn(read_steadily(Arc::clone(shared)));
    }
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            ended = &mut *server => {
                let ended = ended.unwrap_or_else(|error| Err(io::Error::other(error)));
                return ended.map_err(ServeError::Server);
            }
            _ = refresh.tick() => log(shared.refresh().await),
            _ = keep_seen.tick() => {
                let seen = shared.seen();
                log(shared.keeper.write(move |store| store.keep_seen(&seen)).await);
            }
            _ = forget.tick() => {
                log(shared.keeper.write(|store| store.forget(clock::now())).await.map(drop));
            }
        }
    }
}

/// Watches all pairs. Runs apart from the loop, so that a long look does not delay enrolments.
async fn look_steadily(shared: Arc<ServerState>) {
    let mut watch = Watch::new(clock::now());
    let mut looks = interval_at(Instant::now() + LOOK_PERIOD, LOOK_PERIOD);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shared.stop.cancelled() => return,
            _ = looks.tick() => log(watch.look(&shared).await),
        }
    }
}

/// Reads the granted accounts, as often as agents read their own accounts.
async fn read_steadily(shared: Arc<ServerState>) {
    let links: Vec<_> = shared.settings.links.iter().collect();
    let mut reads = interval(READ_PERIOD);
    reads.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shared.stop.cancelled() => return,
            _ = reads.tick() => log(shared.read_granted(&links, None, READ_WITHIN).await),
        }
    }
}

fn log(outcome: Result<(), StoreError>) {
    if let Err(error) = outcome {
        tracing::error!(error = %pingtong_cli::chain(&error), "the store refused");
    }
}
