//! What began an outage: of all recorded changes between the last good probe and the first bad one, those whose
//! reversal in the model restores the pair.
//!
//! Rules:
//! 1. The pair broke between the last round that was answered and the first of the unanswered rounds that last until
//!    now. If two flows are dead, the window is from the earlier of the former to the later of the latter.
//! 2. The last configuration and host facts before that window and the first ones after it are compared item by item.
//! 3. If undoing every change leaves something that stops the pair and did not stop it before, no recorded change
//!    explains the outage.
//! 4. Otherwise, changes that need not be undone are set aside, and the rest are the trigger. Changes are undone in the
//!    model only; the wire is not consulted.
//! 5. ActionTrail names who made a change if a call that names its object lies between the two readings.

pub(crate) mod change;

use crate::{
    code::CauseCode,
    finding::Finding,
    guest::Guest,
    lang::{Both, Lang, both},
    model::Model,
    observe::Observed,
    onset::change::{Change, changes},
    question::Question,
    verdict::{Object, ObjectKind, Onset, RecordedCall, Trigger},
    walk::{flows, walk},
};
use pingtong_evidence::{
    AccountId, AgentId, ConfigChange, Coverage, Direction, HostFacts, Pair, ProbeRound, RegionId, Side, Snapshot,
    Timestamp,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What a series of readings is of. A reading of other VPCs shows no change.
type Place = (AccountId, RegionId, Coverage);

fn place(snapshot: &Snapshot) -> Place {
    (snapshot.account.clone(), snapshot.region.clone(), snapshot.coverage().into_owned())
}

/// A state of everything that is recorded: configuration and host facts.
#[derive(Clone, Default)]
struct State {
    snapshots: BTreeMap<Place, Arc<Snapshot>>,
    hosts: BTreeMap<AgentId, HostFacts>,
}

/// One recorded change.
enum Edit {
    Config(Place, Change),
    Host(AgentId, HostPart),
}

/// A part of the host facts that can change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HostPart {
    Firewall,
    EchoIgnored,
    ReversePath,
    Routes,
    Interfaces,
}

impl HostPart {
    const ALL: [Self; 5] = [Self::Firewall, Self::EchoIgnored, Self::ReversePath, Self::Routes, Self::Interfaces];

    fn copy(self, from: &HostFacts, to: &mut HostFacts) {
        match self {
            Self::Firewall => to.firewall.clone_from(&from.firewall),
            Self::EchoIgnored => to.sysctls.echo_ignore_all.clone_from(&from.sysctls.echo_ignore_all),
            Self::ReversePath => to.sysctls.strict_reverse_path.clone_from(&from.sysctls.strict_reverse_path),
            Self::Routes => to.routes.clone_from(&from.routes),
            Self::Interfaces => to.interfaces.clone_from(&from.interfaces),
        }
    }

    fn differs(self, a: &HostFacts, b: &HostFacts) -> bool {
        match self {
            Self::Firewall => a.firewall.known().zip(b.firewall.known()).is_some_and(|(a, b)| a.refusing != b.refusing),
            Self::EchoIgnored => known_differ(&a.sysctls.echo_ignore_all, &b.sysctls.echo_ignore_all),
            Self::ReversePath => known_differ(&a.sysctls.strict_reverse_path, &b.sysctls.strict_reverse_path),
            Self::Routes => a.routes != b.routes,
            Self::Interfaces => known_differ(&a.interfaces, &b.interfaces),
        }
    }

    fn name(self) -> Both {
        match self {
            Self::Firewall => Both::new("the guest's packet filter changed", "系统防火墙规则有变更"),
            Self::EchoIgnored => {
                Both::new("net.ipv4.icmp_echo_ignore_all changed", "net.ipv4.icmp_echo_ignore_all 有变更")
            }
            Self::ReversePath => Both::new("reverse-path filtering changed", "反向路径过滤设置有变更"),
            Self::Routes => Both::new("the guest's route to the peer changed", "系统到对端的路由有变更"),
            Self::Interfaces => Both::new("the guest's interfaces or addresses changed", "系统的网卡或地址有变更"),
        }
    }
}

fn known_differ<T: PartialEq>(a: &pingtong_evidence::Known<T>, b: &pingtong_evidence::Known<T>) -> bool {
    a.known().zip(b.known()).is_some_and(|(a, b)| a != b)
}

/// The time within which the pair broke: the end of the last good round and the beginning of the first bad one.
fn window(question: &Question<'_>) -> Option<(Timestamp, Timestamp)> {
    let mut found: Option<(Timestamp, Timestamp)> = None;
    for flow in flows(question.pair) {
        if let Some((last_good, bad)) = broke(question, flow) {
            let (from, to) = found.unwrap_or((last_good, bad));
            found = Some((from.min(last_good), to.max(bad)));
        }
    }
    found
}

/// For one flow: when it last worked, and since when it has not; `None` if no recorded round worked, or if it still
/// works.
fn broke(question: &Question<'_>, flow: Direction) -> Option<(Timestamp, Timestamp)> {
    let (from, to) = (question.pair.endpoint(flow.source()), question.pair.endpoint(flow.destination()));
    let of_flow = |round: &&ProbeRound| {
        // A packet that dies because of its size or during a load says nothing about the pair.
        round.is_plain()
            && round.pair == question.pair.id
            && round.target == to.address
            && from.agent.as_ref().is_none_or(|agent| *agent == round.key.agent)
    };
    let mut rounds: Vec<&ProbeRound> = question
        .earlier
        .iter()
        .chain(&question.probes)
        .copied()
        .filter(of_flow)
        .filter(|round| round.own_drops == 0)
        .collect();
    rounds.sort();
    rounds.sort_by_key(|round| (round.started_at, round.ended_at));
    let alive = |round: &ProbeRound| !round.replied.is_empty() || !round.late.is_empty();
    let last = rounds.iter().rposition(|round| alive(round))?;
    let worked = rounds.get(last)?;
    // A partly answered round may have been running when the pair broke: nothing is known about its end.
    let whole = worked.sent.missing_from(&worked.replied.union(&worked.late)) == 0;
    let last_good = if whole { worked.ended_at } else { worked.started_at };
    Some((last_good, rounds.get(last + 1)?.started_at))
}

/// The recorded states before and after the pair broke.
fn states(question: &Question<'_>, last_good: Timestamp, first_bad: Timestamp) -> (State, State) {
    let (mut good, mut bad) = (State::default(), State::default());
    for snapshot in &question.configuration.snapshots {
        let place = place(snapshot);
        if snapshot.finished_at <= last_good {
            good.snapshots.insert(place, Arc::clone(snapshot));
        } else if bad.snapshots.get(&place).is_none_or(|have| have.taken_at < first_bad) {
            bad.snapshots.insert(place, Arc::clone(snapshot));
        }
    }
    for &facts in &question.hosts {
        let agent = facts.agent.clone();
        if facts.at <= last_good {
            good.hosts.insert(agent, facts.clone());
        } else if bad.hosts.get(&agent).is_none_or(|have| have.at < first_bad) {
            bad.hosts.insert(agent, facts.clone());
        }
    }
    for (place, snapshot) in &good.snapshots {
        bad.snapshots.entry(place.clone()).or_insert_with(|| Arc::clone(snapshot));
    }
    for (agent, facts) in &good.hosts {
        bad.hosts.entry(agent.clone()).or_insert_with(|| facts.clone());
    }
    (good, bad)
}

fn edits(good: &State, bad: &State) -> Vec<Edit> {
    let config = good.snapshots.iter().filter_map(|(place, before)| {
        let after = bad.snapshots.get(place)?;
        Some(changes(before, after).into_iter().map(move |change| Edit::Config(place.clone(), change)))
    });
    let hosts = good.hosts.iter().filter_map(|(agent, before)| {
        let after = bad.hosts.get(agent)?;
        let differing = HostPart::ALL.into_iter().filter(move |part| part.differs(before, after));
        Some(differing.map(move |part| Edit::Host(agent.clone(), part)))
    });
    config.flatten().chain(hosts.flatten()).collect()
}

type Key = (CauseCode, Side, Object, Option<Direction>);

/// The findings that stop the pair in a state, according to the model alone.
fn stoppers(question: &Question<'_>, peers: &[Pair], state: &State) -> BTreeSet<Key> {
    let pair = question.pair;
    let mut model = Model::new(&pair.link, state.snapshots.values().map(Arc::as_ref));
    model.elsewhere = question.elsewhere.iter().copied().cloned().collect();
    let mut found: Vec<Finding> = walk(&model, pair, peers).findings;
    let nothing = Observed::default();
    for side in Side::BOTH {
        let facts = pair.endpoint(side).agent.as_ref().and_then(|agent| state.hosts.get(agent));
        found.extend(Guest { model: &model, pair, side, facts, inbound: &nothing, outbound: &nothing }.findings());
    }
    let stops = |finding: &&Finding| flows(pair).into_iter().any(|flow| finding.stops.round_trip(flow));
    found.iter().filter(stops).map(Finding::key).collect()
}

fn undone<'e>(good: &State, bad: &State, edits: impl Iterator<Item = &'e Edit>) -> State {
    let mut state = bad.clone();
    for edit in edits {
        match edit {
            Edit::Config(place, change) => {
                if let (Some(before), Some(model)) = (good.snapshots.get(place), state.snapshots.get_mut(place)) {
                    change.undo(before, Arc::make_mut(model));
                }
            }
            Edit::Host(agent, part) => {
                if let (Some(before), Some(model)) = (good.hosts.get(agent), state.hosts.get_mut(agent)) {
                    part.copy(before, model);
                }
            }
        }
    }
    state
}

/// Returns when the pair broke and what broke it; `None` if it is not broken, or if no recorded round worked.
pub(crate) fn onset(question: &Question<'_>, peers: &[Pair], lang: Lang) -> Option<Onset> {
    let (last_good, first_bad) = window(question)?;
    let (good, bad) = states(question, last_good, first_bad);
    let mut edits = edits(&good, &bad);
    let before = stoppers(question, peers, &good);
    let restores =
        |edits: &[&Edit]| stoppers(question, peers, &undone(&good, &bad, edits.iter().copied())).is_subset(&before);
    let all: Vec<&Edit> = edits.iter().collect();
    // If the changes stop nothing, none needs undoing, and the outage has another reason.
    let explained = !restores(&[]) && restores(&all);
    if explained {
        let mut at = edits.len();
        while at > 0 {
            at -= 1;
            let rest: Vec<&Edit> = edits.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, edit)| edit).collect();
            if restores(&rest) {
                edits.remove(at);
            }
        }
    } else {
        edits.clear();
    }
    let triggers: Vec<Trigger> = edits.iter().filter_map(|edit| trigger(question, &good, &bad, edit, lang)).collect();
    let text = sentence(&triggers, last_good, first_bad, lang);
    Some(Onset { last_good, first_bad, explained, triggers, text })
}

fn trigger(question: &Question<'_>, good: &State, bad: &State, edit: &Edit, lang: Lang) -> Option<Trigger> {
    let link = &question.pair.link;
    match edit {
        Edit::Config(place, change) => {
            let (before, after) = (good.snapshots.get(place)?, bad.snapshots.get(place)?);
            let side = Side::BOTH.into_iter().find(|side| {
                let at = link.side(*side);
                (&at.account, &at.region) == (&place.0, &place.1) && place.2.includes(&at.vpc)
            })?;
            let (not_before, not_after) = between(question, change, before, after);
            let (account, region, _) = place.clone();
            Some(Trigger {
                object: Object { kind: change.kind(), id: change.object().to_owned(), account, region },
                side,
                what: describe(change).get(lang),
                not_before,
                not_after,
                call: recorded(question, place, change, not_before, not_after),
            })
        }
        Edit::Host(agent, part) => {
            let (before, after) = (good.hosts.get(agent)?, bad.hosts.get(agent)?);
            let side =
                Side::BOTH.into_iter().find(|side| question.pair.endpoint(*side).agent.as_ref() == Some(agent))?;
            let id =
                question.pair.endpoint(side).instance.as_ref().map_or_else(|| agent.to_string(), ToString::to_string);
            let at = link.side(side);
            let (account, region) = (at.account.clone(), at.region.clone());
            Some(Trigger {
                object: Object { kind: ObjectKind::Instance, id, account, region },
                side,
                what: part.name().get(lang),
                not_before: before.at,
                not_after: after.at,
                call: None,
            })
        }
    }
}

/// The times of the two consecutive readings between which the change happened.
fn between(question: &Question<'_>, change: &Change, before: &Snapshot, after: &Snapshot) -> (Timestamp, Timestamp) {
    let mut from = before.taken_at;
    let chain = question
        .snapshots()
        .filter(|s| s.same_scope(before))
        .filter(|s| s.taken_at > before.taken_at && s.taken_at < after.taken_at);
    for snapshot in chain {
        if changes(before, snapshot).contains(change) {
            return (from, snapshot.finished_at);
        }
        from = snapshot.taken_at;
    }
    (from, after.finished_at)
}

/// The latest successful call in the account's records that names the changed object and lies between the two readings.
fn recorded(
    question: &Question<'_>,
    place: &Place,
    change: &Change,
    from: Timestamp,
    to: Timestamp,
) -> Option<RecordedCall> {
    let names = |call: &&ConfigChange| {
        let ids = [change.object(), change.key()];
        call.error.is_none()
            && call.at >= from
            && call.at <= to
            && call.objects.iter().any(|object| ids.contains(&object.as_str()))
    };
    let records = question.snapshots().filter(|s| s.account == place.0).filter_map(|s| s.changes.known());
    let call = records.flatten().filter(names).max_by_key(|call| (call.at, call.event_id.clone()))?;
    let (at, action, who, event_id) = (call.at, call.action.clone(), call.who.clone(), call.event_id.clone());
    Some(RecordedCall { at, action, who, event_id })
}

fn describe(change: &Change) -> Both {
    let (key, object) = (change.key(), change.object());
    let place = if key == object { String::new() } else { format!(" ({object})") };
    let (en, zh) = (change.kind().name(Lang::En), change.kind().name(Lang::Zh));
    match (&change.before, &change.after) {
        (Some(was), Some(is)) => {
            both!("{en} {key}{place} changed: {was} → {is}", "{zh} {key}{place} 有变更：{was} → {is}")
        }
        (Some(was), None) => both!("{en} {key}{place} was removed: {was}", "{zh} {key}{place} 被删除：{was}"),
        (None, is) => {
            let is = is.clone().unwrap_or_default();
            both!("{en} {key}{place} was added: {is}", "新增{zh} {key}{place}：{is}")
        }
    }
}

fn sentence(triggers: &[Trigger], last_good: Timestamp, first_bad: Timestamp, lang: Lang) -> String {
    let when =
        both!("it broke between {last_good} and {first_bad}", "在 {last_good} 与 {first_bad} 之间中断").get(lang);
    if triggers.is_empty() {
        let none = Both::new("no recorded change explains it", "没有任何已记录的变更能解释");
        return match lang {
            Lang::En => format!("{when}; {}", none.get(lang)),
            Lang::Zh => format!("{when}；{}", none.get(lang)),
        };
    }
    let one = |trigger: &Trigger| {
        let account = &trigger.object.account;
        let what = &trigger.what;
        let call = trigger.call.as_ref().map_or_else(String::new, |call| {
            let RecordedCall { at, action, who, .. } = call;
            format!(" [{action} {who} {at}]")
        });
        match lang {
            Lang::En => format!("account {account}: {what}{call}"),
            Lang::Zh => format!("账号 {account}：{what}{call}"),
        }
    };
    let list = triggers.iter().map(one).collect::<Vec<_>>().join("; ");
    match lang {
        Lang::En => format!("{when}; undoing this restores the pair in the model: {list}"),
        Lang::Zh => format!("{when}；在模型中撤销以下变更即可恢复：{list}"),
    }
}
