//! What a session has set, as statements that set the same in its session at the writer. What is
//! the writer's own affair, as how a transaction is isolated, isn't carried over.

/// What a session has set itself, and its role: in hexadecimal digits of UTF-8, whatever its
/// client's encoding is.
pub(super) const SETTINGS: &str = "SELECT name, \
    pg_catalog.encode(pg_catalog.convert_to(setting, 'UTF8'), 'hex') FROM pg_catalog.pg_settings \
    WHERE source = 'session' AND name !~ '^(apg_write_forward[.]|transaction_)' \
    UNION ALL SELECT 'role', pg_catalog.encode(\
    pg_catalog.convert_to(pg_catalog.current_setting('role'), 'UTF8'), 'hex')";

/// The statements that give a session at the writer what another has set.
pub(super) fn settings(rows: &[Vec<Option<String>>]) -> String {
    let pairs = rows.iter().filter_map(|row| match row.as_slice() {
        [Some(name), Some(value)] => Some((name, value)),
        _ => None,
    });
    // Its role last: another may not be let to set the rest.
    let (roles, others): (Vec<_>, Vec<_>) = pairs.partition(|(name, _)| *name == "role");
    let set = others.into_iter().chain(roles).map(|(name, value)| {
        let (name, value) = (literal(name), literal(value));
        format!(
            "; SELECT pg_catalog.set_config({name}, \
            pg_catalog.convert_from(pg_catalog.decode({value}, 'hex'), 'UTF8'), false)"
        )
    });
    set.collect()
}

/// A text that is the same literal whatever a session has set.
fn literal(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('\'', "''");
    format!("E'{text}'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_carried_over_as_literals() {
        let row = |name: &str, value: &str| vec![Some(name.to_owned()), Some(value.to_owned())];
        let sets = |name: &str, value: &str| {
            format!(
                "; SELECT pg_catalog.set_config(E'{name}', \
                pg_catalog.convert_from(pg_catalog.decode(E'{value}', 'hex'), 'UTF8'), false)"
            )
        };
        // The role comes last; none too, since a session may begin in a role that it has left.
        let rows = [row("role", "6e6f6e65"), row("my.x", "c3a9")];
        assert_eq!(
            settings(&rows),
            sets("my.x", "c3a9") + &sets("role", "6e6f6e65")
        );
        let unset = vec![Some("my.y".to_owned()), None];
        assert_eq!(settings(&[unset]), "");
        assert_eq!(literal("it's \\ odd"), "E'it''s \\\\ odd'");
    }
}
