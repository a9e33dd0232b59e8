//! A Rust file as the rules see it: its lines, and its code without comments and literals.
//!
//! Invariants: 1. `code` has as many lines as the file, so positions agree. 2. What stands in a
//! comment, a string or a character literal is blank in `code`.
//! Absent: a parser. The paths looked for are plain enough to be found by their spelling.

/// One file.
pub struct Source {
    /// Relative to the repository, `/`-separated.
    pub name: String,
    /// As written.
    pub text: String,
    /// Without comments and literals.
    pub code: String,
}

/// A path mentioned in the code, as far as it matters: its segments and where it stands.
pub struct Mention {
    /// Line, counted from 1.
    pub line: usize,
    /// `["crate", "log", "append"]`; one entry per branch of a braced import.
    pub segments: Vec<String>,
}

impl Source {
    pub fn new(name: &str, text: &str) -> Self {
        Self {
            name: name.to_owned(),
            text: text.to_owned(),
            code: blank(text),
        }
    }

    pub fn line_count(&self) -> usize {
        self.text.lines().count()
    }

    /// The line on which the file's tests begin: from there on it is not the product's code.
    pub fn tests_from(&self) -> usize {
        let position = self
            .code
            .lines()
            .position(|line| line.contains("#[cfg(test)]"));
        position.map_or(usize::MAX, |index| index + 1)
    }

    /// Paths that begin with one of `roots` followed by `::`, braces opened.
    pub fn mentions(&self, roots: &[&str]) -> Vec<Mention> {
        let code = self.code.as_bytes();
        let mut found = Vec::new();
        let mut at = 0;
        while at < code.len() {
            let word = word_at(code, at);
            if word.is_empty() {
                at += 1;
                continue;
            }
            let end = at + word.len();
            let follows_path = self.code[..at].trim_end().ends_with("::");
            if roots.contains(&word) && !follows_path && self.code[end..].starts_with("::") {
                let line = 1 + self.code[..at].matches('\n').count();
                let mut branches = Vec::new();
                open_branches(code, at, &mut Vec::new(), &mut branches);
                found.extend(
                    branches
                        .into_iter()
                        .map(|segments| Mention { line, segments }),
                );
            }
            at = end;
        }
        found
    }
}

fn word_at(code: &[u8], at: usize) -> &str {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let count = code[at..].iter().take_while(|byte| is_word(byte)).count();
    std::str::from_utf8(&code[at..at + count]).unwrap()
}

fn skip_space(code: &[u8], mut at: usize) -> usize {
    while code.get(at).is_some_and(u8::is_ascii_whitespace) {
        at += 1;
    }
    at
}

/// Follows a path from `at` and returns where it ends; each leaf of its braces is one branch.
fn open_branches(
    code: &[u8],
    at: usize,
    prefix: &mut Vec<String>,
    branches: &mut Vec<Vec<String>>,
) -> usize {
    let depth = prefix.len();
    let mut at = skip_space(code, at);
    loop {
        if code.get(at) == Some(&b'{') {
            at = open_braces(code, at + 1, prefix, branches);
            break;
        }
        let word = word_at(code, at).to_owned();
        at += word.len().max(1);
        prefix.push(word);
        if !code[at.min(code.len())..].starts_with(b"::") {
            branches.push(prefix.clone());
            break;
        }
        at = skip_space(code, at + 2);
    }
    prefix.truncate(depth);
    at
}

fn open_braces(
    code: &[u8],
    mut at: usize,
    prefix: &mut Vec<String>,
    branches: &mut Vec<Vec<String>>,
) -> usize {
    loop {
        at = skip_space(code, at);
        match code.get(at) {
            None | Some(b'}') => return at + 1,
            Some(b',') => at += 1,
            Some(_) => {
                at = open_branches(code, at, prefix, branches);
                // `name as other`: the rest up to the comma is a new name, not a path.
                while code.get(at).is_some_and(|byte| !b",}".contains(byte)) {
                    at += 1;
                }
            }
        }
    }
}

/// Replaces comments, strings and character literals by spaces; keeps line ends.
fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let literal = literal_length(&bytes[at..], bytes[..at].last().copied());
        if literal == 0 {
            let plain = if bytes[at].is_ascii() {
                bytes[at]
            } else {
                b' '
            };
            out.push(plain);
            at += 1;
        } else {
            let blanked = bytes[at..at + literal].iter();
            out.extend(blanked.map(|byte| if *byte == b'\n' { b'\n' } else { b' ' }));
            at += literal;
        }
    }
    String::from_utf8(out).unwrap()
}

/// Length of the comment or literal that begins here, 0 if none does.
fn literal_length(rest: &[u8], before: Option<u8>) -> usize {
    let in_word = before.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    match rest {
        [b'/', b'/', ..] => rest
            .iter()
            .position(|byte| *byte == b'\n')
            .unwrap_or(rest.len()),
        [b'/', b'*', ..] => block_comment_length(rest),
        [b'"', ..] => string_length(rest),
        [b'r', b'"' | b'#', ..] if !in_word => raw_string_length(rest),
        [b'b', b'r', b'"' | b'#', ..] if !in_word => 1 + raw_string_length(&rest[1..]),
        [b'\'', b'\\', ..] => {
            3 + rest[3..]
                .iter()
                .position(|byte| *byte == b'\'')
                .unwrap_or(0)
        }
        [b'\'', one, b'\'', ..] if *one != b'\'' => 3,
        _ => 0,
    }
}

fn block_comment_length(rest: &[u8]) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at + 1 < rest.len() {
        match &rest[at..at + 2] {
            b"/*" => (depth, at) = (depth + 1, at + 2),
            b"*/" => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

fn string_length(rest: &[u8]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

fn raw_string_length(rest: &[u8]) -> usize {
    let hashes = rest[1..].iter().take_while(|byte| **byte == b'#').count();
    if rest.get(1 + hashes) != Some(&b'"') {
        return 0; // a raw identifier
    }
    let mut close = vec![b'"'];
    close.extend(std::iter::repeat_n(b'#', hashes));
    let body = &rest[2 + hashes..];
    let end = body.windows(close.len()).position(|part| part == close);
    end.map_or(rest.len(), |end| 2 + hashes + end + close.len())
}
