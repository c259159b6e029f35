//! What the clouds are installed from.

/// Names of the distribution's packages: the services, what they call, and the client for people.
pub(crate) const PACKAGES: &[&str] = &[
    // shared by both clouds, and the cache of each
    "mariadb-server",
    "rabbitmq-server",
    "openssl",
    "memcached",
    // identity, images, placement
    "keystone",
    "glance-api",
    "placement-api",
    "uwsgi-core",
    "uwsgi-plugin-python3",
    "python3-memcache",
    "python3-pymysql",
    // compute
    "nova-api",
    "nova-conductor",
    "nova-scheduler",
    "nova-compute",
    "python3-libvirt",
    "libvirt-daemon",
    "libvirt-daemon-driver-qemu",
    "libvirt-clients",
    "qemu-system-x86",
    "qemu-utils",
    // rbd disks, and config drives
    "qemu-block-extra",
    "genisoimage",
    // network
    "neutron-api",
    "neutron-rpc-server",
    "neutron-linuxbridge-agent",
    "neutron-l3-agent",
    "neutron-dhcp-agent",
    "dnsmasq-base",
    "bridge-utils",
    "conntrack",
    "ebtables",
    "ipset",
    "iptables",
    "iproute2",
    "iputils-arping",
    "iputils-ping",
    // volumes
    "cinder-api",
    "cinder-scheduler",
    "cinder-volume",
    "ceph-common",
    "python3-rados",
    "python3-rbd",
    "sudo",
    // for people and scripts
    "python3-openstackclient",
];
