//! The samples of `docs/samples`, read as the commands read them. Only tests.

use gateway::document::document_digest;
use gateway::service::agreement::Agreement;
use gateway::service::standard::Standard;
use gateway::wire::document::Document as _;

use super::case_file::{CaseFile, LicenceFile, parse_json};

const STANDARD: &[u8] = include_bytes!("../../docs/samples/standard.json");
const AGREEMENT: &[u8] = include_bytes!("../../docs/samples/agreement.json");
const CASE: &[u8] = include_bytes!("../../docs/samples/case.json");
const LICENCE: &[u8] = include_bytes!("../../docs/samples/licence.json");

#[test]
fn the_standard_and_the_agreement_pass_their_lints_and_belong_together() {
    let standard = Standard::from_json(STANDARD).unwrap();
    assert_eq!(standard.lint(), []);
    let agreement = Agreement::from_json(AGREEMENT).unwrap();
    assert_eq!(agreement.lint(), []);
    let item = &agreement.items[0];
    assert_eq!((item.item.as_str(), item.standard), (standard.item.as_str(), document_digest(STANDARD)));
}

#[test]
fn the_case_has_what_the_standard_asks_for() {
    let standard = Standard::from_json(STANDARD).unwrap();
    let case = CaseFile::parse(CASE).unwrap();
    assert_eq!(case.item, standard.item);
    for material in &standard.materials {
        assert!(case.materials.iter().any(|handed_in| handed_in.code == material.code), "{}", material.code);
    }
    for field in standard.form_fields.iter().filter(|field| field.required) {
        assert!(case.form.contains_key(&field.name), "{}", field.name);
    }
}

#[test]
fn the_licence_has_an_identifier_that_passes_its_check() {
    let licence: LicenceFile = parse_json(LICENCE).unwrap();
    gateway::codes::LicenceId::parse(&licence.id).unwrap();
    gateway::codes::Uscc::parse(&licence.holder_code).unwrap();
    gateway::codes::Uscc::parse(&licence.issuer_code).unwrap();
}
