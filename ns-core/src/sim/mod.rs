//! Simulated clouds and mirrored storage.
