//! What the kernel lists of a table; what is decoded must survive our own encoding.
#![no_main]

use std::sync::Arc;

use kube_router::kernel::netlink::{Message, Messages, Request};
use kube_router::kernel::nft::{
    Command, Existing, Expr, KeyType, Name, Set, Transaction, decode_chain, decode_members,
    decode_rule, decode_set, decode_table, encode,
};
use libfuzzer_sys::fuzz_target;

const RULE_HANDLE: u16 = 3;

fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

fn encoded(command: Command) -> Vec<Request> {
    let mut transaction = Transaction::new(name("t"));
    transaction.extend([command]);
    encode(&transaction)
}

fn bytes(requests: &[Request]) -> Vec<u8> {
    let bytes = |request: &Request| request.to_bytes(1).expect("fits");
    requests.iter().flat_map(bytes).collect()
}

fn set(message: &Message<'_>) {
    let Ok(Some(found)) = decode_set(message, &name("t")) else {
        return;
    };
    if !found.is_foreign {
        let bytes = bytes(&encoded(Command::AddSet(Arc::clone(&found.set))));
        let again = Messages::new(&bytes).next().expect("a message");
        let again = decode_set(&again, &name("t")).expect("decodable").expect("in the table");
        assert_eq!(again.set, found.set);
    }
}

fn members(message: &Message<'_>) {
    let key = [KeyType::Ipv4Addr, KeyType::InetProto, KeyType::InetService];
    let all = (1..=3).flat_map(|fields| [(fields, false), (fields, true)]);
    let all = all.flat_map(|(fields, is_map)| [(fields, is_map, false), (fields, is_map, true)]);
    for (fields, is_map, is_interval) in all {
        let set = Arc::new(Set {
            is_map,
            is_interval,
            ..Set::new(name("s"), &key[..fields])
        });
        if let Ok((members, _)) = decode_members(&set, [*message]) {
            let command = Command::AddElements(Arc::clone(&set), members.clone(), Existing::Ignored);
            let bytes = bytes(&encoded(command));
            let again = decode_members(&set, Messages::new(&bytes)).expect("decodable");
            assert_eq!(again, (members, 0));
        }
    }
}

fn rule(message: &Message<'_>) {
    let Ok(Some((chain, found))) = decode_rule(message, &name("t")) else {
        return;
    };
    let is_foreign = |expr: &Expr| matches!(expr, Expr::Foreign(_));
    if !found.rule.exprs().iter().any(is_foreign) {
        let mut requests = encoded(Command::AddRule(chain.clone(), found.rule.clone()));
        for request in &mut requests {
            request.attributes().bytes(RULE_HANDLE, &found.handle.to_be_bytes());
        }
        let bytes = bytes(&requests);
        let again = Messages::new(&bytes).next().expect("a message");
        let again = decode_rule(&again, &name("t")).expect("decodable");
        assert_eq!(again, Some((chain, found)));
    }
}

fuzz_target!(|data: &[u8]| {
    for message in Messages::new(data) {
        let _either = decode_table(&message, 7);
        let _either = decode_chain(&message, &name("t"));
        set(&message);
        members(&message);
        rule(&message);
    }
});
