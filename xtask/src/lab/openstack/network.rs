//! The networks under the clouds: one bridge per cloud for its provider network `public`, one for its tunnels; and the
//! removal of whatever the clouds' agents left in the machine's network. Knows the `ip` command, no service.
//!
//! The ranges are of 198.18.0.0/15, set aside for testing networks: no private network, mirror or name server is there.
use super::cloud::Cloud;
use crate::lab::{Site, command::run};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::{collections::HashSet, fs, net::Ipv4Addr, process::Command, time::Duration};

const DEADLINE: Duration = Duration::from_secs(20);

/// What is fixed about a cloud's networks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Bridge of the provider network.
    pub(crate) external_bridge: &'static str,
    /// First three numbers of the provider network, a /24. The machine has .1 there and so reaches every floating IP.
    pub(crate) external: [u8; 3],
    /// Bridge that carries the tunnels' local address.
    tunnel_bridge: &'static str,
    /// Local end of the tunnels.
    pub(crate) tunnel: Ipv4Addr,
    /// Ids of the tunnels: the devices of both clouds share one namespace.
    pub(crate) vni_range: &'static str,
}

/// The plan of a site's cloud.
pub(crate) fn plan(site: Site) -> Plan {
    match site {
        Site::A => Plan {
            external_bridge: "br-ex-a",
            external: [198, 18, 21],
            tunnel_bridge: "br-tun-a",
            tunnel: Ipv4Addr::new(198, 18, 121, 1),
            vni_range: "1000:1999",
        },
        Site::B => Plan {
            external_bridge: "br-ex-b",
            external: [198, 18, 22],
            tunnel_bridge: "br-tun-b",
            tunnel: Ipv4Addr::new(198, 18, 122, 1),
            vni_range: "2000:2999",
        },
    }
}

impl Plan {
    /// An address of the provider network.
    pub(crate) fn external_address(&self, last: u8) -> Ipv4Addr {
        let [a, b, c] = self.external;
        Ipv4Addr::new(a, b, c, last)
    }

    /// The provider network.
    pub(crate) fn external_range(&self) -> String {
        format!("{}/24", self.external_address(0))
    }

    fn bridges(&self) -> [(&'static str, String); 2] {
        [
            (self.external_bridge, format!("{}/24", self.external_address(1))),
            (self.tunnel_bridge, format!("{}/32", self.tunnel)),
        ]
    }
}

/// Makes the bridges of a cloud.
///
/// # Errors
/// The machine already uses a range of ours, or `ip` fails.
pub(crate) fn up(cloud: Cloud<'_>) -> Result<()> {
    let plan = plan(cloud.site);
    refuse_foreign_use(&plan)?;
    for (bridge, address) in plan.bridges() {
        if !exists(bridge) {
            ip(&["link", "add", bridge, "type", "bridge", "stp_state", "0"])?;
        }
        ip(&["address", "replace", &address, "dev", bridge])?;
        ip(&["link", "set", bridge, "up"])?;
    }
    Ok(())
}

/// Removes every namespace, bridge, tunnel and tap of both clouds. Nothing of them runs any more.
pub(crate) fn purge() -> Result<()> {
    for namespace in list(&["-j", "netns", "list"], "name")? {
        if namespace.starts_with("qrouter-") || namespace.starts_with("qdhcp-") {
            ip(&["netns", "delete", &namespace])?;
        }
    }
    let ours: HashSet<&str> = Site::BOTH
        .iter()
        .flat_map(|site| plan(*site).bridges().map(|(bridge, _)| bridge))
        .collect();
    for link in list(&["-j", "link", "show"], "ifname")? {
        // removing one end of a pair takes the other end along
        if (ours.contains(link.as_str()) || is_neutrons(&link)) && exists(&link) {
            ip(&["link", "delete", &link])?;
        }
    }
    Ok(())
}

/// Device names as the linuxbridge agent and the interface driver make them.
fn is_neutrons(link: &str) -> bool {
    let id_of = |prefix| {
        link.strip_prefix(prefix)
            .filter(|id: &&str| id.len() >= 10 && id.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-'))
    };
    let vni = link
        .strip_prefix("vxlan-")
        .and_then(|vni| vni.parse::<u32>().ok())
        .is_some_and(|vni| (1000..3000).contains(&vni));
    vni || id_of("brq").is_some() || id_of("tap").is_some()
}

fn refuse_foreign_use(plan: &Plan) -> Result<()> {
    let own: HashSet<&str> = plan.bridges().map(|(bridge, _)| bridge).into();
    let routes = run(
        Command::new("ip").args(["-j", "route", "show", "table", "all"]),
        DEADLINE,
    )?
    .stdout;
    let routes: Vec<Value> = serde_json::from_str(&routes).context("read the routes")?;
    let [a, b, c] = plan.external;
    for route in &routes {
        let target = route["dst"].as_str().unwrap_or_default();
        let device = route["dev"].as_str().unwrap_or_default();
        if target.starts_with(&format!("{a}.{b}.{c}.")) && !own.contains(device) {
            bail!(
                "the route {target} over {device} lies in the lab's range {}",
                plan.external_range()
            );
        }
    }
    let resolvers = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    if resolvers.contains(&format!(" {a}.{b}.{c}.")) {
        bail!(
            "the machine's name server lies in the lab's range {}",
            plan.external_range()
        );
    }
    Ok(())
}

fn exists(link: &str) -> bool {
    fs::exists(format!("/sys/class/net/{link}")).unwrap_or(false)
}

fn list(args: &[&str], key: &str) -> Result<Vec<String>> {
    let text = run(Command::new("ip").args(args), DEADLINE)?.stdout;
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    let items: Vec<Value> = serde_json::from_str(&text).with_context(|| format!("read ip {}", args.join(" ")))?;
    Ok(items
        .iter()
        .filter_map(|item| item[key].as_str().map(str::to_owned))
        .collect())
}

fn ip(args: &[&str]) -> Result<()> {
    run(Command::new("ip").args(args), DEADLINE).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_devices_of_the_agents_are_removed() {
        for ours in ["brq12345678-9a", "tap12345678-9a", "vxlan-1001"] {
            assert!(is_neutrons(ours), "{ours}");
        }
        for other in ["br0", "tap0", "tapestry", "vxlan-7", "eth0", "docker0"] {
            assert!(!is_neutrons(other), "{other}");
        }
    }
}
