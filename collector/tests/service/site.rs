//! A separate collector for each test: directory, loopback address, and processes that end with it.

use pingtong_evidence::{
    Ack, AgentHealth, AgentHello, Plan, Report, ReportBody, ReportId, RequestTag, SCHEMA, Timestamp,
};
use serde_json::{Value, json};
use std::{
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    sync::atomic::{AtomicU8, Ordering},
    time::{Duration, Instant},
};

pub(crate) const A: &str = "1000000000000001";
pub(crate) const B: &str = "1000000000000002";
const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) struct Site {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) address: String,
}

pub(crate) struct Server {
    pub(crate) child: Child,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Site {
    /// Every test of every process has its own address in 127.0.0.0/8, so that no test takes another's port.
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU8 = AtomicU8::new(1);
        let _ = rustls::crypto::ring::default_provider().install_default();
        let [low, high, ..] = std::process::id().to_le_bytes();
        let address = format!("127.{}.{}.{}:7443", 16 + high % 200, low, NEXT.fetch_add(1, Ordering::Relaxed));
        let site = Self { dir: tempfile::tempdir().unwrap(), address };
        site.write_config("");
        site
    }

    pub(crate) fn write_config(&self, more: &str) {
        let text = format!(
            r#"
listen = "{0}"
url = "https://{0}"
settle_ms = 0
{more}
[[link]]
id = "peering1"
kind = "router-interface"
initiator = {{ account = "{A}", region = "cn-qingdao", vpc = "vpc-a" }}
acceptor = {{ account = "{B}", region = "cn-beijing", vpc = "vpc-b" }}
[[link.expect]]
from = {{ instance = {{ id = "i-a", address = "192.168.1.10" }} }}
to = {{ instance = {{ id = "i-b", address = "172.16.1.10" }} }}
protocol = "icmp"
"#,
            self.address
        );
        std::fs::write(self.path("collector.toml"), text).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn command(&self, name: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pingtong"));
        command.current_dir(self.dir.path()).arg(name).args(arguments).env("LC_ALL", "C.UTF-8").env_remove("RUST_LOG");
        // Hides the credentials of the user who runs the tests, both those of a profile and those of the environment.
        command.env("HOME", self.dir.path());
        for word in
            ["ACCESS_KEY_ID", "ACCESS_KEY_SECRET", "SECURITY_TOKEN", "ROLE_ARN", "CREDENTIALS_URI", "CREDENTIALS_FILE"]
        {
            command.env_remove(format!("ALIBABA_CLOUD_{word}"));
        }
        if ["serve", "enroll", "agents", "verify"].contains(&name) {
            command.args(["--config", "collector.toml", "--data", "data"]);
        }
        command
    }

    pub(crate) fn run(&self, name: &str, arguments: &[&str]) -> Output {
        self.command(name, arguments).output().unwrap()
    }

    pub(crate) fn enroll(&self, name: &str, account: &str, instance: &str) -> Agent {
        let file = format!("{name}.toml");
        let output =
            self.run("enroll", &["--name", name, "--account", account, "--instance", instance, "--out", &file]);
        assert!(output.status.success(), "{output:?}");
        Agent::read(&self.path(&file))
    }

    /// Starts the server and waits until it listens.
    pub(crate) fn serve(&self) -> Server {
        self.serve_with(&[])
    }

    /// As [`Self::serve`], with additional environment variables.
    pub(crate) fn serve_with(&self, environment: &[(&str, &str)]) -> Server {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.path("serve.log")).unwrap();
        let child = self
            .command("serve", &[])
            .envs(environment.iter().copied())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut server = Server { child };
        let since = Instant::now();
        while TcpStream::connect(&self.address).is_err() {
            assert!(server.child.try_wait().unwrap().is_none(), "serve ended: {}", self.log());
            assert!(since.elapsed() < DEADLINE, "serve does not listen: {}", self.log());
            std::thread::yield_now();
        }
        server
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.path("serve.log")).unwrap_or_default()
    }
}

impl Server {
    /// Asks the server to end, and returns its exit code.
    pub(crate) fn terminate(&mut self) -> Option<i32> {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        self.child.wait().unwrap().code()
    }
}

/// An agent played by the test; it knows only its `agent.toml`.
#[derive(Clone)]
pub(crate) struct Agent {
    pub(crate) client: reqwest::Client,
    pub(crate) url: String,
    pub(crate) name: String,
    pub(crate) token: String,
    pub(crate) account: String,
}

impl Agent {
    pub(crate) fn read(file: &std::path::Path) -> Self {
        let settings: toml::Table = std::fs::read_to_string(file).unwrap().parse().unwrap();
        let text = |key: &str| settings[key].as_str().unwrap().to_owned();
        let certificate = reqwest::Certificate::from_pem(text("certificate").as_bytes()).unwrap();
        let client =
            reqwest::Client::builder().tls_certs_only([certificate]).no_proxy().timeout(DEADLINE).build().unwrap();
        Self {
            client,
            url: text("collector"),
            name: text("agent"),
            token: format!("{}.{}", text("agent"), text("secret")),
            account: text("account"),
        }
    }

    pub(crate) async fn hello(&self, instance: &str, vpc: &str, address: &str) -> reqwest::Response {
        let hello: AgentHello = serde_json::from_value(json!({
            "schema": SCHEMA, "version": "test",
            "metadata": {"instance": instance, "account": self.account, "region": "r", "vpc": vpc, "private_address": address}
        }))
        .unwrap();
        self.client.post(format!("{}/v1/hello", self.url)).bearer_auth(&self.token).json(&hello).send().await.unwrap()
    }

    pub(crate) async fn plan(&self, known: u64, wait_ms: u64) -> Plan {
        let url = format!("{}/v1/plan?known={known}&wait_ms={wait_ms}", self.url);
        let response = self.client.get(url).bearer_auth(&self.token).send().await.unwrap();
        assert_eq!(response.status(), 200);
        response.json().await.unwrap()
    }

    pub(crate) async fn try_report(&self, reports: Vec<Value>) -> reqwest::Result<reqwest::Response> {
        let batch = json!({"schema": SCHEMA, "agent": self.name, "account": self.account, "reports": reports});
        self.client.post(format!("{}/v1/reports", self.url)).bearer_auth(&self.token).json(&batch).send().await
    }

    pub(crate) async fn report(&self, reports: Vec<Report>) -> Ack {
        let values = reports.iter().map(|report| serde_json::to_value(report).unwrap()).collect();
        let response = self.try_report(values).await.unwrap();
        assert_eq!(response.status(), 200);
        response.json().await.unwrap()
    }
}

pub(crate) fn report(id: &str, body: ReportBody) -> Report {
    Report { id: ReportId::parse(id).unwrap(), at: Timestamp::from_millis(1), body }
}

pub(crate) fn health(id: &str, done: Option<&RequestTag>) -> Report {
    report(id, ReportBody::Health(AgentHealth { fresh_done: done.cloned(), ..AgentHealth::default() }))
}
