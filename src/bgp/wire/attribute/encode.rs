//! The attributes of a route as they are sent to one peer.

use std::net::Ipv4Addr;

use super::{Aggregator, AttributeCode, AttributeFlags, Attributes};
use crate::bgp::wire::AS_TRANS;
use crate::bgp::wire::negotiated::{Negotiated, PeerKind};

/// Appends everything but MP_REACH_NLRI, by code. What a peer of that kind may not get is left
/// out; an internal one always gets a LOCAL_PREF (RFC 4271 section 5.1.5).
pub(in crate::bgp::wire) fn encode_attributes(
    attributes: &Attributes,
    next_hop: Option<Ipv4Addr>,
    terms: &Negotiated,
    into: &mut Vec<u8>,
) {
    let mut sink = Sink {
        attributes,
        terms,
        into,
    };
    sink.put(AttributeCode::ORIGIN, &[attributes.origin.number()]);
    sink.as_path();
    if let Some(next_hop) = next_hop {
        sink.put(AttributeCode::NEXT_HOP, &next_hop.octets());
    }
    sink.number(AttributeCode::MULTI_EXIT_DISC, attributes.multi_exit_disc);
    let internal = terms.peer != PeerKind::External;
    let default = internal.then_some(Attributes::DEFAULT_LOCAL_PREF);
    sink.number(AttributeCode::LOCAL_PREF, attributes.local_pref.or(default));
    if attributes.atomic_aggregate {
        sink.put(AttributeCode::ATOMIC_AGGREGATE, &[]);
    }
    sink.aggregator();
    let originator = attributes.originator_id.map(Ipv4Addr::to_bits);
    sink.list(
        AttributeCode::COMMUNITIES,
        &attributes.communities,
        |community| community.0.to_be_bytes(),
    );
    sink.number(AttributeCode::ORIGINATOR_ID, originator);
    sink.list(
        AttributeCode::CLUSTER_LIST,
        &attributes.cluster_list,
        Ipv4Addr::octets,
    );
    sink.list(
        AttributeCode::EXTENDED_COMMUNITIES,
        &attributes.extended_communities,
        |community| community.0,
    );
    sink.for_old_speakers();
    sink.list(
        AttributeCode::LARGE_COMMUNITIES,
        &attributes.large_communities,
        |community| {
            let parts = [community.global, community.local1, community.local2];
            parts.map(u32::to_be_bytes).concat()
        },
    );
    for unknown in &attributes.unknown {
        sink.raw(unknown.flags, unknown.code, &unknown.value);
    }
}

/// Where attributes go, and for whom.
struct Sink<'a> {
    attributes: &'a Attributes,
    terms: &'a Negotiated,
    into: &'a mut Vec<u8>,
}

// === impl Sink ===

impl Sink<'_> {
    fn put(&mut self, code: AttributeCode, value: &[u8]) {
        let Some(flags) = code.flags().filter(|_| code.is_for(self.terms)) else {
            return;
        };
        let partial = self.attributes.partial.has(code);
        self.raw(flags.with_partial(partial), code, value);
    }

    /// A length beyond 16 bits makes the message too long, which the writer refuses.
    fn raw(&mut self, flags: AttributeFlags, code: AttributeCode, value: &[u8]) {
        let short = u8::try_from(value.len());
        let flags = flags.with_extended_length(short.is_err());
        self.into.extend([flags.0, code.0]);
        match short {
            Ok(length) => self.into.push(length),
            Err(_) => {
                let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
                self.into.extend(length.to_be_bytes());
            }
        }
        self.into.extend_from_slice(value);
    }

    fn number(&mut self, code: AttributeCode, value: Option<u32>) {
        if let Some(value) = value {
            self.put(code, &value.to_be_bytes());
        }
    }

    /// Nothing for an empty list: an attribute of no entry is malformed.
    fn list<T, B: AsRef<[u8]>>(
        &mut self,
        code: AttributeCode,
        entries: &[T],
        octets: impl Fn(&T) -> B,
    ) {
        if entries.is_empty() {
            return;
        }
        let mut value = Vec::with_capacity(size_of_val(entries));
        for entry in entries {
            value.extend_from_slice(octets(entry).as_ref());
        }
        self.put(code, &value);
    }

    fn as_path(&mut self) {
        let path = &self.attributes.as_path;
        if self.terms.four_octet_as {
            self.put(AttributeCode::AS_PATH, path.as_bytes());
        } else {
            self.put(AttributeCode::AS_PATH, &path.two_octet_bytes());
        }
    }

    fn aggregator(&mut self) {
        let Some(Aggregator { asn, router_id }) = self.attributes.aggregator else {
            return;
        };
        if self.terms.four_octet_as {
            self.put(AttributeCode::AGGREGATOR, &eight(asn, router_id));
        } else {
            let [a, b] = u16::try_from(asn).unwrap_or(AS_TRANS).to_be_bytes();
            let [c, d, e, f] = router_id.octets();
            self.put(AttributeCode::AGGREGATOR, &[a, b, c, d, e, f]);
        }
    }

    /// AS4_PATH and AS4_AGGREGATOR, only if AS_TRANS had to stand for something, and without the
    /// confederation (RFC 6793 section 4.2.2).
    fn for_old_speakers(&mut self) {
        if self.terms.four_octet_as {
            return;
        }
        let is_long = |asn: u32| asn > u16::MAX.into();
        let path = &self.attributes.as_path;
        if path.asns().any(is_long) {
            let path = path.without_confederation();
            if !path.is_empty() {
                self.put(AttributeCode::AS4_PATH, path.as_bytes());
            }
        }
        if let Some(Aggregator { asn, router_id }) = self.attributes.aggregator
            && is_long(asn)
        {
            self.put(AttributeCode::AS4_AGGREGATOR, &eight(asn, router_id));
        }
    }
}

fn eight(asn: u32, router_id: Ipv4Addr) -> [u8; 8] {
    let [a, b, c, d] = asn.to_be_bytes();
    let [e, f, g, h] = router_id.octets();
    [a, b, c, d, e, f, g, h]
}
