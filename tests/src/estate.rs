//! A running lab: the cloud, the plane, the agents and the collector of one topology.
//!
//! Agents and collector are the project's own binaries, unmodified, each a process in its own network namespace. The
//! lab shares with them only what a user's machine would share: the API endpoint, the metadata service, and the files
//! that `pingtong enroll` writes.
#![expect(clippy::disallowed_methods, reason = "a shell of the lab: it waits for states with a deadline and measures")]

use crate::{
    cloud::{self, Cloud},
    collector_toml,
    plane::{
        Confinement, Place, Plane, PlaneOptions, ServiceSpec,
        interfaces::{self, UP},
        netlink::Netlink,
        sandbox,
    },
    programs::Programs,
    scenario::AgentSurroundings,
    service_network::{COLLECTOR, OPENAPI, openapi_url},
    symbols::Symbols,
    topology::Topology,
    tutorial::{Builder, Operators},
};
use anyhow::{Context, Result, anyhow, bail};
use std::{
    collections::BTreeMap,
    ffi::OsString,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio_util::task::TaskTracker;

/// Address of the metadata service in every instance.
const METADATA: &str = "100.100.100.200:80";
/// Files of one lab, on the sandbox's private tmpfs.
const DIR: &str = "/run/lab";
/// How long the collector may take to answer after its start, and an agent to report.
const COLLECTOR_STARTS_WITHIN: Duration = Duration::from_secs(20);

/// A lab in which all processes run.
pub struct Estate {
    /// The data plane.
    pub plane: Arc<Plane>,
    /// The control plane.
    pub cloud: Arc<Cloud>,
    /// API callers, one per account.
    pub operators: Operators,
    /// The ids that the cloud has assigned, by name.
    pub symbols: Symbols,
    /// The topology that was requested.
    pub topology: Topology,
    /// Where the lab's own API callers reach the cloud.
    pub endpoint: String,
    programs: Programs,
    /// Keys of the account that runs the collector; only the collector's process receives them.
    collector_keys: cloud::Keys,
    tasks: TaskTracker,
}

struct OnPlane(Arc<Plane>);

impl cloud::Apply for OnPlane {
    fn apply(&self, desired: Arc<crate::desired::Desired>) -> futures_util::future::BoxFuture<'_, Result<()>> {
        let plane = Arc::clone(&self.0);
        Box::pin(async move { tokio::task::spawn_blocking(move || plane.apply(desired)).await? })
    }

    fn carried(&self) -> futures_util::future::BoxFuture<'_, BTreeMap<String, crate::desired::BothWays>> {
        let plane = Arc::clone(&self.0);
        Box::pin(async move { tokio::task::spawn_blocking(move || plane.carried()).await.unwrap_or_default() })
    }

    fn start(&self, script: cloud::Script) -> futures_util::future::BoxFuture<'_, Result<()>> {
        let plane = Arc::clone(&self.0);
        Box::pin(async move {
            let mut child = tokio::task::spawn_blocking(move || {
                let namespace = plane.namespace(&Place::Instance(script.guest.clone()));
                let namespace = namespace.ok_or_else(|| anyhow!("no instance \"{}\"", script.guest))?;
                let mut command = Command::new("/bin/sh");
                command.args(["-c", &script.text]).env("PATH", crate::plane::guest_path());
                command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
                Ok::<_, anyhow::Error>((namespace.spawn(command)?, script.timeout))
            })
            .await??;
            tokio::task::spawn_blocking(move || wait_or_kill(&mut child.0, child.1));
            Ok(())
        })
    }
}

/// Makes a plane apply the desired state of a cloud.
pub(crate) fn follower(plane: Arc<Plane>) -> Arc<dyn cloud::Apply> {
    Arc::new(OnPlane(plane))
}

impl Estate {
    /// Boots a topology with the given steps of the tutorial done, and starts the collector and the agents.
    ///
    /// # Errors
    /// Fails if the plane or a server cannot be started, if an API call is refused, or if the collector or an agent
    /// does not report in time.
    pub async fn boot(topology: Topology, steps: &[u8], programs: Programs) -> Result<Self> {
        loopback_up().context("cannot bring up the lab's own loopback")?;
        let plane = Arc::new(Plane::boot(PlaneOptions { seed: 1 }).context("cannot make the lab's networks")?);
        let cloud = Cloud::new(cloud::Options::default(), follower(Arc::clone(&plane)));
        let tasks = TaskTracker::new();
        let keys: BTreeMap<_, _> = topology
            .accounts
            .iter()
            .map(|a| (a.name.get_ref().clone(), cloud.create_account(a.name.get_ref(), a.id.get_ref())))
            .collect();
        let collector_keys = open_collectors_account(&topology, &cloud);

        let service = plane.namespace(&Place::Service).ok_or_else(|| anyhow!("the lab has no service network"))?;
        let api =
            service.tcp_listener(OPENAPI.parse()?).context("cannot listen for API calls in the service network")?;
        serve(&tasks, api, cloud::router(Arc::clone(&cloud)))?;
        // The lab's own calls come from its root namespace, which has only a loopback.
        let own = std::net::TcpListener::bind("127.0.0.1:0").context("cannot listen on the lab's own loopback")?;
        let endpoint = format!("http://{}", own.local_addr()?);
        serve(&tasks, own, cloud::router(Arc::clone(&cloud)))?;

        let operators = Operators::new(endpoint.clone(), keys);
        cloud.hold();
        let mut builder = Builder::new(&topology, &operators);
        builder.estate().await?;
        cloud.release().await.context("cannot make the data plane")?;
        for step in steps {
            builder.step(*step).await?;
        }
        let symbols = std::mem::take(&mut builder.symbols);
        cloud.baseline();
        tasks.spawn(Arc::clone(&cloud).drive());
        let mut estate = Self { plane, cloud, operators, symbols, topology, endpoint, programs, collector_keys, tasks };
        estate.serve_metadata()?;
        estate.start_collector().await?;
        estate.start_agents()?;
        estate.wait_for_agents().await?;
        Ok(estate)
    }

    /// Carries out one more step of the tutorial.
    ///
    /// # Errors
    /// Fails if an API call is refused.
    pub async fn tutorial_step(&mut self, number: u8) -> Result<()> {
        let mut builder = Builder::new(&self.topology, &self.operators);
        builder.symbols = std::mem::take(&mut self.symbols);
        let done = builder.step(number).await;
        self.symbols = builder.symbols;
        done
    }

    fn serve_metadata(&self) -> Result<()> {
        for (vpc, instance) in self.topology.instances() {
            let name = instance.full_name(vpc);
            let namespace = self.namespace(&name)?;
            let listener =
                namespace.tcp_listener(METADATA.parse()?).with_context(|| format!("metadata service of {name}"))?;
            serve(&self.tasks, listener, cloud::metadata_router(Arc::clone(&self.cloud), self.symbols.get(&name)?))?;
        }
        Ok(())
    }

    /// The namespace of an instance.
    ///
    /// # Errors
    /// Fails if there is no such instance; the error lists the existing ones.
    pub fn namespace(&self, instance: &str) -> Result<crate::plane::Namespace> {
        self.plane.namespace(&Place::Instance(instance.to_owned())).ok_or_else(|| {
            let known: Vec<String> = self.topology.instances().map(|(v, i)| i.full_name(v)).collect();
            anyhow!("no instance is named \"{instance}\"; there are {}", known.join(", "))
        })
    }

    /// Starts the collector and waits until it answers.
    ///
    /// # Errors
    /// Fails if it cannot be started or does not answer in time; the error contains the end of its log.
    pub async fn start_collector(&mut self) -> Result<()> {
        std::fs::create_dir_all(DIR)?;
        std::fs::write(settings_path(), collector_toml::write(&self.topology, &self.symbols)?)?;
        for (vpc, instance) in self.topology.instances().filter(|(_, i)| i.agent) {
            self.enroll(vpc, instance)?;
        }
        self.launch_collector()?;
        self.wait_for_collector().await
    }

    fn launch_collector(&self) -> Result<()> {
        let mut serve = self.pingtong(["serve", "--log-format", "json"]);
        for kept_by_user in ["SECURITY_TOKEN", "ROLE_ARN", "STS_REGION"] {
            serve.env_remove(format!("ALIBABA_CLOUD_{kept_by_user}"));
        }
        serve
            .env("ALIBABA_CLOUD_ACCESS_KEY_ID", &self.collector_keys.access_key_id)
            .env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", &self.collector_keys.access_key_secret);
        serve.stdin(Stdio::null()).stdout(log_file("collector")?).stderr(log_file("collector")?);
        // It ends with the sandbox, like everything in it.
        self.service()?.spawn(serve).context("cannot start the collector")?;
        Ok(())
    }

    async fn wait_for_collector(&self) -> Result<()> {
        let address: SocketAddr = COLLECTOR.parse()?;
        let service = self.service()?;
        wait_until("the collector to listen", COLLECTOR_STARTS_WITHIN, || {
            let service = service.clone();
            async move {
                let connected = tokio::task::spawn_blocking(move || {
                    service
                        .run(move || std::net::TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_ok())
                });
                connected.await.unwrap_or(false)
            }
        })
        .await
        .with_context(|| format!("the collector's log ends with:\n{}", tail("collector")))
    }

    fn service(&self) -> Result<crate::plane::Namespace> {
        self.plane.namespace(&Place::Service).ok_or_else(|| anyhow!("the lab has no service network"))
    }

    /// A `pingtong` command with the settings and data of the lab's collector.
    pub fn pingtong<const N: usize>(&self, arguments: [&str; N]) -> Command {
        let mut command = Command::new(&self.programs.collector);
        command.args(arguments).args(collector_arguments());
        command
    }

    fn enroll(&self, vpc: &crate::topology::Vpc, instance: &crate::topology::Instance) -> Result<()> {
        let name = instance.full_name(vpc);
        let mut enroll = self.pingtong(["enroll"]);
        enroll
            .args(["--name", &name, "--account", self.symbols.get(&format!("{}.id", vpc.account()))?])
            .args(["--instance", self.symbols.get(&name)?])
            .args(["--cloud-endpoint", &openapi_url()])
            .arg("--spool")
            .arg(Path::new(DIR).join("spool").join(&name))
            .arg("--out")
            .arg(agent_settings(&name));
        let out = enroll.output().context("cannot run pingtong enroll")?;
        if !out.status.success() {
            bail!("pingtong enroll for {name} failed: {}", String::from_utf8_lossy(&out.stderr).trim());
        }
        Ok(())
    }

    fn start_agents(&self) -> Result<()> {
        for (vpc, instance) in self.topology.instances().filter(|(_, i)| i.agent) {
            self.start_agent(&instance.full_name(vpc), &Confinement::default(), 0)?;
        }
        Ok(())
    }

    fn start_agent(&self, name: &str, around: &Confinement, clock_ahead_ms: i64) -> Result<()> {
        let argv: Vec<OsString> = [
            self.programs.agent.clone().into_os_string(),
            "run".into(),
            "--config".into(),
            agent_settings(name).into(),
        ]
        .into();
        let env = vec![(pingtong_agent::clock::AHEAD_VARIABLE.into(), clock_ahead_ms.to_string().into())];
        let service = ServiceSpec { argv: around.argv(argv), env, log_path: Some(log_path(name)) };
        self.plane.set_services(name, vec![service]).with_context(|| format!("cannot start the agent on {name}"))
    }

    /// Restarts an instance's agent in these surroundings and waits until it reports.
    ///
    /// # Errors
    /// Fails if the instance has no agent or the agent does not report in time; the error contains the end of its log.
    pub async fn restart_agent(&mut self, name: &str, surroundings: &AgentSurroundings) -> Result<()> {
        if !self.topology.instances().any(|(vpc, instance)| instance.agent && instance.full_name(vpc) == name) {
            bail!("no agent runs on \"{name}\"");
        }
        let around = Confinement { without: surroundings.without.clone(), container: surroundings.container };
        let seen_before = self.agent_last_seen(name).await?;
        self.start_agent(name, &around, surroundings.clock_ahead_ms)?;
        // One report may still have been in transit from the agent that was killed.
        for _ in 0..2 {
            let before = self.agent_last_seen(name).await?.max(seen_before);
            wait_until(&format!("the agent on {name} to report"), COLLECTOR_STARTS_WITHIN, || async {
                self.agent_last_seen(name).await.is_ok_and(|seen| seen > before)
            })
            .await
            .with_context(|| format!("{name}'s log ends with:\n{}", tail(name)))?;
        }
        Ok(())
    }

    /// When the collector last received a report from an agent.
    async fn agent_last_seen(&self, name: &str) -> Result<Option<i64>> {
        let agents = self.agents().await?;
        Ok(agents.iter().find(|agent| agent["name"] == name).and_then(|agent| agent["last_seen"].as_i64()))
    }

    /// Waits until every agent has reported its host's address to the collector: only then are its pairs known.
    async fn wait_for_agents(&self) -> Result<()> {
        let wanted = self.topology.instances().filter(|(_, i)| i.agent).count();
        wait_until("the agents to report", COLLECTOR_STARTS_WITHIN, || async move {
            self.agents_seen().await.is_ok_and(|seen| seen >= wanted)
        })
        .await
        .with_context(|| {
            let logs = self.topology.instances().map(|(v, i)| i.full_name(v));
            logs.map(|n| format!("{n}'s log ends with:\n{}", tail(&n))).collect::<Vec<_>>().join("\n")
        })
    }

    async fn agents_seen(&self) -> Result<usize> {
        let agents = self.agents().await?;
        Ok(agents.iter().filter(|agent| !agent["last_seen"].is_null() && !agent["address"].is_null()).count())
    }

    async fn agents(&self) -> Result<Vec<serde_json::Value>> {
        let out = self.run_in_service(self.pingtong(["agents", "--json"])).await?;
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }

    /// Runs a command in the service network and waits until it ends.
    ///
    /// # Errors
    /// Fails if the command cannot be started.
    pub async fn run_in_service(&self, mut command: Command) -> Result<std::process::Output> {
        let service = self.service()?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(tokio::task::spawn_blocking(move || service.spawn(command)?.wait_with_output()).await??)
    }

    /// Runs a command inside an instance and waits until it ends.
    ///
    /// # Errors
    /// Fails if there is no such instance or the command cannot be started.
    pub async fn run_in_instance(&self, instance: &str, argv: &[String]) -> Result<std::process::Output> {
        let namespace = self.namespace(instance)?;
        let (program, arguments) = argv.split_first().ok_or_else(|| anyhow!("no command was given"))?;
        let path = crate::plane::guest_path();
        let found = find_program(program, &path).unwrap_or_else(|| program.into());
        let mut command = Command::new(found);
        command.args(arguments).env("PATH", path).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let shown = argv.join(" ");
        tokio::task::spawn_blocking(move || namespace.spawn(command)?.wait_with_output())
            .await?
            .with_context(|| format!("cannot run \"{shown}\" in {instance}"))
    }

    /// The command `pingtong diagnose`, which needs no collector.
    pub fn diagnose(&self) -> Command {
        let mut command = Command::new(&self.programs.collector);
        command.arg("diagnose");
        command
    }

    /// Serves the API on a listener of the host's loopback and at the same address inside each instance, so that a
    /// client can be started in either place. Returns the endpoint.
    ///
    /// # Errors
    /// Fails if an instance already uses that address.
    pub fn open(&self, door: std::net::TcpListener) -> Result<String> {
        let address = door.local_addr()?;
        serve(&self.tasks, door, cloud::router(Arc::clone(&self.cloud)))?;
        for (vpc, instance) in self.topology.instances() {
            let name = instance.full_name(vpc);
            let listener =
                self.namespace(&name)?.tcp_listener(address).with_context(|| format!("{address} in {name}"))?;
            serve(&self.tasks, listener, cloud::router(Arc::clone(&self.cloud)))?;
        }
        Ok(format!("http://{address}"))
    }

    /// What a client or a person needs to use the lab; `endpoint` answers on the host's loopback.
    pub fn description(&self, endpoint: &str) -> serde_json::Value {
        let instances: Vec<serde_json::Value> = self
            .topology
            .instances()
            .map(|(vpc, instance)| {
                let name = instance.full_name(vpc);
                let pid = self.plane.outside_pid(&name);
                let enter = enter_with(&name);
                serde_json::json!({ "name": name, "ip": instance.ip.get_ref(), "pid": pid, "enter": enter })
            })
            .collect();
        serde_json::json!({
            "endpoint": endpoint,
            "endpoints": {
                "host": endpoint,
                "instance": openapi_url(),
                "metadata": format!("http://{METADATA}"),
                "collector": format!("https://{COLLECTOR}"),
            },
            "accounts": accounts(&self.topology, &self.cloud),
            "instances": instances,
            "symbols": self.symbols.all(),
        })
    }

    /// The instance's name in the topology, by instance id.
    pub fn instance_name(&self, id: &str) -> Option<String> {
        self.topology.instances().map(|(v, i)| i.full_name(v)).find(|n| self.symbols.get(n).is_ok_and(|v| v == id))
    }

    /// The account's name in the topology, by account id.
    pub fn account_name(&self, id: &str) -> Option<&str> {
        self.topology.accounts.iter().find(|a| a.id.get_ref() == id).map(|a| a.name.get_ref().as_str())
    }
}

/// Creates the account of the collector's operator. It differs from the topology's accounts. In each account whose
/// owner permits it, the collector's role trusts it.
fn open_collectors_account(topology: &Topology, cloud: &Cloud) -> cloud::Keys {
    // No account that owns a VPC can have this name: an account's name is the part of a VPC's name before the first
    // dot.
    const NAME: &str = "collector.operator";
    let taken = |id: &str| topology.accounts.iter().any(|a| a.id.get_ref() == id || a.name.get_ref() == id);
    let mut id = 9_000_000_000_000_001_u64;
    while taken(&id.to_string()) {
        id += 1;
    }
    let id = id.to_string();
    let keys = cloud.create_account(NAME, &id);
    for account in topology.accounts.iter().filter(|a| topology.grants_role(a.name.get_ref())) {
        cloud.trust(account.id.get_ref(), collector_toml::ROLE, &id);
    }
    keys
}

/// The accounts with their names, ids and keys.
pub fn accounts(topology: &Topology, cloud: &Cloud) -> Vec<serde_json::Value> {
    topology
        .accounts
        .iter()
        .filter_map(|a| {
            let keys = cloud.keys(a.name.get_ref())?;
            Some(serde_json::json!({
                "name": a.name.get_ref(),
                "id": a.id.get_ref(),
                "access_key_id": keys.access_key_id,
                "access_key_secret": keys.access_key_secret,
            }))
        })
        .collect()
}

/// The argument vector of the command that runs what is appended to it inside an instance of this lab.
fn enter_with(instance: &str) -> Option<Vec<String>> {
    let program = std::env::current_exe().ok()?.to_str()?.to_owned();
    let lab = sandbox::launcher()?.to_string();
    Some(vec![program, "exec".to_owned(), "--lab".to_owned(), lab, instance.to_owned(), "--".to_owned()])
}

/// Searches `path` for a program. The lab searches itself, because its own `PATH` differs from that of the instances.
fn find_program(program: &str, path: &std::ffi::OsStr) -> Option<PathBuf> {
    if program.contains('/') {
        return Some(program.into());
    }
    std::env::split_paths(path).map(|dir| dir.join(program)).find(|file| file.is_file())
}

/// Command-line arguments that name the settings and the data directory of the lab's collector.
pub fn collector_arguments() -> [OsString; 4] {
    let data = Path::new(DIR).join("data");
    ["--config".into(), settings_path().into_os_string(), "--data".into(), data.into_os_string()]
}

/// Copies the evidence, settings and logs of this lab to `into`.
///
/// # Errors
/// Fails if a file cannot be read or written.
pub fn keep_files(into: &Path) -> Result<()> {
    std::fs::create_dir_all(into).with_context(|| format!("cannot make {}", into.display()))?;
    for entry in std::fs::read_dir(DIR)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            let to = into.join(entry.file_name());
            std::fs::copy(entry.path(), &to).with_context(|| format!("cannot write {}", to.display()))?;
        }
    }
    Ok(())
}

/// Path of the evidence of the last question.
pub fn question_path() -> PathBuf {
    Path::new(DIR).join("question.json")
}

fn settings_path() -> PathBuf {
    Path::new(DIR).join("collector.toml")
}

fn agent_settings(name: &str) -> PathBuf {
    Path::new(DIR).join(format!("{name}.toml"))
}

/// Path of the log of an agent, by its instance's name, or of the `collector`.
pub fn log_path(name: &str) -> PathBuf {
    Path::new(DIR).join(format!("{name}.log"))
}

fn log_file(name: &str) -> Result<std::fs::File> {
    std::fs::create_dir_all(DIR)?;
    Ok(std::fs::OpenOptions::new().create(true).append(true).open(log_path(name))?)
}

/// The last lines of a log.
pub fn tail(name: &str) -> String {
    const LINES: usize = 20;
    let text = std::fs::read_to_string(log_path(name)).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

/// Brings up the loopback of the lab's root namespace, its only interface, which is down at first.
pub(crate) fn loopback_up() -> Result<()> {
    Netlink::route()?.request(&interfaces::set_flags("lo", UP, UP))?;
    Ok(())
}

/// Waits for the end of a script, or kills it after its time limit.
fn wait_or_kill(child: &mut std::process::Child, timeout: Duration) {
    /// Interval between two checks of a script.
    const LOOK: Duration = Duration::from_millis(50);
    let end = Instant::now() + timeout;
    while Instant::now() < end && matches!(child.try_wait(), Ok(None)) {
        std::thread::sleep(LOOK);
    }
    // Both fail only for a process that has ended.
    let _ = child.kill();
    let _ = child.wait();
}

fn serve(tasks: &TaskTracker, listener: std::net::TcpListener, router: axum::Router) -> Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    tasks.spawn(async move {
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        if let Err(error) = axum::serve(listener, service).await {
            tracing::error!(%error, "a server of the lab ended");
        }
    });
    Ok(())
}

/// Serves a router on a listener until the task is aborted.
pub(crate) fn serve_until_aborted(
    listener: std::net::TcpListener,
    router: axum::Router,
) -> Result<tokio::task::AbortHandle> {
    let tasks = TaskTracker::new();
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let served = tasks.spawn(async move {
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        axum::serve(listener, service).await
    });
    Ok(served.abort_handle())
}

/// Waits until `holds` returns true, at most for `within`.
async fn wait_until<F: Future<Output = bool>>(
    what: &str,
    within: Duration,
    mut holds: impl FnMut() -> F,
) -> Result<()> {
    let deadline = Instant::now() + within;
    while !holds().await {
        if Instant::now() > deadline {
            bail!("waited {} s in vain for {what}", within.as_secs());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}
