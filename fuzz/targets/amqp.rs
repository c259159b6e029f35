//! What a message broker sends.
#![no_main]

ns_fuzz::target!(ns_openstack::fuzzing::frames);
