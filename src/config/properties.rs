//! Java's .properties syntax, to the letter.
//!
//! Purpose: an existing `server.properties` means here what it means to Kafka.
//! Invariants: 1. Bytes are ISO 8859-1, as `Properties.load(InputStream)` reads them; other characters come as `\uXXXX`.
//! 2. The last of several equal keys wins; that is up to the caller, entries are returned in file order.
//! Deliberately absent: values over several files, `${provider:key}`.
//! Source: the specification of `java.util.Properties.load`.

/// Why a file cannot be read as properties.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PropertiesError {
    /// `\u` without four hexadecimal digits.
    #[error("line {line}: \\u must be followed by four hexadecimal digits")]
    MalformedEscape {
        /// Counted from 1: where the logical line begins.
        line: usize,
    },
}

/// A key and its value, and where it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Property {
    /// The key, unescaped.
    pub key: String,
    /// The value, unescaped; trailing blanks are part of it.
    pub value: String,
    /// Line of its beginning, counted from 1.
    pub line: usize,
}

/// Reads all entries in order.
pub fn parse(bytes: &[u8]) -> Result<Vec<Property>, PropertiesError> {
    let text: Vec<char> = bytes.iter().map(|&b| char::from(b)).collect();
    logical_lines(&text)
        .into_iter()
        .map(|(line, chars)| {
            let (key, value) = split(&chars);
            let malformed = |()| PropertiesError::MalformedEscape { line };
            Ok(Property {
                key: unescape(key).map_err(malformed)?,
                value: unescape(value).map_err(malformed)?,
                line,
            })
        })
        .collect()
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\u{c}')
}

/// Joins continued lines; leaves out comments and blank lines. Escapes stay as they are.
fn logical_lines(text: &[char]) -> Vec<(usize, Vec<char>)> {
    let mut lines = Vec::new();
    let mut open: Option<(usize, Vec<char>)> = None;
    for (index, natural) in natural_lines(text).into_iter().enumerate() {
        let start = natural.iter().position(|&c| !is_blank(c));
        let content = start.map_or(&[][..], |s| natural.get(s..).unwrap_or(&[]));
        if open.is_none() && (content.is_empty() || matches!(content.first(), Some('#' | '!'))) {
            continue;
        }
        let (at, mut chars) = open.take().unwrap_or((index + 1, Vec::new()));
        chars.extend_from_slice(content);
        let slashes = content.iter().rev().take_while(|&&c| c == '\\').count();
        if slashes % 2 == 1 {
            chars.pop();
            open = Some((at, chars));
        } else {
            lines.push((at, chars));
        }
    }
    lines.extend(open);
    lines
}

/// Lines end with \n, \r or \r\n.
fn natural_lines(text: &[char]) -> Vec<&[char]> {
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(end) = rest.iter().position(|&c| c == '\n' || c == '\r') {
        let (line, tail) = rest.split_at(end);
        lines.push(line);
        let skip = if tail.starts_with(&['\r', '\n']) {
            2
        } else {
            1
        };
        rest = tail.get(skip..).unwrap_or(&[]);
    }
    if !rest.is_empty() {
        lines.push(rest);
    }
    lines
}

/// The key ends at the first `=`, `:` or blank that no backslash escapes; one separator and blanks around it belong to
/// neither side.
fn split(line: &[char]) -> (&[char], &[char]) {
    let mut escaped = false;
    let end = line
        .iter()
        .position(|&c| {
            let ends = !escaped && (c == '=' || c == ':' || is_blank(c));
            escaped = c == '\\' && !escaped;
            ends
        })
        .unwrap_or(line.len());
    let (key, rest) = line.split_at(end);
    let rest = skip_blanks(rest);
    let rest = match rest.split_first() {
        Some(('=' | ':', after)) => skip_blanks(after),
        _ => rest,
    };
    (key, rest)
}

fn skip_blanks(text: &[char]) -> &[char] {
    let start = text.iter().position(|&c| !is_blank(c));
    start.map_or(&[], |s| text.split_at(s).1)
}

/// Java strings are UTF-16, so two `\u` escapes may make one character.
fn unescape(text: &[char]) -> Result<String, ()> {
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut chars = text.iter().copied();
    while let Some(c) = chars.next() {
        // Every character here came from one byte and fits a unit.
        let mut push = |c: char| units.push(u16::try_from(u32::from(c)).unwrap_or(0xfffd));
        if c != '\\' {
            push(c);
            continue;
        }
        match chars.next() {
            Some('t') => push('\t'),
            Some('n') => push('\n'),
            Some('r') => push('\r'),
            Some('f') => push('\u{c}'),
            Some('u') => {
                let mut unit = 0u16;
                for _ in 0..4 {
                    let digit = chars.next().and_then(|c| c.to_digit(16)).ok_or(())?;
                    unit = unit << 4 | u16::try_from(digit).map_err(|_| ())?;
                }
                units.push(unit);
            }
            Some(other) => push(other),
            None => {}
        }
    }
    Ok(String::from_utf16_lossy(&units))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        let entries = parse(text.as_bytes()).expect("well-formed");
        entries.into_iter().map(|p| (p.key, p.value)).collect()
    }

    fn check(text: &str, expected: &[(&str, &str)]) {
        let expected: Vec<_> = expected
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        assert_eq!(pairs(text), expected, "{text:?}");
    }

    #[test]
    fn separators_comments_and_blanks() {
        check(
            "# c\n! d\n\n  a=1\nb:2\nc 3\nd\t=\t4\n",
            &[("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")],
        );
        check(
            "a = b = c \r\nd==e\rf",
            &[("a", "b = c "), ("d", "=e"), ("f", "")],
        );
        check("Truth   :Beauty", &[("Truth", "Beauty")]);
        check("  \t# comment\n", &[]);
    }

    #[test]
    fn continued_lines() {
        check(
            "fruits  apple, banana, \\\n      pear, \\\n   mango\nx=1",
            &[("fruits", "apple, banana, pear, mango"), ("x", "1")],
        );
        // An even number of backslashes does not continue; a comment cannot be continued, and is none inside a continued line.
        check("a=b\\\\\nc=d", &[("a", "b\\"), ("c", "d")]);
        check("# x\\\na=1", &[("a", "1")]);
        check("a=1,\\\n#2", &[("a", "1,#2")]);
        check("a=1\\\n\nb=2", &[("a", "1"), ("b", "2")]);
        check("a=1\\", &[("a", "1")]);
    }

    #[test]
    fn escapes() {
        check("a\\=b\\:c\\ d = \\t\\n\\q", &[("a=b:c d", "\t\nq")]);
        check("a=\\u00e9\\uD83D\\uDE00", &[("a", "é😀")]);
        assert_eq!(
            parse(b"x=1\na=\\u12"),
            Err(PropertiesError::MalformedEscape { line: 2 })
        );
        // ISO 8859-1: the byte is the character.
        assert_eq!(parse(b"a=\xe9").expect("fine")[0].value, "é");
    }

    #[test]
    fn equal_keys_stay_in_order() {
        check("a=1\na=2", &[("a", "1"), ("a", "2")]);
    }
}
