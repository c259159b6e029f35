//! Messages of OpenStack's services.
#![no_main]

ns_fuzz::target!(ns_openstack::fuzzing::notification);
