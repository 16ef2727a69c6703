//! What an entry says, as the rules see it: one variant for each shape in `payload.proto`. `wire`
//! makes it from bytes, after the limits were checked; a document's signature is checked by its
//! caller, before `authorize`.

use super::agreement::Agreement;
use super::blob::BlobReceived;
use super::case::CaseEvent;
use super::licence::{Licence, LicenceAttest, LicenceQuery};
use super::person::{Person, Personal};
use super::recognition::{Outcome, ReasonCode, RecognitionDocument, RecognitionRequest};
use super::standard::Standard;
use crate::id::Kind;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Answers an entry that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusalNotice {
    /// The stable code. Text, because a newer partner may know codes that this node does not.
    pub code: String,
    /// What to do, in Chinese.
    pub message_zh: String,
    /// What to do, in English.
    pub message_en: String,
    /// The refused entry's place in its channel.
    pub refused_index: u64,
}

/// Gives up an own earlier entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancellationNotice {
    /// Why, for people. Not empty.
    pub reason: String,
}

/// A document that arrived in an entry, read, with the bytes that it was read from.
#[derive(Clone, PartialEq, Eq)]
pub struct Signed<T> {
    /// What it says.
    pub content: Arc<T>,
    /// The signed bytes (DSSE payload): what its digest is of.
    pub payload: Vec<u8>,
    /// The envelope as received, signatures included.
    pub envelope: Vec<u8>,
}

impl<T: fmt::Debug> fmt::Debug for Signed<T> {
    /// What it says, masked as its parts mask themselves; the bytes by their number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signed")
            .field("content", &self.content)
            .field("payload_bytes", &self.payload.len())
            .field("envelope_bytes", &self.envelope.len())
            .finish()
    }
}

/// The persons and the form of an application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applicant {
    /// 申请人.
    pub applicant: Person,
    /// 代理人; `None`: the applicant came in person.
    pub agent: Option<Person>,
    /// The filled form: field → content.
    pub form: BTreeMap<String, Personal>,
}

/// The personal part of a case entry. It is never part of a case fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CasePersonal {
    /// None.
    None,
    /// Of 转递.
    Applicant(Box<Applicant>),
    /// Of 制证: the licence with its holder.
    Licence(Box<Licence>),
}

/// Decides on a recognition request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecognitionDecide {
    /// How it ended.
    pub outcome: Outcome,
    /// Why.
    pub reason: ReasonCode,
    /// The decision as a document. `wire` has seen that it says the same outcome and reason.
    pub document: Signed<RecognitionDocument>,
}

/// What an entry says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// `refusal`.
    Refusal(RefusalNotice),
    /// `cancellation`.
    Cancellation(CancellationNotice),
    /// `key.announce`: a chain, DER, leaf first.
    KeyAnnounce(Vec<Vec<u8>>),
    /// `blob.received`.
    BlobReceived(BlobReceived),
    /// `epoch.close` and `epoch.open`: read by the channel's own machine.
    Epoch(Vec<u8>),
    /// `standard.publish`.
    Standard(Signed<Standard>),
    /// `agreement.sign`.
    Agreement(Signed<Agreement>),
    /// Every `case.*` kind.
    Case {
        /// What happened.
        event: CaseEvent,
        /// To whom.
        personal: CasePersonal,
    },
    /// `licence.query`.
    LicenceQuery(LicenceQuery),
    /// `licence.attest`.
    LicenceAttest(LicenceAttest),
    /// `recognition.request`.
    RecognitionRequest(RecognitionRequest),
    /// `recognition.decide`.
    RecognitionDecide(RecognitionDecide),
}

impl Payload {
    /// Whether it is what entries of this kind say.
    pub fn fits(&self, kind: Kind) -> bool {
        match self {
            Self::Refusal(_) => kind == Kind::Refusal,
            Self::Cancellation(_) => kind == Kind::Cancellation,
            Self::KeyAnnounce(_) => kind == Kind::KeyAnnounce,
            Self::BlobReceived(_) => kind == Kind::BlobReceived,
            Self::Epoch(_) => matches!(kind, Kind::EpochClose | Kind::EpochOpen),
            Self::Standard(_) => kind == Kind::StandardPublish,
            Self::Agreement(_) => kind == Kind::AgreementSign,
            Self::Case { event, .. } => event.act() == super::case::Act::Kind(kind),
            Self::LicenceQuery(_) => kind == Kind::LicenceQuery,
            Self::LicenceAttest(_) => kind == Kind::LicenceAttest,
            Self::RecognitionRequest(_) => kind == Kind::RecognitionRequest,
            Self::RecognitionDecide(_) => kind == Kind::RecognitionDecide,
        }
    }
}
