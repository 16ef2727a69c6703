//! What the demo is about: the 71 items with their standards, the agreement, the people, their papers
//! and licences. All people and companies are made up, with identity numbers from the synthetic test
//! vectors. Everything here is a function of its arguments, so that a message sent again after a crash
//! has the same bytes.

use super::error::DemoError;
use super::place::{Place, XIANNING, YUEYANG};
use crate::suite::SigningSuite;
use gateway::codes::item::{Item, Mode, ServiceObject};
use gateway::codes::{CaseNumber, Date, Division, LicenceId, LicenceTypeCode, item, licence_id, mod3736};
use gateway::id::{Digest, HashAlgorithm};
use gateway::service::agreement::{
    Agreement, Binding, IssuerScope, LicenceScope, RecognitionEffect, RecognitionRule,
};
use gateway::service::standard::{MaterialForm, Necessity, Standard, StandardMaterial};
use gateway::time::UnixMillis;
use gateway::wire::document::Document as _;
use proto::exchange::v1 as wire;
use std::collections::BTreeMap;

/// The item of the story, 食品经营许可.
pub(crate) const STORY_ITEM: &str = "KST071";
/// 营业执照.
pub(crate) const BUSINESS_LICENCE: &str = "11100000MB0143028R001";
/// 食品经营许可证, the result of the story.
const FOOD_LICENCE: &str = "11100000MBT000054A001";
/// 办理结果通知书: what an item gives whose result is no licence of the national list. Made up for the demo.
const RESULT_NOTICE: &str = "11430600MAT000050B901";

/// Code of the identity document in every standard.
pub(crate) const MATERIAL_IDENTITY: &str = "M01";
/// Code of the application form in every standard.
pub(crate) const MATERIAL_FORM: &str = "M02";
/// Code of the business licence in the standard of [`STORY_ITEM`].
pub(crate) const MATERIAL_BUSINESS_LICENCE: &str = "M03";

/// Name of the recognition rule in the agreement.
pub(crate) const RECOGNITION_RULE: &str = "rr-business-licence";
/// The purpose under which licences are asked for.
pub(crate) const PURPOSE: &str = "跨省通办";
/// Fields of the business licence that the rule needs.
pub(crate) const LICENCE_FIELDS: [&str; 3] = ["holder_name", "address", "business_scope"];

/// 承诺时限 of every standard here, working days.
pub(crate) const PROMISED_WORKING_DAYS: u32 = 10;

/// One item as the two places do it.
#[derive(Debug, Clone)]
pub(crate) struct ItemPlan {
    /// The item.
    pub item: &'static Item,
    /// 类型代码 of the licence that a grant produces.
    pub result_type: &'static str,
    /// That licence's name.
    pub result_name: &'static str,
}

impl ItemPlan {
    /// Codes of the materials that its standard requires.
    pub(crate) fn materials(&self) -> Vec<&'static str> {
        let mut codes = vec![MATERIAL_IDENTITY, MATERIAL_FORM];
        if self.needs_business_licence() {
            codes.push(MATERIAL_BUSINESS_LICENCE);
        }
        codes
    }

    /// Whether its standard asks for a business licence.
    pub(crate) fn needs_business_licence(&self) -> bool {
        self.item.id == STORY_ITEM
    }
}

/// Every item of the list, in its order.
pub(crate) fn items() -> Vec<ItemPlan> {
    item::items()
        .iter()
        .map(|item| {
            let result_type = result_type(item.id);
            let name = LicenceTypeCode::parse(result_type).ok().and_then(|code| code.entry()).map(|e| e.name);
            ItemPlan { item, result_type, result_name: name.unwrap_or("办理结果通知书") }
        })
        .collect()
}

/// How many items the list suggests to do in another mode than 异地代收代办, in which all are done here.
pub(crate) fn items_of_another_mode(items: &[ItemPlan]) -> usize {
    items.iter().filter(|plan| plan.item.mode != Mode::ReceivedElsewhere).count()
}

/// What a grant of an item produces.
fn result_type(item: &str) -> &'static str {
    match item {
        "KST007" | "KST009" => "11100000MBT000046F001", // 社会保障卡
        "KST021" | "KST022" | "KST034" => "11100000000013127D001", // 居民身份证
        "KST023" => "11100000MBT000011W002",            // 机动车驾驶证
        "KST024" => "11100000MBT000011W003",            // 机动车行驶证
        "KST027" => "11100000MBT000011W004",            // 无犯罪记录证明
        "KST028" | "KST029" | "KST030" | "KST031" | "KST032" | "KST033" | "KST063" => "11100000MBT000011W001", // 居民户口簿
        "KST047" | "KST048" => BUSINESS_LICENCE,
        "KST051" => "11100000MBT0000625003", // 道路运输从业人员从业资格证
        "KST052" => "11100000MBT0000700001", // 排污许可证
        "KST053" => "11100000MBT000089W001", // 残疾人证
        "KST056" => "11100000MBT000038L001", // 结婚证
        STORY_ITEM => FOOD_LICENCE,
        _ => RESULT_NOTICE,
    }
}

/// The standard (一事一标准) of an item as 咸宁 publishes it, in effect since the first day of `year`.
pub(crate) fn standard(plan: &ItemPlan, year: i64) -> Result<Vec<u8>, DemoError> {
    standard_of(&XIANNING, plan, year)
}

/// The same as another competent place publishes it.
pub(crate) fn standard_of(issuer: &Place, plan: &ItemPlan, year: i64) -> Result<Vec<u8>, DemoError> {
    let item = plan.item;
    let mut standard = Standard::for_item(item.id, item.name, issuer.node(), first_day(year)?);
    standard.result_licence_type = Some(plan.result_type.to_owned());
    standard.promised_working_days = PROMISED_WORKING_DAYS;
    if plan.needs_business_licence() {
        standard.materials.push(StandardMaterial {
            code: MATERIAL_BUSINESS_LICENCE.to_owned(),
            name: "营业执照".to_owned(),
            necessity: Necessity::Required,
            form: MaterialForm::Paper,
            copies: 1,
        });
    }
    match standard.lint().first() {
        Some(finding) => Err(DemoError::Broken(format!("standard of {}: {finding}", item.id))),
        None => Ok(standard.to_json()),
    }
}

/// An agreement between 岳阳 and another competent place about one item.
pub(crate) fn agreement_with(
    competent: &Place,
    (item, standard): (&str, Digest),
    suite: SigningSuite,
    year: i64,
) -> Result<Vec<u8>, DemoError> {
    let (yueyang, competent) = (YUEYANG.node(), competent.node());
    let id = format!("kst-{yueyang}-{competent}");
    let mut agreement = Agreement::between(&id, [yueyang, competent], first_day(year)?);
    agreement.suite = suite.name().to_owned();
    Ok(agreement.with_item(item, yueyang, competent, standard).to_json())
}

/// The agreement between the two nodes. `standards`: item code and digest of its standard.
pub(crate) fn agreement(
    standards: &[(&str, Digest)],
    suite: SigningSuite,
    year: i64,
) -> Result<Vec<u8>, DemoError> {
    let (yueyang, xianning) = (YUEYANG.node(), XIANNING.node());
    let mut agreement = Agreement::between("kst-430600-421200", [yueyang, xianning], first_day(year)?);
    agreement.suite = suite.name().to_owned();
    for (item, standard) in standards {
        agreement = agreement.with_item(item, yueyang, xianning, *standard);
    }
    agreement.purposes.push(PURPOSE.to_owned());
    agreement.licence_scopes.push(LicenceScope {
        type_code: BUSINESS_LICENCE.to_owned(),
        holder_of_data: yueyang,
        fields: LICENCE_FIELDS.map(str::to_owned).to_vec(),
        daily_quota: 1000,
    });
    agreement.recognition_rules.push(RecognitionRule {
        id: RECOGNITION_RULE.to_owned(),
        items: vec![STORY_ITEM.to_owned()],
        material: MATERIAL_BUSINESS_LICENCE.to_owned(),
        licence_type_codes: vec![BUSINESS_LICENCE.to_owned()],
        issuers: vec![IssuerScope::Division("43".to_owned())],
        max_age_days: None,
        min_remaining_days: 30,
        fields_required: LICENCE_FIELDS.map(str::to_owned).to_vec(),
        binding: Binding::Applicant,
        effect: RecognitionEffect::WaiveSubmission,
    });
    match agreement.lint().first() {
        Some(finding) => Err(DemoError::Broken(format!("agreement: {finding}"))),
        None => Ok(agreement.to_json()),
    }
}

fn first_day(year: i64) -> Result<gateway::service::date::Date, DemoError> {
    format!("{year:04}-01-01").parse().map_err(|error| DemoError::Broken(format!("year {year}: {error}")))
}

/// An applicant.
#[derive(Debug, Clone)]
pub(crate) struct Applicant {
    /// 服务对象: `1` person, `2` enterprise.
    pub kind: &'static str,
    name: &'static str,
    id_type: &'static str,
    id_number: &'static str,
}

impl Applicant {
    /// As a payload says it.
    pub(crate) fn person(&self) -> wire::Person {
        wire::Person {
            name: self.name.to_owned(),
            id_type: self.id_type.to_owned(),
            id_number: self.id_number.to_owned(),
            phone: String::new(),
        }
    }

    /// The identity number, for masking.
    pub(crate) fn id_number(&self) -> &'static str {
        self.id_number
    }
}

/// The company of the story.
pub(crate) static COMPANY: Applicant = Applicant {
    kind: "2",
    name: "岳阳洞庭湖鲜餐饮有限公司（虚构）",
    id_type: "001",
    id_number: "91430600MAT000018P",
};
/// Who came to the window for it.
pub(crate) static AGENT: Applicant =
    Applicant { kind: "1", name: "李某某", id_type: "111", id_number: "430602190001010012" };

static PEOPLE: [Applicant; 4] = [
    Applicant { kind: "1", name: "测试甲", id_type: "111", id_number: "430602190001010012" },
    Applicant { kind: "1", name: "测试乙", id_type: "111", id_number: "360302190011110282" },
    Applicant { kind: "1", name: "测试丙", id_type: "111", id_number: "421003190007040098" },
    Applicant { kind: "1", name: "测试丁", id_type: "111", id_number: "43060219000101008X" },
];
static COMPANIES: [Applicant; 3] = [
    Applicant { kind: "2", name: "测试甲有限公司", id_type: "001", id_number: "91430600MAT000018P" },
    Applicant { kind: "2", name: "测试乙有限公司", id_type: "001", id_number: "92360400MAT000034M" },
    Applicant {
        kind: "2", name: "测试丙农民专业合作社", id_type: "001", id_number: "93430121MAT000042M"
    },
];

/// The applicant of the load's case `number`: a person where the item serves persons, else a company.
pub(crate) fn applicant(item: &Item, number: u32) -> &'static Applicant {
    let number = number as usize;
    if item.service_objects.contains(&ServiceObject::Person) {
        &PEOPLE[number % PEOPLE.len()]
    } else {
        &COMPANIES[number % COMPANIES.len()]
    }
}

/// The number of a case that is handed in at 岳阳 and decided at 咸宁.
pub(crate) fn case_number(day: Date, serial: u32) -> Result<String, DemoError> {
    case_number_for(&XIANNING, day, serial)
}

/// The number of a case that is handed in at 岳阳 and decided elsewhere.
pub(crate) fn case_number_for(competent: &Place, day: Date, serial: u32) -> Result<String, DemoError> {
    let division = |place: &Place| Division::parse(place.code);
    let number = division(&YUEYANG)
        .and_then(|receiving| CaseNumber::mint(receiving, division(competent)?, day, serial))
        .map_err(|error| DemoError::Broken(format!("case number {serial}: {error}")))?;
    Ok(number.to_string())
}

/// A material of a case as a file: its digest stands for it.
pub(crate) fn file(case: &str, code: &str, edition: u32) -> wire::Material {
    let content = format!("{case}/{code}/{edition}");
    wire::Material {
        code: code.to_owned(),
        digest: sha256(content.as_bytes()).to_wire().to_vec().into(),
        form: "electronic".to_owned(),
        ..wire::Material::default()
    }
}

/// A material for which a licence stands.
pub(crate) fn licence_instead(code: &str, licence: &wire::Licence) -> wire::Material {
    wire::Material {
        code: code.to_owned(),
        form: "electronic".to_owned(),
        licence_id: licence.id.clone(),
        recognition_rule: RECOGNITION_RULE.to_owned(),
        ..wire::Material::default()
    }
}

fn sha256(content: &[u8]) -> Digest {
    let hash = ring::digest::digest(&ring::digest::SHA256, content);
    let bytes = hash.as_ref().try_into().expect("SHA-256 is 32 bytes long");
    Digest { algorithm: HashAlgorithm::Sha256, bytes }
}

/// The filled form of a case.
pub(crate) fn form(applicant: &Applicant, item: &Item) -> Vec<u8> {
    serde_json::json!({ "name": applicant.name, "reason": item.name }).to_string().into_bytes()
}

/// A 证照标识 with its check character (GB/T 36904-2018).
fn mint_licence_id(type_code: &str, issuer: &str, serial: &str) -> Result<String, DemoError> {
    let wrong = |error| DemoError::Broken(format!("licence id with serial {serial}: {error}"));
    let check = mod3736::check_char(&format!("{type_code}{issuer}{serial}001")).map_err(wrong)?;
    let id = format!("{}.{type_code}.{issuer}.{serial}.001.{check}", licence_id::ROOT_OID);
    LicenceId::parse(&id).map_err(wrong)?;
    Ok(id)
}

/// The business licence of the story's company, as 岳阳 holds it.
pub(crate) fn business_licence(today: UnixMillis) -> Result<wire::Licence, DemoError> {
    let (year, _, _) = today.date_in_china();
    Ok(wire::Licence {
        id: mint_licence_id(BUSINESS_LICENCE, YUEYANG.authority_code, COMPANY.id_number)?,
        type_code: BUSINESS_LICENCE.to_owned(),
        name: "营业执照".to_owned(),
        number: COMPANY.id_number.to_owned(),
        issuer_name: YUEYANG.authority.to_owned(),
        issuer_code: YUEYANG.authority_code.to_owned(),
        holder_name: COMPANY.name.to_owned(),
        holder_code: COMPANY.id_number.to_owned(),
        holder_code_type: COMPANY.id_type.to_owned(),
        issued: format!("{}-03-01", year - 2),
        valid_from: format!("{}-03-01", year - 2),
        valid_until: format!("{}-02-28", year + 18),
        state: "valid".to_owned(),
        fields: BTreeMap::from(
            [("address", "岳阳市岳阳楼区（虚构）"), ("business_scope", "餐饮服务"), ("capital", "100万元")]
                .map(|(name, content)| (name.to_owned(), content.to_owned())),
        ),
        ..wire::Licence::default()
    })
}

/// The licence that 咸宁 issues when it grants a case: valid for five years from the day of the entry
/// that led to it.
pub(crate) fn result_licence(
    plan: &ItemPlan,
    case: &str,
    holder: &Applicant,
    issued: UnixMillis,
) -> Result<wire::Licence, DemoError> {
    let (year, month, day) = issued.date_in_china();
    let serial = CaseNumber::parse(case)
        .map(|number| format!("{}{:08}", number.day(), number.serial()))
        .map_err(|error| DemoError::Broken(format!("case {case}: {error}")))?;
    Ok(wire::Licence {
        id: mint_licence_id(plan.result_type, XIANNING.authority_code, &serial)?,
        type_code: plan.result_type.to_owned(),
        name: plan.result_name.to_owned(),
        number: format!("XN{serial}"),
        issuer_name: XIANNING.authority.to_owned(),
        issuer_code: XIANNING.authority_code.to_owned(),
        holder_name: holder.name.to_owned(),
        holder_code: holder.id_number.to_owned(),
        holder_code_type: holder.id_type.to_owned(),
        issued: format!("{year:04}-{month:02}-{day:02}"),
        valid_from: format!("{year:04}-{month:02}-{day:02}"),
        valid_until: format!("{:04}-{month:02}-{:02}", year + 5, day.min(28)),
        state: "valid".to_owned(),
        fields: BTreeMap::from([("item".to_owned(), plan.item.name.to_owned())]),
        ..wire::Licence::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_has_a_result_with_a_valid_licence_id() {
        let case = case_number(Date::new(2026, 11, 23).unwrap(), 1000).unwrap();
        for plan in items() {
            let holder = applicant(plan.item, 3);
            let licence = result_licence(&plan, &case, holder, UnixMillis(1_795_000_000_000)).unwrap();
            assert!(!licence.name.starts_with('（'), "{}: {}", plan.item.id, licence.name);
            assert_eq!(LicenceId::parse(&licence.id).map(|id| id.to_string()), Ok(licence.id));
        }
    }

    #[test]
    fn standards_and_agreement_can_be_published() {
        let digest = sha256(b"standard");
        let standards: Vec<_> = items().iter().map(|plan| (plan.item.id, digest)).collect();
        assert!(items().iter().all(|plan| standard(plan, 2026).is_ok()));
        assert!(agreement(&standards, SigningSuite::P256Sha256, 2026).is_ok());
    }

    #[test]
    fn people_and_companies_pass_their_checks() {
        for person in PEOPLE.iter().chain([&AGENT]) {
            assert!(gateway::codes::ResidentId::parse(person.id_number).is_ok());
        }
        for company in COMPANIES.iter().chain([&COMPANY]) {
            assert!(gateway::codes::Uscc::parse(company.id_number).is_ok());
        }
        let licence = business_licence(UnixMillis(1_795_000_000_000)).unwrap();
        assert!(LicenceId::parse(&licence.id).is_ok());
    }
}
