//! A table's name where several accounts have tables: what a Region's tables are found by. It says
//! nothing of whether there is such a table.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use types::AccountId;

/// Bytes of a resource's name on the link.
const LONGEST_RESOURCE: usize = 255;

/// A table's name and whose it is. As text it is the name alone for a table of the deployment's
/// first account, and `444455556666:Orders` for others: no table has a colon in its name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TableName {
    /// The account that owns it.
    pub account: AccountId,
    /// Its name, unique in that account and Region.
    pub name: String,
}

impl TableName {
    /// That account's table of that name.
    pub fn new(account: AccountId, name: impl Into<String>) -> TableName {
        TableName {
            account,
            name: name.into(),
        }
    }

    /// What the link meters its records by: its text, of which an account and a name at its
    /// longest lose the end.
    pub fn resource(&self) -> String {
        let mut text = self.to_string();
        text.truncate(text.floor_char_boundary(LONGEST_RESOURCE));
        text
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.account != AccountId::LAB {
            write!(f, "{}:", self.account)?;
        }
        f.write_str(&self.name)
    }
}

impl FromStr for TableName {
    type Err = Infallible;

    /// Every text is some name; one without an account is of the first.
    fn from_str(text: &str) -> Result<TableName, Infallible> {
        let owned = text.split_once(':').and_then(|(account, name)| {
            let account = account.parse().ok()?;
            Some(TableName::new(account, name))
        });
        Ok(owned.unwrap_or_else(|| TableName::new(AccountId::LAB, text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_accounts_tables_need_no_account() {
        let other: AccountId = "000055556666".parse().unwrap();
        for (account, text) in [(AccountId::LAB, "Orders"), (other, "000055556666:Orders")] {
            let name = TableName::new(account, "Orders");
            assert_eq!(name.to_string(), text);
            assert_eq!(text.parse(), Ok(name));
        }
        let long = TableName::new(other, "n".repeat(255));
        assert_eq!(long.resource(), long.to_string()[..LONGEST_RESOURCE]);
        let odd = "12:Orders";
        assert_eq!(odd.parse(), Ok(TableName::new(AccountId::LAB, odd)));
    }
}
