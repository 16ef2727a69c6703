//! The header's fields and bytes (WIRE.md §3).

use crate::id::{CaseId, ChannelId, Digest, LogPosition, MessageId};
use crate::limits::{BLOBS_PER_ENTRY_MAX, BODY_BYTES_MAX, HEADER_BYTES_MAX, KIND_BYTES_MAX};
use crate::time::UnixMillis;

/// What a header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Field 1. Unique in the channel across epochs.
    pub message_id: MessageId,
    /// Fields 2 and 3.
    pub channel: ChannelId,
    /// Field 4; absent for 0.
    pub epoch: u32,
    /// Field 5: a kind's name, perhaps one that this program does not know.
    pub kind: String,
    /// Field 6.
    pub case_id: Option<CaseId>,
    /// Field 7: a message of the reverse channel, or an earlier one of this channel.
    pub in_reply_to: Option<MessageId>,
    /// Fields 8 (epoch, absent for 0) and 9 (size, absent for 0): what of the reverse channel the
    /// author had folded.
    pub seen: LogPosition,
    /// Field 10: the agreement relied on.
    pub agreement: Option<Digest>,
    /// Field 11: the standard relied on.
    pub standard: Option<Digest>,
    /// Field 12.
    pub created: UnixMillis,
    /// Field 13; absent: never.
    pub expires: Option<UnixMillis>,
    /// Field 14.
    pub body_digest: Digest,
    /// Field 15: bytes of the body, salt included.
    pub body_length: u32,
    /// Field 16: commitments to blobs, H(salt ‖ digest) each, 33 bytes apiece, concatenated.
    pub blobs: Vec<Digest>,
}

/// Why bytes are not a header. `field` is the number in WIRE.md §3.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Empty, or over the limit.
    #[error("a header of {0} bytes; 1 to {HEADER_BYTES_MAX} are allowed")]
    Length(usize),
    /// The protobuf ends in the middle of a field.
    #[error("the header is cut short")]
    Truncated,
    /// Field numbers do not ascend, or one stands twice.
    #[error("field {0} is out of order or stands twice")]
    Order(u32),
    /// A required field is absent.
    #[error("field {0} is missing")]
    Missing(u32),
    /// A field has the wrong type or content.
    #[error("field {field}: {why}")]
    Field {
        /// Its number.
        field: u32,
        /// What is wrong.
        why: &'static str,
    },
}

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// A fixed-width value of an unknown field.
    Other,
}

/// Reads protobuf fields one after another.
struct Reader<'a> {
    rest: &'a [u8],
    last: u32,
}

impl<'a> Reader<'a> {
    fn varint(&mut self) -> Result<u64, HeaderError> {
        let mut value = 0u64;
        for position in 0..10 {
            let (byte, rest) = self.rest.split_first().ok_or(HeaderError::Truncated)?;
            self.rest = rest;
            let bits = u64::from(byte & 0x7f);
            if position == 9 && bits > 1 {
                break;
            }
            value |= bits << (7 * position);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(HeaderError::Field { field: self.last, why: "a varint is longer than 64 bits" })
    }

    fn take(&mut self, count: u64) -> Result<&'a [u8], HeaderError> {
        let count = usize::try_from(count).map_err(|_| HeaderError::Truncated)?;
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(HeaderError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn next(&mut self) -> Result<Option<(u32, Value<'a>)>, HeaderError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let field = u32::try_from(key >> 3).ok().filter(|field| (1..1 << 29).contains(field));
        let field =
            field.ok_or(HeaderError::Field { field: self.last, why: "the next field number is wrong" })?;
        if field <= self.last {
            return Err(HeaderError::Order(field));
        }
        self.last = field;
        let value = match key & 7 {
            0 => Value::Number(self.varint()?),
            1 => self.take(8).map(|_| Value::Other)?,
            2 => {
                let length = self.varint()?;
                Value::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| Value::Other)?,
            _ => return Err(HeaderError::Field { field, why: "unknown wire type" }),
        };
        Ok(Some((field, value)))
    }
}

fn wrong(field: u32, why: &'static str) -> HeaderError {
    HeaderError::Field { field, why }
}

fn text(field: u32, bytes: &[u8]) -> Result<&str, HeaderError> {
    std::str::from_utf8(bytes).map_err(|_| wrong(field, "is not UTF-8"))
}

impl Header {
    /// Reads a header strictly.
    ///
    /// # Errors
    /// See [`HeaderError`]; each names the field.
    pub fn parse(bytes: &[u8]) -> Result<Self, HeaderError> {
        if bytes.is_empty() || bytes.len() > HEADER_BYTES_MAX {
            return Err(HeaderError::Length(bytes.len()));
        }
        let mut numbers = [None::<u64>; 17];
        let mut fields = [None::<&[u8]>; 17];
        let mut reader = Reader { rest: bytes, last: 0 };
        while let Some((field, value)) = reader.next()? {
            let place = field as usize;
            match (field, value) {
                (4 | 8 | 9 | 12 | 13 | 15, Value::Number(number)) => numbers[place] = Some(number),
                (1..=3 | 5..=7 | 10 | 11 | 14 | 16, Value::Bytes(bytes)) => fields[place] = Some(bytes),
                (1..=16, _) => return Err(wrong(field, "has the wrong wire type")),
                _ => {} // a later version's field: kept in the bytes, without meaning here
            }
        }
        let required = |field: u32| fields[field as usize].ok_or(HeaderError::Missing(field));
        let message = |field: u32, bytes: &[u8]| {
            bytes.try_into().map(MessageId).map_err(|_| wrong(field, "is not 16 bytes long"))
        };
        let node = |field: u32| -> Result<_, HeaderError> {
            text(field, required(field)?)?.parse().map_err(|_| wrong(field, "is not a division code"))
        };
        let digest = |field: u32, bytes: &[u8]| {
            Digest::from_wire(bytes).map_err(|_| wrong(field, "is not a tagged digest"))
        };
        let epoch = |field: u32| {
            u32::try_from(numbers[field as usize].unwrap_or(0)).map_err(|_| wrong(field, "is no epoch"))
        };
        let kind = text(5, required(5)?)?;
        let named =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'.' || byte == b'_';
        if kind.is_empty() || kind.len() > KIND_BYTES_MAX || !kind.bytes().all(named) {
            return Err(wrong(5, "is not 1 to 32 characters of a-z, 0-9, . and _"));
        }
        let body_length = numbers[15].ok_or(HeaderError::Missing(15))?;
        if body_length > BODY_BYTES_MAX as u64 {
            return Err(wrong(15, "is over the limit of a body"));
        }
        let commitments = fields[16].unwrap_or_default();
        if commitments.len() % Digest::BYTES != 0 || commitments.len() / Digest::BYTES > BLOBS_PER_ENTRY_MAX {
            return Err(wrong(16, "is not a list of tagged digests"));
        }
        Ok(Self {
            message_id: message(1, required(1)?)?,
            channel: ChannelId { from: node(2)?, to: node(3)? },
            epoch: epoch(4)?,
            kind: kind.to_owned(),
            case_id: fields[6]
                .map(|bytes| text(6, bytes)?.parse().map_err(|_| wrong(6, "is not a case id")))
                .transpose()?,
            in_reply_to: fields[7].map(|bytes| message(7, bytes)).transpose()?,
            seen: LogPosition { epoch: epoch(8)?, index: numbers[9].unwrap_or(0) },
            agreement: fields[10].map(|bytes| digest(10, bytes)).transpose()?,
            standard: fields[11].map(|bytes| digest(11, bytes)).transpose()?,
            created: UnixMillis(numbers[12].ok_or(HeaderError::Missing(12))?),
            expires: numbers[13].map(UnixMillis),
            body_digest: digest(14, required(14)?)?,
            body_length: body_length as u32,
            blobs: commitments
                .chunks_exact(Digest::BYTES)
                .map(|bytes| digest(16, bytes))
                .collect::<Result<_, _>>()?,
        })
    }

    /// Writes the header: ascending fields, absent ones left out.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(320);
        put_bytes(&mut bytes, 1, &self.message_id.0);
        put_bytes(&mut bytes, 2, self.channel.from.as_str().as_bytes());
        put_bytes(&mut bytes, 3, self.channel.to.as_str().as_bytes());
        put_number(&mut bytes, 4, u64::from(self.epoch));
        put_bytes(&mut bytes, 5, self.kind.as_bytes());
        if let Some(case) = &self.case_id {
            put_bytes(&mut bytes, 6, case.as_str().as_bytes());
        }
        if let Some(message) = &self.in_reply_to {
            put_bytes(&mut bytes, 7, &message.0);
        }
        put_number(&mut bytes, 8, u64::from(self.seen.epoch));
        put_number(&mut bytes, 9, self.seen.index);
        if let Some(digest) = &self.agreement {
            put_bytes(&mut bytes, 10, &digest.to_wire());
        }
        if let Some(digest) = &self.standard {
            put_bytes(&mut bytes, 11, &digest.to_wire());
        }
        put_always(&mut bytes, 12, self.created.0);
        if let Some(expires) = self.expires {
            put_always(&mut bytes, 13, expires.0);
        }
        put_bytes(&mut bytes, 14, &self.body_digest.to_wire());
        put_always(&mut bytes, 15, u64::from(self.body_length));
        if !self.blobs.is_empty() {
            let wire: Vec<u8> = self.blobs.iter().flat_map(|digest| digest.to_wire()).collect();
            put_bytes(&mut bytes, 16, &wire);
        }
        bytes
    }

    /// Where the entry belongs.
    pub fn log(&self) -> crate::id::LogId {
        crate::id::LogId { channel: self.channel, epoch: self.epoch }
    }
}

fn put_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn put_bytes(bytes: &mut Vec<u8>, field: u32, value: &[u8]) {
    put_varint(bytes, u64::from(field << 3 | 2));
    put_varint(bytes, value.len() as u64);
    bytes.extend_from_slice(value);
}

fn put_always(bytes: &mut Vec<u8>, field: u32, value: u64) {
    put_varint(bytes, u64::from(field << 3));
    put_varint(bytes, value);
}

fn put_number(bytes: &mut Vec<u8>, field: u32, value: u64) {
    if value != 0 {
        put_always(bytes, field, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::HashAlgorithm;
    use proptest::prelude::*;

    fn header() -> Header {
        let digest = |byte| Digest { algorithm: HashAlgorithm::Sha256, bytes: [byte; 32] };
        Header {
            message_id: MessageId([9; 16]),
            channel: "430600>421200".parse().unwrap(),
            epoch: 0,
            kind: "case.forward".to_owned(),
            case_id: Some("KST4306004212002026112300000001A".parse().unwrap()),
            in_reply_to: None,
            seen: LogPosition { epoch: 0, index: 17 },
            agreement: Some(digest(1)),
            standard: Some(digest(2)),
            created: UnixMillis(1_774_000_000_000),
            expires: None,
            body_digest: digest(3),
            body_length: 99,
            blobs: vec![digest(4)],
        }
    }

    #[test]
    fn a_header_round_trips() {
        assert_eq!(Header::parse(&header().encode()), Ok(header()));
    }

    #[test]
    fn unknown_higher_fields_are_kept_and_carry_no_meaning() {
        let mut bytes = header().encode();
        put_bytes(&mut bytes, 4000, b"from a later version");
        assert_eq!(Header::parse(&bytes), Ok(header()));
    }

    #[test]
    fn a_field_that_stands_twice_is_refused() {
        let mut bytes = header().encode();
        put_bytes(&mut bytes, 16, &[]);
        assert_eq!(Header::parse(&bytes), Err(HeaderError::Order(16)));
    }

    #[test]
    fn fields_out_of_order_are_refused() {
        let mut bytes = Vec::new();
        put_bytes(&mut bytes, 2, b"430600");
        put_bytes(&mut bytes, 1, &[9; 16]);
        assert_eq!(Header::parse(&bytes), Err(HeaderError::Order(1)));
    }

    #[test]
    fn each_required_field_is_missed_by_its_number() {
        let mut bytes = Vec::new();
        put_bytes(&mut bytes, 1, &[9; 16]);
        assert_eq!(Header::parse(&bytes), Err(HeaderError::Missing(5)));
    }

    #[test]
    fn every_truncation_is_refused_without_a_panic() {
        let bytes = header().encode();
        for end in 0..bytes.len() {
            let cut = Header::parse(&bytes[..end]);
            assert!(cut.is_err() || cut.is_ok_and(|header| header.blobs.is_empty()), "cut at {end}");
        }
    }

    #[test]
    fn a_length_beyond_the_end_is_refused_before_anything_is_allocated() {
        assert_eq!(Header::parse(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]), Err(HeaderError::Truncated));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = Header::parse(&bytes);
        }
    }
}
