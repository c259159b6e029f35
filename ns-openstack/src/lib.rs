//! NeverStop.
