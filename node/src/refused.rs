//! The one place where refusals become gRPC status and come back: the server side of the local
//! socket uses [`to_status`], its clients [`from_status`].
//!
//! The status message carries both languages for people with other tools; programs read the metadata
//! `tongban-code`, `tongban-fault` and `tongban-detail-bin`.

use gateway::refusal::{Fault, Refusal, RefusalCode, Status as Mapped};
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Status};

use crate::both;
use crate::console::Failure;

const CODE: &str = "tongban-code";
const FAULT: &str = "tongban-fault";
const DETAIL: &str = "tongban-detail-bin";
/// gRFC A6: how long a client should wait before it tries again, in milliseconds. Stands in every
/// RESOURCE_EXHAUSTED that waiting helps against, and gRPC libraries obey it by themselves.
pub const RETRY_AFTER: &str = "grpc-retry-pushback-ms";

/// The gRPC status that carries a refusal.
pub fn to_status(refusal: &Refusal) -> Status {
    let mut metadata = MetadataMap::new();
    metadata.insert(CODE, MetadataValue::from_static(refusal.code.code()));
    metadata.insert(FAULT, MetadataValue::from_static(refusal.code.fault().name()));
    if !refusal.detail.is_empty() {
        metadata.insert_bin(DETAIL, MetadataValue::from_bytes(refusal.detail.as_bytes()));
    }
    if let Some(millis) = refusal.retry_after_millis() {
        metadata.insert(RETRY_AFTER, MetadataValue::from(millis));
    }
    let message = format!("{} {}", refusal.message(true), refusal.message(false));
    Status::with_metadata(Code::from_i32(refusal.code.status() as i32), message, metadata)
}

/// The failure that a gRPC status stands for.
pub fn from_status(status: &Status) -> Failure {
    let text = |name| status.metadata().get(name).and_then(|value| value.to_str().ok());
    if let Some(code) = text(CODE) {
        let detail = status.metadata().get_bin(DETAIL).and_then(|value| value.to_bytes().ok());
        let detail = detail.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
        if let Some(known) = RefusalCode::with_code(code) {
            return Refusal::new(known, detail).into();
        }
        // A newer node's code: its own words, and the exit code of its gRPC status.
        let message = status.message();
        return Failure {
            code: code.to_owned(),
            fault: text(FAULT).and_then(fault_named).unwrap_or(Fault::Unknown),
            exit: exit_code(status.code()),
            ..Failure::input(both!("{message}", "{message}"))
        };
    }
    let (code, message) = (status.code(), status.message());
    match code {
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => Failure::unreachable(both!(
            "节点没有答复（{code:?}）：{message}；请查看节点是否在运行。",
            "The node did not answer ({code:?}): {message}; see whether it runs."
        )),
        _ => Failure {
            exit: exit_code(code),
            ..Failure::ours(both!("节点答复 {code:?}:{message}", "The node answered {code:?}: {message}"))
        },
    }
}

fn fault_named(name: &str) -> Option<Fault> {
    [Fault::Peer, Fault::Operator, Fault::Ours, Fault::Unknown].into_iter().find(|fault| fault.name() == name)
}

fn exit_code(code: Code) -> u8 {
    let mapped = match code {
        Code::InvalidArgument | Code::OutOfRange => Mapped::InvalidArgument,
        Code::NotFound => Mapped::NotFound,
        Code::AlreadyExists => Mapped::AlreadyExists,
        Code::FailedPrecondition | Code::Aborted => Mapped::FailedPrecondition,
        Code::PermissionDenied => Mapped::PermissionDenied,
        Code::Unauthenticated => Mapped::Unauthenticated,
        Code::ResourceExhausted => Mapped::ResourceExhausted,
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => Mapped::Unavailable,
        Code::DataLoss => Mapped::DataLoss,
        Code::Unimplemented => Mapped::Unimplemented,
        Code::Ok | Code::Internal | Code::Unknown => Mapped::Internal,
    };
    mapped.exit_code()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_comes_back_from_its_status() {
        for code in RefusalCode::ALL {
            for detail in ["", "item=出生一件事"] {
                let refusal = Refusal::new(*code, detail);
                let status = to_status(&refusal);
                assert_eq!(from_status(&status), Failure::from(refusal));
                assert_eq!(exit_code(status.code()), code.status().exit_code());
            }
        }
    }

    #[test]
    fn a_code_of_a_newer_node_keeps_its_name_and_fault() {
        let mut status = Status::new(Code::PermissionDenied, "新规则");
        status.metadata_mut().insert(CODE, MetadataValue::from_static("case.new_rule"));
        status.metadata_mut().insert(FAULT, MetadataValue::from_static("peer"));
        let failure = from_status(&status);
        assert_eq!((failure.code.as_str(), failure.fault, failure.exit), ("case.new_rule", Fault::Peer, 6));
    }

    #[test]
    fn a_refusal_that_ends_by_waiting_says_how_long() {
        let hint = |refusal: Refusal| {
            let status = to_status(&refusal);
            let hint = status.metadata().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
            (status.code(), hint.and_then(|text| text.parse::<u64>().ok()))
        };
        let exhausted = Code::ResourceExhausted;
        assert_eq!(hint(Refusal::retry_after(RefusalCode::Quota, 350, "")), (exhausted, Some(350)));
        for code in RefusalCode::ALL.iter().filter(|code| code.status() == Mapped::ResourceExhausted) {
            let helps = !matches!(code, RefusalCode::CaseTooManyFacts | RefusalCode::CreditExceeded);
            assert_eq!(hint(Refusal::from(*code)).1.is_some(), helps, "{code}");
        }
        assert_eq!(hint(RefusalCode::CaseExists.into()).1, None);
    }
}
