//! What the services of OpenStack answer.
#![no_main]

ns_fuzz::target!(ns_openstack::fuzzing::answers);
