//! Where identifiers meet their check digits. The algorithms live in `codes` (floor 1); the rules
//! only ask whether a number holds. [`in_use`] is the one place that says who answers.

use crate::codes::licence_id::{CheckRule, CheckStyle};
use crate::codes::{CaseNumber, LicenceId, ResidentId, Uscc};
use crate::id::{CaseId, NodeId};

/// How an identifier with a check character came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckOutcome {
    /// The check character is right.
    Valid,
    /// Right under a known variant of the algorithm that some issuers use (R31): accepted, reported.
    Variant,
    /// Wrong, or not an identifier of that form at all.
    Invalid,
}

/// The checks of identity numbers that the rules need.
pub trait IdentityChecks: Send + Sync {
    /// Whether a document number of type `id_type` (GA/T 2000.156) passes its check. Types without a
    /// known check pass.
    fn person(&self, id_type: &str, id_number: &str) -> bool;

    /// Checks a licence identifier (证照标识, GB/T 36904).
    fn licence(&self, licence_id: &str) -> CheckOutcome;

    /// Whether a case number holds. One of ours (`KST…`) must pass its check and name these two
    /// places; any other number is opaque and holds.
    fn case_number(&self, case: &CaseId, receiving: NodeId, competent: NodeId) -> bool;
}

/// The checks of `codes`.
#[derive(Debug, Clone, Copy)]
struct CheckDigits;

impl IdentityChecks for CheckDigits {
    fn person(&self, id_type: &str, id_number: &str) -> bool {
        match id_type {
            "111" => ResidentId::parse(id_number).is_ok(),
            "001" => Uscc::parse(id_number).is_ok(),
            _ => true,
        }
    }

    fn licence(&self, licence_id: &str) -> CheckOutcome {
        match LicenceId::parse_with(licence_id, CheckRule::AcceptVendorVariant) {
            Err(_) => CheckOutcome::Invalid,
            Ok(id) if id.check_style() == CheckStyle::VendorVariant => CheckOutcome::Variant,
            Ok(_) => CheckOutcome::Valid,
        }
    }

    fn case_number(&self, case: &CaseId, receiving: NodeId, competent: NodeId) -> bool {
        if !case.as_str().starts_with("KST") {
            return true;
        }
        CaseNumber::parse(case.as_str()).is_ok_and(|number| {
            number.receiving().as_str() == receiving.as_str()
                && number.competent().as_str() == competent.as_str()
        })
    }
}

/// The checks in use.
pub fn in_use() -> &'static dyn IdentityChecks {
    &CheckDigits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_citizen_id_with_a_wrong_check_digit_is_no_person() {
        assert!(in_use().person("111", "430602190001010012"));
        assert!(!in_use().person("111", "430602190001010010"));
        assert!(in_use().person("414", "a passport number is not checked"));
    }

    #[test]
    fn a_case_number_of_ours_names_its_two_places() {
        let day = crate::codes::Date::new(2026, 11, 23).unwrap();
        let (r, s) = ("430600", "421200");
        let division = |text| crate::codes::Division::parse(text).unwrap();
        let number = CaseNumber::mint(division(r), division(s), day, 1).unwrap();
        let case: CaseId = number.as_str().parse().unwrap();
        let holds = |one: &str, other: &str| {
            in_use().case_number(&case, one.parse().unwrap(), other.parse().unwrap())
        };
        assert!(holds(r, s));
        assert!(!holds(s, r));
        assert!(in_use().case_number(&"2026-17".parse().unwrap(), r.parse().unwrap(), s.parse().unwrap()));
    }
}
