//! The 跨省通办 service items, a table to name and to test with.
//!
//! From the annexes of 国办发〔2020〕35号 and 〔2022〕34号, mostly from general
//! knowledge, with two local items. Official lists are versioned data that change:
//! never count on their number, and check a row before quoting it. The mode is
//! this project's suggestion, the annexes fix none; what holds between two parties
//! is in their agreement.

use std::sync::OnceLock;

use super::embedded;

/// How a cross-province item is handled (国办发〔2020〕35号).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// QCWB 全程网办: all online, by the competent place.
    WhollyOnline,
    /// YDDS 异地代收代办: received and checked for form elsewhere, decided by the
    /// competent place.
    ReceivedElsewhere,
    /// DDLB 多地联办: accepted in one place, handled by several.
    HandledJointly,
}

impl Mode {
    /// `QCWB`, `YDDS` or `DDLB`.
    pub fn code(self) -> &'static str {
        match self {
            Self::WhollyOnline => "QCWB",
            Self::ReceivedElsewhere => "YDDS",
            Self::HandledJointly => "DDLB",
        }
    }

    /// The mode of a code; `None` when there is none such.
    pub fn from_code(code: &str) -> Option<Self> {
        [Self::WhollyOnline, Self::ReceivedElsewhere, Self::HandledJointly]
            .into_iter()
            .find(|mode| mode.code() == code)
    }
}

/// 服务对象, whom an item serves (GB/T 39046-2020 annex A).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceObject {
    /// 1 自然人.
    Person,
    /// 2 企业法人.
    Enterprise,
    /// 3 事业法人.
    PublicInstitution,
    /// 4 社会组织法人.
    SocialOrganisation,
    /// 5 行政机关.
    Authority,
    /// 6 其他组织.
    Other,
}

impl ServiceObject {
    /// The object of a code `1`–`6`; `None` when there is none such.
    pub fn from_code(code: &str) -> Option<Self> {
        match code {
            "1" => Some(Self::Person),
            "2" => Some(Self::Enterprise),
            "3" => Some(Self::PublicInstitution),
            "4" => Some(Self::SocialOrganisation),
            "5" => Some(Self::Authority),
            "6" => Some(Self::Other),
            _ => None,
        }
    }
}

/// A row of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// `KST001` and so on: this project's, not official.
    pub id: &'static str,
    /// 事项名称.
    pub name: &'static str,
    /// The ministry in the lead.
    pub ministry: &'static str,
    /// Whom it serves; never empty.
    pub service_objects: Vec<ServiceObject>,
    /// The document that lists it.
    pub source: &'static str,
    /// The year by whose end it was to be offered; `None` for later or local ones.
    pub deadline_year: Option<u16>,
    /// The mode suggested.
    pub mode: Mode,
}

/// All items of the table, in order of their ids.
pub fn items() -> &'static [Item] {
    static TABLE: OnceLock<Vec<Item>> = OnceLock::new();
    TABLE.get_or_init(|| {
        embedded::rows(include_str!("data/items.csv"))
            .map(|[id, name, ministry, objects, source, deadline, mode, _, _]| Item {
                id,
                name,
                ministry,
                service_objects: objects
                    .split(';')
                    .map(|code| ServiceObject::from_code(code).expect("a unit test reads the whole table"))
                    .collect(),
                source,
                deadline_year: deadline.parse().ok(),
                mode: Mode::from_code(mode).expect("a unit test reads the whole table"),
            })
            .collect()
    })
}

/// The item of an id such as `KST070`; `None` when not listed.
pub fn item(id: &str) -> Option<&'static Item> {
    items().iter().find(|item| item.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_whole_and_in_order() {
        assert_eq!(items().len(), 71);
        for (number, item) in (1..).zip(items()) {
            assert_eq!(item.id, format!("KST{number:03}"));
            assert!(!item.name.is_empty() && !item.service_objects.is_empty());
        }
    }

    #[test]
    fn an_item_is_found_by_its_id() {
        let item = item("KST070").expect("listed");
        assert_eq!(item.name, "歇业备案");
        assert_eq!(item.mode, Mode::WhollyOnline);
        assert_eq!(item.deadline_year, None);
        assert_eq!(super::item("KST072"), None);
    }
}
