//! Parses a command line of the `aliyun` tool: `aliyun PRODUCT Action --Parameter value …`.
//!
//! Accepts any such line, not only those that pingtong prints. Flags of the tool itself are recognised and ignored,
//! except `--region`. A flag that begins with a capital letter is a parameter of the API. Its value follows after a
//! space or `=`, and may begin with a dash (`--PortRange -1/-1`).

use super::http::client::version_of;
use std::collections::BTreeMap;

/// An API call parsed from a command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AliyunCall {
    /// Product, in lower case and without dashes, for example `vpc`.
    pub product: String,
    /// Action, for example `DescribeVpcs`.
    pub action: String,
    /// Region id, from `--RegionId` or `--region`.
    pub region: Option<String>,
    /// Parameters of the API by name; they include `RegionId` only if it is given as such.
    pub params: BTreeMap<String, String>,
}

/// Flags of the tool that take a value.
const FLAGS_WITH_VALUE: [&str; 26] = [
    "profile",
    "p",
    "region",
    "endpoint",
    "endpoint-type",
    "version",
    "language",
    "output",
    "o",
    "method",
    "header",
    "body",
    "body-file",
    "mode",
    "access-key-id",
    "access-key-secret",
    "sts-token",
    "ram-role-name",
    "ram-role-arn",
    "role-session-name",
    "config-path",
    "waiter",
    "read-timeout",
    "connect-timeout",
    "retry-count",
    "cli-query",
];
/// Flags of the tool that take no value.
const FLAGS_ALONE: [&str; 10] =
    ["force", "insecure", "secure", "dryrun", "quiet", "q", "help", "pager", "skip-secure-verify", "roa"];

/// Reads a command line, already split into words.
///
/// # Errors
/// Fails with a one-sentence message if the program is not `aliyun`, the product is unknown, a flag is unknown, a value
/// is missing, or the line does not have exactly a product and an action before the parameters.
pub fn parse_aliyun_argv(argv: &[String]) -> Result<AliyunCall, String> {
    let mut words = argv.iter().map(String::as_str).peekable();
    match words.next() {
        Some(program) if program == "aliyun" || program.ends_with("/aliyun") => {}
        Some(other) => return Err(format!("\"{other}\" is not the aliyun command")),
        None => return Err("the command line is empty".to_owned()),
    }
    let mut positional = Vec::new();
    let mut region = None;
    let mut params = BTreeMap::new();
    while let Some(word) = words.next() {
        let Some(flag) = word.strip_prefix("--").or_else(|| word.strip_prefix('-')).filter(|flag| !flag.is_empty())
        else {
            positional.push(word);
            continue;
        };
        let (name, given) = flag.split_once('=').map_or((flag, None), |(name, value)| (name, Some(value)));
        if FLAGS_ALONE.contains(&name) {
            if name == "pager" {
                words.next_if(|next| !next.starts_with("--"));
            }
            continue;
        }
        let is_parameter = name.starts_with(|first: char| first.is_ascii_uppercase());
        if !is_parameter && !FLAGS_WITH_VALUE.contains(&name) {
            return Err(format!("\"{word}\" is neither a parameter nor a flag of aliyun"));
        }
        let value = match given {
            Some(value) => value.to_owned(),
            None => words
                .next_if(|next| !next.starts_with("--"))
                .ok_or_else(|| format!("\"{word}\" has no value"))?
                .to_owned(),
        };
        if is_parameter {
            params.insert(name.to_owned(), value);
        } else if name == "region" {
            region = Some(value);
        }
    }
    let [product, action] = positional[..] else {
        return Err(format!(
            "expected \"aliyun PRODUCT Action\", found {} words before the parameters",
            positional.len()
        ));
    };
    let product = product.to_lowercase().replace('-', "");
    if version_of(&product).is_none() {
        return Err(format!("product \"{product}\" is not known"));
    }
    let region = params.get("RegionId").cloned().or(region);
    Ok(AliyunCall { product, action: action.to_owned(), region, params })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<AliyunCall, String> {
        parse_aliyun_argv(&line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn both_ways_of_giving_values_are_read() {
        let call = parse(
            "aliyun ecs AuthorizeSecurityGroup --region cn-qingdao --profile A --SecurityGroupId sg-1 \
             --Permissions.1.PortRange -1/-1 --Permissions.1.Policy=accept --insecure",
        )
        .expect("call");
        assert_eq!((call.product.as_str(), call.action.as_str()), ("ecs", "AuthorizeSecurityGroup"));
        assert_eq!(call.region.as_deref(), Some("cn-qingdao"));
        assert_eq!(call.params["Permissions.1.PortRange"], "-1/-1");
        assert_eq!(call.params["Permissions.1.Policy"], "accept");
        assert_eq!(call.params.len(), 3);
    }

    #[test]
    fn what_is_not_understood_is_said() {
        for (line, said) in [
            ("ip route", "not the aliyun command"),
            ("aliyun vpc", "found 1 words"),
            ("aliyun oss PutObject", "\"oss\" is not known"),
            ("aliyun vpc DescribeVpcs --RegionId", "has no value"),
            ("aliyun vpc DescribeVpcs --regoin x", "neither a parameter"),
        ] {
            let error = parse(line).expect_err(line);
            assert!(error.contains(said), "{line}: {error}");
        }
    }
}
