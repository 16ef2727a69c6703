//! Bytes to domain and back: protobuf payloads, DSSE envelopes, the JSON of documents, and the values
//! of the index. Limits are checked here, before anything is built; rules are not.

pub mod attachments;
pub mod case_fact;
pub mod document;
pub mod envelope;
pub mod payload;
mod text;
