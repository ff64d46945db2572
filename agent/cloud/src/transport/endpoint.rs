//! Selects the API host of a product in a region. Host names are from `API.md` §2. This module does not
//! know whether a host is reachable.

use crate::BuildError;
use pingtong_evidence::RegionId;
use reqwest::Url;

/// Alibaba Cloud products whose APIs are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Product {
    /// Virtual private cloud.
    Vpc,
    /// Elastic compute service.
    Ecs,
    /// Security token service.
    Sts,
    /// VPC peering connections.
    VpcPeer,
    /// Cloud enterprise network.
    Cbn,
    /// CloudMonitor.
    Cms,
    /// ActionTrail.
    ActionTrail,
}

impl Product {
    /// The product code, which is also the prefix of its RAM actions.
    pub fn code(self) -> &'static str {
        match self {
            Self::Vpc => "vpc",
            Self::Ecs => "ecs",
            Self::Sts => "sts",
            Self::VpcPeer => "vpcpeer",
            Self::Cbn => "cbn",
            Self::Cms => "cms",
            Self::ActionTrail => "actiontrail",
        }
    }

    /// Version of the API that requests specify.
    pub fn version(self) -> &'static str {
        match self {
            Self::Vpc => "2016-04-28",
            Self::Ecs => "2014-05-26",
            Self::Sts => "2015-04-01",
            Self::VpcPeer => "2022-01-01",
            Self::Cbn => "2017-09-12",
            Self::Cms => "2019-01-01",
            Self::ActionTrail => "2020-07-06",
        }
    }

    /// The first label of its host names.
    fn host(self) -> &'static str {
        match self {
            Self::Cms => "metrics",
            other => other.code(),
        }
    }

    /// Whether parameters are sent in a form body instead of the query.
    pub(crate) fn form_body(self) -> bool {
        self == Self::VpcPeer
    }
}

/// How API hosts are selected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndpointRule {
    /// The public endpoints.
    Public,
    /// The endpoints reachable inside a VPC without public access, where the product has them.
    Internal,
    /// One base address for every product and region, with `http` or `https`.
    Fixed(Url),
}

impl EndpointRule {
    /// A fixed base address when one is given, the internal endpoints otherwise.
    ///
    /// # Errors
    /// [`BuildError::Address`] when the text is not an http or https address of a host.
    pub fn parse(base: Option<&str>) -> Result<Self, BuildError> {
        base.map_or(Ok(Self::Internal), |text| base_address(text).map(Self::Fixed))
    }

    /// Whether requests may use a proxy: only those to public endpoints.
    pub(crate) fn allows_proxy(&self) -> bool {
        *self == Self::Public
    }

    /// The base address for a product in a region; `None` when the region's name cannot be part of a host name.
    pub(crate) fn resolve(&self, product: Product, region: &RegionId) -> Option<Url> {
        if let Self::Fixed(base) = self {
            return Some(base.clone());
        }
        let region = region.as_str();
        if !region.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-') {
            return None;
        }
        let host = match (self, product) {
            (_, Product::VpcPeer) => "vpcpeer.aliyuncs.com".to_owned(),
            (Self::Internal, Product::Cbn) => "cen.vpc-proxy.aliyuncs.com".to_owned(),
            (_, Product::Cbn) => "cbn.aliyuncs.com".to_owned(),
            (Self::Internal, _) => format!("{}-vpc.{region}.aliyuncs.com", product.host()),
            (_, Product::Vpc) if region == "cn-hangzhou" => "vpc.aliyuncs.com".to_owned(),
            (_, Product::Ecs) if region == "cn-hangzhou" => "ecs-cn-hangzhou.aliyuncs.com".to_owned(),
            _ => format!("{}.{region}.aliyuncs.com", product.host()),
        };
        Url::parse(&format!("https://{host}/")).ok()
    }
}

/// Parses a base address without path, query or user.
pub(crate) fn base_address(text: &str) -> Result<Url, BuildError> {
    let refuse = || BuildError::Address(text.to_owned());
    let url = Url::parse(text).map_err(|_| refuse())?;
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    let fits = matches!(url.scheme(), "http" | "https") && url.has_host() && bare && url.username().is_empty();
    if fits { Ok(url) } else { Err(refuse()) }
}

/// The `Host` header for a URL. It contains the port only if that is not the default port of the scheme.
pub(crate) fn host_header(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(rule: &EndpointRule, product: Product, region: &str) -> String {
        host_header(&rule.resolve(product, &RegionId::parse(region).unwrap()).unwrap())
    }

    #[test]
    fn hosts_follow_the_vendors_table() {
        let (public, internal) = (EndpointRule::Public, EndpointRule::Internal);
        assert_eq!(host(&public, Product::Vpc, "cn-qingdao"), "vpc.cn-qingdao.aliyuncs.com");
        assert_eq!(host(&public, Product::Vpc, "cn-hangzhou"), "vpc.aliyuncs.com");
        assert_eq!(host(&public, Product::Ecs, "cn-hangzhou"), "ecs-cn-hangzhou.aliyuncs.com");
        assert_eq!(host(&internal, Product::Vpc, "cn-beijing"), "vpc-vpc.cn-beijing.aliyuncs.com");
        assert_eq!(host(&internal, Product::Cbn, "cn-beijing"), "cen.vpc-proxy.aliyuncs.com");
        assert_eq!(host(&internal, Product::VpcPeer, "cn-beijing"), "vpcpeer.aliyuncs.com");
        assert_eq!(host(&public, Product::Cms, "cn-qingdao"), "metrics.cn-qingdao.aliyuncs.com");
        assert_eq!(host(&public, Product::ActionTrail, "cn-qingdao"), "actiontrail.cn-qingdao.aliyuncs.com");
    }

    #[test]
    fn a_fixed_address_serves_all_and_drops_its_schemes_own_port() {
        let rule = EndpointRule::parse(Some("http://100.100.0.2:80")).unwrap();
        assert_eq!(host(&rule, Product::Sts, "cn-qingdao"), "100.100.0.2");
        let rule = EndpointRule::parse(Some("http://127.0.0.1:8080")).unwrap();
        assert_eq!(host(&rule, Product::Ecs, "x"), "127.0.0.1:8080");
    }

    #[test]
    fn a_region_cannot_lead_to_another_host() {
        for bad in ["evil.com/", "a.b", "x@y", "CN"] {
            assert_eq!(EndpointRule::Public.resolve(Product::Vpc, &RegionId::parse(bad).unwrap()), None, "{bad}");
        }
        for bad in ["ftp://x", "100.100.0.2", "http://u@h/", "http://h/path", "http://h/?q"] {
            assert!(EndpointRule::parse(Some(bad)).is_err(), "{bad}");
        }
    }
}
