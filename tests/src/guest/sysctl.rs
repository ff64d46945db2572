//! `sysctl [-w] [-q] [-n] KEY[=VALUE]…`: reads and writes kernel parameters through the files of `/proc/sys`.

use super::{Refusal, render};
use std::fs;

pub(super) fn run(words: &[String]) -> Result<u8, Refusal> {
    let (mut quiet, mut bare) = (false, false);
    let mut keys = Vec::new();
    for word in words {
        match word.as_str() {
            "-w" | "--write" => {}
            "-q" | "--quiet" => quiet = true,
            "-n" | "--values" => bare = true,
            option if option.starts_with('-') => return Err(Refusal::not_understood(option, "procps")),
            key => keys.push(key),
        }
    }
    if keys.is_empty() {
        return Err(Refusal::new("usage: sysctl [-w] [-q] [-n] KEY[=VALUE]…"));
    }
    for key in keys {
        let (name, value) = key.split_once('=').map_or((key, None), |(name, value)| (name, Some(value.trim())));
        let name = name.trim();
        let path = format!("/proc/sys/{}", path_of(name));
        if let Some(value) = value {
            fs::write(&path, value).map_err(|error| Refusal::failed(&format!("setting key {name:?}"), &error))?;
        }
        let text =
            fs::read_to_string(&path).map_err(|error| Refusal::failed(&format!("cannot read {path}"), &error))?;
        match (quiet && value.is_some(), bare) {
            (true, _) => {}
            (false, true) => render::line(text.trim_end()),
            (false, false) => render::line(&format!("{name} = {}", text.trim_end())),
        }
    }
    Ok(0)
}

/// Path of a key under `/proc/sys`. Either dots or slashes separate its parts, whichever comes first. With dots, a
/// slash stands for a dot in a name, as in VLAN interfaces; with slashes, dots are part of names.
fn path_of(name: &str) -> String {
    match (name.find('/'), name.find('.')) {
        (Some(slash), Some(dot)) if slash < dot => name.to_owned(),
        (Some(_), None) => name.to_owned(),
        _ => name
            .chars()
            .map(|c| {
                if c == '.' {
                    '/'
                } else if c == '/' {
                    '.'
                } else {
                    c
                }
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::path_of;

    #[test]
    fn both_separators_work() {
        assert_eq!(path_of("net.ipv4.conf.eth0/7.rp_filter"), "net/ipv4/conf/eth0.7/rp_filter");
        assert_eq!(path_of("net/ipv4/conf/eth0.7/rp_filter"), "net/ipv4/conf/eth0.7/rp_filter");
    }
}
