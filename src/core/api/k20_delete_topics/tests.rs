//! DeleteTopics' rules.

use super::*;
use crate::api::testing::{Fixture, through_wire};
use crate::types::{
    BrokerConfigEntry, BrokerConfigView, ConfigDef, ConfigDynamic, ConfigKind, ConfigSource,
};

const OTHER: TopicId = TopicId([9; 16]);

fn request(version: i16, names: &[&str], ids: &[TopicId]) -> DeleteTopicsRequest {
    let request = DeleteTopicsRequest::default().with_timeout_ms(1000);
    if version < 6 {
        assert!(ids.is_empty());
        return request.with_topic_names(names.iter().map(|name| topic_name(name)).collect());
    }
    let by_name = names
        .iter()
        .map(|name| DeleteTopicState::default().with_name(Some(topic_name(name))));
    let by_id = ids.iter().map(|id| {
        DeleteTopicState::default()
            .with_name(None)
            .with_topic_id(uuid(*id))
    });
    request.with_topics(by_name.chain(by_id).collect())
}

/// What the controller is asked, and the answer if it grants everything.
fn run(
    fixture: &Fixture,
    version: i16,
    request: &DeleteTopicsRequest,
) -> (Vec<TopicRef>, DeleteTopicsResponse) {
    let mut asked = Vec::new();
    let answer = through_wire(version, request, |request| {
        match plan(&fixture.context(), version, &request) {
            Plan::Reply(reply) => reply,
            Plan::Ask(CtlRequest::DeleteTopics { topics }, pending) => {
                asked.clone_from(&topics);
                let done = topics.into_iter().map(|topic| DeletedTopic {
                    name: topic.name.map(Into::into),
                    id: topic.id,
                    error: ErrorCode::None,
                    message: None,
                });
                finish(pending, CtlReply::DeleteTopics(done.collect()))
            }
            Plan::Ask(other, _) => panic!("{other:?}"),
        }
    });
    (asked, answer)
}

fn rows(response: &DeleteTopicsResponse) -> Vec<(Option<String>, i16)> {
    let rows = response.responses.iter();
    rows.map(|r| (r.name.as_ref().map(|name| name.to_string()), r.error_code))
        .collect()
}

#[test]
fn every_version_asks_and_answers() {
    let fixture = Fixture::new();
    for version in 1..=6 {
        let (asked, answer) = run(
            &fixture,
            version,
            &request(version, &["alpha", "nope"], &[]),
        );
        let names: Vec<_> = asked.iter().map(|t| t.name.as_deref().unwrap()).collect();
        assert_eq!(names, ["alpha", "nope"]);
        assert_eq!(
            rows(&answer),
            [(Some("alpha".to_owned()), 0), (Some("nope".to_owned()), 0)]
        );
    }
    let (asked, answer) = run(&fixture, 6, &request(6, &[], &[OTHER]));
    assert_eq!(asked[0].id, OTHER);
    assert_eq!(answer.responses[0].topic_id, uuid(OTHER));
}

#[test]
fn rule_10_6_deletion_may_be_disabled() {
    static ENABLE: ConfigDef = ConfigDef {
        name: "delete.topic.enable",
        kind: ConfigKind::Boolean,
        default: Some("true"),
        dynamic: ConfigDynamic::ReadOnly,
        internal: false,
        doc: "",
    };
    let mut fixture = Fixture::new();
    let entry = BrokerConfigEntry {
        def: &ENABLE,
        value: Some("false".into()),
        source: ConfigSource::StaticBroker,
    };
    fixture.config = BrokerConfigView::new(vec![entry], [].into());
    for version in 1..=6 {
        let (asked, answer) = run(&fixture, version, &request(version, &["alpha"], &[]));
        assert!(asked.is_empty());
        let code = if version < 3 { 42 } else { 73 };
        assert_eq!(rows(&answer), [(Some("alpha".to_owned()), code)]);
    }
}

#[test]
fn measured_duplicates_are_refused_once_and_others_go_through() {
    let fixture = Fixture::new();
    let asked_for = request(6, &["a", "b", "a"], &[OTHER, OTHER]);
    let (asked, answer) = run(&fixture, 6, &asked_for);
    assert_eq!(asked.len(), 1);
    let want = [
        (Some("b".to_owned()), 0),
        (Some("a".to_owned()), 42),
        (None, 42),
    ];
    assert_eq!(rows(&answer), want);
}

#[test]
fn measured_a_name_beside_its_own_id_deletes_nothing() {
    let fixture = Fixture::new();
    let (asked, answer) = run(&fixture, 6, &request(6, &["alpha"], &[Fixture::ALPHA]));
    assert!(asked.is_empty());
    assert_eq!(rows(&answer), [(Some("alpha".to_owned()), 42)]);
}

#[test]
fn rule_10_6_name_and_id_in_one_entry_or_neither() {
    let both = DeleteTopicState::default()
        .with_name(Some(topic_name("alpha")))
        .with_topic_id(uuid(Fixture::ALPHA));
    let neither = DeleteTopicState::default().with_name(None);
    let request = DeleteTopicsRequest::default()
        .with_timeout_ms(1000)
        .with_topics(vec![both, neither]);
    let (asked, answer) = run(&Fixture::new(), 6, &request);
    assert!(asked.is_empty());
    assert_eq!(rows(&answer), [(Some("alpha".to_owned()), 42), (None, 42)]);
}

#[test]
fn without_time_everything_times_out() {
    let late = request(6, &["alpha"], &[OTHER]).with_timeout_ms(0);
    let (asked, answer) = run(&Fixture::new(), 6, &late);
    assert!(asked.is_empty());
    assert_eq!(rows(&answer), [(Some("alpha".to_owned()), 7), (None, 7)]);
}
