//! The kernel's lists of virtual and real servers; what is decoded must survive our own encoding.
#![no_main]

use kube_router::kernel::genl::FamilyId;
use kube_router::kernel::ipvs::object::Command;
use kube_router::kernel::ipvs::{decode_real, decode_virtual, encode};
use kube_router::kernel::netlink::Messages;
use kube_router::net::Family;
use libfuzzer_sys::fuzz_target;

fn encoded(command: &Command) -> Vec<u8> {
    encode(FamilyId(0x1d), command).to_bytes(1).expect("commands fit a message")
}

fuzz_target!(|data: &[u8]| {
    for message in Messages::new(data) {
        let Ok((server, _)) = decode_virtual(&message) else {
            for family in Family::ALL {
                if let Ok((real, _)) = decode_real(&message, family) {
                    let key = "-D -f 1".parse::<Command>().expect("a command").key();
                    let bytes = encoded(&Command::AddReal(key, real));
                    let again = Messages::new(&bytes).next().expect("a message");
                    assert_eq!(decode_real(&again, family).expect("decodable").0, real);
                }
            }
            continue;
        };
        let bytes = encoded(&Command::AddVirtual(server));
        let again = Messages::new(&bytes).next().expect("a message");
        assert_eq!(decode_virtual(&again).expect("decodable").0, server);
    }
});
