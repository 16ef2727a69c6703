//! The threat model is to come and will stand here: who attacks (a partner, a province's authority, an
//! operator, somebody on the network, somebody with a disk in hand), what each can and cannot do, and
//! which test shows it.
//!
//! Until then: what a loss of memory can hide is in [`contact`](super::contact), what keeps one node
//! from speaking for another in the `certs` crate, what TLS refuses in [`crate::transport::tls`], and
//! what a proof proves in [`crate::proof`].
