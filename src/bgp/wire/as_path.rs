//! AS_PATH (RFC 4271 section 4.3 b, RFC 5065, RFC 6793): the ASes a route has come through.
//!
//! Held as on a wire with AS numbers of four octets: one allocation, hashed and compared as bytes,
//! copied as it is to such peers.
//!
//! ```text
//! +-----------+-----------+----------------------+
//! | type (8)  | count (8) | count AS numbers ... |   repeated
//! +-----------+-----------+----------------------+
//! ```

use std::fmt;

use super::AS_TRANS;
use super::reader::Reader;

/// An AS path whose segments are of known kinds, fit, and hold 1 to 255 AS numbers each.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AsPath {
    wire: Box<[u8]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SegmentKind {
    /// Unordered, from aggregation.
    Set,
    Sequence,
    /// Members of the confederation (RFC 5065), ordered.
    ConfedSequence,
    ConfedSet,
}

/// One segment of a path.
#[derive(Clone, Copy)]
pub struct Segment<'a> {
    pub kind: SegmentKind,
    asns: &'a [[u8; 4]],
}

/// RFC 7606 section 7.2 and RFC 7607.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AsPathError {
    #[error("unknown segment type {0}")]
    SegmentType(u8),
    #[error("a segment of no AS")]
    EmptySegment,
    #[error("a segment that does not fit")]
    Overrun,
    #[error("AS number 0")]
    AsZero,
}

/// A segment's count is one octet.
const MAX_SEGMENT: usize = 255;

// === impl AsPath ===

impl AsPath {
    /// The path of a route that is our own.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// A path of one sequence, or several where one can't hold all.
    #[must_use]
    pub fn sequence(asns: &[u32]) -> Self {
        Self::from_segments([(SegmentKind::Sequence, asns)])
    }

    /// Segments without AS are left out, those of more than 255 are split.
    #[must_use]
    pub fn from_segments<'a>(segments: impl IntoIterator<Item = (SegmentKind, &'a [u32])>) -> Self {
        let mut wire = Vec::new();
        for (kind, asns) in segments {
            for part in asns.chunks(MAX_SEGMENT) {
                wire.push(kind.number());
                wire.push(u8::try_from(part.len()).unwrap_or(u8::MAX));
                wire.extend(part.iter().flat_map(|asn| asn.to_be_bytes()));
            }
        }
        Self { wire: wire.into() }
    }

    /// Reads the attribute's value; `four_octet` as negotiated.
    pub(super) fn decode(value: &[u8], four_octet: bool) -> Result<Self, AsPathError> {
        let width = if four_octet { 4 } else { 2 };
        let mut reader = Reader::new(value);
        let mut asns_of_all = 0;
        while !reader.is_empty() {
            let kind = reader.u8().ok_or(AsPathError::Overrun)?;
            SegmentKind::from_number(kind).ok_or(AsPathError::SegmentType(kind))?;
            let count = usize::from(reader.u8().ok_or(AsPathError::Overrun)?);
            if count == 0 {
                return Err(AsPathError::EmptySegment);
            }
            let asns = reader.take(count * width).ok_or(AsPathError::Overrun)?;
            if asns
                .chunks_exact(width)
                .any(|asn| asn.iter().all(|byte| *byte == 0))
            {
                return Err(AsPathError::AsZero);
            }
            asns_of_all += count;
        }
        Ok(Self {
            wire: if four_octet {
                value.into()
            } else {
                widened(value, asns_of_all)
            },
        })
    }

    /// Writes the attribute's value with AS numbers of four octets.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.wire
    }

    /// The value for a peer that knows only AS numbers of two octets; greater ones become
    /// [`AS_TRANS`].
    pub(super) fn two_octet_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.wire.len());
        for segment in self.segments() {
            bytes.push(segment.kind.number());
            bytes.push(u8::try_from(segment.len()).unwrap_or(u8::MAX));
            for asn in segment.asns() {
                bytes.extend(u16::try_from(asn).unwrap_or(AS_TRANS).to_be_bytes());
            }
        }
        bytes
    }

    pub fn segments(&self) -> impl Iterator<Item = Segment<'_>> {
        let mut reader = Reader::new(&self.wire);
        std::iter::from_fn(move || {
            let kind = SegmentKind::from_number(reader.u8()?)?;
            let count = usize::from(reader.u8()?);
            let (asns, _) = reader.take(count * 4)?.as_chunks::<4>();
            Some(Segment { kind, asns })
        })
    }

    /// Every AS number, in order, those of sets and of the confederation included.
    pub fn asns(&self) -> impl Iterator<Item = u32> {
        self.segments().flat_map(|segment| segment.asns())
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.wire.is_empty()
    }

    /// For route selection: a set counts as one, the confederation's segments as none (RFC 4271
    /// section 9.1.2.2 a, RFC 5065 section 5.3).
    #[must_use]
    pub fn hops(&self) -> usize {
        self.segments().map(|segment| segment.hops()).sum()
    }

    /// Whether the AS is somewhere in the path, that is, whether the route has been there.
    #[must_use]
    pub fn contains(&self, asn: u32) -> bool {
        self.asns().any(|other| other == asn)
    }

    /// The neighbour the route came from: the first AS, the confederation's left out; `None` for
    /// an empty path and where a set comes first. Whose MED can be compared is decided by it.
    #[must_use]
    pub fn neighbor_as(&self) -> Option<u32> {
        let first = self
            .segments()
            .find(|segment| !segment.kind.is_confederation())?;
        (first.kind == SegmentKind::Sequence).then(|| first.asns().next())?
    }

    /// The AS that originated the route; `None` for an empty path and where a set comes last.
    #[must_use]
    pub fn origin_as(&self) -> Option<u32> {
        let last = self.segments().last()?;
        (last.kind == SegmentKind::Sequence).then(|| last.asns().last())?
    }

    /// The first segment, which decides what may come from whom.
    #[must_use]
    pub fn first_segment(&self) -> Option<Segment<'_>> {
        self.segments().next()
    }

    #[must_use]
    pub fn has_confederation_segments(&self) -> bool {
        self.segments()
            .any(|segment| segment.kind.is_confederation())
    }

    /// The path with `asn` put in front `times` times (RFC 4271 section 5.1.2).
    #[must_use]
    pub fn prepended(&self, asn: u32, times: usize) -> Self {
        self.prepended_as(SegmentKind::Sequence, asn, times)
    }

    /// The path towards another member of the confederation (RFC 5065 section 4.1 b).
    #[must_use]
    pub fn prepended_in_confederation(&self, asn: u32) -> Self {
        self.prepended_as(SegmentKind::ConfedSequence, asn, 1)
    }

    fn prepended_as(&self, kind: SegmentKind, asn: u32, times: usize) -> Self {
        let mut segments: Vec<(SegmentKind, Vec<u32>)> = self
            .segments()
            .map(|segment| (segment.kind, segment.asns().collect()))
            .collect();
        for _ in 0..times {
            match segments.first_mut() {
                Some((first, asns)) if *first == kind && asns.len() < MAX_SEGMENT => {
                    asns.insert(0, asn);
                }
                _ => segments.insert(0, (kind, vec![asn])),
            }
        }
        Self::from_segments(segments.iter().map(|(kind, asns)| (*kind, &asns[..])))
    }

    /// The path as it leaves the confederation (RFC 5065 section 4.1 c).
    #[must_use]
    pub fn without_confederation(&self) -> Self {
        self.filtered(|segment| !segment.kind.is_confederation())
    }

    fn filtered(&self, keep: impl Fn(&Segment<'_>) -> bool) -> Self {
        let mut wire = Vec::new();
        for segment in self.segments().filter(keep) {
            segment.encode(&mut wire);
        }
        Self { wire: wire.into() }
    }
}

fn widened(value: &[u8], asns: usize) -> Box<[u8]> {
    let mut wire = Vec::with_capacity(value.len() + 2 * asns);
    let mut reader = Reader::new(value);
    while let (Some(kind), Some(count)) = (reader.u8(), reader.u8()) {
        wire.extend([kind, count]);
        for _ in 0..count {
            wire.extend(u32::from(reader.u16().unwrap_or_default()).to_be_bytes());
        }
    }
    wire.into()
}

/// As people write it: `64512 64513 {1,2} (65001 65002) [65003,65004]`.
impl fmt::Display for AsPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, segment) in self.segments().enumerate() {
            if i > 0 {
                f.write_str(" ")?;
            }
            segment.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Debug for AsPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AsPath({self})")
    }
}

// === impl SegmentKind ===

impl SegmentKind {
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Set => 1,
            Self::Sequence => 2,
            Self::ConfedSequence => 3,
            Self::ConfedSet => 4,
        }
    }

    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Set),
            2 => Some(Self::Sequence),
            3 => Some(Self::ConfedSequence),
            4 => Some(Self::ConfedSet),
            _ => None,
        }
    }

    #[must_use]
    pub fn is_confederation(self) -> bool {
        matches!(self, Self::ConfedSequence | Self::ConfedSet)
    }

    fn is_set(self) -> bool {
        matches!(self, Self::Set | Self::ConfedSet)
    }
}

// === impl Segment ===

#[expect(clippy::len_without_is_empty, reason = "a segment is never empty")]
impl<'a> Segment<'a> {
    pub fn asns(&self) -> impl DoubleEndedIterator<Item = u32> + ExactSizeIterator + use<'a> {
        self.asns.iter().map(|asn| u32::from_be_bytes(*asn))
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.asns.len()
    }

    /// What it counts in route selection.
    #[must_use]
    pub fn hops(&self) -> usize {
        match self.kind {
            SegmentKind::Sequence => self.len(),
            SegmentKind::Set => 1,
            SegmentKind::ConfedSequence | SegmentKind::ConfedSet => 0,
        }
    }

    fn encode(&self, into: &mut Vec<u8>) {
        into.push(self.kind.number());
        into.push(u8::try_from(self.len()).unwrap_or(u8::MAX));
        into.extend_from_slice(self.asns.as_flattened());
    }
}

impl fmt::Display for Segment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (open, close) = match self.kind {
            SegmentKind::Sequence => ("", ""),
            SegmentKind::Set => ("{", "}"),
            SegmentKind::ConfedSequence => ("(", ")"),
            SegmentKind::ConfedSet => ("[", "]"),
        };
        let between = if self.kind.is_set() { "," } else { " " };
        f.write_str(open)?;
        for (i, asn) in self.asns().enumerate() {
            if i > 0 {
                f.write_str(between)?;
            }
            write!(f, "{asn}")?;
        }
        f.write_str(close)
    }
}

impl fmt::Debug for Segment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Segment({self})")
    }
}
