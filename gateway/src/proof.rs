//! Proof bundles: one message, provable to anybody with public keys alone.
//!
//! A bundle holds the header as hashed, the body unless it was erased, the audit path to a checkpoint
//! that both nodes signed, and both signing certificates. Verifying needs the trust anchors and
//! nothing else: no node, no network. Format `tongban-proof/v1`, WIRE.md §13.

use crate::archive::{Archive, ArchiveError};
use crate::committer::Snapshot;
use crate::entry::{Header, body_digest, payload};
use crate::id::{ChannelId, Digest, LogId, MessageId, NodeId};
use crate::keybook::KeyBook;
use crate::limits::{BODY_BYTES_MAX, HEADER_BYTES_MAX};
use crate::log::checkpoint::{Note, NoteError};
use crate::log::leaf::leaf_hash;
use crate::log::proof::{inclusion, inclusion_holds};
use crate::refusal::{Refusal, RefusalCode};
use crate::suite::{Hash, PublicKey, Suite};
use crate::time::UnixMillis;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use certs::TrustStore;
use serde::{Deserialize, Serialize};

/// Bytes of a bundle: body in base64, certificates, and room.
pub const BUNDLE_BYTES_MAX: usize = BODY_BYTES_MAX * 4 / 3 + 256 * 1024;
/// The format's name.
pub const FORMAT: &str = "tongban-proof/v1";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bundle {
    format: String,
    channel: BundleChannel,
    epoch: u32,
    index: u64,
    header: String,
    body: Option<String>,
    inclusion: Vec<String>,
    checkpoint: String,
    signers: BundleSigners,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BundleChannel {
    from: String,
    to: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BundleSigners {
    origin: Vec<String>,
    cosigner: Vec<String>,
}

/// Exports the proof of one message.
///
/// # Errors
/// [`RefusalCode::NotFound`] when there is no such message, [`RefusalCode::NotContacted`] when it has
/// no receipt yet, [`RefusalCode::StoreDamaged`] when the store cannot be read.
pub fn export(
    archive: &Archive,
    snapshot: &Snapshot,
    keys: &KeyBook,
    me: NodeId,
    suite: Suite,
    channel: ChannelId,
    id: MessageId,
) -> Result<Vec<u8>, Refusal> {
    let damaged = |error: ArchiveError| Refusal::new(RefusalCode::StoreDamaged, error.to_string());
    let not_found = || Refusal::new(RefusalCode::NotFound, format!("message={id} channel={channel}"));
    let row = archive.message(channel, id).map_err(damaged)?.ok_or_else(not_found)?;
    if row.dropped {
        return Err(not_found());
    }
    let logs = if channel.from == me { &snapshot.out } else { &snapshot.inbound };
    let peer = if channel.from == me { channel.to } else { channel.from };
    let note = logs.get(&peer).and_then(|log| log.cosigned.as_ref());
    let note = note
        .filter(|note| note.checkpoint().size > row.index)
        .ok_or_else(|| Refusal::new(RefusalCode::NotContacted, format!("message={id} has no receipt yet")))?;
    let log = LogId { channel, epoch: row.epoch };
    let path = inclusion(suite, &archive.nodes(suite, log), row.index, note.checkpoint().size)
        .map_err(|error| damaged(error.into()))?;
    let entry = archive.batch(log, row.index).map_err(damaged)?;
    let entry = entry.and_then(|batch| batch.entries.into_iter().next()).ok_or_else(not_found)?;
    let unknown = |node: NodeId| Refusal::new(RefusalCode::UnknownKey, format!("node={node}"));
    let origin = keys.origin_key(channel.from, note).ok_or_else(|| unknown(channel.from))?;
    let cosigner = keys.cosigner_key(channel.to, note).ok_or_else(|| unknown(channel.to))?;
    let chain = |chain: &[Vec<u8>]| chain.iter().map(|der| STANDARD.encode(der)).collect();
    let bundle = Bundle {
        format: FORMAT.to_owned(),
        channel: BundleChannel { from: channel.from.to_string(), to: channel.to.to_string() },
        epoch: row.epoch,
        index: row.index,
        header: STANDARD.encode(&entry.header),
        body: entry.body.map(|body| STANDARD.encode(body)),
        inclusion: path.iter().map(|hash| STANDARD.encode(hash)).collect(),
        checkpoint: note.text(),
        signers: BundleSigners { origin: chain(&origin.chain), cosigner: chain(&cosigner.chain) },
    };
    let mut bytes = serde_json::to_vec_pretty(&bundle).expect("strings and numbers are always written");
    bytes.push(b'\n');
    Ok(bytes)
}

/// What a bundle proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Findings {
    /// Who sent it to whom.
    pub channel: ChannelId,
    /// Its place in the channel.
    pub index: u64,
    /// The checkpoint's size.
    pub size: u64,
    /// Its id.
    pub message_id: MessageId,
    /// Its kind.
    pub kind: String,
    /// The case, if any.
    pub case_id: Option<String>,
    /// The sender's time in the header.
    pub created: UnixMillis,
    /// The sender's time in the checkpoint.
    pub signed: UnixMillis,
    /// The receiver's time of receipt, in whole seconds.
    pub received: UnixMillis,
    /// The agreement it relied on.
    pub agreement: Option<Digest>,
    /// The standard it relied on.
    pub standard: Option<Digest>,
    /// Name of the sender's key.
    pub origin: String,
    /// Name of the receiver's key.
    pub cosigner: String,
    /// Bytes of the payload, when the body is in the bundle and matches.
    pub payload: Option<Bytes>,
    /// Whose key counts as lost when this was signed for, and since when. Empty: nobody's, and the evidence stands
    /// whatever became of the keys later.
    pub disputed: Vec<Disputed>,
}

/// A reason to dispute evidence whose signatures hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disputed {
    /// The signer.
    pub node: NodeId,
    /// Since when its key, or its authority's, counts as lost; absent: nobody stated it.
    pub since: Option<UnixMillis>,
    /// Whether the lost key is its root's.
    pub root: bool,
}

impl Disputed {
    fn line(&self, received: UnixMillis, chinese: bool) -> String {
        let node = self.node;
        let since = self.since.map(|since| since.to_string());
        if chinese {
            let whose = if self.root { "所属根证书的密钥" } else { "签名证书的密钥" };
            let since =
                since.map_or_else(|| "失密时刻未载明".to_owned(), |since| format!("自 {since} 起视为失密"));
            format!("有争议：{node} {whose}{since}，而签收在 {received}；此后持有该密钥者可能伪造此证据。")
        } else {
            let whose = if self.root { "the key of its root" } else { "the key of its certificate" };
            let since = since
                .map_or_else(|| "at a time that nobody stated".to_owned(), |since| format!("since {since}"));
            format!(
                "DISPUTED: of {node}, {whose} counts as lost {since}, and this was signed for at {received}: whoever \
                 had the key from then on may have made it."
            )
        }
    }
}

impl Findings {
    /// What is proven and what is not, in sentences.
    pub fn lines(&self, chinese: bool) -> Vec<String> {
        let ChannelId { from, to } = self.channel;
        let digest = |digest: Option<Digest>| digest.map_or_else(|| "-".to_owned(), Digest::to_text);
        let case = self.case_id.as_deref().unwrap_or("-");
        let disputed = self.disputed.iter().map(|disputed| disputed.line(self.received, chinese));
        let proven = if chinese {
            vec![
                format!("{from} 向 {to} 发出了报文 {}（{}），办件 {case}。", self.message_id, self.kind),
                format!("它是该通道第 {} 条，位于双方签名的检查点（长度 {}）之下。", self.index, self.size),
                format!("发送方于 {} 签名，密钥 {}。", self.signed, self.origin),
                format!("接收方于 {} 签收（精确到秒），密钥 {}。", self.received, self.cosigner),
                format!("依据协议 {}，标准 {}。", digest(self.agreement), digest(self.standard)),
                match &self.payload {
                    Some(payload) => format!("报文体在内（{} 字节），与报文头摘要相符。", payload.len()),
                    None => "报文体不在内（已销毁或未附）：仅证明报文头所载事实与报文体摘要。".into(),
                },
                "未证明：内容是否属实；接收方是否同意（见其裁决与回复）。".into(),
            ]
        } else {
            vec![
                format!("{from} sent message {} ({}) to {to}, case {case}.", self.message_id, self.kind),
                format!(
                    "It is entry {} of that channel, below a checkpoint of size {} that both signed.",
                    self.index, self.size
                ),
                format!("The sender signed at {}, key {}.", self.signed, self.origin),
                format!("The receiver signed for it at {} (to the second), key {}.", self.received, self.cosigner),
                format!(
                    "It relied on agreement {} and standard {}.",
                    digest(self.agreement),
                    digest(self.standard)
                ),
                match &self.payload {
                    Some(payload) => {
                        format!("The body is included ({} bytes) and matches the header's digest.", payload.len())
                    }
                    None => "The body is not included (erased or left out): only the header's facts and the \
                             body's digest are proven."
                        .into(),
                },
                "Not proven: that what it says is true, or that the receiver agreed (see its verdict and answer)."
                    .into(),
            ]
        };
        disputed.chain(proven).collect()
    }
}

/// Verifies a bundle against trust anchors alone. Certificates are judged at the receiver's cosignature time: what
/// became of the keys after it is no matter, and a key that counted as lost by then makes the evidence
/// [disputed](Findings::disputed).
///
/// # Errors
/// A `proof.*` code that names what does not hold.
pub fn verify(bundle: &[u8], trust: &TrustStore) -> Result<Findings, Refusal> {
    let malformed = |why: &str| Refusal::new(RefusalCode::ProofMalformed, why);
    if bundle.len() > BUNDLE_BYTES_MAX {
        return Err(malformed("too long"));
    }
    let bundle: Bundle = serde_json::from_slice(bundle)
        .map_err(|error| malformed(&format!("line {} column {}", error.line(), error.column())))?;
    if bundle.format != FORMAT {
        return Err(malformed("format is not tongban-proof/v1"));
    }
    let decode = |text: &str| STANDARD.decode(text).map_err(|_| malformed("base64"));
    let node = |text: &str| text.parse::<NodeId>().map_err(|_| malformed("channel"));
    let channel = ChannelId { from: node(&bundle.channel.from)?, to: node(&bundle.channel.to)? };
    let log = LogId { channel, epoch: bundle.epoch };
    let note = Note::parse(bundle.checkpoint.as_bytes()).map_err(|error| malformed(&error.to_string()))?;
    if note.checkpoint().log != log {
        return Err(malformed("the checkpoint is another log's"));
    }
    // The receiver's own time says when to judge the certificates; it is trusted once its signature is.
    let received = note.cosignature_seconds().ok_or_else(|| malformed("no cosignature"))?;
    let judged_at =
        i64::try_from(received.saturating_mul(1000)).map_err(|_| malformed("cosignature time"))?;
    let mut disputed = Vec::new();
    let mut signer = |chain: &[String], node: NodeId| -> Result<(String, PublicKey), Refusal> {
        let chain = chain.iter().map(|der| decode(der)).collect::<Result<Vec<_>, _>>()?;
        let chain: Vec<&[u8]> = chain.iter().map(Vec::as_slice).collect();
        let (verified, dispute) = trust.verify_disputable(&chain, judged_at).map_err(|error| {
            Refusal::new(RefusalCode::ProofUntrusted, format!("node={node} {}: {error}", error.code()))
        })?;
        if verified.id.division.as_str() != node.as_str() {
            return Err(Refusal::new(
                RefusalCode::ProofUntrusted,
                format!("the certificate is not {node}'s"),
            ));
        }
        let key = PublicKey::from_spki(&verified.spki_der)
            .map_err(|error| Refusal::new(RefusalCode::ProofUntrusted, error.to_string()))?;
        disputed.extend(dispute.map(|dispute| Disputed {
            node,
            since: dispute.since_ms.and_then(|since| u64::try_from(since).ok()).map(UnixMillis),
            root: dispute.root,
        }));
        Ok((verified.id.to_string(), key))
    };
    let signature = |error: NoteError| Refusal::new(RefusalCode::ProofSignature, error.to_string());
    let (origin, origin_key) = signer(&bundle.signers.origin, channel.from)?;
    note.verify_origin(&origin, &origin_key).map_err(signature)?;
    let (cosigner, cosigner_key) = signer(&bundle.signers.cosigner, channel.to)?;
    note.verify_cosignature(&cosigner, &cosigner_key).map_err(signature)?;

    let suite = origin_key.suite;
    if cosigner_key.suite != suite {
        return Err(Refusal::new(RefusalCode::ProofSignature, "the two signatures are of two suites"));
    }
    let header_bytes = decode(&bundle.header)?;
    if header_bytes.len() > HEADER_BYTES_MAX {
        return Err(malformed("the header is too long"));
    }
    let leaf = leaf_hash(suite, &header_bytes).map_err(|error| malformed(&error.to_string()))?;
    let path = bundle
        .inclusion
        .iter()
        .map(|hash| Hash::try_from(decode(hash)?).map_err(|_| malformed("an audit path hash")))
        .collect::<Result<Vec<_>, _>>()?;
    let size = note.checkpoint().size;
    if !inclusion_holds(suite, &leaf, bundle.index, size, &path, &note.checkpoint().root) {
        return Err(RefusalCode::ProofInclusion.into());
    }
    let header = Header::parse(&header_bytes).map_err(|error| malformed(&error.to_string()))?;
    if header.log() != log {
        return Err(malformed("the header names another channel"));
    }
    let payload = match &bundle.body {
        None => None,
        Some(body) => {
            let body = Bytes::from(decode(body)?);
            if body.len() != header.body_length as usize || body_digest(suite, &body) != header.body_digest {
                return Err(RefusalCode::ProofBody.into());
            }
            payload(&body)
        }
    };
    Ok(Findings {
        channel,
        index: bundle.index,
        size,
        message_id: header.message_id,
        kind: header.kind,
        case_id: header.case_id.map(|id| id.as_str().to_owned()),
        created: header.created,
        signed: note.checkpoint().time,
        received: UnixMillis(received * 1000),
        agreement: header.agreement,
        standard: header.standard,
        origin,
        cosigner,
        payload,
        disputed,
    })
}
