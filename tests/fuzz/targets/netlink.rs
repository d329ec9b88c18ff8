//! Datagrams: messages, attributes and their values.
#![no_main]

use kube_router::kernel::netlink::{AttrReader, Messages};
use libfuzzer_sys::fuzz_target;

fn walk(reader: AttrReader<'_>, depth: u32) {
    let mut last = None;
    for attr in reader {
        assert!(last < Some(attr.offset), "readers go forward");
        last = Some(attr.offset);
        let _values = (attr.u8(), attr.u16(), attr.u32(), attr.u64());
        let _values = (attr.be16(), attr.be32(), attr.be64(), attr.text());
        if depth > 0 {
            walk(attr.nested(), depth - 1);
        }
    }
}

fuzz_target!(|data: &[u8]| {
    walk(AttrReader::new(data), 2);
    for message in Messages::new(data) {
        for fixed in [0, 4, 16] {
            if let Ok(reader) = message.attributes(fixed) {
                walk(reader, 2);
            }
        }
    }
});
