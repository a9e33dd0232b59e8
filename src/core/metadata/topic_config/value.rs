//! Reading one config value as text: its type, its bounds, Kafka's sentence when it does not fit.
//!
//! Deliberately absent: values of a class or a password (no topic config has one).
//! Source: Kafka's `ConfigDef.parseType`, `ConfigDef.Range`, `ValidString`, `ValidList`, `ThrottledReplicaListValidator`.

use std::fmt;

use crate::types::ConfigKind;

/// A value of the right type.
#[derive(Clone, Debug, PartialEq)]
pub enum ConfigValue {
    /// BOOLEAN.
    Bool(bool),
    /// SHORT, INT and LONG.
    Number(i64),
    /// DOUBLE; finite.
    Double(f64),
    /// STRING.
    Text(String),
    /// LIST.
    List(Vec<String>),
}

impl fmt::Display for ConfigValue {
    /// As Kafka prints it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Number(value) => write!(f, "{value}"),
            // Java writes 1.0 where Rust's Display writes 1.
            Self::Double(value) => write!(f, "{value:?}"),
            Self::Text(value) => f.write_str(value),
            Self::List(values) => f.write_str(&values.join(",")),
        }
    }
}

/// What a value must be beyond its type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ConfigCheck {
    /// Anything.
    Any,
    /// Not less than this.
    AtLeast(i64),
    /// Between these, both included.
    Between(i64, i64),
    /// A ratio between 0 and 1.
    Ratio,
    /// 1 to 9, or -1 for the codec's default.
    GzipLevel,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A list of these words, each at most once.
    ListOf(&'static [&'static str]),
    /// `*`, or `partition:broker` pairs.
    ThrottledReplicas,
}

/// Kafka's sentence for a value that does not fit.
fn invalid(name: &str, value: impl fmt::Display, why: impl fmt::Display) -> String {
    format!("Invalid value {value} for configuration {name}: {why}")
}

/// Reads `text` as a value of `kind` that passes `check`. The error is Kafka's sentence.
pub(super) fn parse(
    name: &str,
    text: &str,
    kind: ConfigKind,
    check: ConfigCheck,
) -> Result<ConfigValue, String> {
    let value = parse_kind(name, text, kind)?;
    match check_value(name, &value, check) {
        None => Ok(value),
        Some(message) => Err(message),
    }
}

/// Reads the type alone.
fn parse_kind(name: &str, text: &str, kind: ConfigKind) -> Result<ConfigValue, String> {
    // Java's trim: everything up to and including the blank.
    let trimmed = text.trim_matches(|c| c <= ' ');
    let not_a_number = || {
        invalid(
            name,
            text,
            format_args!("Not a number of type {}", kind.name()),
        )
    };
    match kind {
        ConfigKind::Boolean if trimmed.eq_ignore_ascii_case("true") => Ok(ConfigValue::Bool(true)),
        ConfigKind::Boolean if trimmed.eq_ignore_ascii_case("false") => {
            Ok(ConfigValue::Bool(false))
        }
        ConfigKind::Boolean => Err(invalid(
            name,
            text,
            "Expected value to be either true or false",
        )),
        ConfigKind::Short => trimmed
            .parse::<i16>()
            .map(|n| ConfigValue::Number(n.into()))
            .map_err(|_| not_a_number()),
        ConfigKind::Int => trimmed
            .parse::<i32>()
            .map(|n| ConfigValue::Number(n.into()))
            .map_err(|_| not_a_number()),
        ConfigKind::Long => trimmed
            .parse::<i64>()
            .map(ConfigValue::Number)
            .map_err(|_| not_a_number()),
        ConfigKind::Double => trimmed
            .parse::<f64>()
            .ok()
            .filter(|n| n.is_finite())
            .map(ConfigValue::Double)
            .ok_or_else(not_a_number),
        ConfigKind::List if trimmed.is_empty() => Ok(ConfigValue::List(Vec::new())),
        ConfigKind::List => Ok(ConfigValue::List(
            trimmed.split(',').map(|e| e.trim().to_owned()).collect(),
        )),
        ConfigKind::String | ConfigKind::Class | ConfigKind::Password => {
            Ok(ConfigValue::Text(trimmed.to_owned()))
        }
    }
}

/// What is wrong with a value of the right type, if anything.
fn check_value(name: &str, value: &ConfigValue, check: ConfigCheck) -> Option<String> {
    match (check, value) {
        (ConfigCheck::AtLeast(min) | ConfigCheck::Between(min, _), ConfigValue::Number(n))
            if *n < min =>
        {
            Some(invalid(
                name,
                n,
                format_args!("Value must be at least {min}"),
            ))
        }
        (ConfigCheck::Between(_, max), ConfigValue::Number(n)) if *n > max => Some(invalid(
            name,
            n,
            format_args!("Value must be no more than {max}"),
        )),
        (ConfigCheck::Ratio, ConfigValue::Double(n)) if *n < 0.0 => {
            Some(invalid(name, value, "Value must be at least 0"))
        }
        (ConfigCheck::Ratio, ConfigValue::Double(n)) if *n > 1.0 => {
            Some(invalid(name, value, "Value must be no more than 1"))
        }
        (ConfigCheck::GzipLevel, ConfigValue::Number(n)) if *n != -1 && !(1..=9).contains(n) => {
            Some(invalid(
                name,
                n,
                "Value must be between 1 and 9 or equal to -1",
            ))
        }
        (ConfigCheck::OneOf(words), ConfigValue::Text(text)) => check_word(name, text, words),
        (ConfigCheck::ListOf(words), ConfigValue::List(list)) => check_list(name, list, words),
        (ConfigCheck::ThrottledReplicas, ConfigValue::List(list)) => check_throttled(name, list),
        _ => None,
    }
}

fn check_word(name: &str, word: &str, words: &[&str]) -> Option<String> {
    (!words.contains(&word)).then(|| {
        let why = format!("String must be one of: {}", words.join(", "));
        invalid(name, word, why)
    })
}

fn check_list(name: &str, list: &[String], words: &[&str]) -> Option<String> {
    let twice = |(index, word): (usize, &String)| list.iter().take(index).any(|w| w == word);
    if list.iter().enumerate().any(twice) {
        return Some(format!(
            "Configuration '{name}' values must not be duplicated."
        ));
    }
    if list.iter().any(String::is_empty) {
        return Some(format!("Configuration '{name}' values must not be empty."));
    }
    list.iter().find_map(|word| check_word(name, word, words))
}

fn check_throttled(name: &str, list: &[String]) -> Option<String> {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let pair = |text: &String| {
        text.is_empty()
            || text
                .split_once(':')
                .is_some_and(|(partition, broker)| digits(partition) && digits(broker))
    };
    let good = list.iter().all(pair) || list.concat() == "*";
    (!good).then(|| {
        let why = format!(
            "{name} must be the literal '*' or a list of replicas in the following format: \
             [partitionId]:[brokerId],[partitionId]:[brokerId],..."
        );
        // Java prints the list itself here.
        invalid(name, format_args!("[{}]", list.join(", ")), why)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, kind: ConfigKind, check: ConfigCheck) -> Result<String, String> {
        parse("k", text, kind, check).map(|v| v.to_string())
    }

    #[test]
    fn values_print_as_kafka_prints_them() {
        use ConfigKind::{Boolean, Double, Int, List, Long, String};
        for (text, kind, want) in [
            (" TRUE ", Boolean, "true"),
            ("+7", Int, "7"),
            ("9223372036854775807", Long, "9223372036854775807"),
            ("1", Double, "1.0"),
            ("0.5", Double, "0.5"),
            ("a , b", List, "a,b"),
            ("", List, ""),
            (" x ", String, "x"),
        ] {
            assert_eq!(shown(text, kind, ConfigCheck::Any), Ok(want.to_owned()));
        }
    }

    #[test]
    fn refusals_are_kafkas_sentences() {
        use ConfigCheck::{
            Any, AtLeast, Between, GzipLevel, ListOf, OneOf, Ratio, ThrottledReplicas,
        };
        use ConfigKind::{Boolean, Double, Int, List, Long, String};
        let prefix = "for configuration k:";
        let cases: [(&str, ConfigKind, ConfigCheck, std::string::String); 14] = [
            (
                "abc",
                Long,
                Any,
                format!("Invalid value abc {prefix} Not a number of type LONG"),
            ),
            (
                "2147483648",
                Int,
                Any,
                format!("Invalid value 2147483648 {prefix} Not a number of type INT"),
            ),
            (
                "",
                Int,
                Any,
                format!("Invalid value  {prefix} Not a number of type INT"),
            ),
            (
                "yes",
                Boolean,
                Any,
                format!("Invalid value yes {prefix} Expected value to be either true or false"),
            ),
            (
                "NaN",
                Double,
                Any,
                format!("Invalid value NaN {prefix} Not a number of type DOUBLE"),
            ),
            (
                "0",
                Long,
                AtLeast(1),
                format!("Invalid value 0 {prefix} Value must be at least 1"),
            ),
            (
                "18",
                Int,
                Between(1, 17),
                format!("Invalid value 18 {prefix} Value must be no more than 17"),
            ),
            (
                "1.5",
                Double,
                Ratio,
                format!("Invalid value 1.5 {prefix} Value must be no more than 1"),
            ),
            (
                "0",
                Int,
                GzipLevel,
                format!("Invalid value 0 {prefix} Value must be between 1 and 9 or equal to -1"),
            ),
            (
                "x",
                String,
                OneOf(&["a", "b"]),
                format!("Invalid value x {prefix} String must be one of: a, b"),
            ),
            (
                "a,x",
                List,
                ListOf(&["a", "b"]),
                format!("Invalid value x {prefix} String must be one of: a, b"),
            ),
            (
                "a,a",
                List,
                ListOf(&["a", "b"]),
                "Configuration 'k' values must not be duplicated.".to_owned(),
            ),
            (
                "a,",
                List,
                ListOf(&["a", "b"]),
                "Configuration 'k' values must not be empty.".to_owned(),
            ),
            (
                "1:x",
                List,
                ThrottledReplicas,
                format!(
                    "Invalid value [1:x] {prefix} k must be the literal '*' or a list of replicas in the following \
                 format: [partitionId]:[brokerId],[partitionId]:[brokerId],..."
                ),
            ),
        ];
        for (text, kind, check, want) in cases {
            assert_eq!(shown(text, kind, check), Err(want));
        }
    }

    #[test]
    fn measured_empty_lists_are_accepted() {
        for check in [ConfigCheck::ListOf(&["a"]), ConfigCheck::ThrottledReplicas] {
            assert_eq!(shown("", ConfigKind::List, check), Ok(String::new()));
        }
        assert_eq!(
            shown("*", ConfigKind::List, ConfigCheck::ThrottledReplicas),
            Ok("*".to_owned())
        );
        assert_eq!(
            shown("1:2,3:4", ConfigKind::List, ConfigCheck::ThrottledReplicas),
            Ok("1:2,3:4".to_owned())
        );
    }
}
