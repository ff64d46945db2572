//! Reads the command line, opens the sockets while the process has the capability, drops it, and runs the command.

use pingtong_agent::{
    Exit, Lang, chain, check,
    cli::{Cli, Command, Usage},
    clock::{self, Clock},
    doctor,
    engine::{Engine, Sockets},
    ping,
    ports::tap::PortTap,
    privilege, run,
    settings::{Settings, SettingsError},
    snapshot,
};
use pingtong_cli::{environment, help, log};
use std::process::ExitCode;

fn main() -> ExitCode {
    let (cli, lang) = match help::parse::<Cli>() {
        Ok(parsed) => parsed,
        Err(exit) => return exit.into(),
    };
    log::start(cli.log_format, "warn,pingtong=info,pingtong_agent=info,pingtong_cloud=info");
    if let Err(error) = pingtong_cloud::keep_out_of_core_dumps() {
        tracing::warn!(%error, "a crash may leave credentials in a core dump: set the limit on core files to 0");
    }
    let exit = start(&cli, lang).unwrap_or_else(|error| {
        tracing::error!("{}", chain(error.as_ref()));
        match () {
            () if error.is::<SettingsError>() || error.is::<Usage>() => Exit::Usage,
            () if error.is::<ping::NoEngine>() => Exit::Undecided,
            () => Exit::Failure,
        }
    });
    exit.into()
}

fn start(cli: &Cli, lang: Lang) -> anyhow::Result<Exit> {
    match &cli.command {
        Command::Man => return Ok(ping::man(lang).map(|()| Exit::Fine)?),
        Command::Completions { shell } => return Ok(ping::completions(*shell, lang).map(|()| Exit::Fine)?),
        _ => {}
    }
    let clock = Clock::start();
    let settings = match &cli.command {
        Command::Run(args) => Some(Settings::load(&args.config)?),
        _ => None,
    };
    if let Some(millis) = environment::number(clock::AHEAD_VARIABLE) {
        clock::put_ahead(millis);
    }
    // `doctor` examines the capabilities, the second opinion of `check` opens its own socket, and `ping` drops the
    // capabilities once its sockets are configured.
    let sockets = if matches!(&cli.command, Command::Run(_)) { Sockets::open_at_rest() } else { Sockets::open() };
    let tap = match &cli.command {
        Command::Run(_) => {
            PortTap::open().map_err(|error| tracing::debug!(%error, "no probes of ports are seen arriving")).ok()
        }
        _ => None,
    };
    if let Command::Ping(args) = &cli.command {
        return ping::ping(args, sockets, clock, cli.json, lang);
    }
    if !matches!(cli.command, Command::Doctor(_) | Command::Check(_))
        && let Err(error) = privilege::drop_all_but_listing()
    {
        tracing::debug!(%error, "capabilities are kept");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(work(cli, settings, sockets, tap, clock, lang))
}

async fn work(
    cli: &Cli,
    settings: Option<Settings>,
    sockets: Result<Sockets, nix::Error>,
    tap: Option<PortTap>,
    clock: Clock,
    lang: Lang,
) -> anyhow::Result<Exit> {
    let engine = Engine::start(sockets);
    match (&cli.command, settings) {
        (Command::Run(_), Some(settings)) => {
            let beside = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .thread_name("beside")
                .enable_all()
                .build()?;
            let done = run::run(settings, engine, tap, clock, beside.handle().clone()).await;
            // Tasks that still wait for another host are abandoned.
            beside.shutdown_background();
            done?;
            Ok(Exit::Fine)
        }
        (Command::Run(_) | Command::Ping(_) | Command::Man | Command::Completions { .. }, _) => Ok(Exit::Undecided),
        (Command::Check(args), _) => check::check(args, engine, clock, cli.json, lang).await,
        (Command::Snapshot(args), _) => snapshot::run(args, cli.json, lang).await,
        (Command::Doctor(args), _) => {
            let (findings, exit) = doctor::examine(args, engine, clock).await?;
            doctor::page::print(&findings, cli.json, lang)?;
            Ok(exit)
        }
    }
}
