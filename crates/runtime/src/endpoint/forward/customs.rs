//! The parameters of its own making that a session sets, `app.user` say. PostgreSQL lists those
//! nowhere, so their names are read from the statements that set them. Whether they are set, and to
//! what, the session's server is asked.

use std::collections::BTreeSet;

use super::terms::MODE;

/// So many names are known of a session, and each has so many bytes at most.
const KNOWN: usize = 64;
const LONGEST_NAME: usize = 64;

/// Texts that are longer aren't looked through.
const LONGEST_TEXT: usize = 64 * 1024;

/// The function that sets one.
const CALL: &[u8] = b"set_config";

/// Whose name the next word may be: values have dots in them too.
#[derive(Clone, Copy)]
enum Expected {
    Nothing,
    /// What SET sets, up to its `=` or TO.
    Set,
    /// The first argument of `set_config`.
    Called,
}

impl Expected {
    /// What is expected behind that, which is no word.
    fn behind(self, between: &[u8]) -> Expected {
        let ends: &[u8] = match self {
            Expected::Nothing => return self,
            Expected::Set => b"=;",
            Expected::Called => b",;)",
        };
        match between.iter().any(|byte| ends.contains(byte)) {
            true => Expected::Nothing,
            false => self,
        }
    }
}

/// The names that a session has used.
#[derive(Default)]
pub(super) struct Customs(BTreeSet<String>);

impl Customs {
    /// A text has come: does a statement of it set something?
    pub(super) fn hear(&mut self, sets: bool, text: &[u8]) {
        if text.len() > LONGEST_TEXT {
            return;
        }
        let mut parts = text.windows(CALL.len());
        if !sets && !parts.any(|part| part.eq_ignore_ascii_case(CALL)) {
            return;
        }
        let mut expected = Expected::Nothing;
        let mut rest = text;
        while !rest.is_empty() {
            let length = rest.iter().position(is_part).unwrap_or(rest.len());
            let (between, behind) = rest.split_at(length);
            expected = expected.behind(between);
            let length = behind.iter().position(|byte| !is_part(byte));
            let (word, behind) = behind.split_at(length.unwrap_or(behind.len()));
            rest = behind;
            let word = &word[..word.len().min(LONGEST_NAME + 1)];
            let name = String::from_utf8_lossy(word).to_ascii_lowercase();
            expected = match (&*name, expected) {
                ("set", _) => Expected::Set,
                ("set_config" | "pg_catalog.set_config", _) => Expected::Called,
                ("to", Expected::Set) => Expected::Nothing,
                (name, Expected::Set | Expected::Called) if is_custom(name) => {
                    self.learn(name);
                    Expected::Nothing
                }
                (_, expected) => expected,
            };
        }
    }

    fn learn(&mut self, name: &str) {
        if self.0.len() < KNOWN && name.len() <= LONGEST_NAME && name != MODE {
            self.0.insert(name.to_owned());
        }
    }

    /// What a server is asked besides what it lists: rows of names and values.
    pub(super) fn question(&self) -> String {
        let all = self.0.iter();
        let rows = all.map(|name| {
            format!(
                " UNION ALL SELECT '{name}', pg_catalog.encode(pg_catalog.convert_to(\
                pg_catalog.current_setting('{name}', true), 'UTF8'), 'hex')"
            )
        });
        rows.collect()
    }
}

fn is_part(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_$.".contains(byte)
}

/// Is it two names or more with dots between them?
fn is_custom(name: &str) -> bool {
    let mut parts = name.split('.');
    let is_name =
        |part: &str| part.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    name.contains('.') && parts.all(is_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values take no place of names.
    #[test]
    fn values_are_no_names() {
        let mut customs = Customs::default();
        for number in 0..100 {
            let set = format!("set app.user = 'a{number}.smith'; set x to 'b{number}.smith'");
            customs.hear(true, set.as_bytes());
            let call = format!("select set_config($1, 'c{number}.smith', true), d{number}.smith");
            customs.hear(false, call.as_bytes());
        }
        for (sets, text) in [
            (true, "set session /* why */ app.tenant to 1.5"),
            (true, "select 1; set local \"app.other\" = 'x.y'"),
            (
                false,
                "select pg_catalog.set_config(E'app.called', 'x.y', false)",
            ),
            (
                false,
                "select set_config(setting_name => 'app.named', new_value => 'x.y')",
            ),
        ] {
            customs.hear(sets, text.as_bytes());
        }
        let names: Vec<&str> = customs.0.iter().map(String::as_str).collect();
        let all = [
            "app.called",
            "app.named",
            "app.other",
            "app.tenant",
            "app.user",
        ];
        assert_eq!(names, all);
    }

    #[test]
    fn names_are_read_where_they_are_set_and_nowhere_else() {
        let mut customs = Customs::default();
        customs.hear(false, b"select t.a from t");
        customs.hear(true, b"set timezone = 'x'");
        customs.hear(true, b"set apg_write_forward.consistency_mode = 'global'");
        assert_eq!(customs.question(), "");
        customs.hear(true, b"SET LOCAL App.User TO 'it''s';");
        customs.hear(false, b"select Set_Config('app.tenant', $1, false), 1.5");
        let mut known = Customs::default();
        let mut asked = |name: &str| {
            known.0 = BTreeSet::from([name.to_owned()]);
            known.question()
        };
        assert!(asked("app.user").contains("current_setting('app.user', true)"));
        assert_eq!(customs.question(), asked("app.tenant") + &asked("app.user"));
        for number in 0..1000 {
            customs.hear(true, format!("set a.b{number} = 1").as_bytes());
        }
        assert_eq!(customs.0.len(), KNOWN);
        let mut customs = Customs::default();
        customs.hear(true, &b"set a.b = 1;".repeat(10_000));
        assert_eq!(customs.question(), "");
    }
}
