//! What the demo takes from other parts of the program: connections, configuration files, documents,
//! and the verifier of proofs.

use super::catalogue::{
    Accord, BUSINESS_LICENCE, ItemPlan, LICENCE_FIELDS, MATERIAL_BUSINESS_LICENCE, PROMISED_WORKING_DAYS,
    PURPOSE, RECOGNITION_RULE, STORY_ITEM,
};
use super::error::DemoError;
use super::place::{Place, XIANNING, YUEYANG};
use certs::TrustStore;
use gateway::refusal::RefusalCode;
use gateway::service::agreement::{
    Agreement, Binding, IssuerScope, LicenceScope, RecognitionEffect, RecognitionRule,
};
use gateway::service::date::Date;
use gateway::service::standard::{MaterialForm, Necessity, Standard, StandardMaterial};
use gateway::wire::document::Document as _;
use hyper_util::rt::TokioIo;
use std::path::{Path, PathBuf};
use tonic::transport::{Channel, Endpoint};

/// A connection to a node's local socket that is made, and made again, when it is used.
pub(super) fn connect(socket: &Path) -> Channel {
    let socket = socket.to_owned();
    Endpoint::from_static("http://node.local").connect_with_connector_lazy(tower::service_fn(move |_| {
        let socket: PathBuf = socket.clone();
        async move { Ok::<_, std::io::Error>(TokioIo::new(tokio::net::UnixStream::connect(socket).await?)) }
    }))
}

/// The refusal that a status carries; `None`: it is the transport's.
pub(super) fn refusal(status: &tonic::Status) -> Option<RefusalCode> {
    let code = match status.metadata().get("tongban-code") {
        Some(code) => code.to_str().ok()?,
        None => status.message().split(':').next()?,
    };
    RefusalCode::with_code(code)
}

/// Writes a node's configuration: everything it needs lies in its own folder.
pub(super) fn write_config(
    folder: &Path,
    place: &Place,
    port: u16,
    partner: &Place,
    partner_port: u16,
) -> Result<PathBuf, DemoError> {
    let file = folder.join("tongban.toml");
    let (node, other) = (place.code, partner.code);
    let text = format!(
        r#"# {} {}
node = "{node}"
data_dir = "data"

[peer_listener]
address = "127.0.0.1:{port}"

[local]
socket = "tongban.sock"

[identity]
tls_chain = "keys/tls.pem"
tls_key = "keys/tls.key"
signing_chain = "keys/signing.pem"
signing_key = "keys/signing.key"

[trust]
dir = "trust"

[[peer]]
node = "{other}"
address = "127.0.0.1:{partner_port}"
dial = true
"#,
        place.zh, place.en
    );
    std::fs::write(&file, text).map_err(DemoError::file(&file))?;
    Ok(file)
}

/// From when documents are in force: the beginning of 2026, so that a demo at any later date finds
/// them so.
fn in_force_since() -> Date {
    "2026-01-01".parse().expect("a date")
}

/// The standard of an item as JSON: the usual materials and steps, and what a grant of it produces.
pub(super) fn standard(plan: &ItemPlan) -> Result<Vec<u8>, DemoError> {
    let mut standard = Standard::for_item(plan.item.id, plan.item.name, XIANNING.node(), in_force_since());
    standard.promised_working_days = PROMISED_WORKING_DAYS;
    standard.result_licence_type = Some(plan.result_type.to_owned());
    if plan.needs_business_licence() {
        standard.materials.push(StandardMaterial {
            code: MATERIAL_BUSINESS_LICENCE.to_owned(),
            name: "营业执照".to_owned(),
            necessity: Necessity::Required,
            form: MaterialForm::Electronic,
            copies: 1,
        });
    }
    match standard.lint().first() {
        None => Ok(standard.to_json()),
        Some(finding) => Err(DemoError::Broken(format!("the standard of {}: {finding}", plan.item.id))),
    }
}

/// The agreement as JSON: 岳阳 receives and 咸宁 decides on every item; business licences that a body
/// of 岳阳 issued are recognised instead of paper.
pub(super) fn agreement(accord: &Accord) -> Result<Vec<u8>, DemoError> {
    let (receiving, competent) = (YUEYANG.node(), XIANNING.node());
    let mut agreement = Agreement::between("agr-430600-421200-2026", [receiving, competent], in_force_since());
    for (item, standard) in &accord.items {
        agreement = agreement.with_item(item, receiving, competent, *standard);
    }
    agreement.purposes = vec![PURPOSE.to_owned()];
    let fields: Vec<String> = LICENCE_FIELDS.map(str::to_owned).to_vec();
    agreement.licence_scopes = vec![LicenceScope {
        type_code: BUSINESS_LICENCE.to_owned(),
        holder_of_data: receiving,
        fields: fields.clone(),
        daily_quota: 10_000,
    }];
    agreement.recognition_rules = vec![RecognitionRule {
        id: RECOGNITION_RULE.to_owned(),
        items: vec![STORY_ITEM.to_owned()],
        material: MATERIAL_BUSINESS_LICENCE.to_owned(),
        licence_type_codes: vec![BUSINESS_LICENCE.to_owned()],
        issuers: vec![IssuerScope::Division("43".to_owned())],
        max_age_days: None,
        min_remaining_days: 30,
        fields_required: fields,
        binding: Binding::Applicant,
        effect: RecognitionEffect::WaiveSubmission,
    }];
    match agreement.lint().first() {
        None => Ok(agreement.to_json()),
        Some(finding) => Err(DemoError::Broken(format!("the agreement: {finding}"))),
    }
}

/// Verifies a proof with what stands in a trust folder; the refusal code when it does not verify.
pub(super) fn verify_proof(bundle: &[u8], trust: &Path) -> Result<(), String> {
    let trust = TrustStore::load(trust).map_err(|error| error.code().to_owned())?;
    gateway::proof::verify(bundle, &trust).map(drop).map_err(|refusal| refusal.code.code().to_owned())
}
