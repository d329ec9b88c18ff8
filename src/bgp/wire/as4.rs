//! AS numbers of four octets through speakers that know two (RFC 6793 section 4.2.3).

use super::AS_TRANS;
use super::as_path::{AsPath, SegmentKind};
use super::attribute::Attributes;

/// What an old speaker passed on without knowing it.
#[derive(Debug, Default)]
pub(super) struct As4 {
    pub(super) path: Option<AsPath>,
    pub(super) aggregator: Option<super::Aggregator>,
}

// === impl As4 ===

impl As4 {
    /// Puts the long AS numbers back where AS_TRANS stands for them.
    pub(super) fn merge_into(self, attributes: &mut Attributes) {
        if let (Some(short), Some(long)) = (&mut attributes.aggregator, self.aggregator) {
            if short.asn != u32::from(AS_TRANS) {
                // An old speaker aggregated anew: both attributes are from before.
                return;
            }
            *short = long;
        }
        if let Some(path) = self.path {
            attributes.as_path = merged(&attributes.as_path, &path);
        }
    }
}

/// The leading part of `path` that old speakers put in front, then `as4`; `path` alone if it is
/// the shorter. The confederation's segments count nothing; those of `as4` are dropped.
fn merged(path: &AsPath, as4: &AsPath) -> AsPath {
    let as4 = as4.without_confederation();
    let Some(mut left) = path.hops().checked_sub(as4.hops()) else {
        return path.clone();
    };
    let mut kept: Vec<(SegmentKind, Vec<u32>)> = Vec::new();
    for segment in path.segments() {
        if !segment.kind.is_confederation() && left == 0 {
            break;
        }
        let asns: Vec<u32> = match segment.kind {
            SegmentKind::Sequence => segment.asns().take(left).collect(),
            _ => segment.asns().collect(),
        };
        left -= segment.hops().min(left);
        let is_cut = asns.len() < segment.len();
        kept.push((segment.kind, asns));
        if is_cut {
            break;
        }
    }
    for (i, segment) in as4.segments().enumerate() {
        match kept.last_mut() {
            // The sequence that was cut goes on.
            Some((SegmentKind::Sequence, asns))
                if i == 0 && segment.kind == SegmentKind::Sequence =>
            {
                asns.extend(segment.asns());
            }
            _ => kept.push((segment.kind, segment.asns().collect())),
        }
    }
    AsPath::from_segments(kept.iter().map(|(kind, asns)| (*kind, &asns[..])))
}
