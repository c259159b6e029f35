//! The embedded store: `MemoryStore`, for tests.
