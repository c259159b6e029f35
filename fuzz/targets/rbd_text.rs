//! What Ceph's commands print in text.
#![no_main]

ns_fuzz::target!(ns_ceph::fuzzing::text);
