//! Limits and sysctls on which exact probing depends: receive buffers, file descriptors, IP forwarding.
//!
//! Reading and judging are separate; judging is pure. The thresholds are what the engine requests (8 MiB of receive
//! buffer, 832 bytes per small packet: `PROBING.md` §1).

use super::{Finding, Standing};
use std::path::Path;

/// Bytes of receive buffer that the engine requests for its sockets.
const BUFFER_WANTED_BYTES: u64 = 8 << 20;
/// Bytes of receive buffer that a small packet occupies.
const PACKET_BYTES: u64 = 832;
/// Packets of a burst that must fit: one second of probes at the default rate cap.
const PACKETS_MIN: u64 = 2_048;
/// File descriptors for 256 port probes, which may take a quarter, the collector and the spool.
const DESCRIPTORS_MIN: u64 = 1_024;

/// The values as read; `Err` holds the reason as text.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    pub(super) receive_buffer_max: Result<u64, String>,
    /// Whether the process may exceed `receive_buffer_max`.
    pub(super) may_force: bool,
    pub(super) descriptors: Result<u64, String>,
    pub(super) forwards: Result<bool, String>,
}

impl Limits {
    pub(super) fn read(may_force: bool) -> Self {
        let number = |path: &str| -> Result<u64, String> {
            let text = std::fs::read_to_string(Path::new(path)).map_err(|error| format!("{path}: {error}"))?;
            text.trim().parse().map_err(|_| format!("{path}: \"{}\" is no number", text.trim()))
        };
        let descriptors = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE);
        Self {
            receive_buffer_max: number("/proc/sys/net/core/rmem_max"),
            may_force,
            descriptors: descriptors.map(|(soft, _)| soft).map_err(|errno| errno.desc().to_owned()),
            forwards: number("/proc/sys/net/ipv4/ip_forward").map(|value| value != 0),
        }
    }

    pub(super) fn findings(&self) -> Vec<Finding> {
        vec![self.buffer(), self.descriptors(), self.forwarding()]
    }

    fn buffer(&self) -> Finding {
        const CODE: &str = "receive-buffer";
        let max = match &self.receive_buffer_max {
            Ok(max) => *max,
            Err(why) => return unknown(CODE, why),
        };
        let effective = if self.may_force { max.max(BUFFER_WANTED_BYTES) } else { max };
        // The kernel doubles the requested size.
        let packets = effective.saturating_mul(2) / PACKET_BYTES;
        let standing = if packets >= PACKETS_MIN { Standing::Good } else { Standing::Wrong };
        let forced = if self.may_force {
            (" （有 CAP_NET_ADMIN，可超过）", " (CAP_NET_ADMIN may go beyond)")
        } else {
            ("", "")
        };
        Finding::new(
            CODE,
            standing,
            format!("net.core.rmem_max = {max}{}：接收缓冲约可容纳 {packets} 个应答", forced.0),
            format!("net.core.rmem_max = {max}{}: the receive buffer holds about {packets} replies", forced.1),
            &format!("sysctl -w net.core.rmem_max={BUFFER_WANTED_BYTES}"),
        )
    }

    fn descriptors(&self) -> Finding {
        match &self.descriptors {
            Ok(count) => {
                let standing = if *count >= DESCRIPTORS_MIN { Standing::Good } else { Standing::Wrong };
                Finding::new(
                    "open-files",
                    standing,
                    format!("可打开 {count} 个文件描述符，TCP/UDP 探测最多用其中四分之一"),
                    format!("{count} descriptors may be open, of which probes of TCP and UDP take a quarter at most"),
                    "ulimit -n 4096",
                )
            }
            Err(why) => unknown("open-files", why),
        }
    }

    /// Information only: a host that forwards is a gateway or runs containers, and neither is a fault.
    fn forwarding(&self) -> Finding {
        match &self.forwards {
            Ok(true) => Finding::new(
                "ip-forward",
                Standing::Good,
                "net.ipv4.ip_forward = 1：本机转发报文（容器主机或网关）",
                "net.ipv4.ip_forward = 1: this host forwards packets (containers or a gateway)",
                "",
            ),
            Ok(false) => Finding::new(
                "ip-forward",
                Standing::Good,
                "net.ipv4.ip_forward = 0：本机不转发报文，桥接容器中的 agent 无法工作",
                "net.ipv4.ip_forward = 0: this host forwards nothing, and an agent in a bridged container could not work",
                "",
            ),
            Err(why) => unknown("ip-forward", why),
        }
    }
}

fn unknown(code: &'static str, why: &str) -> Finding {
    Finding::new(code, Standing::Unknown, format!("无法读取：{why}"), format!("cannot be read: {why}"), "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits { receive_buffer_max: Ok(8 << 20), may_force: false, descriptors: Ok(4_096), forwards: Ok(false) }
    }

    fn standings(limits: &Limits) -> [Standing; 3] {
        let all: Vec<Standing> = limits.findings().iter().map(|finding| finding.standing).collect();
        all.try_into().unwrap()
    }

    #[test]
    fn each_comes_out_both_ways_and_unknown() {
        use Standing::{Good, Unknown, Wrong};
        assert_eq!(standings(&limits()), [Good, Good, Good]);
        let small = Limits { receive_buffer_max: Ok(212_992), descriptors: Ok(64), ..limits() };
        assert_eq!(standings(&small), [Wrong, Wrong, Good]);
        assert!(small.findings()[0].next.is_some() && small.findings()[1].next.is_some());
        assert_eq!(standings(&Limits { may_force: true, ..small })[0], Good);
        let (one, other) = (limits().findings(), Limits { forwards: Ok(true), ..limits() }.findings());
        assert_ne!(one[2].en, other[2].en);
        let why = || "no".to_owned();
        let blind =
            Limits { receive_buffer_max: Err(why()), descriptors: Err(why()), forwards: Err(why()), may_force: true };
        assert_eq!(standings(&blind), [Unknown, Unknown, Unknown]);
    }

    #[test]
    fn this_kernel_tells_all_three() {
        assert!(!standings(&Limits::read(false)).contains(&Standing::Unknown));
    }
}
