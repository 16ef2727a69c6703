//! A standard (一事一标准): how one service item is done, agreed word for word by the places that do it
//! for each other. 一事 one item, 一码 one code, 一单 one list of materials, 一表 one form, 一图 one flow,
//! 一说明 one set of conditions, limits and fees.
//!
//! Catch-all clauses (兜底条款, "other materials") are refused with their place: a window in another
//! province cannot know what they mean.

use super::date::Date;
use crate::id::{Digest, NodeId};
use crate::time::UnixMillis;

/// Materials, form fields, steps or conditions that one standard may list.
pub const LIST_MAX: usize = crate::limits::MATERIALS_MAX;

/// Wordings of catch-all clauses, lower case.
const CATCH_ALL: &[&str] = &[
    "其他材料",
    "其它材料",
    "其他有关材料",
    "其他相关材料",
    "其他资料",
    "等材料",
    "等相关材料",
    "规定的其他",
    "要求的其他",
    "other materials",
    "other documents",
    "any other material",
];

/// Wordings that leave a window in another province guessing, lower case.
const VAGUE: &[&str] = &[
    "相关材料",
    "有关材料",
    "相关证明",
    "有关证明",
    "必要时",
    "视情况",
    "酌情",
    "原则上",
    "适当",
    "根据需要",
    "有关规定",
    "相关规定",
    "if necessary",
    "as appropriate",
    "relevant documents",
];

/// Whether a material must be there (材料必要性).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Necessity {
    /// 必要.
    Required,
    /// 非必要.
    Optional,
    /// 容缺: may follow later.
    Deferrable,
}

impl Necessity {
    /// The stable name in documents.
    pub fn name(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Optional => "optional",
            Self::Deferrable => "deferrable",
        }
    }
}

/// In which form a material comes (材料形式).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MaterialForm {
    /// 纸质.
    Paper,
    /// 电子.
    Electronic,
}

impl MaterialForm {
    /// The stable name on the wire and in documents.
    pub fn name(self) -> &'static str {
        match self {
            Self::Paper => "paper",
            Self::Electronic => "electronic",
        }
    }

    /// The form of that name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "paper" => Some(Self::Paper),
            "electronic" => Some(Self::Electronic),
            _ => None,
        }
    }
}

/// One line of the list of materials (一单).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandardMaterial {
    /// Code within the standard.
    pub code: String,
    /// Name.
    pub name: String,
    /// Whether it must be there.
    pub necessity: Necessity,
    /// Its form.
    pub form: MaterialForm,
    /// Copies; 0 when the original is only looked at.
    pub copies: u32,
}

/// One field of the form (一表).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormField {
    /// Name in the form's JSON.
    pub name: String,
    /// What people read.
    pub label: String,
    /// Whether it must be filled.
    pub required: bool,
}

/// One step of the flow (一图).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowStep {
    /// What is done.
    pub name: String,
    /// Whether the competent place (属地) does it; else the receiving place (收件地).
    pub competent: bool,
    /// Working days it may take; 0: at once.
    pub working_days: u32,
}

/// A standard. Its identity for cases and agreements is the digest of its document, not `id`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standard {
    /// Stable across editions.
    pub id: String,
    /// Code of the item (基本编码, 实施编码, or the code that both sides agreed on).
    pub item: String,
    /// Name of the item.
    pub name: String,
    /// Counts editions from 1.
    pub edition: u32,
    /// First instant at which cases may be opened under it.
    pub effective_from: UnixMillis,
    /// First instant at which they no longer may; `None`: no end.
    pub effective_until: Option<UnixMillis>,
    /// Who publishes it: the competent place.
    pub issuer: NodeId,
    /// 一单.
    pub materials: Vec<StandardMaterial>,
    /// 一表.
    pub form_fields: Vec<FormField>,
    /// 一图.
    pub steps: Vec<FlowStep>,
    /// 一说明: conditions for acceptance.
    pub conditions: Vec<String>,
    /// 承诺时限, working days.
    pub promised_working_days: u32,
    /// 法定时限, working days.
    pub statutory_working_days: u32,
    /// 类型代码 of the licence that a grant produces; `None`: no licence (the case closes when granted).
    pub result_licence_type: Option<String>,
    /// Fee and its basis; empty: none.
    pub fee: String,
}

/// One thing wrong with a standard or an agreement, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where: `materials[2].name`.
    pub place: String,
    /// What is wrong.
    pub why: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.place, self.why)
    }
}

impl Standard {
    /// A complete first edition with the common materials (identity document, application form), flow
    /// and limits of a promised-time item (承诺件). Its fields are public: change what differs.
    pub fn for_item(item: &str, name: &str, issuer: NodeId, effective_from: Date) -> Self {
        let material = |code: &str, name: &str, form, copies| StandardMaterial {
            code: code.to_owned(),
            name: name.to_owned(),
            necessity: Necessity::Required,
            form,
            copies,
        };
        let field = |name: &str, label: &str| FormField {
            name: name.to_owned(),
            label: label.to_owned(),
            required: true,
        };
        let step =
            |name: &str, competent, working_days| FlowStep { name: name.to_owned(), competent, working_days };
        Self {
            id: format!("std-{issuer}-{item}"),
            item: item.to_owned(),
            name: name.to_owned(),
            edition: 1,
            effective_from: effective_from.start(),
            effective_until: None,
            issuer,
            materials: vec![
                material("M01", "申请人身份证明", MaterialForm::Electronic, 1),
                material("M02", "申请表", MaterialForm::Electronic, 1),
            ],
            form_fields: vec![field("name", "姓名或名称"), field("reason", "申请事由")],
            steps: vec![
                step("收件", false, 0),
                step("转递", false, 1),
                step("受理", true, 5),
                step("审查与决定", true, 10),
                step("送达", true, 10),
            ],
            conditions: vec!["申请人身份经收件地窗口核验".to_owned()],
            promised_working_days: 10,
            statutory_working_days: 20,
            result_licence_type: None,
            fee: String::new(),
        }
    }

    /// Everything that keeps the standard from being published; empty: nothing does.
    pub fn lint(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut find = |place: String, why: &str| findings.push(Finding { place, why: why.to_owned() });

        for (place, text) in [("id", &self.id), ("item", &self.item), ("name", &self.name)] {
            if text.trim().is_empty() {
                find(place.into(), "is empty");
            }
        }
        if self.edition == 0 {
            find("edition".into(), "counts from 1");
        }
        if self.effective_until.is_some_and(|until| until <= self.effective_from) {
            find("effective_until".into(), "is not after effective_from");
        }
        if self.promised_working_days > self.statutory_working_days {
            find("promised_working_days".into(), "is above the statutory limit");
        }
        let lists = [
            ("materials", self.materials.len()),
            ("form_fields", self.form_fields.len()),
            ("steps", self.steps.len()),
            ("conditions", self.conditions.len()),
        ];
        for (place, length) in lists {
            if length > LIST_MAX {
                find(place.into(), "is too long");
            }
        }
        for (place, material) in self.materials.iter().enumerate() {
            if material.code.trim().is_empty() {
                find(format!("materials[{place}].code"), "is empty");
            }
            if self.materials[..place].iter().any(|earlier| earlier.code == material.code) {
                find(format!("materials[{place}].code"), "is listed twice");
            }
        }
        for (place, field) in self.form_fields.iter().enumerate() {
            if self.form_fields[..place].iter().any(|earlier| earlier.name == field.name) {
                find(format!("form_fields[{place}].name"), "is listed twice");
            }
        }

        let texts = std::iter::once(("name".to_owned(), &self.name))
            .chain(self.materials.iter().enumerate().map(|(n, m)| (format!("materials[{n}].name"), &m.name)))
            .chain(
                self.form_fields
                    .iter()
                    .enumerate()
                    .map(|(n, f)| (format!("form_fields[{n}].label"), &f.label)),
            )
            .chain(self.steps.iter().enumerate().map(|(n, s)| (format!("steps[{n}].name"), &s.name)))
            .chain(self.conditions.iter().enumerate().map(|(n, c)| (format!("conditions[{n}]"), c)))
            .chain(std::iter::once(("fee".to_owned(), &self.fee)));
        for (place, text) in texts {
            let lower = text.to_lowercase();
            if let Some(clause) = CATCH_ALL.iter().find(|clause| lower.contains(**clause)) {
                find(place, &format!("holds a catch-all clause (兜底条款): {clause}"));
            }
        }
        findings
    }

    /// Vague wording (模糊语言) in what an applicant has to bring, fill in or fulfil, each with its place.
    /// Partners' standards are not refused for it: what one node publishes, another that knows more
    /// words must still take.
    pub fn vague(&self) -> Vec<Finding> {
        let materials = self.materials.iter().enumerate();
        let fields = self.form_fields.iter().enumerate();
        let conditions = self.conditions.iter().enumerate();
        materials
            .map(|(n, material)| (format!("materials[{n}].name"), &material.name))
            .chain(fields.map(|(n, field)| (format!("form_fields[{n}].label"), &field.label)))
            .chain(conditions.map(|(n, condition)| (format!("conditions[{n}]"), condition)))
            .filter_map(|(place, text)| {
                let lower = text.to_lowercase();
                let word = VAGUE.iter().find(|word| lower.contains(**word))?;
                Some(Finding { place, why: format!("is vague (模糊语言): {word}") })
            })
            .collect()
    }

    /// Whether cases may be opened under it at `at`.
    pub fn effective_at(&self, at: UnixMillis) -> bool {
        self.effective_from <= at && self.effective_until.is_none_or(|until| at < until)
    }
}

/// A material as a case offers it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Material {
    /// Code in the standard's list.
    pub code: String,
    /// Digest of the file; `None` when a licence stands for it, or when paper travels by post.
    pub digest: Option<Digest>,
    /// Its form.
    pub form: MaterialForm,
    /// The licence offered instead; empty: none.
    pub licence_id: String,
    /// The agreement's rule under which the licence is offered; empty: none.
    pub recognition_rule: String,
}

/// Codes of the standard's required materials that are not offered, in the standard's order.
///
/// A material is offered when its file's digest is there, when it travels on paper, or when it is a
/// licence reference for which `recognised` says that a recognition rule covers it.
pub fn missing_materials(
    standard: &Standard,
    offered: &[Material],
    recognised: impl Fn(&Material) -> bool,
) -> Vec<String> {
    let counts = |material: &Material| {
        let reference = !material.licence_id.is_empty() || !material.recognition_rule.is_empty();
        if reference {
            material.digest.is_some() || recognised(material)
        } else {
            material.digest.is_some() || material.form == MaterialForm::Paper
        }
    };
    standard
        .materials
        .iter()
        .filter(|required| required.necessity == Necessity::Required)
        .filter(|required| !offered.iter().any(|material| material.code == required.code && counts(material)))
        .map(|required| required.code.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::HashAlgorithm;

    fn standard() -> Standard {
        Standard::for_item("KST071", "企业变更登记", "430600".parse().unwrap(), "2026-01-01".parse().unwrap())
    }

    fn places(change: impl FnOnce(&mut Standard)) -> Vec<String> {
        let mut standard = standard();
        change(&mut standard);
        standard.lint().into_iter().map(|finding| finding.place).collect()
    }

    #[test]
    fn a_catch_all_clause_is_found_with_its_place() {
        assert!(places(|_| ()).is_empty());
        assert_eq!(places(|s| s.materials[1].name = "其他材料".into()), ["materials[1].name"]);
        assert_eq!(places(|s| s.conditions.push("户口簿、结婚证等材料齐全".into())), ["conditions[1]"]);
        assert_eq!(places(|s| s.steps[0].name = "Check Other Materials".into()), ["steps[0].name"]);
        assert_eq!(places(|s| s.conditions.push("法律、行政法规规定的其他条件".into())), ["conditions[1]"]);
    }

    #[test]
    fn vague_wording_is_found_with_its_place() {
        let mut standard = standard();
        assert!(standard.vague().is_empty());
        standard.conditions.push("必要时提供相关证明".into());
        standard.materials[0].name = "Relevant documents".into();
        let places: Vec<_> = standard.vague().into_iter().map(|finding| finding.place).collect();
        assert_eq!(places, ["materials[0].name", "conditions[1]"]);
        assert!(standard.lint().is_empty(), "a partner takes it all the same");
    }

    #[test]
    fn the_promise_is_never_longer_than_the_law() {
        assert!(places(|s| s.promised_working_days = 20).is_empty());
        assert_eq!(places(|s| s.promised_working_days = 21), ["promised_working_days"]);
    }

    #[test]
    fn editions_terms_and_codes_are_checked() {
        assert_eq!(places(|s| s.edition = 0), ["edition"]);
        assert_eq!(places(|s| s.effective_until = Some(s.effective_from)), ["effective_until"]);
        assert_eq!(places(|s| s.materials[1].code = "M01".into()), ["materials[1].code"]);
        assert_eq!(places(|s| s.item = String::new()), ["item"]);
    }

    fn offer(code: &str) -> Material {
        Material {
            code: code.into(),
            digest: Some(Digest { algorithm: HashAlgorithm::Sha256, bytes: [1; 32] }),
            form: MaterialForm::Electronic,
            licence_id: String::new(),
            recognition_rule: String::new(),
        }
    }

    #[test]
    fn a_required_material_must_be_there_as_file_paper_or_recognised_licence() {
        let standard = standard();
        let missing = |second: Option<Material>, recognised: bool| {
            let offered: Vec<_> = [Some(offer("M01")), second].into_iter().flatten().collect();
            missing_materials(&standard, &offered, |_| recognised)
        };
        assert!(missing(Some(offer("M02")), false).is_empty());
        assert_eq!(missing(None, true), ["M02"]);
        let empty = Material { digest: None, ..offer("M02") };
        assert_eq!(missing(Some(empty.clone()), true), ["M02"]);
        assert!(missing(Some(Material { form: MaterialForm::Paper, ..empty.clone() }), false).is_empty());
        let licence = Material { licence_id: "L".into(), recognition_rule: "rule-1".into(), ..empty };
        assert!(missing(Some(licence.clone()), true).is_empty());
        assert_eq!(missing(Some(licence), false), ["M02"]);
    }

    #[test]
    fn optional_and_deferrable_materials_may_be_absent() {
        let mut standard = standard();
        standard.materials[0].necessity = Necessity::Optional;
        standard.materials[1].necessity = Necessity::Deferrable;
        assert!(missing_materials(&standard, &[], |_| false).is_empty());
    }
}
