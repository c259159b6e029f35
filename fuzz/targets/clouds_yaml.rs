//! The file in which OpenStack's tools keep their clouds.
#![no_main]

ns_fuzz::target!(ns_openstack::fuzzing::clouds_yaml);
