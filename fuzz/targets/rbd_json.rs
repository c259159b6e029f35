//! What Ceph's commands print in JSON, and what this provider left there.
#![no_main]

ns_fuzz::target!(ns_ceph::fuzzing::json);
