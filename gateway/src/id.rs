//! Names of things: nodes, channels, logs, messages, cases, digests, kinds.
//!
//! Every identifier is parsed once at the edge and travels as its own type afterwards. Nothing here
//! knows how an identifier is stored or sent; `entry` and `wire` do.

use std::fmt;
use std::str::FromStr;

/// A text that is not the identifier it was offered as.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {why}")]
pub struct IdError {
    /// Which identifier was expected.
    pub what: &'static str,
    /// What is wrong with the text. Never holds the text itself, which may be personal.
    pub why: &'static str,
}

/// A city's node: its administrative division code, six ASCII digits (GB/T 2260).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId([u8; 6]);

impl NodeId {
    /// The code as six ASCII digits, for keys.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The code as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("a NodeId holds ASCII digits only")
    }
}

impl FromStr for NodeId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let bytes: [u8; 6] = text
            .as_bytes()
            .try_into()
            .map_err(|_| IdError { what: "node", why: "is not six digits long" })?;
        if !bytes.iter().all(u8::is_ascii_digit) {
            return Err(IdError { what: "node", why: "holds something else than digits" });
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An ordered pair of nodes: what `from` tells `to`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelId {
    /// The sender, who signs the channel's checkpoints.
    pub from: NodeId,
    /// The receiver, who cosigns them.
    pub to: NodeId,
}

impl ChannelId {
    /// The channel in the other direction.
    pub fn reverse(self) -> Self {
        Self { from: self.to, to: self.from }
    }
}

impl FromStr for ChannelId {
    type Err = IdError;
    /// Reads `430600>421200` or `430600→421200`.
    fn from_str(text: &str) -> Result<Self, IdError> {
        let (from, to) = text
            .split_once('>')
            .or_else(|| text.split_once('→'))
            .ok_or(IdError { what: "channel", why: "is not written FROM>TO" })?;
        Ok(Self { from: from.parse()?, to: to.parse()? })
    }
}

impl fmt::Display for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}→{}", self.from, self.to)
    }
}

impl fmt::Debug for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One epoch of one channel: the unit that has a Merkle tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogId {
    /// The channel.
    pub channel: ChannelId,
    /// Counts the channel's successive logs from 0.
    pub epoch: u32,
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.channel, self.epoch)
    }
}

/// A place in a channel across its epochs: an entry's place, or a size (the place of the next entry).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LogPosition {
    /// The epoch.
    pub epoch: u32,
    /// The leaf index in that epoch's tree, or its size.
    pub index: u64,
}

/// A message's name, unique in its channel across epochs, kept across retries. 16 bytes, a UUID.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(pub [u8; 16]);

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, byte) in self.0.iter().enumerate() {
            if matches!(position, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for MessageId {
    type Err = IdError;
    /// Reads 32 hexadecimal digits, with or without the hyphens of a UUID.
    fn from_str(text: &str) -> Result<Self, IdError> {
        let wrong = IdError { what: "message id", why: "is not a UUID" };
        let digits: Vec<u8> = text
            .bytes()
            .filter(|byte| *byte != b'-')
            .map(|byte| (byte as char).to_digit(16).map(|digit| digit as u8))
            .collect::<Option<_>>()
            .ok_or(wrong.clone())?;
        if digits.len() != 32 {
            return Err(wrong);
        }
        let mut id = [0; 16];
        for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = pair[0] << 4 | pair[1];
        }
        Ok(Self(id))
    }
}

/// A case's number (业务协同编号), 1..=[`CaseId::BYTES_MAX`] printable ASCII characters without spaces.
/// Opaque here; `codes::case_number` mints and checks ours.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CaseId(String);

impl CaseId {
    /// 办件编号 is an..50 in GB/T 39046-2020.
    pub const BYTES_MAX: usize = 50;

    /// The number as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CaseId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        if text.is_empty() || text.len() > Self::BYTES_MAX {
            return Err(IdError { what: "case id", why: "is not 1 to 50 characters long" });
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(IdError { what: "case id", why: "holds a space or a character outside ASCII" });
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for CaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for CaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which hash made a digest. The tag is the first byte of a digest on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HashAlgorithm {
    /// SHA-256, tag 1.
    Sha256,
    /// SM3 (GB/T 32905), tag 2.
    Sm3,
}

impl HashAlgorithm {
    /// The tag byte.
    pub fn tag(self) -> u8 {
        match self {
            Self::Sha256 => 1,
            Self::Sm3 => 2,
        }
    }
}

/// A digest with the algorithm that made it. On the wire 33 bytes: tag, then 32 bytes of hash.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest {
    /// Who made it.
    pub algorithm: HashAlgorithm,
    /// The hash.
    pub bytes: [u8; 32],
}

impl Digest {
    /// Length on the wire.
    pub const BYTES: usize = 33;

    /// The 33 bytes of the wire.
    pub fn to_wire(self) -> [u8; Self::BYTES] {
        let mut wire = [0; Self::BYTES];
        wire[0] = self.algorithm.tag();
        wire[1..].copy_from_slice(&self.bytes);
        wire
    }

    /// Reads the 33 bytes of the wire.
    ///
    /// # Errors
    /// When the length or the tag is not one of ours.
    pub fn from_wire(wire: &[u8]) -> Result<Self, IdError> {
        let (tag, bytes) = wire.split_first().ok_or(IdError { what: "digest", why: "is empty" })?;
        let algorithm = match tag {
            1 => HashAlgorithm::Sha256,
            2 => HashAlgorithm::Sm3,
            _ => return Err(IdError { what: "digest", why: "names an unknown algorithm" }),
        };
        let bytes = bytes.try_into().map_err(|_| IdError { what: "digest", why: "is not 33 bytes long" })?;
        Ok(Self { algorithm, bytes })
    }

    /// Lower-case hexadecimal of the hash, with the algorithm in front: `sha256:…`.
    pub fn to_text(self) -> String {
        let name = match self.algorithm {
            HashAlgorithm::Sha256 => "sha256:",
            HashAlgorithm::Sm3 => "sm3:",
        };
        let mut text = String::with_capacity(name.len() + 64);
        text.push_str(name);
        for byte in self.bytes {
            text.push_str(&format!("{byte:02x}"));
        }
        text
    }

    /// Reads what [`Digest::to_text`] writes.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn from_text(text: &str) -> Result<Self, IdError> {
        let wrong = IdError { what: "digest", why: "is not written sha256: and 64 hexadecimal digits" };
        let (name, hex) = text.split_once(':').ok_or(wrong.clone())?;
        let algorithm = match name {
            "sha256" => HashAlgorithm::Sha256,
            "sm3" => HashAlgorithm::Sm3,
            _ => return Err(wrong),
        };
        // One text for each digest; and the parser of numbers below would take a plus sign.
        if hex.len() != 64 || !hex.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(wrong);
        }
        let mut bytes = [0; 32];
        for (position, byte) in bytes.iter_mut().enumerate() {
            *byte =
                u8::from_str_radix(&hex[2 * position..2 * position + 2], 16).map_err(|_| wrong.clone())?;
        }
        Ok(Self { algorithm, bytes })
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text())
    }
}

/// Declares [`Kind`] with the name that stands in headers and who owns it.
macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $owner:ident;)*) => {
        /// What an entry is about. The name stands in the header; a name that is not listed here is
        /// an unknown kind, which advances the channel and is refused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind { $($(#[$doc])* $variant,)* }

        impl Kind {
            /// Every kind, in the order of the table.
            pub const ALL: &'static [Kind] = &[$(Kind::$variant,)*];

            /// The name in headers, logs, command line and documents.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The kind of that name.
            pub fn named(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)* _ => None }
            }

            /// Whose fact it is.
            pub fn owner(self) -> Owner {
                match self { $(Self::$variant => Owner::$owner,)* }
            }
        }
    };
}

/// Whose fact a kind is (DESIGN §5 "Two channels, one case").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// Either node; needs no agreement.
    Control,
    /// 收件地, the receiving place of the case.
    Receiving,
    /// 属地, the competent place of the case.
    Competent,
    /// Either side of an agreement.
    Either,
}

kinds! {
    /// Answers an entry that was refused.
    Refusal = "refusal", Control;
    /// Gives up an own entry that was refused or stays unanswered (作废).
    Cancellation = "cancellation", Control;
    /// A signing certificate of the sender.
    KeyAnnounce = "key.announce", Control;
    /// A blob that an entry of the other channel names is whole at the sender's: the receipt for it.
    BlobReceived = "blob.received", Control;
    /// Closes an epoch.
    EpochClose = "epoch.close", Control;
    /// Opens an epoch.
    EpochOpen = "epoch.open", Control;
    /// A standard (一事一标准), a DSSE document.
    StandardPublish = "standard.publish", Control;
    /// An agreement (协议) with the sender's signature, a DSSE document.
    AgreementSign = "agreement.sign", Control;
    /// 转递.
    CaseForward = "case.forward", Receiving;
    /// 业务签收.
    CaseSignFor = "case.signfor", Competent;
    /// 退件.
    CaseReturn = "case.return", Competent;
    /// 受理.
    CaseAccept = "case.accept", Competent;
    /// 不予受理.
    CaseReject = "case.reject", Competent;
    /// 补正告知.
    CaseSupplementRequest = "case.supplement.request", Competent;
    /// 补正提交.
    CaseSupplementSubmit = "case.supplement.submit", Receiving;
    /// 补正不来.
    CaseSupplementLapse = "case.supplement.lapse", Competent;
    /// 审查.
    CaseReview = "case.review", Competent;
    /// 准予.
    CaseGrant = "case.grant", Competent;
    /// 不予.
    CaseDeny = "case.deny", Competent;
    /// 制证.
    CaseLicence = "case.licence", Competent;
    /// 送达中.
    CaseDispatch = "case.dispatch", Competent;
    /// 已送达.
    CaseDeliver = "case.deliver", Receiving;
    /// 撤回申请.
    CaseWithdrawAsk = "case.withdraw.ask", Receiving;
    /// 撤回确认.
    CaseWithdrawConfirm = "case.withdraw.confirm", Competent;
    /// 办结.
    CaseClose = "case.close", Competent;
    /// 好差评.
    CaseRate = "case.rate", Receiving;
    /// Asks for a licence.
    LicenceQuery = "licence.query", Either;
    /// Answers with a licence attestation.
    LicenceAttest = "licence.attest", Either;
    /// Offers a licence instead of a material.
    RecognitionRequest = "recognition.request", Receiving;
    /// Decides on it.
    RecognitionDecide = "recognition.decide", Competent;
    /// 视为受理: the limit for an answer has passed in silence.
    CaseAcceptDeemed = "case.accept.deemed", Competent;
    /// 特别程序开始.
    CaseSpecialBegin = "case.special.begin", Competent;
    /// 特别程序结束.
    CaseSpecialEnd = "case.special.end", Competent;
    /// 转报.
    CaseTransfer = "case.transfer", Competent;
    /// 已送达, by the competent place itself: online or by post.
    CaseDeliverDirect = "case.deliver.direct", Competent;
    /// 挂起.
    CaseSuspend = "case.suspend", Competent;
    /// 恢复办理.
    CaseResume = "case.resume", Competent;
    /// 作废.
    CaseVoid = "case.void", Competent;
    /// 联办分派.
    CaseJointPlan = "case.joint.plan", Competent;
    /// 联办结果.
    CaseJointReport = "case.joint.report", Competent;
    /// 监察预警.
    CaseAlert = "case.alert", Either;
    /// 督办.
    CaseSupervise = "case.supervise", Either;
    /// 督办回复.
    CaseSuperviseReply = "case.supervise.reply", Either;
}

impl Kind {
    /// Control kinds need no agreement.
    pub fn is_control(self) -> bool {
        self.owner() == Owner::Control
    }

    /// Kinds that answer a question of the reverse channel: their in-reply-to names that question, and
    /// nothing of their own channel.
    pub fn is_answer(self) -> bool {
        matches!(self, Self::Refusal | Self::LicenceAttest | Self::RecognitionDecide)
    }

    /// Kinds that speak about other entries and are never dead letters themselves.
    pub fn is_bookkeeping(self) -> bool {
        matches!(self, Self::Refusal | Self::Cancellation)
    }

    /// Kinds that are facts of a case's life.
    pub fn is_case(self) -> bool {
        self.name().starts_with("case.")
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_found_by_its_name() {
        for kind in Kind::ALL {
            assert_eq!(Kind::named(kind.name()), Some(*kind));
            assert!(kind.name().len() <= crate::limits::KIND_BYTES_MAX);
        }
        assert_eq!(Kind::named("case.unheard"), None);
    }

    #[test]
    fn ids_round_trip_and_refuse_what_differs_by_one_fact() {
        assert_eq!("430600".parse::<NodeId>().unwrap().to_string(), "430600");
        assert!("43060".parse::<NodeId>().is_err());
        assert!("43060a".parse::<NodeId>().is_err());
        let id: MessageId = "0190d5a0-7d3c-7cc2-9b2a-3f5a1c2b4d6e".parse().unwrap();
        assert_eq!(id.to_string(), "0190d5a0-7d3c-7cc2-9b2a-3f5a1c2b4d6e");
        assert!("0190d5a0-7d3c-7cc2-9b2a-3f5a1c2b4d6".parse::<MessageId>().is_err());
        let digest = Digest { algorithm: HashAlgorithm::Sha256, bytes: [7; 32] };
        assert_eq!(Digest::from_wire(&digest.to_wire()), Ok(digest));
        assert_eq!(Digest::from_text(&digest.to_text()), Ok(digest));
        for other in [digest.to_text().to_uppercase(), digest.to_text().replacen("07", "+7", 1)] {
            assert!(Digest::from_text(&other).is_err(), "{other}");
        }
        assert!(Digest::from_text(&digest.to_text().replace("07", "AB")).is_err(), "one text for each");
        let mut unknown = digest.to_wire();
        unknown[0] = 9;
        assert!(Digest::from_wire(&unknown).is_err());
    }
}
