//! Certificates and trust.
