//! What can be asked of the things of an inventory (INV-02 … INV-12).

use super::query::queryable;
use super::{
    AvailabilityZone, CloudId, FieldValue, Flavor, FloatingIp, Hypervisor, Instance, Keypair, Network, Port,
    PowerState, Router, SecurityGroup, ServerGroup, Subnet, Tenant, Volume, VolumeGroup, VolumeSnapshot, VolumeType,
};

fn ids(ids: &[CloudId]) -> FieldValue<'_> {
    ids.iter().map(CloudId::as_str).collect()
}

fn texts(texts: &[String]) -> FieldValue<'_> {
    texts.iter().map(String::as_str).collect()
}

impl PowerState {
    /// The stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Changing => "changing",
            Self::Error => "error",
        }
    }
}

queryable! { Tenant, id;
    "id" Text = |t| &t.id,
    "name" Text = |t| &t.name,
    "enabled" Flag = |t| t.enabled,
    "tags" Text = |t| texts(&t.tags),
}

queryable! { AvailabilityZone, id;
    "id" Text = |z| &z.id,
    "name" Text = |z| &z.name,
    "available" Flag = |z| z.available,
    "hosts" Text = |z| texts(&z.hosts),
}

queryable! { Hypervisor, id;
    "id" Text = |h| &h.id,
    "name" Text = |h| &h.name,
    "available" Flag = |h| h.available,
    "vcpus" Number = |h| h.vcpus,
    "vcpus_used" Number = |h| h.vcpus_used,
    "memory_mib" Number = |h| h.memory_mib,
    "memory_mib_used" Number = |h| h.memory_mib_used,
    "traits" Text = |h| texts(&h.traits),
}

queryable! { Network, id;
    "id" Text = |n| &n.id,
    "name" Text = |n| &n.name,
    "tenant_id" Text = |n| &n.tenant_id,
    "external" Flag = |n| n.external,
    "shared" Flag = |n| n.shared,
    "mtu" Number = |n| n.mtu,
}

queryable! { Subnet, id;
    "id" Text = |s| &s.id,
    "name" Text = |s| &s.name,
    "network_id" Text = |s| &s.network_id,
    "tenant_id" Text = |s| &s.tenant_id,
    "cidr" Text = |s| &s.cidr,
    "ip_version" Number = |s| u64::from(s.ip_version),
    "gateway_ip" Text = |s| s.gateway_ip.as_ref(),
    "dhcp" Flag = |s| s.dhcp,
}

queryable! { Router, id;
    "id" Text = |r| &r.id,
    "name" Text = |r| &r.name,
    "tenant_id" Text = |r| &r.tenant_id,
    "external_network_id" Text = |r| r.external_network_id.as_ref(),
    "subnet_ids" Text = |r| ids(&r.subnet_ids),
}

queryable! { FloatingIp, id;
    "id" Text = |f| &f.id,
    "name" Text = |f| &f.name,
    "address" Text = |f| &f.address,
    "tenant_id" Text = |f| &f.tenant_id,
    "network_id" Text = |f| &f.network_id,
    "port_id" Text = |f| f.port_id.as_ref(),
}

queryable! { Port, id;
    "id" Text = |p| &p.id,
    "name" Text = |p| &p.name,
    "tenant_id" Text = |p| &p.tenant_id,
    "network_id" Text = |p| &p.network_id,
    "device_id" Text = |p| &p.device_id,
    "device_owner" Text = |p| &p.device_owner,
    "mac" Text = |p| &p.mac,
    "addresses" Text = |p| p.fixed_ips.iter().map(|(_, address)| address.as_str()).collect::<FieldValue<'_>>(),
    "security_group_ids" Text = |p| ids(&p.security_group_ids),
}

queryable! { SecurityGroup, id;
    "id" Text = |g| &g.id,
    "name" Text = |g| &g.name,
    "description" Text = |g| &g.description,
    "tenant_id" Text = |g| &g.tenant_id,
}

queryable! { Flavor, id;
    "id" Text = |f| &f.id,
    "name" Text = |f| &f.name,
    "vcpus" Number = |f| f.vcpus,
    "memory_mib" Number = |f| f.memory_mib,
    "disk_gib" Number = |f| f.disk_gib,
    "public" Flag = |f| f.public,
}

queryable! { Keypair, id;
    "id" Text = |k| &k.id,
    "name" Text = |k| &k.name,
    "fingerprint" Text = |k| &k.fingerprint,
}

queryable! { VolumeType, id;
    "id" Text = |t| &t.id,
    "name" Text = |t| &t.name,
    "multiattach" Flag = |t| t.multiattach,
}

queryable! { Volume, id;
    "id" Text = |v| &v.id,
    "name" Text = |v| &v.name,
    "tenant_id" Text = |v| &v.tenant_id,
    "size_gib" Number = |v| v.size_gib,
    "status" Text = |v| &v.status,
    "volume_type" Text = |v| &v.volume_type,
    "bootable" Flag = |v| v.bootable,
    "multiattach" Flag = |v| v.multiattach,
    "instance_ids" Text = |v| v.attachments.iter().map(|(id, _)| id.as_str()).collect::<FieldValue<'_>>(),
    "volume_group_id" Text = |v| v.volume_group_id.as_ref(),
    "source_snapshot_id" Text = |v| v.source_snapshot_id.as_ref(),
}

queryable! { VolumeGroup, id;
    "id" Text = |g| &g.id,
    "name" Text = |g| &g.name,
    "tenant_id" Text = |g| &g.tenant_id,
    "status" Text = |g| &g.status,
    "volume_type_ids" Text = |g| ids(&g.volume_type_ids),
}

queryable! { VolumeSnapshot, id;
    "id" Text = |s| &s.id,
    "name" Text = |s| &s.name,
    "volume_id" Text = |s| &s.volume_id,
    "status" Text = |s| &s.status,
    "created_at" Time = |s| s.created_at,
}

queryable! { ServerGroup, id;
    "id" Text = |g| &g.id,
    "name" Text = |g| &g.name,
    "policy" Text = |g| &g.policy,
    "members" Text = |g| ids(&g.members),
}

queryable! { Instance, id;
    "id" Text = |i| &i.id,
    "name" Text = |i| &i.name,
    "tenant_id" Text = |i| &i.tenant_id,
    "power" Text = |i| i.power.as_str(),
    "status" Text = |i| &i.status,
    "flavor" Text = |i| &i.flavor.name,
    "vcpus" Number = |i| i.flavor.vcpus,
    "memory_mib" Number = |i| i.flavor.memory_mib,
    "availability_zone" Text = |i| &i.availability_zone,
    "host" Text = |i| i.host.as_ref(),
    "keypair" Text = |i| i.keypair.as_ref(),
    "volume_ids" Text = |i| ids(&i.volume_ids),
    "boots_from_volume" Flag = |i| i.boots_from_volume,
}
