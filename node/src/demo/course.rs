//! What becomes of the load's cases: a function of the case's number, known to both drivers and to
//! the checks, and to nobody else. The nodes only see messages.

use super::catalogue::{self, ItemPlan};
use super::error::DemoError;
use gateway::codes::{CaseNumber, Date};
use gateway::id::Kind;
use gateway::time::UnixMillis;
use std::collections::HashMap;
use std::sync::Arc;

/// Serials of the load begin here; those below are the story's.
const SERIAL_FIRST: u32 = 1000;

/// How a case ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Course {
    /// 准予, licence, delivery, close, rating.
    Granted,
    /// The same after 补正.
    GrantedAfterSupplement,
    /// 不予.
    Denied,
    /// 不予受理.
    Rejected,
    /// 退件.
    Returned,
}

impl Course {
    /// Of twenty cases: thirteen granted at once, four after a supplement, one each of the others.
    fn of(number: u32) -> Self {
        match number % 20 {
            4 | 9 | 14 | 19 => Self::GrantedAfterSupplement,
            7 => Self::Denied,
            12 => Self::Rejected,
            17 => Self::Returned,
            _ => Self::Granted,
        }
    }

    /// The acts of such a case, in its order.
    pub(super) fn acts(self) -> &'static [Kind] {
        use Kind::*;
        match self {
            Self::Granted => &[
                CaseForward,
                CaseSignFor,
                CaseAccept,
                CaseReview,
                CaseGrant,
                CaseLicence,
                CaseDispatch,
                CaseDeliver,
                CaseClose,
                CaseRate,
                CaseRate,
            ],
            Self::GrantedAfterSupplement => &[
                CaseForward,
                CaseSignFor,
                CaseSupplementRequest,
                CaseSupplementSubmit,
                CaseAccept,
                CaseReview,
                CaseGrant,
                CaseLicence,
                CaseDispatch,
                CaseDeliver,
                CaseClose,
                CaseRate,
                CaseRate,
            ],
            Self::Denied => {
                &[CaseForward, CaseSignFor, CaseAccept, CaseReview, CaseDeny, CaseClose, CaseRate, CaseRate]
            }
            Self::Rejected => &[CaseForward, CaseSignFor, CaseReject, CaseClose, CaseRate, CaseRate],
            Self::Returned => &[CaseForward, CaseReturn],
        }
    }

    /// The state it ends in, on both nodes.
    pub(super) fn final_state(self) -> &'static str {
        if self == Self::Returned { "returned" } else { "closed" }
    }

    /// How many ratings follow its end.
    pub(super) fn ratings(self) -> usize {
        self.acts().iter().filter(|kind| **kind == Kind::CaseRate).count()
    }
}

/// One case of the load.
#[derive(Debug, Clone)]
pub(super) struct PlannedCase {
    /// Counts from 0.
    pub number: u32,
    /// 业务协同编号.
    pub id: String,
    /// Index into the plan's items.
    item: usize,
    /// What becomes of it.
    pub course: Course,
}

/// All cases of the load.
#[derive(Debug)]
pub(super) struct Plan {
    items: Vec<ItemPlan>,
    cases: Vec<PlannedCase>,
    by_id: HashMap<String, usize>,
    opened: UnixMillis,
}

impl Plan {
    /// Plans `cases` cases, round robin over the items, received on the day of `opened`.
    pub(super) fn new(cases: u32, day: Date, opened: UnixMillis) -> Result<Arc<Self>, DemoError> {
        let items = catalogue::items();
        let cases: Vec<_> = (0..cases)
            .map(|number| {
                let id = catalogue::case_number(day, SERIAL_FIRST + number)?;
                Ok(PlannedCase {
                    number,
                    id,
                    item: number as usize % items.len(),
                    course: Course::of(number),
                })
            })
            .collect::<Result<_, DemoError>>()?;
        let by_id = cases.iter().enumerate().map(|(place, case)| (case.id.clone(), place)).collect();
        Ok(Arc::new(Self { items, cases, by_id, opened }))
    }

    /// The items.
    pub(super) fn items(&self) -> &[ItemPlan] {
        &self.items
    }

    /// The cases.
    pub(super) fn cases(&self) -> &[PlannedCase] {
        &self.cases
    }

    /// The case of that id; `None`: not one of the load.
    pub(super) fn case(&self, id: &str) -> Option<&PlannedCase> {
        self.by_id.get(id).map(|place| &self.cases[*place])
    }

    /// The item of a case.
    pub(super) fn item(&self, case: &PlannedCase) -> &ItemPlan {
        &self.items[case.item]
    }

    /// 收件 of a case at the window: one after the other, a second apart, back from the start of the load.
    pub(super) fn received(&self, case: &PlannedCase) -> UnixMillis {
        let before = (self.cases.len() as u64 - u64::from(case.number)) * 1000;
        UnixMillis(self.opened.0.saturating_sub(before))
    }

    /// Messages that all cases make together, if each is sent once.
    pub(super) fn messages(&self) -> usize {
        self.cases.iter().map(|case| case.course.acts().len()).sum()
    }

    /// Ratings that all cases get together.
    pub(super) fn ratings(&self) -> usize {
        self.cases.iter().map(|case| case.course.ratings()).sum()
    }

    /// How many items have a case.
    pub(super) fn items_covered(&self) -> usize {
        self.items.len().min(self.cases.len())
    }
}

/// `咸受理〔2026〕00001000号`: the number of a document in a case.
pub(super) fn document_number(what: &str, case: &str) -> String {
    match CaseNumber::parse(case) {
        Ok(number) => format!("咸{what}〔{}〕{:08}号", number.day().year(), number.serial()),
        Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_default_load_meets_every_item_in_every_course() {
        let plan =
            Plan::new(71 * 20, Date::new(2026, 11, 23).unwrap(), UnixMillis(1_795_000_000_000)).unwrap();
        let met: BTreeSet<_> = plan.cases().iter().map(|case| (case.item, case.course)).collect();
        assert_eq!(met.len(), 71 * 5, "71 and 20 have no common divisor");
        assert_eq!(plan.items_covered(), 71);
    }

    #[test]
    fn a_case_is_found_by_its_id_and_the_story_is_none() {
        let day = Date::new(2026, 11, 23).unwrap();
        let plan = Plan::new(71, day, UnixMillis(1_795_000_000_000)).unwrap();
        assert_eq!(plan.case(&plan.cases()[70].id).map(|case| case.number), Some(70));
        assert!(plan.case(&catalogue::case_number(day, 1).unwrap()).is_none());
        assert_eq!(document_number("受理", &plan.cases()[0].id), "咸受理〔2026〕00001000号");
    }
}
