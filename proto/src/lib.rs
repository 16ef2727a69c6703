//! The wire contract of Tongban: generated messages and services. `proto/WIRE.md` fixes every byte
//! that is hashed or signed; the `.proto` files beside it say the rest.

/// What two nodes say to each other, and what entries say.
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::allow_attributes_without_reason,
    reason = "generated; the .proto files document it"
)]
pub mod exchange {
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("tongban.exchange.v1");
    }
}

/// What business systems and operators say to their own node.
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::allow_attributes_without_reason,
    reason = "generated; the .proto files document it"
)]
pub mod local {
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("tongban.local.v1");
    }
}

/// What a journal frame holds.
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::allow_attributes_without_reason,
    reason = "generated; the .proto files document it"
)]
pub mod store {
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("tongban.store.v1");
    }
}
