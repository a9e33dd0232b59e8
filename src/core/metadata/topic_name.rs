//! Which names a topic may have.
//!
//! Purpose: one judgement and one sentence for every API that takes a topic's name.
//! Source: `org.apache.kafka.common.internals.Topic`.

/// Longest name, so that `<name>-<partition>` with suffixes fits a file name of 255 bytes.
pub const TOPIC_NAME_BYTES_MAX: usize = 249;

/// The topic that holds the metadata log; no client ever sees, creates or deletes it.
pub const CLUSTER_METADATA_TOPIC: &str = "__cluster_metadata";

/// The topic that holds consumer groups and their offsets.
pub const GROUP_METADATA_TOPIC: &str = "__consumer_offsets";

/// Topics that belong to the brokers' own bookkeeping (Kafka's set).
const INTERNAL_TOPICS: [&str; 3] = [
    GROUP_METADATA_TOPIC,
    "__transaction_state",
    "__share_group_state",
];

/// True for topics that `is_internal` says in answers.
#[must_use]
pub fn is_internal_topic(name: &str) -> bool {
    INTERNAL_TOPICS.contains(&name)
}

/// Checks a name. The error is the sentence Kafka sends beside INVALID_TOPIC_EXCEPTION.
pub fn validate_topic_name(name: &str) -> Result<(), String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let reason = if name.is_empty() {
        "the empty string is not allowed".to_owned()
    } else if name == "." || name == ".." {
        format!("'{name}' is not allowed")
    } else if name.encode_utf16().count() > TOPIC_NAME_BYTES_MAX {
        // Kafka counts UTF-16 units here; a name that gets past the next check is ASCII anyway.
        format!(
            "the length of '{name}' is longer than the max allowed length {TOPIC_NAME_BYTES_MAX}"
        )
    } else if !name.chars().all(legal) {
        format!(
            "'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
        )
    } else {
        return Ok(());
    };
    Err(format!("Topic name is invalid: {reason}"))
}

/// The name with `.` as `_`: two topics whose forms are equal collide in metric names and may not both exist.
#[must_use]
pub fn collision_form(name: &str) -> String {
    name.replace('.', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_10_1_names() {
        for good in ["a", "a.b_c-D9", "...", &"x".repeat(249)] {
            assert_eq!(validate_topic_name(good), Ok(()), "{good}");
        }
        for bad in ["", ".", "..", "a b", "a/b", "ä", "a\0", &"x".repeat(250)] {
            assert!(validate_topic_name(bad).is_err(), "{bad}");
        }
        assert_eq!(
            validate_topic_name("").unwrap_err(),
            "Topic name is invalid: the empty string is not allowed"
        );
    }

    #[test]
    fn dots_and_underscores_collide() {
        assert_eq!(collision_form("a.b_c"), collision_form("a_b.c"));
        assert_ne!(collision_form("a-b"), collision_form("a_b"));
    }
}
