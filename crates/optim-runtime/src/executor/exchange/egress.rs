//! Where requests may go: what the settings name, and no further than they say. An address is looked at when
//! the settings are read, as far as it says where it leads, and a name whenever it is resolved: what was
//! looked at is what is connected to.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::executor::address::Address;

/// A server, as the settings name it.
#[derive(Debug, Clone, Copy)]
pub(in crate::executor) struct Destination<'a> {
    pub(in crate::executor) address: &'a Address,
    /// Whether it may be in a private network.
    pub(in crate::executor) allow_private: bool,
}

/// Why nothing is sent to where an address leads.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EgressError {
    /// Nobody serves models there.
    #[error(
        "{host} leads to {ip}, which is no server but one of the addresses of a machine for itself"
    )]
    Never {
        /// What was written.
        host: String,
        /// Where it leads.
        ip: IpAddr,
    },
    /// It is in a private network, or on this machine under another name.
    #[error(
        "{host} leads to {ip}, in a private network; if that is meant, write allow_private = true beside the address"
    )]
    Private {
        /// What was written.
        host: String,
        /// Where it leads.
        ip: IpAddr,
    },
    /// Everybody on the way could read and change what is said.
    #[error(
        "{host} is asked by http, which is for this machine and, with allow_private = true, for private networks; write https"
    )]
    Plain {
        /// What was written.
        host: String,
    },
    /// A redirect or a mistake of ours: the settings do not name it.
    #[error("{host} is not in the settings")]
    Unnamed {
        /// Who was to be asked.
        host: String,
    },
}

/// What the settings say of one host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rule {
    /// Whether all of its addresses begin with `https`.
    secure: bool,
    allow_private: bool,
    /// Whether this machine is what is meant.
    local: bool,
}

/// What kind of network an address is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Network {
    This,
    Private,
    Public,
    /// Unspecified, link-local with the metadata of clouds, multicast, reserved.
    None,
}

/// Where clouds tell a machine about itself, with its keys, outside of the link-local networks.
const METADATA: [IpAddr; 4] = [
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
];

impl Network {
    fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            ip if METADATA.contains(&ip) => Self::None,
            IpAddr::V4(ip) => Self::of_v4(ip),
            IpAddr::V6(ip) => match translated(ip) {
                Some(ip) => Self::of(ip.into()),
                None => Self::of_v6(ip),
            },
        }
    }

    fn of_v4(ip: Ipv4Addr) -> Self {
        match ip.octets() {
            [0 | 224..=255, ..] | [169, 254, ..] | [192, 0, 0, _] => Self::None,
            [127, ..] => Self::This,
            // Carriers and private networks over others, such as Tailscale.
            [100, 64..=127, ..] => Self::Private,
            _ if ip.is_private() => Self::Private,
            _ => Self::Public,
        }
    }

    fn of_v6(ip: Ipv6Addr) -> Self {
        match ip {
            Ipv6Addr::LOCALHOST => Self::This,
            Ipv6Addr::UNSPECIFIED => Self::None,
            _ if ip.is_unicast_link_local() || ip.is_multicast() => Self::None,
            _ if ip.is_unique_local() => Self::Private,
            _ => Self::Public,
        }
    }
}

/// The address of version 4 that a gateway makes of one of version 6: NAT64 and 6to4.
fn translated(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let ([0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..]) = ip.segments() else {
        return None;
    };
    let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
    Some(Ipv4Addr::new(a, b, c, d))
}

impl Rule {
    fn of(destination: Destination<'_>, host: &str) -> Self {
        let Destination { address, allow_private } = destination;
        let local = host == "localhost" || host.ends_with(".localhost");
        Self { secure: address.is_secure(), allow_private, local }
    }

    /// Whether `host` may be asked at `ip`.
    fn admits(self, host: &str, ip: IpAddr) -> Result<(), EgressError> {
        let host = || host.to_owned();
        match Network::of(ip) {
            Network::None => Err(EgressError::Never { host: host(), ip }),
            Network::This if self.local || self.allow_private => Ok(()),
            Network::Private if self.allow_private => Ok(()),
            Network::This | Network::Private => Err(EgressError::Private { host: host(), ip }),
            Network::Public if self.secure => Ok(()),
            Network::Public => Err(EgressError::Plain { host: host() }),
        }
    }
}

/// Resolves the names of the settings, and no others.
#[derive(Debug, Clone, Default)]
pub(super) struct Egress {
    rules: BTreeMap<String, Rule>,
    has_secure: bool,
}

impl Egress {
    /// What may be asked at `destinations`.
    ///
    /// # Errors
    /// One of them says by itself that it leads to where nothing is sent.
    pub(super) fn new<'a>(
        destinations: impl IntoIterator<Item = Destination<'a>>,
    ) -> Result<Self, EgressError> {
        let mut egress = Self::default();
        for destination in destinations {
            let host = destination.address.host();
            let rule = Rule::of(destination, &host);
            match host.trim_matches(['[', ']']).parse::<IpAddr>() {
                // This machine is meant where its address is written.
                Ok(ip) => Rule { local: true, ..rule }.admits(&host, ip)?,
                Err(_) if rule.secure || rule.local || rule.allow_private => {}
                Err(_) => return Err(EgressError::Plain { host }),
            }
            let stricter = |known: &mut Rule| {
                known.secure &= rule.secure;
                known.allow_private &= rule.allow_private;
            };
            egress.has_secure |= rule.secure;
            egress.rules.entry(host).and_modify(stricter).or_insert(rule);
        }
        Ok(egress)
    }

    /// Whether somebody is asked by TLS.
    pub(super) fn has_secure(&self) -> bool {
        self.has_secure
    }

    /// Those of the addresses `found` for `host` that may be asked.
    fn admitted(&self, host: &str, found: &[SocketAddr]) -> Result<Vec<SocketAddr>, EgressError> {
        let Some(rule) = self.rules.get(host) else {
            return Err(EgressError::Unnamed { host: host.to_owned() });
        };
        let mut refused = None;
        let mut admitted = found.to_vec();
        admitted.retain(|address| match rule.admits(host, address.ip()) {
            Ok(()) => true,
            Err(error) => {
                refused.get_or_insert(error);
                false
            }
        });
        match refused {
            Some(error) if admitted.is_empty() => Err(error),
            _ => Ok(admitted),
        }
    }
}

impl Resolve for Egress {
    fn resolve(&self, name: Name) -> Resolving {
        let egress = self.clone();
        Box::pin(async move {
            let found: Vec<_> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let admitted = egress.admitted(name.as_str(), &found)?;
            let admitted: Addrs = Box::new(admitted.into_iter());
            Ok(admitted)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn egress(url: &str, allow_private: bool) -> Result<Egress, EgressError> {
        let address = Address::new(url).unwrap();
        Egress::new([Destination { address: &address, allow_private }])
    }

    fn asked(url: &str, ip: &str, allow_private: bool) -> Result<(), EgressError> {
        let egress = egress(url, allow_private)?;
        let host = Address::new(url).unwrap().host();
        let found = [SocketAddr::new(ip.parse().unwrap(), 0)];
        egress.admitted(&host, &found).map(drop)
    }

    #[test]
    fn threat_18_an_address_that_is_written_leads_only_where_it_may() {
        let never = |url: &str| {
            for allow_private in [false, true] {
                let refused = egress(url, allow_private).unwrap_err();
                assert!(matches!(refused, EgressError::Never { .. }), "{url}: {refused}");
            }
        };
        for host in [
            "0.0.0.0",
            "169.254.169.254",
            "0xa9fea9fe",
            "2852039166",
            "169.254.1",
            "[::]",
            "[fe80::1]",
            "[fd00:ec2::254]",
            "[fd20:ce::254]",
            "[::ffff:169.254.169.254]",
            "[64:ff9b::a9fe:a9fe]",
            "[2002:a9fe:a9fe::1]",
            "100.100.100.200",
            "192.0.0.192",
            "168.63.129.16",
            "224.0.0.1",
            "255.255.255.255",
            "[ff02::1]",
        ] {
            never(&format!("http://{host}/v1"));
            never(&format!("https://{host}/v1"));
        }
        for host in [
            "10.1.2.3",
            "172.16.0.1",
            "192.168.0.9",
            "100.64.0.1",
            "[fd12::1]",
            "[::ffff:10.0.0.1]",
        ] {
            for scheme in ["http", "https"] {
                let url = format!("{scheme}://{host}/v1");
                assert!(matches!(egress(&url, false), Err(EgressError::Private { .. })), "{url}");
                assert!(egress(&url, true).is_ok(), "{url}");
            }
        }
        for host in [
            "127.0.0.1:8080",
            "127.1",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "localhost",
            "LOCALHOST:1",
            "a.localhost",
        ] {
            for url in [format!("http://{host}"), format!("https://{host}")] {
                assert!(egress(&url, false).is_ok(), "{url}");
            }
        }
        for host in ["api.example.com", "8.8.8.8", "[2606:4700::1111]"] {
            assert!(egress(&format!("https://{host}"), false).is_ok(), "{host}");
            let plain = egress(&format!("http://{host}"), false);
            assert!(matches!(plain, Err(EgressError::Plain { .. })), "{host}");
        }
    }

    #[test]
    fn threat_18_a_name_that_is_resolved_leads_only_where_it_may() {
        let name = "https://api.example.com/v1";
        assert_eq!(asked(name, "8.8.8.8", false), Ok(()));
        for ip in
            ["169.254.169.254", "::ffff:169.254.169.254", "fd00:ec2::254", "0.0.0.0", "fe80::1"]
        {
            for allow_private in [false, true] {
                let refused = asked(name, ip, allow_private);
                assert!(matches!(refused, Err(EgressError::Never { .. })), "{ip}");
            }
        }
        for ip in ["127.0.0.1", "::1", "10.0.0.1", "::ffff:192.168.1.1", "fd12::1"] {
            assert!(matches!(asked(name, ip, false), Err(EgressError::Private { .. })), "{ip}");
            assert_eq!(asked(name, ip, true), Ok(()), "{ip}");
        }
        let plain = asked("http://gpu.internal", "8.8.8.8", true);
        assert!(matches!(plain, Err(EgressError::Plain { .. })), "{plain:?}");
        assert_eq!(asked("http://gpu.internal", "10.0.0.1", true), Ok(()));
        assert_eq!(asked("http://localhost", "127.0.0.1", false), Ok(()));
        let moved = asked("http://localhost", "10.0.0.1", false);
        assert!(matches!(moved, Err(EgressError::Private { .. })), "{moved:?}");
        // One that is fine is enough; the others are not asked.
        let both = ["8.8.8.8:0", "10.0.0.1:0"].map(|address| address.parse().unwrap());
        let admitted = egress(name, false).unwrap().admitted("api.example.com", &both);
        assert_eq!(admitted.unwrap(), both[..1]);
        let other = egress(name, true).unwrap().admitted("other.example.com", &both);
        assert!(matches!(other, Err(EgressError::Unnamed { .. })), "{other:?}");
    }

    #[test]
    fn of_two_settings_for_one_host_the_stricter_one_holds() {
        let (plain, secure) = (Address::new("http://a.test:1"), Address::new("https://a.test:2"));
        let (plain, secure) = (plain.unwrap(), secure.unwrap());
        let egress = Egress::new([
            Destination { address: &plain, allow_private: true },
            Destination { address: &secure, allow_private: false },
        ]);
        let (egress, rule) =
            (egress.unwrap(), Rule { secure: false, allow_private: false, local: false });
        assert_eq!(egress.rules.get("a.test"), Some(&rule));
        assert!(egress.has_secure(), "certificates are needed all the same");
    }
}
