//! Development certificate hierarchies.
