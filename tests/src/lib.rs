//! Promises of Tongban seen from outside.
