//! How far two standards of one item agree (同标准办理): per condition, material, limit and result, whether
//! they say the same, which one asks more of the applicant, or whether they simply differ. Two cities
//! settle on an agreed text from this list.

use super::standard::{Necessity, Standard, StandardMaterial};

/// What two standards say about one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Relation {
    /// The same.
    Same,
    /// The first asks more, or gives less time.
    FirstStricter,
    /// The second asks more, or gives less time.
    SecondStricter,
    /// Neither more nor less: another thing.
    Different,
}

impl Relation {
    /// The stable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::FirstStricter => "first_stricter",
            Self::SecondStricter => "second_stricter",
            Self::Different => "different",
        }
    }

    /// In Chinese.
    pub fn zh(self) -> &'static str {
        match self {
            Self::Same => "一致",
            Self::FirstStricter => "前者更严",
            Self::SecondStricter => "后者更严",
            Self::Different => "不同",
        }
    }

    fn of<T: Ord>(first: T, second: T) -> Self {
        match first.cmp(&second) {
            std::cmp::Ordering::Equal => Self::Same,
            std::cmp::Ordering::Greater => Self::FirstStricter,
            std::cmp::Ordering::Less => Self::SecondStricter,
        }
    }

    /// Both findings about one thing in one.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (one, Self::Same) => one,
            (Self::Same, other) => other,
            (one, other) if one == other => one,
            _ => Self::Different,
        }
    }
}

/// One line of the comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Which thing: `material M01`, `condition 1`, `promised_working_days`.
    pub place: String,
    /// How it compares.
    pub relation: Relation,
    /// What the first says; empty: nothing.
    pub first: String,
    /// What the second says; empty: nothing.
    pub second: String,
}

/// Compares two standards, thing by thing: materials by their codes, conditions by their words.
pub fn compare(first: &Standard, second: &Standard) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut line = |place: String, relation, first: String, second: String| {
        lines.push(Line { place, relation, first, second });
    };
    let same = |equal: bool| if equal { Relation::Same } else { Relation::Different };
    line("item".into(), same(first.item == second.item), first.item.clone(), second.item.clone());
    for one in &first.materials {
        let place = format!("material {}", one.code);
        match second.materials.iter().find(|other| other.code == one.code) {
            Some(other) => line(place, materials(one, other), described(one), described(other)),
            None => line(place, asked(one, Relation::FirstStricter), described(one), String::new()),
        }
    }
    for other in &second.materials {
        if first.materials.iter().all(|one| one.code != other.code) {
            let place = format!("material {}", other.code);
            line(place, asked(other, Relation::SecondStricter), String::new(), described(other));
        }
    }
    for (number, condition) in first.conditions.iter().enumerate() {
        let both = second.conditions.contains(condition);
        let relation = if both { Relation::Same } else { Relation::FirstStricter };
        let said = if both { condition.clone() } else { String::new() };
        line(format!("condition {}", number + 1), relation, condition.clone(), said);
    }
    for (number, condition) in second.conditions.iter().enumerate() {
        if !first.conditions.contains(condition) {
            let place = format!("condition {} of the second", number + 1);
            line(place, Relation::SecondStricter, String::new(), condition.clone());
        }
    }
    // less time for the authority is the stricter promise
    for (place, one, other) in [
        ("promised_working_days", first.promised_working_days, second.promised_working_days),
        ("statutory_working_days", first.statutory_working_days, second.statutory_working_days),
    ] {
        line(place.into(), Relation::of(other, one), one.to_string(), other.to_string());
    }
    line("fee".into(), same(first.fee == second.fee), first.fee.clone(), second.fee.clone());
    let result = |standard: &Standard| standard.result_licence_type.clone().unwrap_or_default();
    line(
        "result_licence_type".into(),
        same(first.result_licence_type == second.result_licence_type),
        result(first),
        result(second),
    );
    lines
}

/// A material that only one asks for is no burden when it is optional.
fn asked(material: &StandardMaterial, stricter: Relation) -> Relation {
    if material.necessity == Necessity::Optional { Relation::Different } else { stricter }
}

fn materials(one: &StandardMaterial, other: &StandardMaterial) -> Relation {
    let burden = |material: &StandardMaterial| match material.necessity {
        Necessity::Optional => 0,
        Necessity::Deferrable => 1,
        Necessity::Required => 2,
    };
    let words =
        if one.name == other.name && one.form == other.form { Relation::Same } else { Relation::Different };
    Relation::of(burden(one), burden(other)).and(Relation::of(one.copies, other.copies)).and(words)
}

fn described(material: &StandardMaterial) -> String {
    let StandardMaterial { name, necessity, form, copies, .. } = material;
    format!("{name} {} {} {copies}", necessity.name(), form.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standard() -> Standard {
        Standard::for_item("KST071", "企业变更登记", "430600".parse().unwrap(), "2026-01-01".parse().unwrap())
    }

    /// The line of a place when the second standard is changed.
    fn relation(place: &str, change: impl FnOnce(&mut Standard)) -> Relation {
        let mut other = standard();
        change(&mut other);
        let lines = compare(&standard(), &other);
        let line = lines.iter().find(|line| line.place == place);
        line.unwrap_or_else(|| panic!("no line about {place}: {lines:?}")).relation
    }

    #[test]
    fn equal_standards_say_the_same_throughout() {
        assert!(compare(&standard(), &standard()).iter().all(|line| line.relation == Relation::Same));
    }

    #[test]
    fn each_thing_is_stricter_on_the_side_that_asks_more() {
        use Relation::{Different, FirstStricter, SecondStricter};
        assert_eq!(relation("material M01", |s| s.materials[0].copies = 3), SecondStricter);
        assert_eq!(
            relation("material M01", |s| s.materials[0].necessity = Necessity::Deferrable),
            FirstStricter
        );
        assert_eq!(relation("material M02", |s| drop(s.materials.remove(1))), FirstStricter);
        assert_eq!(relation("material M01", |s| s.materials[0].name = "身份证".into()), Different);
        assert_eq!(
            relation("material M01", |s| {
                s.materials[0].necessity = Necessity::Deferrable;
                s.materials[0].copies = 2;
            }),
            Different,
            "less here and more there is neither"
        );
        assert_eq!(relation("promised_working_days", |s| s.promised_working_days = 5), SecondStricter);
        assert_eq!(relation("statutory_working_days", |s| s.statutory_working_days = 30), FirstStricter);
        assert_eq!(relation("condition 1", |s| s.conditions.clear()), FirstStricter);
        assert_eq!(
            relation("condition 2 of the second", |s| s.conditions.push("本省户籍".into())),
            SecondStricter
        );
        assert_eq!(relation("fee", |s| s.fee = "10 元".into()), Different);
    }
}
