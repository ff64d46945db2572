//! The network of a test in its own network namespaces: a sender, a router and a responder, joined by veth pairs.
//! Nothing leaves this host.

#![allow(dead_code, clippy::panic, reason = "each test binary uses a part of it, and a test fails by panicking")]

use nix::{
    sched::{CloneFlags, unshare},
    unistd::gettid,
};
use std::{fs, process::Command, sync::mpsc, thread};

type Job = Box<dyn FnOnce() + Send>;

/// A thread that lives in a network namespace.
pub(crate) struct Net {
    jobs: mpsc::Sender<Job>,
    path: String,
}

impl Net {
    pub(crate) fn create() -> Result<Self, String> {
        let (jobs, inbox) = mpsc::channel::<Job>();
        let (ready, readiness) = mpsc::channel();
        thread::spawn(move || {
            let made = unshare(CloneFlags::CLONE_NEWNET).map(|()| format!("/proc/self/task/{}/ns/net", gettid()));
            ready.send(made).unwrap();
            for job in inbox {
                job();
            }
        });
        let path = readiness.recv().unwrap().map_err(|errno| format!("no network namespace: {errno}"))?;
        // Child processes must name this process by its id: for them, `self` is another process.
        Ok(Self { jobs, path: path.replace("self", &std::process::id().to_string()) })
    }

    /// Where `ip link` finds the namespace.
    pub(crate) fn path(&self) -> String {
        self.path.clone()
    }

    /// A file of the namespace below `/proc/net`.
    pub(crate) fn proc(&self, file: &str) -> String {
        self.path.replace("/ns/net", &format!("/net/{file}"))
    }

    pub(crate) fn within<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let (told, answer) = mpsc::channel();
        self.jobs.send(Box::new(move || told.send(work()).unwrap())).unwrap();
        answer.recv().unwrap()
    }

    /// Begins work there without waiting for it.
    pub(crate) fn start(&self, work: impl FnOnce() + Send + 'static) {
        self.jobs.send(Box::new(work)).unwrap();
    }

    /// Runs a program; returns what it printed.
    pub(crate) fn run(&self, line: &str) -> Result<String, String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        self.within(move || {
            let out =
                Command::new(&words[0]).args(&words[1..]).output().map_err(|error| format!("{}: {error}", words[0]))?;
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            if out.status.success() { Ok(text(&out.stdout)) } else { Err(format!("{words:?}: {}", text(&out.stderr))) }
        })
    }

    pub(crate) fn all(&self, lines: &str) {
        for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
            match line.strip_prefix("sysctl ") {
                Some(setting) => {
                    let (name, value) = setting.split_once(' ').unwrap();
                    let (path, value) = (format!("/proc/sys/net/{name}"), value.to_owned());
                    self.within(move || fs::write(&path, value).unwrap_or_else(|error| panic!("{path}: {error}")));
                }
                None => drop(self.run(line).unwrap()),
            }
        }
    }
}

/// The network: sender, router, responder.
pub(crate) struct Road {
    pub(crate) here: Net,
    pub(crate) router: Net,
    pub(crate) there: Net,
}

pub(crate) const THERE: &str = "10.2.0.1";
pub(crate) const THERE_V6: &str = "fd02::1";

impl Road {
    pub(crate) fn build() -> Result<Self, String> {
        let (here, router, there) = (Net::create()?, Net::create()?, Net::create()?);
        for tool in ["ip -V", "nft -v"] {
            here.run(tool)?;
        }
        let (here_path, there_path) = (&here.path, &there.path);
        router.all(&format!(
            "ip link add r1 type veth peer name up0 netns {here_path}
             ip link add r2 type veth peer name up0 netns {there_path}
             ip addr add 10.1.0.254/24 dev r1
             ip addr add 10.2.0.254/24 dev r2
             ip addr add fd01::fe/64 dev r1 nodad
             ip addr add fd02::fe/64 dev r2 nodad
             ip link set r1 up
             ip link set r2 up
             sysctl ipv4/ip_forward 1
             sysctl ipv6/conf/all/forwarding 1"
        ));
        for (net, n) in [(&here, 1), (&there, 2)] {
            net.all(&format!(
                "ip link set lo up
                 ip addr add 10.{n}.0.1/24 dev up0
                 ip addr add fd0{n}::1/64 dev up0 nodad
                 ip link set up0 up
                 ip route add default via 10.{n}.0.254
                 ip -6 route add default via fd0{n}::fe"
            ));
        }
        Ok(Self { here, router, there })
    }
}

pub(crate) const CHAIN: &str = "nft add table inet t\n nft add chain inet t c";

/// Commands for a chain that drops what `rule` matches.
pub(crate) fn dropping(hook: &str, rule: &str) -> String {
    format!("{CHAIN} {{ type filter hook {hook} priority 0 ; }}\n nft add rule inet t c {rule} drop")
}

/// Builds the network; `None`, with the reason on standard error, if that is not possible. Fails under `CI`.
pub(crate) fn build() -> Option<Road> {
    match Road::build() {
        Ok(road) => Some(road),
        Err(why) => {
            assert!(std::env::var_os("CI").is_none(), "namespaces are needed here: {why}");
            eprintln!("SKIPPED: {why}");
            None
        }
    }
}
