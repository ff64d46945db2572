//! Error messages of commands, in the reader's language. The English text is that of the errors themselves. The Chinese
//! texts that exist are listed here; the causes that follow keep the words of their source.

use super::{bundle::BundleError, client::ClientError, enroll::EnrollError, offline::OfflineError};
use crate::{
    data_dir::DataDirError,
    server::{GrantError, ServeError},
    settings::{NoService, SettingsError},
};
use pingtong_cloud::{ChoiceError, PolicyError, SurveyError};
use pingtong_verdict::Lang;

/// The first line of an error message.
pub(super) fn headline(error: &anyhow::Error, lang: Lang) -> String {
    let chinese = match lang {
        Lang::En => None,
        Lang::Zh => error.chain().find_map(in_chinese),
    };
    chinese.unwrap_or_else(|| error.to_string())
}

fn in_chinese(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    None.or_else(|| error.downcast_ref().and_then(client))
        .or_else(|| error.downcast_ref().copied().map(no_service))
        .or_else(|| error.downcast_ref().and_then(data_dir))
        .or_else(|| error.downcast_ref().and_then(enroll))
        .or_else(|| error.downcast_ref().and_then(serve))
        .or_else(|| error.downcast_ref().map(bundle))
        .or_else(|| error.downcast_ref().map(offline))
        .or_else(|| error.downcast_ref().and_then(survey))
        .or_else(|| error.downcast_ref().and_then(choice))
        .or_else(|| error.downcast_ref().map(policy))
        .or_else(|| error.downcast_ref().and_then(settings))
}

fn client(error: &ClientError) -> Option<String> {
    match error {
        ClientError::Service(inner) => Some(no_service(*inner)),
        ClientError::DataDir(inner) => data_dir(inner),
        ClientError::NotRunning { url, .. } => {
            Some(format!("{url} 没有收集端应答；请用相同的 --config 和 --data 运行“pingtong serve”"))
        }
        ClientError::OtherCertificate { url, certificate, .. } => Some(format!(
            "{url} 出示的证书与“{certificate}”不同；请给出那里正在运行的服务的 --data，或停掉占用该地址的程序"
        )),
        ClientError::Broken { url, .. } => Some(format!("{url} 的收集端没有给出可用的应答；详情见它的日志")),
        ClientError::Failed { status, text } => Some(format!("收集端出错，状态 {status}：{text}")),
        ClientError::Refused(_) => None,
    }
}

fn no_service(_: NoService) -> String {
    "配置文件没有写明收集端在哪里提供服务；请加上 listen = \"ADDRESS:PORT\" 和 agent 访问它所用的 url = \"https://HOST:PORT\"".to_owned()
}

fn data_dir(error: &DataDirError) -> Option<String> {
    match error {
        DataDirError::Io { path, .. } => Some(format!("无法使用“{}”；数据目录是否可写？", path.display())),
        DataDirError::Empty { path } => {
            Some(format!("“{}”还不是收集端的数据目录；请先运行“pingtong serve”，或先登记一个 agent", path.display()))
        }
        DataDirError::InUse { path } => {
            Some(format!("另一个“pingtong serve”正在使用“{}”；请停掉它，或另给一个 --data", path.display()))
        }
        DataDirError::OtherHost { path, made_for, wanted } => Some(format!(
            "“{}”中的证书是为“{made_for}”签发的，而 url 写的是“{wanted}”；请改回原来的主机，或删除其中的 certificate.pem 和 key.pem 并重新登记所有 agent",
            path.display()
        )),
        DataDirError::Certificate { host, .. } => Some(format!("无法为“{host}”生成证书；url 请写主机名或地址")),
        DataDirError::Random(_) | DataDirError::Store(_) => None,
    }
}

fn enroll(error: &EnrollError) -> Option<String> {
    match error {
        EnrollError::Account { account, accepted } => {
            Some(format!("账号“{account}”不在任何一条链路上；可用：{accepted}"))
        }
        EnrollError::Out { path, .. } => Some(format!("无法写入“{}”；请用 --out 换一个文件", path.display())),
        EnrollError::Service(inner) => Some(no_service(*inner)),
        EnrollError::DataDir(inner) => data_dir(inner),
        EnrollError::Store(_) | EnrollError::Random(_) => None,
    }
}

fn serve(error: &ServeError) -> Option<String> {
    match error {
        ServeError::Service(inner) => Some(no_service(*inner)),
        ServeError::DataDir(inner) => data_dir(inner),
        ServeError::Listen { address, .. } => {
            Some(format!("无法监听 {address}；是否有别的程序占用，该地址是否属于本机？"))
        }
        ServeError::Tls { path, .. } => {
            Some(format!("无法使用证书“{path}”及其私钥；请删除 certificate.pem 和 key.pem 并重新登记"))
        }
        ServeError::Server(_) => Some("服务自行停止".to_owned()),
        ServeError::Grants(GrantError::Credentials(_)) => {
            Some("无法扮演 [[account]] 中的角色；请配置好收集端自己的凭证".to_owned())
        }
        ServeError::Grants(GrantError::Client(_)) => Some("无法准备对云 API 的调用".to_owned()),
        ServeError::Store(_) => None,
    }
}

fn bundle(error: &BundleError) -> String {
    let hint = "请给出“pingtong verify --save FILE”写出的文件、其目录，或 -";
    match error {
        BundleError::Read { path, .. } => format!("无法读取证据“{}”；{hint}", path.display()),
        BundleError::Write { path, .. } => format!("无法把证据写入“{}”；请用 --save 换一个文件", path.display()),
        BundleError::Parse { path, .. } => format!("“{}”中没有本版本能理解的证据；{hint}", path.display()),
        BundleError::ReadSnapshot { path, .. } => {
            format!("无法读取快照“{}”；请给出“pingtong snapshot --out FILE”写出的文件，或 -", path.display())
        }
        BundleError::ParseSnapshot { path, .. } => {
            format!("“{}”不是快照；请给出“pingtong snapshot --out FILE”写出的文件", path.display())
        }
        BundleError::NoSnapshot { path } => {
            format!("“{}”中没有本版本能理解的快照；请用“pingtong snapshot”重新生成", path.display())
        }
        BundleError::Empty { path } => format!("“{}”中没有任何问题；{hint}", path.display()),
    }
}

fn offline(error: &OfflineError) -> String {
    match error {
        OfflineError::Elsewhere { wanted, found } => {
            format!("没有快照属于任何链路上的 VPC；链路连接 {wanted}，快照来自 {found}")
        }
        OfflineError::NoHosts => {
            "快照中没有任何期望所指的主机；请在设置中写明实例及其地址，或同时给出两个账号的快照".to_owned()
        }
    }
}

fn survey(error: &SurveyError) -> Option<String> {
    match error {
        SurveyError::Whose(_) => Some("无法得知凭证属于哪个账号；请用 --account 指明账号".to_owned()),
        SurveyError::Another { named, found } => {
            Some(format!("凭证属于账号 {found}，不是 {named}；请使用 {named} 的凭证，或去掉 --account"))
        }
        SurveyError::Client(_) | SurveyError::Name(_) => None,
    }
}

fn choice(error: &ChoiceError) -> Option<String> {
    match error {
        ChoiceError::HalfKey => Some(
            "--access-key-id 与 --access-key-secret-file 须同时给出；密钥放在文件中，或用“-”从标准输入读取".to_owned(),
        ),
        ChoiceError::OneInput => Some("标准输入不能同时是密钥和 Token；请把其中之一放在文件中".to_owned()),
        ChoiceError::File { path, .. } => Some(format!("无法读取“{}”中的密钥", path.display())),
        ChoiceError::Content { path, .. } => {
            Some(format!("“{}”中没有可用的密钥；请只写密钥本身，占一行", path.display()))
        }
        ChoiceError::Settings(_) => None,
    }
}

fn policy(error: &PolicyError) -> String {
    match error {
        PolicyError::ExternalId(id) => {
            format!("ExternalId“{id}”应为 2 至 1224 个字母、数字或 = , . @ : / - _")
        }
        PolicyError::RoleName(name) => format!("角色名“{name}”应为 1 至 64 个字母、数字或 . _ -"),
    }
}

fn settings(error: &SettingsError) -> Option<String> {
    match error {
        SettingsError::Unreadable { path, .. } => {
            Some(format!("无法读取设置“{}”；请用 --config 指明文件", path.display()))
        }
        SettingsError::TooLarge { path } => {
            Some(format!("“{}”过大，不是设置文件；请用 --config 指明文件", path.display()))
        }
        SettingsError::Mistakes(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_is_in_the_readers_language() {
        let error = anyhow::Error::new(ClientError::DataDir(DataDirError::Empty { path: "data".into() }));
        assert_eq!(
            headline(&error, Lang::Zh),
            "“data”还不是收集端的数据目录；请先运行“pingtong serve”，或先登记一个 agent"
        );
        assert!(headline(&error, Lang::En).starts_with("\"data\" is no data directory"));
    }
}
