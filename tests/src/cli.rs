//! The commands of `pingtong-lab`.
//!
//! Commands that need no lab run outside the sandbox. All others run again inside it: there this module is called a
//! second time with the same arguments. The exit codes are the product's: 0 good, 1 a scenario failed, 64 bad usage, 70
//! our failure.

use crate::{
    bench,
    cloud::{self, Cloud, NullApply},
    demo, differential,
    estate::Estate,
    plane::sandbox,
    programs::Programs,
    render::{self, Screen},
    run::{self, Outcome},
    scenario::{Case, find_topology},
    settings,
    topology::Topology,
    tutorial::{Builder, Operators, STEPS},
    walkthrough,
};
use anyhow::{Context, Result, anyhow};
use clap::{Parser, Subcommand};
use pingtong_verdict::Lang;
use std::{
    collections::VecDeque,
    ffi::OsString,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    sync::{Arc, Mutex, PoisonError, mpsc},
    time::Duration,
};

const USAGE: u8 = 64;
const OUR_FAILURE: u8 = 70;
/// How many labs run in parallel by default.
const JOBS: usize = 2;

/// A small Alibaba Cloud on one machine, for trying and testing pingtong.
#[derive(Debug, Parser)]
#[command(name = "pingtong-lab", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Shows the main job: the tutorial step by step, then six faults, each diagnosed and repaired. 演示主要流程。
    Demo {
        /// End by itself; exit code 0 only when every verdict was exact and every repairable fault repaired.
        #[arg(long)]
        once: bool,
        /// Language of the texts, zh or en; the locale's by default.
        #[arg(long)]
        lang: Option<Lang>,
    },
    /// Runs scenarios and compares their verdicts exactly. 运行场景并精确比对结论。
    Run {
        /// Scenario files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// One JSON line for each scenario.
        #[arg(long)]
        json: bool,
        /// Scenarios at a time.
        #[arg(long, default_value_t = JOBS, value_parser = parse_jobs)]
        jobs: usize,
        /// Directory for the evidence and the logs of every scenario that fails.
        #[arg(long)]
        keep: Option<PathBuf>,
    },
    /// Does the tutorial step by step and shows after each what `pingtong verify` says. 逐步完成教程，每步之后显示验证结果。
    Tutorial {
        /// A topology's name or file.
        #[arg(default_value = "tutorial")]
        topology: String,
        /// One JSON line after each step.
        #[arg(long)]
        json: bool,
        /// Language of the texts, zh or en; the locale's by default.
        #[arg(long)]
        lang: Option<Lang>,
    },
    /// Boots a topology, prints one JSON line and stays until a signal. 启动一个拓扑并保持运行。
    Up {
        /// A topology's name or file.
        topology: String,
        /// VPCs and instances exist, no step of the tutorial is done.
        #[arg(long)]
        unconnected: bool,
        /// Seconds that each passing state lasts (Connecting, Pending, …) once the topology stands. 过渡状态的秒数。
        #[arg(long, default_value = "0", value_parser = parse_pace)]
        pace: Duration,
    },
    /// Runs a command inside an instance of a running lab; `service` is the collector's network. 在实例里执行命令。
    Exec {
        /// The lab, by the process that was started as `pingtong-lab up`; the newest by default.
        #[arg(long, value_name = "PID")]
        lab: Option<i32>,
        /// Instance, such as `B.ecs1`.
        instance: String,
        /// Command.
        #[arg(required = true, last = true)]
        command: Vec<OsString>,
    },
    /// Asks the collector of a running lab for a verdict; further words go to `pingtong verify`. 请求一次结论。
    Verify {
        /// Such as --json, --verbose, --lang zh.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Runs the control plane alone, for outside clients. 仅运行控制面。
    Cloud {
        /// Loopback address to listen on.
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: SocketAddr,
        /// A topology's name or file.
        #[arg(long, default_value = "tutorial")]
        topology: String,
        /// VPCs and instances exist, no step of the tutorial is done.
        #[arg(long)]
        unconnected: bool,
        /// Seconds that each passing state lasts (Connecting, Pending, …) once the topology stands. 过渡状态的秒数。
        #[arg(long, default_value = "0", value_parser = parse_pace)]
        pace: Duration,
    },
    /// Measures what the product costs; one JSON line with --json. 测量开销。
    Bench {
        /// What is measured.
        #[command(subcommand)]
        what: Bench,
    },
    /// Draws networks and faults, and holds what the verdict engine predicts of every pair against real packets. 随机生成网络与故障，比对判定引擎的预测与真实报文。
    Differential {
        /// The first seed; each seed is one network. 起始种子，每个种子一个网络。
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// How many cases. 用例数。
        #[arg(long, default_value_t = 200)]
        cases: u64,
        /// One JSON line. 输出一行 JSON。
        #[arg(long)]
        json: bool,
    },
    /// Checks whether this machine can run the lab. 检查本机能否运行实验室。
    Check,
    /// Prints the catalogue of causes as Markdown. 以 Markdown 打印原因码目录。
    Causes {
        /// Language of texts: zh or en. 文本语言。
        #[arg(long)]
        lang: Lang,
    },
    /// One scenario in this process's own sandbox.
    #[command(hide = true)]
    Scenario {
        file: PathBuf,
        #[arg(long)]
        keep: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// The verdict engine against synthetic networks of declared truth: accuracy, false blame, repairs, determinism and speed; exit code 0 only when every target is met; build with --release. 用真相已知的合成网络检验结论引擎：准确率、误判、修复、确定性与速度；全部达标时退出码才为 0。
    Verdict {
        /// Seed that all networks are drawn from. 生成全部网络所用的种子。
        #[arg(long, default_value_t = 1, value_name = "N")]
        seed: u64,
        /// A tenth or less of the cases. 只做十分之一或更少的用例。
        #[arg(long)]
        quick: bool,
        /// One JSON line. 输出一行 JSON。
        #[arg(long)]
        json: bool,
        /// Language: zh or en; the locale's when left out. 语言。
        #[arg(long)]
        lang: Option<Lang>,
    },
    /// Reading a large account over a rough road: memory, and whether every object came. 采集大型账号的内存与完整性。
    Gather {
        /// One JSON line.
        #[arg(long)]
        json: bool,
    },
    /// What the product's own probes take of a narrow link that sixteen pairs share, and what they leave to its owner. 窄带宽连接上探测流量的占用，以及留给业务的带宽。
    Load {
        /// One JSON line. 输出一行 JSON。
        #[arg(long)]
        json: bool,
        /// Seconds of each measurement. 每项测量的秒数。
        #[arg(long, default_value_t = 15)]
        seconds: u64,
    },
    /// The probe engine: rate, cost, loss, times and direction beside the kernel's limit, fping and a packet capture; build with --release. 探测引擎：与内核极限、fping、抓包对照的速率、开销、计数与时延。
    Probe {
        /// One JSON line. 输出一行 JSON。
        #[arg(long)]
        json: bool,
        /// Rounds of each rate; the median counts. 每项速率的轮数，取中位数。
        #[arg(long, default_value_t = 5)]
        rounds: usize,
        /// Probes whose losses are accounted for, in all. 核对丢包计数的探测总数。
        #[arg(long, default_value_t = 10_000_000)]
        probes: u64,
        /// Runs in which the direction of loss is found. 丢包方向判定的轮数。
        #[arg(long, default_value_t = 1_000)]
        directions: usize,
        /// Seconds for which an idle agent is watched. 空闲代理的观察秒数。
        #[arg(long, default_value_t = 60)]
        idle_seconds: u64,
        /// Seed of what is drawn. 随机种子。
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
}

fn parse_jobs(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|n| (1..=64).contains(n)).ok_or_else(|| "a number from 1 to 64".to_owned())
}

/// The longest pace in seconds; no state of the real cloud lasts longer.
const PACE_MAX: f64 = 3600.0;

fn parse_pace(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.0..=PACE_MAX).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| format!("a number of seconds from 0 to {PACE_MAX}"))
}

/// Runs a command as the user called it, outside the sandbox. Starts the sandbox for commands that need a lab.
pub fn outside(args: &[OsString]) -> ExitCode {
    let cli = match parse(args) {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    log();
    let tail = &args[1..];
    let done = match cli.command {
        Verb::Run { files, json, jobs, keep } => run_all(&files, json, jobs, keep.as_deref()),
        Verb::Demo { .. } | Verb::Tutorial { .. } | Verb::Up { .. } => {
            Programs::find(settings::cargo().as_deref()).and_then(|_| sandbox::run_inside(tail))
        }
        Verb::Check | Verb::Scenario { .. } | Verb::Differential { .. } => sandbox::run_inside(tail),
        Verb::Bench { what: Bench::Probe { .. } | Bench::Load { .. } } => {
            Programs::find(settings::cargo().as_deref()).and_then(|_| sandbox::run_inside(tail))
        }
        Verb::Bench { what: Bench::Verdict { seed, quick, json, lang } } => {
            Ok(bench_verdict(seed, quick, json, lang.unwrap_or_else(pingtong_cli::environment::lang)))
        }
        Verb::Bench { what: Bench::Gather { json } } => {
            Programs::find(settings::cargo().as_deref()).and_then(|programs| bench_gather(&programs, json))
        }
        Verb::Causes { lang } => {
            render::page(&crate::causes::page(lang));
            Ok(ExitCode::SUCCESS)
        }
        Verb::Exec { lab, instance, command } => exec(lab, &instance, &command),
        Verb::Verify { arguments } => verify(&arguments),
        Verb::Cloud { listen, topology, unconnected, pace } => {
            runtime().and_then(|r| r.block_on(control_plane(listen, &topology, unconnected, pace)))
        }
    };
    finish(done)
}

/// Runs a command that needs a lab, inside the sandbox.
pub fn inside(args: &[OsString]) -> ExitCode {
    let cli = match parse(args) {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    log();
    let done = runtime().and_then(|runtime| {
        let done = runtime.block_on(async {
            match cli.command {
                Verb::Demo { once, lang } => {
                    let lang = lang.unwrap_or_else(pingtong_cli::environment::lang);
                    let good = demo::run(&mut Screen::default(), lang, Programs::find(None)?, once).await?;
                    Ok(ExitCode::from(u8::from(!good)))
                }
                Verb::Tutorial { topology, json, lang } => {
                    let show = |moment: &walkthrough::Moment| {
                        if json { render::json_line(moment) } else { render::moment(moment) }
                    };
                    let lang = lang.unwrap_or_else(pingtong_cli::environment::lang);
                    walkthrough::run(load_topology(&topology)?, lang, Programs::find(None)?, show).await?;
                    Ok(ExitCode::SUCCESS)
                }
                Verb::Up { topology, unconnected, pace } => up(&topology, unconnected, pace).await,
                Verb::Differential { seed, cases, json } => {
                    let report = differential::run(differential::Options { seed, cases }).await?;
                    if json {
                        render::json_line(&report);
                    } else {
                        render::differential(&report);
                    }
                    Ok(ExitCode::from(u8::from(report.disagreeing > 0)))
                }
                Verb::Scenario { file, keep } => scenario(&file, keep.as_deref()).await,
                Verb::Bench { what: Bench::Probe { json, rounds, probes, directions, idle_seconds, seed } } => {
                    bench_probe(bench::probe::Size { rounds, probes, directions, idle_seconds, seed }, json).await
                }
                Verb::Bench { what: Bench::Load { json, seconds } } => bench_load(seconds, json).await,
                Verb::Check => {
                    crate::plane::Plane::boot(crate::plane::PlaneOptions { seed: 1 })?;
                    Ok(ExitCode::SUCCESS)
                }
                Verb::Run { .. }
                | Verb::Exec { .. }
                | Verb::Verify { .. }
                | Verb::Cloud { .. }
                | Verb::Causes { .. }
                | Verb::Bench { .. } => Err(anyhow!("this command runs outside the sandbox")),
            }
        });
        // The lab's servers never end on their own; the process ends together with its namespaces.
        runtime.shutdown_background();
        done
    });
    finish(done)
}

fn parse(args: &[OsString]) -> Result<Cli, ExitCode> {
    Cli::try_parse_from(args).map_err(|error| {
        let _ = error.print();
        if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS }
    })
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the run time")
}

fn log() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into());
    // A second call finds the subscriber of the first one in place.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
}

fn finish(done: Result<ExitCode>) -> ExitCode {
    done.unwrap_or_else(|error| {
        render::failure(&error);
        ExitCode::from(OUR_FAILURE)
    })
}

fn exec(launcher: Option<i32>, instance: &str, command: &[OsString]) -> Result<ExitCode> {
    let labs = sandbox::discover()?;
    let meant = labs.iter().filter(|lab| launcher.is_none_or(|pid| lab.launcher == pid)).max_by_key(|lab| lab.pid);
    let lab = meant.ok_or_else(|| match launcher {
        Some(pid) => anyhow!("process {pid} is no running lab"),
        None => anyhow!("no lab is running; start one with \"cargo demo\" or \"cargo lab up tutorial\""),
    })?;
    sandbox::enter(lab, instance, command)
}

fn verify(arguments: &[OsString]) -> Result<ExitCode> {
    let collector = Programs::find(None)?.collector;
    let mut command = vec![collector.into_os_string(), "verify".into()];
    command.extend(crate::estate::collector_arguments());
    command.extend_from_slice(arguments);
    exec(None, "service", &command)
}

/// Runs scenarios, each in its own process and sandbox, `jobs` at a time. Results are shown in the order of the files.
fn run_all(files: &[PathBuf], json: bool, jobs: usize, keep: Option<&Path>) -> Result<ExitCode> {
    let mut malformed = false;
    for file in files {
        if let Err(error) = Case::load(file) {
            render::failure(&error.into());
            malformed = true;
        }
    }
    if malformed {
        return Ok(ExitCode::from(USAGE));
    }
    Programs::find(settings::cargo().as_deref())?;
    let waiting: Mutex<VecDeque<usize>> = Mutex::new((0..files.len()).collect());
    let (send, receive) = mpsc::channel::<(usize, Outcome)>();
    let mut all_pass = true;
    std::thread::scope(|scope| {
        for _ in 0..jobs.min(files.len()) {
            let (waiting, send) = (&waiting, send.clone());
            scope.spawn(move || {
                loop {
                    let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                    let Some(i) = next else { break };
                    if send
                        .send((i, run_one(&files[i], keep.map(|dir| dir.join(kept_name(i, &files[i]))).as_deref())))
                        .is_err()
                    {
                        break;
                    }
                }
            });
        }
        drop(send);
        let mut held: Vec<Option<Outcome>> = files.iter().map(|_| None).collect();
        let mut shown = 0;
        for (i, outcome) in receive {
            all_pass &= outcome.pass;
            held[i] = Some(outcome);
            while let Some(outcome) = held.get_mut(shown).and_then(Option::take) {
                if json {
                    render::json_line(&outcome);
                } else {
                    render::outcome(&outcome);
                }
                shown += 1;
            }
        }
    });
    Ok(ExitCode::from(u8::from(!all_pass)))
}

/// Name of the directory for a failed scenario's files: the index among the files, then the file's stem.
fn kept_name(i: usize, file: &Path) -> String {
    format!("{i:03}-{}", file.file_stem().unwrap_or_default().display())
}

/// Runs one scenario as a child process, so that its lab ends with that process, whatever happens.
fn run_one(file: &Path, keep: Option<&Path>) -> Outcome {
    let attempt = || -> Result<Outcome> {
        let mut command = Command::new("/proc/self/exe");
        command.arg("scenario").arg(file);
        if let Some(keep) = keep {
            command.arg("--keep").arg(keep);
        }
        let out = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).output()?;
        let text = String::from_utf8_lossy(&out.stdout);
        let line =
            text.lines().last().ok_or_else(|| anyhow!("{}", String::from_utf8_lossy(&out.stderr).trim().to_owned()))?;
        serde_json::from_str(line).with_context(|| format!("a scenario's result cannot be read: {line}"))
    };
    attempt().unwrap_or_else(|error| Outcome::lost(file.display().to_string(), &error))
}

fn bench_gather(programs: &Programs, json: bool) -> Result<ExitCode> {
    // Beside the programs, in cargo's target directory, whose content is disposable.
    let beside = programs.collector.parent().unwrap_or(Path::new("."));
    let directory = beside.join(format!("bench-gather-{}", std::process::id()));
    std::fs::create_dir(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let figures = runtime()?.block_on(bench::gather::run(bench::gather::REQUIRED, programs, &directory));
    std::fs::remove_dir_all(&directory).with_context(|| format!("cannot remove {}", directory.display()))?;
    let figures = figures?;
    if json {
        render::json_line(&figures);
    } else {
        render::figures(&figures);
    }
    Ok(ExitCode::from(u8::from(figures["complete"] != true)))
}

fn bench_verdict(seed: u64, quick: bool, json: bool, lang: Lang) -> ExitCode {
    use bench::verdict::{Size, page, verdict};
    let report = verdict(seed, if quick { Size::QUICK } else { Size::FULL });
    if json {
        render::json_line(&report);
    } else {
        render::page(&page::page(&report, lang));
    }
    ExitCode::from(u8::from(!report.met))
}

async fn bench_load(seconds: u64, json: bool) -> Result<ExitCode> {
    let figures = bench::load::run(seconds, &Programs::find(None)?).await?;
    if json {
        render::json_line(&figures);
    } else {
        render::figures(&figures);
    }
    Ok(ExitCode::from(u8::from(figures["met"] != true)))
}

/// Runs inside the sandbox, whose files are private and disappear with it.
async fn bench_probe(size: bench::probe::Size, json: bool) -> Result<ExitCode> {
    let directory = Path::new("/run/bench-probe");
    std::fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let report = bench::probe::run(size, &Programs::find(None)?, directory).await?;
    if json {
        render::json_line(&report);
    } else {
        render::probe_targets(&report);
    }
    Ok(ExitCode::from(u8::from(!report.met())))
}

async fn scenario(file: &Path, keep: Option<&Path>) -> Result<ExitCode> {
    let case = Case::load(file)?;
    let outcome = run::run(&case, Programs::find(None)?).await;
    if let Some(keep) = keep.filter(|_| !outcome.pass) {
        crate::estate::keep_files(keep)?;
    }
    render::json_line(&outcome);
    Ok(ExitCode::from(u8::from(!outcome.pass)))
}

fn load_topology(name: &str) -> Result<Topology> {
    let path = find_topology(Path::new("."), name)
        .ok_or_else(|| anyhow!("no topology \"{name}\" was found; give a name or a file"))?;
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Topology::parse(&path, &text)?)
}

async fn up(topology: &str, unconnected: bool, pace: Duration) -> Result<ExitCode> {
    let steps: Vec<u8> = STEPS.filter(|_| !unconnected).collect();
    let estate = Estate::boot(load_topology(topology)?, &steps, Programs::find(None)?).await?;
    estate.cloud.set_pace(pace);
    let endpoint = estate.open(sandbox::open_door()?)?;
    let description = estate.description(&endpoint);
    sandbox::announce(topology, description.clone())?;
    render::json_line(&description);
    signal().await?;
    Ok(ExitCode::SUCCESS)
}

async fn control_plane(listen: SocketAddr, topology: &str, unconnected: bool, pace: Duration) -> Result<ExitCode> {
    if !listen.ip().is_loopback() {
        return Err(anyhow!("the lab's cloud listens on loopback only; use --listen 127.0.0.1:{}", listen.port()));
    }
    let topology = load_topology(topology)?;
    let cloud = Cloud::new(cloud::Options::default(), Arc::new(NullApply));
    let keys = topology
        .accounts
        .iter()
        .map(|a| (a.name.get_ref().clone(), cloud.create_account(a.name.get_ref(), a.id.get_ref())))
        .collect();
    let listener = tokio::net::TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    let endpoint = format!("http://{}", listener.local_addr()?);
    let service = cloud::router(Arc::clone(&cloud)).into_make_service_with_connect_info::<SocketAddr>();
    let operators = Operators::new(endpoint.clone(), keys);
    let building = async {
        let mut builder = Builder::new(&topology, &operators);
        builder.estate().await?;
        for step in STEPS.filter(|_| !unconnected) {
            builder.step(step).await?;
        }
        cloud.set_pace(pace);
        let accounts = crate::estate::accounts(&topology, &cloud);
        render::json_line(
            &serde_json::json!({ "endpoint": endpoint, "accounts": accounts, "symbols": builder.symbols.all() }),
        );
        signal().await
    };
    tokio::select! {
        served = axum::serve(listener, service) => served.context("the cloud's server ended")?,
        () = Arc::clone(&cloud).drive() => {}
        built = building => built?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn signal() -> Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        _ = terminate.recv() => {}
    }
    Ok(())
}
