//! The rules of government service across provinces (跨省通办): what a standard, an agreement, a
//! case, a licence and a recognition are, and what may happen to them.
//!
//! Everything here is a plain function over values. There is no clock (`now` and `today` are
//! arguments), no I/O, no serde and no protobuf: `wire` reads and writes, `authorize` puts the rules
//! together into one decision for one entry.

pub mod agreement;
pub mod blob;
pub mod calendar;
pub mod case;
pub mod date;
pub mod deadline;
pub mod equivalence;
pub mod identity;
pub mod licence;
pub mod payload;
pub mod person;
pub mod rating;
pub mod recognition;
pub mod standard;
