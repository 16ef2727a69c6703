//! The `tongban` binary, in parts: configuration, the command line, the local gRPC server and its
//! client, and what is said to people in Chinese and English. Rules live in `gateway`; nothing here
//! decides what a node accepts.

pub mod bench;
pub mod cli;
pub mod client;
pub mod config;
pub mod console;
pub mod demo;
pub mod ledger;
pub mod observe;
pub mod refused;
pub mod serve;
pub mod suite;
pub mod text;
