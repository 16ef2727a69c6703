//! Personal data, typed apart from everything else. A value of these types may travel in a body and
//! nowhere else: `Debug` masks it, there is no `Display`, and no case fact holds one (PIPL arts. 6, 28).

use std::collections::BTreeMap;
use std::fmt;

/// A text that may identify a natural person.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Personal(String);

impl Personal {
    /// Takes the text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself. Whoever calls this answers for where it goes.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether there is no text.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// First and last character with `*` between; one or two characters show the first at most.
    pub fn masked(&self) -> String {
        let length = self.0.chars().count();
        let mut masked = String::new();
        for (place, character) in self.0.chars().enumerate() {
            let shown = (place == 0 && length > 1) || (place + 1 == length && length > 2);
            masked.push(if shown { character } else { '*' });
        }
        masked
    }
}

impl fmt::Debug for Personal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({} characters)", self.0.chars().count())
    }
}

/// An applicant or an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Name.
    pub name: Personal,
    /// Type of the identity document, GA/T 2000.156: `111` citizen id, `001` unified social credit code.
    pub id_type: String,
    /// Its number.
    pub id_number: Personal,
    /// Telephone number; may be empty.
    pub phone: Personal,
}

/// Licence fields that were disclosed for one purpose: name of the field → its content.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Disclosed(pub BTreeMap<String, String>);

impl fmt::Debug for Disclosed {
    /// The names of the fields only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_of_a_person_shows_nothing_of_the_person() {
        let person = Person {
            name: Personal::new("欧阳娜娜"),
            id_type: "111".into(),
            id_number: Personal::new("11010119000101001X"),
            phone: Personal::new("13800001111"),
        };
        let shown = format!("{person:?}");
        for secret in ["欧阳", "娜", "1101", "1900", "138"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        let fields = Disclosed([("address".to_owned(), "岳阳楼区".to_owned())].into());
        assert_eq!(format!("{fields:?}"), r#"{"address"}"#);
    }

    #[test]
    fn masking_keeps_the_ends_only() {
        assert_eq!(Personal::new("11010119000101001X").masked(), "1****************X");
        assert_eq!(Personal::new("王明").masked(), "王*");
        assert_eq!(Personal::new("王").masked(), "*");
        assert_eq!(Personal::new("").masked(), "");
    }
}
