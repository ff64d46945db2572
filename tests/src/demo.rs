//! Demonstrates the main job: the tutorial step by step until both directions answer pings, then six faults, each
//! diagnosed, repaired with the printed commands, and pinged again.

use crate::{
    estate::Estate,
    programs::Programs,
    reach,
    render::Screen,
    run::{self, Outcome},
    scenario::{Case, Step, own_scenarios, own_topologies},
    topology::Topology,
    tutorial::STEPS,
};
use anyhow::{Context, Result};
use pingtong_evidence::LinkKind;
use pingtong_verdict::Lang;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Picks the text in the user's language.
fn say(lang: Lang, en: &str, zh: &str) -> String {
    match lang {
        Lang::En => en.to_owned(),
        Lang::Zh => zh.to_owned(),
    }
}

/// The faults of the demo: scenarios of the repository, with a title in each language.
const FAULTS: [(&str, &str, &str); 6] = [
    ("acceptor-forgot-route", "account B deletes its route", "账号 B 删除了回程路由"),
    ("sg-drop-wins", "a drop rule in B's security group beats the accept", "B 的安全组里一条拒绝规则压过了允许规则"),
    ("ri-inactive-initiator", "account A freezes its router interface", "账号 A 冻结了自己的路由器接口"),
    ("three-at-once", "three faults at once, in both accounts", "两个账号里同时出现三处故障"),
    (
        "guest-echo-ignored",
        "only the guest shows it: B's kernel ignores pings",
        "只有操作系统里能看到：B 的内核忽略 ping",
    ),
    ("fabric-fault", "no API shows it: the line itself is dead", "任何 API 都看不到：线路本身中断"),
];

/// Runs the demo. Returns true if every verdict was exact and every repairable fault was repaired.
///
/// # Errors
/// Fails if the demo could not be carried out, for example because the lab does not boot or a command cannot be run.
pub async fn run(screen: &mut Screen, lang: Lang, programs: Programs, once: bool) -> Result<bool> {
    let path = own_topologies().join("tutorial.toml");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let topology = Topology::parse(&path, &text).map_err(|e| anyhow::anyhow!("{e}"))?;
    screen.title(&say(
        lang,
        "pingtong: are two VPCs of two accounts really connected?",
        "pingtong：两个账号的两个 VPC 真的通了吗？",
    ));
    screen.line(&say(
        lang,
        "Booting a small cloud on this machine: account A (VPC1, Qingdao), account B (VPC2, Beijing) …",
        "正在本机启动一朵小云：账号 A（VPC1，青岛）、账号 B（VPC2，北京）……",
    ));
    let mut estate = Estate::boot(topology, &[], programs).await?;
    let mut good = walk_through(screen, lang, &mut estate).await?;
    for (number, (file, en, zh)) in FAULTS.iter().enumerate() {
        let title = format!("{} {}/{}: {}", say(lang, "Fault", "故障"), number + 1, FAULTS.len(), say(lang, en, zh));
        screen.title(&title);
        good &= fault(screen, lang, &mut estate, &scenario_file(file)).await.with_context(|| title.clone())?;
    }
    screen.title(&if good {
        say(
            lang,
            "Done: every verdict exact, every repairable fault repaired.",
            "完成：每个结论都准确，每个可修复的故障都已修复。",
        )
    } else {
        say(lang, "NOT as it should be; see the ✗ above.", "有不符之处，见上面的 ✗。")
    });
    if !once {
        stay(screen, lang, &estate).await?;
    }
    Ok(good)
}

fn scenario_file(name: &str) -> PathBuf {
    own_scenarios().join(format!("{name}.toml"))
}

async fn walk_through(screen: &mut Screen, lang: Lang, estate: &mut Estate) -> Result<bool> {
    screen.title(&say(lang, "The tutorial, step by step, as both accounts", "按教程一步一步，以两个账号的身份操作"));
    let mut last = Value::Null;
    for step in 0..=*STEPS.end() {
        if STEPS.contains(&step) {
            estate.tutorial_step(step).await?;
        }
        last = run::verify_in(estate, lang).await?.into_iter().next().unwrap_or_default();
        let marks: Vec<String> = last["steps"].as_array().into_iter().flatten().map(mark).collect();
        let done = if step == 0 {
            say(lang, "nothing done yet", "尚未操作")
        } else {
            format!(
                "{} {}",
                pingtong_verdict::step_name(LinkKind::RouterInterface, step, lang),
                say(lang, "done", "已完成")
            )
        };
        screen.row(&format!("{step}"), &marks.join("  "), &done);
    }
    screen.blank();
    for step in last["steps"].as_array().into_iter().flatten() {
        screen.row("", &mark(step), step["name"].as_str().unwrap_or_default());
    }
    ping(screen, estate).await?;
    Ok(last["state"] == "healthy")
}

/// A step's number with a mark for its state, such as `✓4`.
fn mark(step: &Value) -> String {
    let mark = match step["state"].as_str() {
        Some("ok") => '✓',
        Some("failed") => '✗',
        Some("not-done") => '·',
        _ => '?',
    };
    format!("{mark}{}", step["n"])
}

async fn fault(screen: &mut Screen, lang: Lang, estate: &mut Estate, file: &Path) -> Result<bool> {
    let case = Case::load(file)?;
    for step in &case.steps {
        run::perform(estate, step).await?;
    }
    let verdicts = run::verify_in(estate, lang).await?;
    screen.block(&run::human(estate, lang).await?);
    let mut outcome = Outcome::of(&case);
    run::compare(&case, estate, &verdicts, &mut outcome)?;
    let mut good = outcome.pass;
    screen.check(
        outcome.pass,
        &if outcome.pass {
            say(lang, "the verdict names exactly what was broken", "结论与实际故障完全一致")
        } else {
            format!(
                "{}: -{:?} +{:?}",
                say(lang, "the verdict is not exact", "结论不准确"),
                outcome.missing,
                outcome.unexpected
            )
        },
    );
    if case.scenario.expect.repaired {
        for line in run::repair(estate, &verdicts).await? {
            screen.line(&format!("  {line}"));
        }
    } else {
        screen.line(&say(
            lang,
            "No API or guest command repairs this; the lab mends its own line.",
            "这不是任何 API 或命令能修复的；实验室自行恢复线路。",
        ));
        mend(estate, &case)?;
    }
    let unreached = reach::check(estate).await?;
    good &= unreached.is_empty();
    let list: Vec<String> = unreached.iter().map(ToString::to_string).collect();
    screen.check(
        unreached.is_empty(),
        &if list.is_empty() { say(lang, "both directions ping again", "双向恢复连通") } else { list.join("; ") },
    );
    ping(screen, estate).await?;
    Ok(good)
}

/// Reverts the case's changes to the fabric.
fn mend(estate: &Estate, case: &Case) -> Result<()> {
    for step in &case.steps {
        if let Step::Fabric { peering, directions, .. } = step {
            let link = estate.symbols.get(&format!("{peering}.initiator"))?;
            for direction in directions {
                estate.plane.set_shape(link, *direction, crate::desired::Shape::default());
            }
        }
    }
    Ok(())
}

/// Runs a real `ping` in each direction and shows its summary.
async fn ping(screen: &mut Screen, estate: &Estate) -> Result<()> {
    for expect in &estate.topology.expects {
        let (from, to) = (expect.from.get_ref(), expect.to.get_ref());
        for (source, target) in [(from, to), (to, from)] {
            let address = estate.symbols.get(&format!("{target}.ip"))?.to_owned();
            let argv = ["ping", "-c", "3", "-i", "0.2", "-W", "1", &address].map(str::to_owned);
            let out = estate.run_in_instance(source, &argv).await?;
            let text = String::from_utf8_lossy(&out.stdout);
            let summary = text.lines().find(|l| l.contains("packets transmitted")).unwrap_or("no summary").to_owned();
            screen.line(&format!("  {source} $ ping {address}   {summary}"));
        }
    }
    Ok(())
}

async fn stay(screen: &mut Screen, lang: Lang, estate: &Estate) -> Result<()> {
    let endpoint = estate.open(crate::plane::sandbox::open_door()?)?;
    crate::plane::sandbox::announce("demo", estate.description(&endpoint))?;
    let first = estate.topology.instances().next().map(|(v, i)| i.full_name(v)).unwrap_or_default();
    screen.title(&say(
        lang,
        "The lab stays up. Look around from another terminal:",
        "实验室保持运行。可在另一个终端里查看：",
    ));
    let address = estate.topology.instances().last().map(|(_, i)| i.ip.get_ref().clone()).unwrap_or_default();
    for (command, en, zh) in [
        (format!("cargo lab exec {first} -- ping -c 3 {address}"), "a command inside an instance", "在实例里执行命令"),
        ("cargo lab verify".to_owned(), "ask for a verdict", "请求一次结论"),
        (
            format!("http://{}", crate::service_network::OPENAPI.trim_end_matches(":80")),
            "the OpenAPI endpoint, in every instance and in `service`",
            "OpenAPI 端点，每个实例和 service 里都可访问",
        ),
    ] {
        screen.row("", &command, &say(lang, en, zh));
    }
    screen.line(&say(lang, "Ctrl-C ends it and leaves nothing behind.", "按 Ctrl-C 结束，不留任何痕迹。"));
    tokio::signal::ctrl_c().await?;
    Ok(())
}
