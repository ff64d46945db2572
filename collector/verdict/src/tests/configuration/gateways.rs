//! Which gateway a repair command uses to reach the peer: the one seen on the network interface, else the one by the
//! cloud's convention.

use crate::tests::world::*;
use pingtong_evidence::*;

const C: Side = Side::Acceptor;

/// The repair commands if the acceptor's kernel has no route to the peer.
fn unrouted(change: impl FnOnce(&mut World)) -> Vec<String> {
    let mut world = World::healthy();
    world.facts(C).routes[0].outcome = Known::Known(RouteOutcome::Refused { errno: 113 });
    world.wire(Wire::S3, Wire::S0(113));
    change(&mut world);
    crate::tests::summary::commands(&world.verdict())
}

fn via(to: &str, interface: &str, gateway: &str) -> RouteFact {
    let (interface, gateway) = (interface.to_owned(), Some(ip(gateway)));
    RouteFact {
        to: ip(to),
        outcome: Known::Known(RouteOutcome::Via { interface, source: None, gateway, prefix: None }),
    }
}

#[test]
fn the_gateway_seen_on_the_card_itself_goes_before_the_convention() {
    let line = |gateway: &str| vec![format!("ip route replace 192.168.1.10/32 via {gateway} dev eth0")];
    assert_eq!(unrouted(|_| {}), line("172.16.1.253"));
    let other_card = via("10.1.1.1", "eth1", "172.16.9.1");
    let own_card = via("10.1.1.2", "eth0", "172.16.1.1");
    let routes = vec![other_card.clone(), own_card];
    assert_eq!(unrouted(|world| world.facts(C).routes.extend(routes)), line("172.16.1.1"));
    assert_eq!(unrouted(|world| world.facts(C).routes.push(other_card)), line("172.16.1.253"));
}

#[test]
fn the_block_is_the_vswitchs_or_the_one_that_the_address_was_configured_with() {
    let line = |gateway: &str| vec![format!("ip route replace 192.168.1.10/32 via {gateway} dev eth0")];
    let unread = unrouted(|world| {
        world.snapshot(C).vswitches = Known::default();
        let card = &mut known(&mut world.facts(C).interfaces)[0];
        card.addresses = vec![(ip("10.0.0.9"), cidr("10.0.0.0/8")), (ip("172.16.1.10"), cidr("172.16.1.0/25"))];
    });
    assert_eq!(unread, line("172.16.1.125"));
    let of_length = |length: u8| {
        unrouted(|world| {
            let block = Cidr::around(ip("172.16.1.10"), length);
            known(&mut world.snapshot(C).vswitches)[0].cidr = block;
        })
    };
    assert_eq!(of_length(29), line("172.16.1.13"));
    assert_eq!(of_length(30), ["by hand: guest-route-missing"], "too small to have a gateway of its own");
}
