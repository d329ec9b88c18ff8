//! The codec beside netgauze-bgp-pkt and bgpkit-parser: what we write they read alike, and what
//! they accept we refuse only for reasons that are named here.

use std::collections::{BTreeMap, HashMap};
use std::io::Cursor;

use bgp_oracles::bgp::wire::*;
use bgp_oracles::hostile::message;
use bgp_oracles::net::Family;
use bgp_oracles::seeds::{self, Random, session};
use bgpkit_parser::models::{self as kit, AsnLength, AttributeValue as Kit};
use bgpkit_parser::parser::bgp::parse_bgp_message;
use bytes::Bytes;
use netgauze_bgp_pkt as gauze;
use netgauze_bgp_pkt::wire::deserializer::BgpParsingContext;
use netgauze_iana::address_family::AddressType;
use netgauze_parse_utils::WritablePdu;
use netgauze_parse_utils::reader::SliceReader;
use netgauze_parse_utils::traits::ParseFromWithOneInput;

const ROUNDS: usize = 20_000;

/// What an UPDATE says, one line for each thing.
type Facts = Vec<String>;

fn list<T: ToString>(name: &str, entries: impl IntoIterator<Item = T>, into: &mut Facts) {
    let entries: Vec<String> = entries.into_iter().map(|entry| entry.to_string()).collect();
    if !entries.is_empty() {
        into.push(format!("{name} {}", entries.join(" ")));
    }
}

/// As we read it. On a session with short AS numbers path and aggregator are left out: the others
/// don't merge.
fn our_facts(update: &Update, terms: &Negotiated) -> Facts {
    let mut facts = Facts::new();
    for nlri in update.withdrawn().flatten() {
        facts.push(format!("withdraw {nlri}"));
    }
    for one in update.announced() {
        for nlri in &one.nlri {
            facts.push(format!("announce {nlri} via {}", one.next_hop));
        }
    }
    if update.announced().next().is_none() {
        return sorted(facts);
    }
    let it = &update.attributes;
    facts.push(format!("origin {}", it.origin));
    list("med", it.multi_exit_disc, &mut facts);
    list("local_pref", it.local_pref, &mut facts);
    list("atomic", it.atomic_aggregate.then_some(""), &mut facts);
    if terms.four_octet_as {
        facts.push(format!("as_path {}", it.as_path));
        list("aggregator", it.aggregator, &mut facts);
    }
    list(
        "communities",
        it.communities.iter().map(|community| community.0),
        &mut facts,
    );
    list("originator", it.originator_id, &mut facts);
    list(
        "clusters",
        it.cluster_list.iter().map(|id| id.to_bits()),
        &mut facts,
    );
    let extended = it.extended_communities.iter();
    list(
        "extended",
        extended.map(|community| u64::from_be_bytes(community.0)),
        &mut facts,
    );
    list("large", &it.large_communities, &mut facts);
    for unknown in &it.unknown {
        facts.push(format!("unknown {} {:?}", unknown.code.0, unknown.value));
    }
    sorted(facts)
}

fn sorted(mut facts: Facts) -> Facts {
    facts.sort();
    facts
}

/// The messages of a buffer.
fn frames(bytes: Vec<u8>, terms: &Negotiated) -> Vec<Bytes> {
    let (codec, mut bytes, mut frames) = (Codec::new(terms), Bytes::from(bytes), Vec::new());
    while let Ok(Some(length)) = codec.next_frame(&bytes) {
        frames.push(bytes.split_to(length));
    }
    frames
}

fn read(frame: &Bytes, terms: &Negotiated) -> Update {
    let Ok(Message::Update(parsed)) = Codec::new(terms).decode(frame) else {
        panic!("no UPDATE");
    };
    validate(&parsed, terms).expect("it is sound")
}

// === bgpkit ===

fn kit_parse(frame: &Bytes, terms: &Negotiated) -> Option<kit::BgpMessage> {
    let add_path = terms
        .families
        .v4
        .is_some_and(|terms| terms.add_path_receive);
    let width = if terms.four_octet_as {
        AsnLength::Bits32
    } else {
        AsnLength::Bits16
    };
    parse_bgp_message(&mut frame.clone(), add_path, &width).ok()
}

fn kit_prefix(prefix: &kit::NetworkPrefix) -> String {
    match prefix.path_id {
        None | Some(0) => prefix.prefix.to_string(),
        Some(id) => format!("{} path {id}", prefix.prefix),
    }
}

fn kit_next_hop(next_hop: &kit::NextHopAddress) -> String {
    match next_hop {
        kit::NextHopAddress::Ipv4(address) => address.to_string(),
        kit::NextHopAddress::Ipv6(address) => address.to_string(),
        kit::NextHopAddress::Ipv6LinkLocal(global, link_local) => {
            format!("{global} ({link_local})")
        }
        other => format!("{other:?}"),
    }
}

fn kit_path(path: &kit::AsPath) -> String {
    let words = |asns: &[kit::Asn], between: &str| {
        let asns: Vec<String> = asns.iter().map(|asn| asn.to_u32().to_string()).collect();
        asns.join(between)
    };
    let segments: Vec<String> = path
        .segments
        .iter()
        .map(|segment| match segment {
            kit::AsPathSegment::AsSequence(asns) => words(asns, " "),
            kit::AsPathSegment::AsSet(asns) => format!("{{{}}}", words(asns, ",")),
            kit::AsPathSegment::ConfedSequence(asns) => format!("({})", words(asns, " ")),
            kit::AsPathSegment::ConfedSet(asns) => format!("[{}]", words(asns, ",")),
        })
        .collect();
    segments.join(" ")
}

fn kit_facts(update: &kit::BgpUpdateMessage, terms: &Negotiated) -> Facts {
    let mut facts = Facts::new();
    let mut plain = String::new();
    for prefix in &update.withdrawn_prefixes {
        facts.push(format!("withdraw {}", kit_prefix(prefix)));
    }
    for value in &update.attributes {
        match value {
            Kit::Origin(origin) => facts.push(match origin {
                kit::Origin::IGP => "origin IGP".to_owned(),
                kit::Origin::EGP => "origin EGP".to_owned(),
                kit::Origin::INCOMPLETE => "origin incomplete".to_owned(),
            }),
            Kit::AsPath(path) if terms.four_octet_as => {
                facts.push(format!("as_path {}", kit_path(path)));
            }
            Kit::NextHop(address) => plain = address.to_string(),
            Kit::MultiExitDiscriminator(metric) => facts.push(format!("med {metric}")),
            Kit::LocalPreference(preference) => facts.push(format!("local_pref {preference}")),
            Kit::AtomicAggregate => facts.push("atomic ".to_owned()),
            Kit::Aggregator { asn, id } if terms.four_octet_as => {
                facts.push(format!("aggregator {} {id}", asn.to_u32()));
            }
            Kit::Communities(all) => {
                let number = |community: &kit::Community| match community {
                    kit::Community::NoExport => 0xffff_ff01,
                    kit::Community::NoAdvertise => 0xffff_ff02,
                    kit::Community::NoExportSubConfed => 0xffff_ff03,
                    kit::Community::Custom(asn, value) => asn.to_u32() << 16 | u32::from(*value),
                };
                list("communities", all.iter().map(number), &mut facts);
            }
            Kit::OriginatorId(id) => facts.push(format!("originator {id}")),
            Kit::Clusters(ids) => list("clusters", ids, &mut facts),
            Kit::ExtendedCommunities(all) => {
                let number = |community: &kit::ExtendedCommunity| match community {
                    kit::ExtendedCommunity::TransitiveTwoOctetAs(it) => {
                        let [a, b] = (it.global_admin.to_u32() as u16).to_be_bytes();
                        let [c, d, e, f] = it.local_admin;
                        u64::from_be_bytes([0, it.subtype, a, b, c, d, e, f])
                    }
                    other => panic!("{other:?}"),
                };
                list("extended", all.iter().map(number), &mut facts);
            }
            Kit::LargeCommunities(all) => list("large", all, &mut facts),
            Kit::MpReachNlri(nlri) => {
                let next_hop = nlri.next_hop.as_ref().map(kit_next_hop).unwrap_or_default();
                for prefix in &nlri.prefixes {
                    facts.push(format!("announce {} via {next_hop}", kit_prefix(prefix)));
                }
            }
            Kit::MpUnreachNlri(nlri) => {
                for prefix in &nlri.prefixes {
                    facts.push(format!("withdraw {}", kit_prefix(prefix)));
                }
            }
            Kit::Unknown(raw) | Kit::Raw(raw) | Kit::Deprecated(raw) => {
                facts.push(format!("unknown {} {:?}", raw.code, raw.bytes.as_ref()));
            }
            Kit::AsPath(_) | Kit::As4Path(_) if !terms.four_octet_as => {}
            Kit::Aggregator { .. } | Kit::As4Aggregator { .. } if !terms.four_octet_as => {}
            other => facts.push(format!("{other:?}")),
        }
    }
    for prefix in &update.announced_prefixes {
        facts.push(format!("announce {} via {plain}", kit_prefix(prefix)));
    }
    sorted(facts)
}

#[test]
fn bgpkit_reads_what_we_write_alike() {
    let mut random = Random(1);
    let mut seen = 0;
    for _ in 0..ROUNDS {
        let terms = session(&mut random);
        for frame in frames(seeds::updates(&mut random, &terms), &terms) {
            let ours = read(&frame, &terms);
            let facts = our_facts(&ours, &terms);
            // Where a default route is, bgpkit guesses that there are path identifiers.
            if facts
                .iter()
                .any(|fact| fact.contains("/0 ") || fact.ends_with("/0"))
            {
                continue;
            }
            let Some(kit::BgpMessage::Update(theirs)) = kit_parse(&frame, &terms) else {
                panic!("bgpkit can't read {frame:x?}");
            };
            assert_eq!(
                kit_facts(&theirs, &terms),
                our_facts(&ours, &terms),
                "{frame:x?}"
            );
            seen += 1;
        }
    }
    assert!(seen > ROUNDS / 2, "only {seen}");
}

// === netgauze ===

fn gauze_context(terms: &Negotiated) -> BgpParsingContext {
    let add_path = |family| {
        terms
            .family(family)
            .is_some_and(|it: &FamilyTerms| it.add_path_receive)
    };
    let families = [
        (AddressType::Ipv4Unicast, add_path(Family::V4)),
        (AddressType::Ipv6Unicast, add_path(Family::V6)),
    ];
    let families = HashMap::from(families);
    BgpParsingContext::new(
        terms.four_octet_as,
        HashMap::new(),
        families,
        true,
        true,
        true,
        true,
    )
}

fn gauze_parse(frame: &Bytes, terms: &Negotiated) -> Option<gauze::BgpMessage> {
    let mut reader = SliceReader::new(frame);
    gauze::BgpMessage::parse(&mut reader, &mut gauze_context(terms)).ok()
}

#[test]
fn netgauze_reads_and_writes_what_we_write_without_loss() {
    let mut random = Random(2);
    for _ in 0..ROUNDS {
        let terms = session(&mut random);
        if terms.peer == PeerKind::Confederation {
            // It refuses the segments of a confederation.
            continue;
        }
        for frame in frames(seeds::updates(&mut random, &terms), &terms) {
            let theirs = gauze_parse(&frame, &terms);
            let theirs = theirs.unwrap_or_else(|| panic!("netgauze can't read {frame:x?}"));
            let gauze::BgpMessage::Update(update) = &theirs else {
                panic!("{theirs:?}");
            };
            let ours = read(&frame, &terms);
            let plain =
                |announcement: &&Announcement| !matches!(announcement.next_hop, NextHop::V6 { .. });
            let told: usize = ours
                .announced()
                .filter(plain)
                .map(|one| one.nlri.iter().count())
                .sum();
            assert_eq!(update.nlri().len(), told);
            let mut again = Vec::new();
            theirs
                .write(&mut Cursor::new(&mut again))
                .expect("netgauze writes what it read");
            assert_eq!(read(&again.into(), &terms), ours, "{frame:x?}");
        }
    }
}

#[test]
fn both_read_our_other_messages() {
    let mut random = Random(3);
    for _ in 0..ROUNDS {
        let terms = session(&mut random);
        let (message, mut bytes) = (seeds::other(&mut random), Vec::new());
        Codec::default()
            .encode(&message, &mut bytes)
            .expect("it fits");
        let frame = Bytes::from(bytes);
        let theirs = gauze_parse(&frame, &terms);
        let theirs = theirs.unwrap_or_else(|| panic!("netgauze can't read {frame:x?}"));
        let mut again = Vec::new();
        theirs
            .write(&mut Cursor::new(&mut again))
            .expect("netgauze writes what it read");
        assert_eq!(Codec::default().decode(&again.into()), Ok(message.clone()));
        match (kit_parse(&frame, &terms), &message) {
            (Some(kit::BgpMessage::Open(theirs)), Message::Open(ours)) => {
                assert_eq!(theirs.hold_time, ours.hold_time.as_secs());
                assert_eq!(theirs.bgp_identifier, ours.router_id);
                let codes: usize = theirs
                    .opt_params
                    .iter()
                    .map(|parameter| match &parameter.param_value {
                        kit::ParamValue::Capacities(all) => all.len(),
                        other => panic!("{other:?}"),
                    })
                    .sum();
                assert_eq!(codes, ours.capabilities.len());
            }
            (Some(_), Message::Open(_)) | (None, _) => panic!("bgpkit can't read {frame:x?}"),
            (Some(_), _) => {}
        }
    }
}

// === what they accept and we don't ===

/// Why we don't take the message, if we don't.
fn refused(frame: &Bytes, terms: &Negotiated) -> Option<String> {
    let kind = |fault: &AttributeFault| {
        let name = format!("{:?}", fault.kind);
        let end = name.find([' ', '(']).unwrap_or(name.len());
        name[..end].to_owned()
    };
    match Codec::new(terms).decode(frame) {
        Err(error) => {
            let name = format!("{:?}", error.kind);
            let end = name.find(['(']).unwrap_or(name.len());
            Some(name[..end].to_owned())
        }
        Ok(Message::Update(parsed)) => match validate(&parsed, terms) {
            Err(fault) => Some(kind(&fault)),
            Ok(update) => {
                let severe = |fault: &&AttributeFault| fault.action > FaultAction::Discard;
                update.faults.iter().find(severe).map(kind)
            }
        },
        Ok(_) => None,
    }
}

fn accepted_by(parse: impl Fn(&Bytes, &Negotiated) -> bool, reasons: &[(&str, &str)]) {
    let mut random = Random(4);
    let mut found: BTreeMap<String, (usize, Bytes)> = BTreeMap::new();
    let mut alike = 0;
    for _ in 0..10 * ROUNDS {
        let terms = session(&mut random);
        let frame = Bytes::from(message(&mut random, &terms));
        if Codec::new(&terms).next_frame(&frame) != Ok(Some(frame.len())) || !parse(&frame, &terms)
        {
            continue;
        }
        match refused(&frame, &terms) {
            None => alike += 1,
            Some(kind) => found.entry(kind).or_insert((0, frame)).0 += 1,
        }
    }
    println!(
        "{alike} alike; refused: {:?}",
        found.iter().map(|(k, v)| (k, v.0)).collect::<Vec<_>>()
    );
    let unnamed: Vec<_> = found
        .iter()
        .filter(|(kind, _)| !reasons.iter().any(|(name, _)| name == kind))
        .collect();
    assert!(unnamed.is_empty(), "{unnamed:#x?}");
    assert!(alike > ROUNDS, "only {alike} messages that both accept");
}

#[test]
fn what_netgauze_accepts_we_refuse_only_for_named_reasons() {
    let reasons = [
        ("AsZero", "RFC 7607 is not checked"),
        ("Confederation", "it does not know what kind of peer sends"),
        ("FirstAs", "likewise"),
        (
            "Flags",
            "attributes that came in a way it does not know stay opaque to it",
        ),
        (
            "Length",
            "lengths of next hops are not compared with the attribute's",
        ),
        ("NextHopLength", "of any length it reads sixteen octets"),
        ("Missing", "mandatory attributes are not asked for"),
        ("NextHop", "next hops are not looked at"),
        ("UnrecognizedWellKnown", "it keeps them"),
    ];
    accepted_by(|frame, terms| gauze_parse(frame, terms).is_some(), &reasons);
}

#[test]
fn what_bgpkit_accepts_we_refuse_only_for_named_reasons() {
    // An archive's reader: it takes what it can and collects warnings, which count as refusal
    // here; for the rest it knows nothing of the session.
    let without_warning = |frame: &Bytes, terms: &Negotiated| match kit_parse(frame, terms) {
        Some(kit::BgpMessage::Update(update)) => !update.attributes.has_validation_warnings(),
        other => other.is_some(),
    };
    let reasons = [
        ("AsPath", "segments of no AS pass"),
        ("AsZero", "RFC 7607 is not checked"),
        (
            "Capability",
            "an AS number that has not four octets becomes opaque",
        ),
        ("Confederation", "it does not know what kind of peer sends"),
        ("FirstAs", "likewise"),
        ("HoldTime", "one and two seconds pass"),
        ("Length", "an empty list passes where no prefixes are"),
        ("NextHop", "next hops are not looked at"),
        ("OptionalParameter", "unknown parameters pass"),
        ("OptionalParameters", "it stops where the octets end"),
        ("Overrun", "likewise"),
        (
            "PrefixLength",
            "it tries again as if path identifiers had been negotiated",
        ),
        ("PrefixOverrun", "likewise"),
        (
            "RouteRefreshLength",
            "octets behind the message's are ignored",
        ),
        ("UnrecognizedWellKnown", "it keeps them"),
        ("Version", "any version passes"),
    ];
    accepted_by(without_warning, &reasons);
}
