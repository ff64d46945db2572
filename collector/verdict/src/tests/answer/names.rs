//! Texts and marks for people, and names of languages.

use crate::tests::world::*;
use crate::{CauseCode, Certainty, Lang, PathState, Stage, StepState};
use pingtong_evidence::*;
use std::collections::BTreeSet;

#[test]
fn a_language_is_read_as_it_is_written() {
    for lang in [Lang::En, Lang::Zh] {
        assert_eq!(lang.as_str().parse(), Ok(lang));
    }
    assert_eq!([Lang::En, Lang::Zh].map(Lang::as_str), ["en", "zh"]);
    assert_eq!("zh".parse(), Ok(Lang::Zh));
    assert_eq!("fr".parse::<Lang>(), Err("write the language as \"zh\" or \"en\""));
    let locales = ["zh_CN.UTF-8", "ZH_TW", "en_US.UTF-8", "C", ""].map(Lang::from_locale);
    assert_eq!(locales, [Lang::Zh, Lang::Zh, Lang::En, Lang::En, Lang::En]);
}

#[test]
fn every_state_has_its_own_words_in_both_languages() {
    let words = |told: &[(&'static str, &'static str)]| {
        let all: BTreeSet<_> = told.iter().flat_map(|(en, zh)| [*en, *zh]).collect();
        assert_eq!(all.len(), 2 * told.len(), "no two share a word: {told:?}");
        told.iter().map(|(en, _)| *en).collect::<Vec<_>>().join(", ")
    };
    let both = |name: &dyn Fn(Lang) -> &'static str| (name(Lang::En), name(Lang::Zh));
    let steps = [StepState::Ok, StepState::Failed, StepState::Unknown, StepState::NotDone];
    assert_eq!(words(&steps.map(|state| both(&|lang| state.name(lang)))), "ok, failed, unknown, not done");
    assert_eq!(steps.map(StepState::mark), ['✓', '✗', '?', '✗']);
    let certain = [Certainty::Proven, Certainty::Supported];
    assert_eq!(words(&certain.map(|state| both(&|lang| state.name(lang)))), "proven, supported");
    let paths = [PathState::Passes, PathState::Stopped, PathState::Unknown];
    assert_eq!(words(&paths.map(|state| both(&|lang| state.name(lang)))), "passes, stopped, unknown");
    let stages = [
        Stage::Source,
        Stage::EgressGroup,
        Stage::EgressAcl,
        Stage::Route,
        Stage::Connection,
        Stage::Transit,
        Stage::IngressAcl,
        Stage::IngressGroup,
        Stage::Destination,
    ];
    assert_eq!(
        words(&stages.map(|stage| both(&|lang| stage.name(lang)))),
        "sending host, security group, egress, network ACL, egress, route look-up, connection, transit router, \
         network ACL, ingress, security group, ingress, receiving host"
    );
}

#[test]
fn a_cause_is_one_sentence_with_its_object_account_and_side() {
    let mut world = World::healthy();
    world.entries(Side::Acceptor).truncate(1);
    world.wire(Wire::S5, Wire::S1);
    let cause = world.verdict().causes.remove(0);
    let title = crate::catalogue::doc(cause.code).title;
    assert_eq!(
        cause.sentence(Lang::En),
        format!("{}: route table vtb-b of account {B} (acceptor side)", title.get(Lang::En))
    );
    assert_eq!(cause.sentence(Lang::Zh), format!("{}：接收端账号 {B} 的路由表 vtb-b", title.get(Lang::Zh)));
}

#[test]
fn a_code_that_nobody_knows_is_named_in_the_error() {
    let told = "no-such-code".parse::<CauseCode>().unwrap_err().to_string();
    assert!(told.contains("no-such-code"), "{told}");
    for code in CauseCode::ALL {
        assert_eq!(code.as_str().parse::<CauseCode>().ok(), Some(*code));
    }
}
