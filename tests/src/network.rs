//! Two hosts in one machine: each node in a network namespace of its own, a cable between them that can be
//! pulled. Needs root and `ip`; where that is not permitted, tests that need it say so and end.

use crate::Rig;
use std::process::Command;

/// A cable between two namespaces, named for 岳阳 and 咸宁; gone when dropped.
pub struct Cable {
    spaces: [String; 2],
}

fn ip(arguments: &[&str]) -> bool {
    Command::new("ip").args(arguments).output().is_ok_and(|output| output.status.success())
}

impl Cable {
    /// Moves both nodes of a rig, which have not started, into namespaces of their own. `None`: not here.
    pub fn lay(rig: &mut Rig) -> Option<Self> {
        let id = std::process::id();
        let cable = Self { spaces: [format!("tb{id}a"), format!("tb{id}b")] };
        let [one, other] = [&cable.spaces[0][..], &cable.spaces[1][..]];
        let laid = ip(&["netns", "add", one])
            && ip(&["netns", "add", other])
            && ip(&["link", "add", one, "netns", one, "type", "veth", "peer", "name", other, "netns", other])
            && cable.spaces.iter().zip(ADDRESSES).all(|(space, address)| {
                let address = format!("{address}/30");
                ip(&["-n", space, "addr", "add", &address, "dev", space])
                    && ip(&["-n", space, "link", "set", "lo", "up"])
                    && ip(&["-n", space, "link", "set", space, "up"])
            });
        if !laid {
            eprintln!("skipped: this machine permits no network namespaces (needs root and iproute2)");
            return None;
        }
        let ports = [rig.yueyang.port, rig.xianning.port];
        for (city, space) in [&mut rig.yueyang, &mut rig.xianning].into_iter().zip(&cable.spaces) {
            let mut text = std::fs::read_to_string(city.config()).expect("a configuration");
            for (port, address) in ports.into_iter().zip(ADDRESSES) {
                text = text.replace(&format!("127.0.0.1:{port}"), &format!("{address}:{port}"));
            }
            std::fs::write(city.config(), text).expect("a configuration is written");
            city.start_through(&["ip", "netns", "exec", space]);
        }
        Some(cable)
    }

    /// Pulls the cable out at 咸宁, or puts it back: packets go nowhere, and nobody is told.
    pub fn plugged(&self, plugged: bool) {
        let state = if plugged { "up" } else { "down" };
        assert!(ip(&["-n", &self.spaces[1], "link", "set", &self.spaces[1], state]), "the cable obeys");
    }
}

/// A network of two, far from any that a machine would have.
const ADDRESSES: [&str; 2] = ["10.213.97.1", "10.213.97.2"];

impl Drop for Cable {
    fn drop(&mut self) {
        for space in &self.spaces {
            ip(&["netns", "del", space]);
        }
    }
}
