//! What a k0s configuration says about the network of the workload cluster.

use std::net::{IpAddr, Ipv4Addr};

use super::at;
use crate::api::cluster_parts::FreeForm;

/// Domain and first Service of a workload cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    pub domain: String,
    /// Address of the Service `kubernetes`: the first of those that Services have.
    pub kubernetes_service: IpAddr,
}

impl Network {
    /// Reads a configuration; what is not written, or cannot be read, is k0s' default.
    pub fn read(user: Option<&FreeForm>) -> Self {
        let text = |pointer: &str| {
            user.and_then(|user| at(user, pointer)?.as_str())
                .filter(|text| !text.is_empty())
        };
        Self {
            domain: text("/spec/network/clusterDomain")
                .unwrap_or("cluster.local")
                .to_owned(),
            kubernetes_service: text("/spec/network/serviceCIDR")
                .and_then(first_address)
                .unwrap_or(IpAddr::V4(Ipv4Addr::new(10, 96, 0, 1))),
        }
    }
}

/// The first address after that of the network itself; of a list of networks, in the first.
fn first_address(networks: &str) -> Option<IpAddr> {
    let (address, length) = networks.split(',').next()?.trim().split_once('/')?;
    let length: u32 = length.parse().ok()?;
    match address.parse().ok()? {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32_u32.checked_sub(length)?).unwrap_or(0);
            Some(IpAddr::V4(((u32::from(address) & mask) | 1).into()))
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128_u32.checked_sub(length)?).unwrap_or(0);
            Some(IpAddr::V6(((u128::from(address) & mask) | 1).into()))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn service(cidr: Value) -> String {
        let user = json!({"spec": {"network": {"serviceCIDR": cidr}}});
        Network::read(user.as_object()).kubernetes_service.to_string()
    }

    #[test]
    fn the_service_kubernetes_has_the_first_address() {
        assert_eq!(service(json!("10.100.3.7/16")), "10.100.0.1");
        assert_eq!(service(json!("fd00::/108")), "fd00::1");
        assert_eq!(service(json!("10.0.0.0/12,fd00::/108")), "10.0.0.1");
        assert_eq!(service(json!("0.0.0.0/0")), "0.0.0.1");
    }

    #[test]
    fn what_cannot_be_read_is_the_default() {
        for odd in [
            json!(3),
            json!("10.0.0.0"),
            json!("10.0.0.0/40"),
            json!("x/y"),
            json!(""),
        ] {
            assert_eq!(service(odd), "10.96.0.1");
        }
        let default = Network::read(None);
        assert_eq!(default.domain, "cluster.local");
    }
}
