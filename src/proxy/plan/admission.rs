//! Which external and LoadBalancer addresses may be programmed at all.

use std::net::IpAddr;

use crate::config::{AddressClass, ClusterConfig};
use crate::model::{Note, ObjectRef, Service};

/// The addresses of a class that are admitted, with a note for each that is not.
#[must_use]
pub fn admit(
    service: &Service,
    class: AddressClass,
    config: &ClusterConfig,
    notes: &mut Vec<Note>,
) -> Vec<IpAddr> {
    let addresses = match class {
        AddressClass::External => &service.external_ips,
        AddressClass::LoadBalancer => &service.load_balancer_ips,
    };
    let mut admitted: Vec<IpAddr> = Vec::with_capacity(addresses.len());
    for address in addresses {
        match config.refusal(class, *address) {
            Some(reason) => notes.push(Note::new(
                ObjectRef::new("Service", service.name.to_string()),
                class.field(),
                reason,
            )),
            None if !admitted.contains(address) => admitted.push(*address),
            None => {}
        }
    }
    admitted
}
