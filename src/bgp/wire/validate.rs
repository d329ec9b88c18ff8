//! The verdicts of RFC 7606 on an UPDATE, and its meaning where it has one.

use bytes::Bytes;

use super::as_path::{AsPath, SegmentKind};
use super::as4::As4;
use super::attribute::{
    AttributeCode, AttributeCodes, AttributeFlags, Attributes, MpReach, NextHop, PathAttribute,
    RawAttribute,
};
use super::negotiated::{FamilyTerms, Negotiated, PeerKind};
use super::nlri::{NlriError, NlriList};
use super::reader::Reader;
use super::update::{Announcement, AttributeFault, FaultAction, FaultKind, ParsedUpdate, Update};
use crate::net::Family;

/// Reads an UPDATE as negotiated.
///
/// Faults that RFC 7606 answers with "attribute discard" or "treat-as-withdraw" are in
/// [`Update::faults`] and already carried out.
///
/// # Errors
/// The first fault that ends the session (or, where [`AttributeFault::family`] is set, at least
/// the use of that family).
pub fn validate(parsed: &ParsedUpdate, terms: &Negotiated) -> Result<Update, AttributeFault> {
    let mut walk = Walk::new(parsed, terms);
    let withdrawn = walk.field(&parsed.withdrawn)?;
    let announced = walk.field(&parsed.announced)?;
    walk.attributes()?;
    walk.mandatory(announced.is_some());
    walk.peer_path();
    let next_hop = walk.plain_next_hop(announced.is_some());
    walk.escalated(!parsed.announced.is_empty())?;
    let end_of_rib = walk.end_of_rib();
    let mut update = Update {
        withdrawn: [withdrawn, walk.unreach.take(), None, None],
        end_of_rib,
        ..Update::default()
    };
    let (mp_next_hop, mp_announced) = walk.reach.take().unzip();
    if walk.worst() >= Some(FaultAction::TreatAsWithdraw) {
        let [_, _, plain, mp] = &mut update.withdrawn;
        (*plain, *mp) = (announced, mp_announced.filter(|list| !list.is_empty()));
    } else {
        let pair = |next_hop: Option<NextHop>, nlri: Option<NlriList>| {
            let (next_hop, nlri) = next_hop.zip(nlri.filter(|list| !list.is_empty()))?;
            Some(Announcement { next_hop, nlri })
        };
        update.announced = [pair(next_hop, announced), pair(mp_next_hop, mp_announced)];
        if update.announced().next().is_some() {
            walk.as4.merge_into(&mut walk.attributes);
            update.attributes = walk.attributes;
            let unknown = &mut update.attributes.unknown;
            unknown.sort_unstable_by_key(|attribute| attribute.code);
        }
    }
    update.faults = walk.faults;
    Ok(update)
}

/// One pass over the attributes.
struct Walk<'a> {
    parsed: &'a ParsedUpdate,
    terms: &'a Negotiated,
    seen: AttributeCodes,
    repeated: AttributeCodes,
    attributes: Attributes,
    as4: As4,
    next_hop: Option<NextHop>,
    reach: Option<(NextHop, NlriList)>,
    unreach: Option<NlriList>,
    /// Some prefixes were announced, though perhaps of a family that we ignore.
    has_reach: bool,
    /// The family of an MP_UNREACH_NLRI without prefixes.
    unreach_of_nothing: Option<Family>,
    faults: Vec<AttributeFault>,
}

// === impl Walk ===

impl<'a> Walk<'a> {
    fn new(parsed: &'a ParsedUpdate, terms: &'a Negotiated) -> Self {
        Self {
            parsed,
            terms,
            seen: AttributeCodes::default(),
            repeated: AttributeCodes::default(),
            attributes: Attributes::default(),
            as4: As4::default(),
            next_hop: None,
            reach: None,
            unreach: None,
            has_reach: false,
            unreach_of_nothing: None,
            faults: Vec::new(),
        }
    }

    /// One of the two fields outside of the attributes, which hold IPv4 alone; `None` if it is
    /// empty or IPv4 was not negotiated (RFC 7606 sections 3 i and 5.3).
    fn field(&mut self, bytes: &Bytes) -> Result<Option<NlriList>, AttributeFault> {
        if bytes.is_empty() {
            return Ok(None);
        }
        let code = AttributeFault::FIELDS;
        let Some(family) = self.terms.family(Family::V4) else {
            let kind = FaultKind::Family(Family::V4.into());
            self.faults.push(fault(code, kind, FaultAction::Discard));
            return Ok(None);
        };
        NlriList::checked(Family::V4, family.add_path_receive, bytes.clone())
            .map(Some)
            .map_err(|error| fault(code, error.into(), FaultAction::Reset))
    }

    fn attributes(&mut self) -> Result<(), AttributeFault> {
        let parsed = self.parsed;
        let mut reader = Reader::new(&parsed.attributes);
        while !reader.is_empty() {
            let rest = reader.rest();
            let Some(raw) = RawAttribute::take(&mut reader) else {
                let code = AttributeCode(rest.get(1).copied().unwrap_or_default());
                let action = FaultAction::TreatAsWithdraw;
                self.faults.push(fault(code, FaultKind::Overrun, action));
                break;
            };
            if let Err((kind, action)) = self.attribute(raw) {
                let fault = AttributeFault {
                    attribute: parsed.attributes.slice_ref(raw.whole),
                    family: self.hurt_family(raw, &kind),
                    ..fault(raw.code, kind, action)
                };
                if fault.action == FaultAction::Reset {
                    return Err(fault);
                }
                self.faults.push(fault);
            }
        }
        Ok(())
    }

    fn attribute(&mut self, raw: RawAttribute<'_>) -> Result<(), (FaultKind, FaultAction)> {
        let is_mp = matches!(
            raw.code,
            AttributeCode::MP_REACH_NLRI | AttributeCode::MP_UNREACH_NLRI
        );
        if !self.seen.insert(raw.code) {
            return match (is_mp, self.repeated.insert(raw.code)) {
                (true, _) => Err((FaultKind::Duplicate, FaultAction::Reset)),
                (false, true) => Err((FaultKind::Duplicate, FaultAction::Discard)),
                (false, false) => Ok(()),
            };
        }
        if !raw.code.is_for(self.terms) {
            return Err((FaultKind::NotFromThisPeer, FaultAction::Discard));
        }
        match raw.code.flags() {
            Some(flags) if flags != raw.flags.category() => {
                let stronger = raw
                    .code
                    .malformed_action()
                    .max(FaultAction::TreatAsWithdraw);
                Err((FaultKind::Flags(raw.flags.0), stronger))
            }
            Some(_) if is_mp => self.multiprotocol(raw),
            Some(_) => match raw.decode(self.terms.four_octet_as) {
                Ok(attribute) => {
                    self.keep(attribute, raw.flags);
                    Ok(())
                }
                Err(kind) => Err((kind, raw.code.malformed_action())),
            },
            None if !raw.flags.is_optional() => {
                Err((FaultKind::UnrecognizedWellKnown, FaultAction::Reset))
            }
            None => {
                if raw.flags.is_transitive() {
                    self.attributes.unknown.push(raw.to_unknown());
                }
                Ok(())
            }
        }
    }

    fn keep(&mut self, attribute: PathAttribute, flags: AttributeFlags) {
        let into = &mut self.attributes;
        let code = attribute.code();
        match attribute {
            PathAttribute::Origin(origin) => into.origin = origin,
            PathAttribute::AsPath(path) => into.as_path = path,
            PathAttribute::NextHop(next_hop) => self.next_hop = Some(NextHop::V4(next_hop)),
            PathAttribute::MultiExitDisc(metric) => into.multi_exit_disc = Some(metric),
            PathAttribute::LocalPref(preference) => into.local_pref = Some(preference),
            PathAttribute::AtomicAggregate => into.atomic_aggregate = true,
            PathAttribute::Aggregator(aggregator) => into.aggregator = Some(aggregator),
            PathAttribute::Communities(communities) => into.communities = communities,
            PathAttribute::OriginatorId(id) => into.originator_id = Some(id),
            PathAttribute::ClusterList(ids) => into.cluster_list = ids,
            PathAttribute::ExtendedCommunities(list) => into.extended_communities = list,
            PathAttribute::As4Path(path) => self.as4.path = Some(path),
            PathAttribute::As4Aggregator(aggregator) => self.as4.aggregator = Some(aggregator),
            PathAttribute::LargeCommunities(list) => into.large_communities = list,
            PathAttribute::Unknown(unknown) => into.unknown.push(unknown),
        }
        if flags.is_partial() {
            into.partial.set(code);
        }
    }

    /// MP_REACH_NLRI and MP_UNREACH_NLRI; all faults but those of a next hop that is well formed
    /// leave the prefixes unread, so nothing milder than a reset is right (RFC 7606 section 3 j).
    fn multiprotocol(&mut self, raw: RawAttribute<'_>) -> Result<(), (FaultKind, FaultAction)> {
        let reset = |kind| (kind, FaultAction::Reset);
        let is_reach = raw.code == AttributeCode::MP_REACH_NLRI;
        let parts = if is_reach {
            MpReach::reach(raw.value)
        } else {
            MpReach::unreach(raw.value)
        };
        let parts = parts.ok_or_else(|| reset(FaultKind::Length(raw.value.len())))?;
        self.has_reach |= is_reach && !parts.nlri.is_empty();
        let family = parts.family.unicast();
        let Some((family, terms)) = family.and_then(|f| Some((f, *self.terms.family(f)?))) else {
            return Err((FaultKind::Family(parts.family), FaultAction::Discard));
        };
        let FamilyTerms {
            add_path_receive,
            ipv6_next_hop,
            ..
        } = terms;
        let next_hop = is_reach.then(|| parts.next_hop(family, ipv6_next_hop));
        let next_hop = next_hop.transpose().map_err(reset)?;
        let nlri = self.parsed.attributes.slice_ref(parts.nlri);
        let list = NlriList::checked(family, add_path_receive, nlri)
            .map_err(|error| reset(error.into()))?;
        let Some(next_hop) = next_hop else {
            self.unreach_of_nothing = list.is_empty().then_some(family);
            self.unreach = Some(list).filter(|list| !list.is_empty());
            return Ok(());
        };
        let (is_used, is_host) = (!list.is_empty(), next_hop.is_host());
        self.reach = Some((next_hop, list));
        if is_used && !is_host {
            return Err((FaultKind::NextHop(next_hop), FaultAction::TreatAsWithdraw));
        }
        Ok(())
    }

    /// RFC 7606 section 3 d; NEXT_HOP only for prefixes outside of MP_REACH_NLRI.
    fn mandatory(&mut self, has_plain: bool) {
        let has_mp = self
            .reach
            .as_ref()
            .is_some_and(|(_, list)| !list.is_empty());
        let required = [
            (AttributeCode::ORIGIN, has_plain || has_mp),
            (AttributeCode::AS_PATH, has_plain || has_mp),
            (AttributeCode::NEXT_HOP, has_plain),
        ];
        for (code, _) in required.into_iter().filter(|(_, required)| *required) {
            if !self.seen.has(code) {
                let action = FaultAction::TreatAsWithdraw;
                self.faults.push(fault(code, FaultKind::Missing, action));
            }
        }
    }

    /// What the path of this kind of peer has to look like (RFC 4271 section 6.3, RFC 5065
    /// section 5); nothing if there is none.
    fn peer_path(&mut self) {
        let code = AttributeCode::AS_PATH;
        let is_read = !self
            .faults
            .iter()
            .any(|fault| fault.code == code && fault.action >= FaultAction::TreatAsWithdraw);
        if !self.seen.has(code) || !is_read {
            return;
        }
        if let Some(kind) = wrong_path(&self.attributes.as_path, self.terms) {
            self.faults
                .push(fault(code, kind, FaultAction::TreatAsWithdraw));
        }
    }

    /// NEXT_HOP, which counts only for prefixes outside of MP_REACH_NLRI (RFC 4760 section 3).
    fn plain_next_hop(&mut self, is_used: bool) -> Option<NextHop> {
        let next_hop = self.next_hop.filter(|_| is_used)?;
        if !next_hop.is_host() {
            let kind = FaultKind::NextHop(next_hop);
            let action = FaultAction::TreatAsWithdraw;
            self.faults
                .push(fault(AttributeCode::NEXT_HOP, kind, action));
        }
        Some(next_hop)
    }

    fn worst(&self) -> Option<FaultAction> {
        self.faults.iter().map(|fault| fault.action).max()
    }

    /// Attributes with a fault and no prefix that they belong to: perhaps the prefixes are what
    /// was not understood (RFC 7606 section 5.2).
    fn escalated(&mut self, has_plain: bool) -> Result<(), AttributeFault> {
        if self.has_reach || has_plain || self.worst() < Some(FaultAction::TreatAsWithdraw) {
            return Ok(());
        }
        let severe = |fault: &AttributeFault| fault.action >= FaultAction::TreatAsWithdraw;
        match self.faults.iter().position(severe) {
            None => Ok(()),
            Some(at) => Err(AttributeFault {
                action: FaultAction::Reset,
                family: None,
                ..self.faults.swap_remove(at)
            }),
        }
    }

    /// RFC 4724 section 2: an empty UPDATE, or an empty MP_UNREACH_NLRI and nothing else.
    fn end_of_rib(&self) -> Option<Family> {
        let ParsedUpdate {
            withdrawn,
            attributes,
            announced,
        } = self.parsed;
        if !withdrawn.is_empty() || !announced.is_empty() {
            return None;
        }
        if attributes.is_empty() {
            return self.terms.family(Family::V4).map(|_| Family::V4);
        }
        self.unreach_of_nothing
            .filter(|_| self.seen.is_only(AttributeCode::MP_UNREACH_NLRI))
    }

    /// The one family a multiprotocol attribute speaks of, if that much can be read of it. Two
    /// such attributes end the session whatever they speak of (RFC 7606 section 3 g).
    fn hurt_family(&self, raw: RawAttribute<'_>, kind: &FaultKind) -> Option<Family> {
        let is_mp =
            raw.code.malformed_action() == FaultAction::Reset && *kind != FaultKind::Duplicate;
        let parts = is_mp.then(|| MpReach::unreach(raw.value))??;
        let family = parts.family.unicast()?;
        self.terms.family(family).map(|_| family)
    }
}

fn wrong_path(path: &AsPath, terms: &Negotiated) -> Option<FaultKind> {
    let first = path.first_segment();
    match terms.peer {
        PeerKind::Internal => None,
        PeerKind::Confederation => {
            let is_ours = first.is_some_and(|first| first.kind == SegmentKind::ConfedSequence);
            (!is_ours).then_some(FaultKind::Confederation)
        }
        PeerKind::External if path.has_confederation_segments() => Some(FaultKind::Confederation),
        PeerKind::External => {
            let peer_as = terms.peer_as;
            let is_peers = path.neighbor_as() == Some(peer_as);
            (terms.enforce_first_as && !is_peers).then_some(FaultKind::FirstAs { peer_as })
        }
    }
}

fn fault(code: AttributeCode, kind: FaultKind, action: FaultAction) -> AttributeFault {
    AttributeFault {
        code,
        kind,
        action,
        family: None,
        attribute: Bytes::new(),
    }
}

impl From<NlriError> for FaultKind {
    fn from(error: NlriError) -> Self {
        match error {
            NlriError::PrefixLength(bits) => Self::PrefixLength(bits),
            NlriError::Overrun => Self::PrefixOverrun,
        }
    }
}
