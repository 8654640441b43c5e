//! Why something failed, in words that an API's callers may read. What servers and programs say
//! names the host's directories, which are the operator's alone: of each path its last name is
//! left. Operators read the whole of it in the site's log and in `causeway databases list`.

/// The longest reason that callers are told, in bytes.
const MAX_REASON: usize = 600;

/// The reason without the host's directories.
pub(crate) fn public(reason: &str) -> String {
    let mut told = String::new();
    let mut rest = reason;
    while let Some((before, path, after)) = next_path(rest) {
        told.push_str(before);
        let name = path.trim_end_matches('/').rsplit('/').next();
        told.push_str(name.filter(|name| !name.is_empty()).unwrap_or("..."));
        rest = after;
    }
    told.push_str(rest);
    let end = (0..=MAX_REASON.min(told.len())).rfind(|at| told.is_char_boundary(*at));
    told.truncate(end.unwrap_or(0));
    told
}

/// What stands before the first absolute path, the path, and what stands behind it. One in quotes
/// ends with them; another one where a word does, and goes on where the next word has a slash, as
/// in directories with a blank in their names.
fn next_path(text: &str) -> Option<(&str, &str, &str)> {
    let is_begin = |at: &usize| {
        let before = text[..*at].chars().next_back();
        before.is_none_or(|it| it.is_whitespace() || "\"'`(=:[,".contains(it))
    };
    let begin = text.match_indices('/').map(|(at, _)| at).find(is_begin)?;
    let path = &text[begin..];
    let quote = text[..begin]
        .chars()
        .next_back()
        .filter(|it| "\"'`".contains(*it));
    let quoted = quote.and_then(|quote| path.find(quote));
    let length = quoted.unwrap_or_else(|| {
        let mut length = word(path);
        while path[length..].starts_with(' ') && path[length + 1..].starts_with(is_word_of_path) {
            let next = word(&path[length + 1..]);
            if !path[length + 1..][..next].contains('/') {
                break;
            }
            length += 1 + next;
        }
        length
    });
    Some((&text[..begin], &path[..length], &path[length..]))
}

fn is_word_of_path(it: char) -> bool {
    !it.is_whitespace() && !"\"'`(".contains(it)
}

/// Up to where the first word goes, without what ends a sentence or a clause.
fn word(text: &str) -> usize {
    let end = text.find(|it: char| it.is_whitespace() || "\"'`)],;".contains(it));
    let word = &text[..end.unwrap_or(text.len())];
    word.trim_end_matches([':', '.']).len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_paths_the_last_name_is_left_and_all_else_stays() {
        for (reason, told) in [
            (
                "no path at all, 0/16B3748 of 1/2",
                "no path at all, 0/16B3748 of 1/2",
            ),
            (
                "can't write /srv/lab/db/eu/ab12/postgresql.conf: No space left on device",
                "can't write postgresql.conf: No space left on device",
            ),
            (
                "FATAL:  could not open file \"/srv/my lab/db/x/data/global/pg_control\": Denied",
                "FATAL:  could not open file \"pg_control\": Denied",
            ),
            (
                "/srv/my lab/db/ab12 is Damaged, which it must not be",
                "ab12 is Damaged, which it must not be",
            ),
            ("in /: nothing", "in ...: nothing"),
            ("(/a/b) and /c/d/ and 'x'", "(b) and d and 'x'"),
            ("files of /a/ä/ü.", "files of ü."),
        ] {
            assert_eq!(public(reason), told);
        }
    }

    #[test]
    fn no_reason_is_longer_than_may_be_told() {
        let told = public(&"ä".repeat(MAX_REASON));
        assert_eq!(
            (told.len(), told.chars().count()),
            (MAX_REASON, MAX_REASON / 2)
        );
    }
}
