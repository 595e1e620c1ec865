// SPDX-License-Identifier: MIT OR Apache-2.0

//! Shell patterns on the whole of a clause's name.

/// Whether a name matches a pattern: `*` is any number of characters, `?` is one, `[ab]`, `[a-c]`
/// and `[!a]` are one of a set. All else stands for itself.
pub fn matches(pattern: &str, name: &str) -> bool {
    matches_bytes(pattern.as_bytes(), name.as_bytes())
}

fn matches_bytes(pattern: &[u8], name: &[u8]) -> bool {
    match pattern {
        [] => name.is_empty(),
        [b'*', rest @ ..] => (0..=name.len()).any(|skip| matches_bytes(rest, &name[skip..])),
        [first, rest @ ..] => {
            let Some((byte, name)) = name.split_first() else {
                return false;
            };
            match (first, set_end(rest)) {
                (b'?', _) => matches_bytes(rest, name),
                (b'[', Some(end)) => {
                    in_set(&rest[..end], *byte) && matches_bytes(&rest[end + 1..], name)
                }
                _ => first == byte && matches_bytes(rest, name),
            }
        }
    }
}

/// Where a set ends, whose opening bracket has been read. A bracket that comes first is a member.
fn set_end(rest: &[u8]) -> Option<usize> {
    let first = usize::from(matches!(rest, [b'!', ..])) + 1;
    let end = rest.iter().skip(first).position(|byte| *byte == b']')?;
    Some(first + end)
}

fn in_set(set: &[u8], byte: u8) -> bool {
    let (negated, mut set) = match set {
        [b'!', rest @ ..] => (true, rest),
        _ => (false, set),
    };
    let mut found = false;
    while let [low, rest @ ..] = set {
        (found, set) = match rest {
            [b'-', high, rest @ ..] => (found || (*low..=*high).contains(&byte), rest),
            _ => (found || *low == byte, rest),
        };
    }
    found != negated
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn whole_names() {
        assert!(matches("X-12/epoll-edge", "X-12/epoll-edge"));
        assert!(!matches("X-12", "X-12/epoll-edge"));
        assert!(!matches("", "X-12/select") && matches("", ""));
    }

    #[test]
    fn stars_and_question_marks() {
        assert!(matches("*epoll-edge*", "X-12/epoll-edge-never-loses"));
        assert!(matches("X-1?/*", "X-12/select") && !matches("X-1?/*", "X-1/select"));
        assert!(matches("*", "") && !matches("?", ""));
        assert!(!matches("X-1*/epoll", "X-12/epoll-edge"));
    }

    #[test]
    fn sets() {
        assert!(matches("[XY]-0[1-3]/*", "Y-02/ids") && !matches("[XY]-0[1-3]/*", "Y-04/all"));
        assert!(matches("[!X]*", "Y-02/ids") && !matches("[!X]*", "X-12/select"));
        // Without an end it is a bracket.
        assert!(matches("[ab", "[ab") && matches("[]]", "]"));
    }
}
