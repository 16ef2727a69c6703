//! The two-city rig.
