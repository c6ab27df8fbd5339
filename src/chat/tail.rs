//! The newest events of a live room as encoded frames, shared by all its readers, who are positions in it.
//! Pure: it knows no reader, no lock and no store. Whoever asks for what it no longer holds is told so.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::Arc;

use crate::frame;
use crate::protocol::{Event, RoomId, Seq};

/// Consecutive events, encoded once, one frame after the other. Never changed.
pub struct Segment {
    first: Seq,
    /// Where each event's frame ends in `bytes`.
    ends: Box<[u32]>,
    bytes: Box<[u8]>,
}

impl Segment {
    /// Encodes events of contiguous seqs; `None` where there are none.
    pub fn encode(room: &RoomId, events: &[Event]) -> Option<Self> {
        let first = events.first()?.seq;
        let (mut bytes, mut ends, mut json) = (Vec::new(), Vec::with_capacity(events.len()), String::new());
        for event in events {
            json.clear();
            event.push_json(room, &mut json);
            frame::write_text(&json, &mut bytes);
            ends.push(u32::try_from(bytes.len()).expect("a batch and a page are bounded far below 4 GB"));
        }
        Some(Self { first, ends: ends.into(), bytes: bytes.into() })
    }

    pub fn first(&self) -> Seq {
        self.first
    }

    pub fn last(&self) -> Seq {
        self.first + self.ends.len() as Seq - 1
    }

    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The frames of the events after `seq`, which must not lie before this segment's first event but one.
    fn frames_after(&self, seq: Seq) -> &[u8] {
        &self.bytes[self.start_of(seq + 1)..]
    }

    fn frames(&self) -> impl Iterator<Item = (Seq, &[u8])> {
        let starts = std::iter::once(&0).chain(&self.ends);
        let frames = starts.zip(&self.ends).map(|(start, end)| &self.bytes[*start as usize..*end as usize]);
        (self.first..).zip(frames)
    }

    fn start_of(&self, seq: Seq) -> usize {
        match usize::try_from(seq.saturating_sub(self.first)).unwrap_or(usize::MAX) {
            0 => 0,
            index => self.ends.get(index - 1).map_or(self.bytes.len(), |end| *end as usize),
        }
    }

    /// Where a write stops that began after `seq` and took `written` bytes, fewer than there are: the event whose
    /// frame it reached last, and the rest of that frame.
    fn stopped_at(&self, seq: Seq, written: usize) -> (Seq, &[u8]) {
        let offset = self.start_of(seq + 1) + written;
        let whole = self.ends.partition_point(|end| *end as usize <= offset);
        let boundary = if whole == 0 { 0 } else { self.ends[whole - 1] as usize };
        let reached = self.first + whole as Seq - 1;
        if boundary == offset {
            return (reached, &[]);
        }
        (reached + 1, &self.bytes[offset..self.ends[whole] as usize])
    }
}

/// What the tail holds after some seq: segments that follow each other without a gap.
#[derive(Default)]
pub struct View {
    segments: Vec<Arc<Segment>>,
}

/// How far a write came.
#[derive(Debug, PartialEq, Eq)]
pub struct Progress<'a> {
    /// The last event that was sent, or whose rest will be.
    pub seq: Seq,
    /// The rest of a frame that was sent in part. It goes first next time.
    pub rest: &'a [u8],
}

impl View {
    /// The frames are lent to at most this many slices a write; the kernel takes no more than 1,024.
    pub const SLICES: usize = 64;

    pub fn of(segment: Arc<Segment>) -> Self {
        Self { segments: vec![segment] }
    }

    pub fn clear(&mut self) {
        self.segments.clear();
    }

    /// Whether the event after `seq` stands here.
    pub fn continues(&self, seq: Seq) -> bool {
        match (self.segments.first(), self.segments.last()) {
            (Some(first), Some(last)) => first.first() <= seq + 1 && seq < last.last(),
            _ => false,
        }
    }

    /// The text frames after `seq`, each with its event's seq. `continues(seq)` must hold, else there are none.
    pub fn frames_after(&self, seq: Seq) -> impl Iterator<Item = (Seq, &[u8])> {
        let all = self.segments.iter().flat_map(|segment| segment.frames());
        all.skip_while(move |(own, _)| *own <= seq)
    }

    /// Lends the frames after `seq` to `write`, which takes as many of these bytes as it can now, and says how far
    /// that came. `continues(seq)` must hold.
    pub fn write_after<E>(
        &self,
        seq: Seq,
        write: impl FnOnce(&[IoSlice<'_>]) -> Result<usize, E>,
    ) -> Result<Progress<'_>, E> {
        let skip = self.segments.partition_point(|segment| segment.last() <= seq);
        let segments = &self.segments[skip..];
        let lent = &segments[..segments.len().min(Self::SLICES)];
        let mut written = match lent {
            // By far the most frequent, and not worth filling a kilobyte of slices for.
            [one] => write(&[IoSlice::new(one.frames_after(seq))])?,
            many => {
                let mut slices = [IoSlice::new(&[]); Self::SLICES];
                for (slice, segment) in slices.iter_mut().zip(many) {
                    *slice = IoSlice::new(segment.frames_after(seq));
                }
                write(&slices[..many.len()])?
            }
        };
        let mut reached = seq;
        for segment in lent {
            let length = segment.frames_after(seq).len();
            if written < length {
                let (reached, rest) = segment.stopped_at(reached, written);
                return Ok(Progress { seq: reached, rest });
            }
            written -= length;
            reached = segment.last();
        }
        Ok(Progress { seq: reached, rest: &[] })
    }
}

/// The newest events of one room, bounded in bytes.
pub struct Tail {
    segments: VecDeque<Arc<Segment>>,
    head: Seq,
    bytes: usize,
    limit: usize,
}

/// The tail no longer holds the event asked for (or never did): it is to be read from the store.
#[derive(Debug, PartialEq, Eq)]
pub struct FellOff;

impl Tail {
    /// An empty tail behind the event `head`, for at most `limit` bytes of frames (and at least one segment).
    pub fn new(head: Seq, limit: usize) -> Self {
        Self { segments: VecDeque::new(), head, bytes: 0, limit }
    }

    /// The room's newest event, whether or not it still stands here.
    pub fn head(&self) -> Seq {
        self.head
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Appends the next events. Where they do not follow the head there is a hole, which is for the store to fill:
    /// what stands before it is dropped, so that every reader behind it falls off.
    pub fn append(&mut self, segment: Arc<Segment>) {
        if segment.first() != self.head + 1 {
            self.clear();
        }
        self.head = segment.last();
        self.bytes += segment.size();
        self.segments.push_back(segment);
        while self.bytes > self.limit && self.segments.len() > 1 {
            if let Some(oldest) = self.segments.pop_front() {
                self.bytes -= oldest.size();
            }
        }
    }

    /// Lets a segment that ends at the head stand for what is here, if it goes further back.
    pub fn offer(&mut self, segment: &Arc<Segment>) {
        let goes_further_back = self.segments.front().is_none_or(|first| segment.first() < first.first());
        if segment.last() == self.head && goes_further_back && segment.size() <= self.limit {
            self.clear();
            self.bytes = segment.size();
            self.segments.push_back(segment.clone());
        }
    }

    /// There are events up to `head` that are not here.
    pub fn advance(&mut self, head: Seq) {
        if head > self.head {
            self.clear();
            self.head = head;
        }
    }

    /// Forgets everything, the head too.
    pub fn restart(&mut self) {
        self.clear();
        self.head = 0;
    }

    /// Drops all frames; the head stays.
    pub fn clear(&mut self) {
        self.segments.clear();
        self.bytes = 0;
    }

    /// Fills `view` with what stands after `seq`: nothing, where that is the head.
    pub fn view_after(&self, seq: Seq, view: &mut View) -> Result<(), FellOff> {
        view.clear();
        if seq >= self.head {
            return Ok(());
        }
        if self.segments.front().is_none_or(|segment| segment.first() > seq + 1) {
            return Err(FellOff);
        }
        // From the back, since nearly every reader stands near the head.
        let behind = self.segments.iter().rev().take_while(|segment| segment.last() > seq).count();
        view.segments.extend(self.segments.range(self.segments.len() - behind..).cloned());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Author, Content, Kind, UserId};

    fn events(seqs: std::ops::RangeInclusive<Seq>) -> Vec<Event> {
        let event = |seq| Event {
            seq,
            id: uuid::Uuid::nil(),
            kind: Kind::Message,
            at: jiff::Timestamp::UNIX_EPOCH,
            author: Author { id: UserId(uuid::Uuid::nil()), name: "bob".into() },
            txn_id: None,
            target: None,
            content: Some(Content::message(&"x".repeat(usize::try_from(seq % 7).unwrap()), None, &[], 1)),
        };
        seqs.map(event).collect()
    }

    fn segment(seqs: std::ops::RangeInclusive<Seq>) -> Arc<Segment> {
        Arc::new(Segment::encode(&"lobby".into(), &events(seqs)).unwrap())
    }

    /// Reads all after `seq`, `step` bytes a write, as one that is sent the rests too.
    fn read(tail: &Tail, mut seq: Seq, step: usize) -> Result<Vec<u8>, FellOff> {
        let (mut view, mut bytes) = (View::default(), Vec::new());
        loop {
            tail.view_after(seq, &mut view)?;
            if !view.continues(seq) {
                return Ok(bytes);
            }
            let progress = view
                .write_after(seq, |slices| {
                    let all: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
                    bytes.extend_from_slice(&all[..step.min(all.len())]);
                    Ok::<_, ()>(step.min(all.len()))
                })
                .unwrap();
            bytes.extend_from_slice(progress.rest);
            seq = progress.seq;
        }
    }

    #[test]
    fn every_start_and_every_size_of_write_yields_the_same_bytes() {
        let mut tail = Tail::new(0, 1 << 20);
        for seqs in [1..=3, 4..=4, 5..=9] {
            tail.append(segment(seqs));
        }
        for start in 0..=9 {
            let expected = if start == 9 { Vec::new() } else { segment(start + 1..=9).bytes.to_vec() };
            for step in 1..700 {
                assert_eq!(read(&tail, start, step).as_ref(), Ok(&expected), "after {start}, {step} bytes a write");
            }
            let mut view = View::default();
            tail.view_after(start, &mut view).unwrap();
            let (seqs, frames): (Vec<_>, Vec<_>) = view.frames_after(start).unzip();
            assert_eq!((seqs, frames.concat()), ((start + 1..=9).collect(), expected), "frame by frame");
        }
    }

    #[test]
    fn the_oldest_segments_go_when_the_tail_is_full() {
        let mut tail = Tail::new(0, segment(1..=1).size() * 3);
        for seq in 1..=10 {
            tail.append(segment(seq..=seq));
        }
        assert!(tail.bytes() <= tail.limit);
        assert_eq!(read(&tail, 4, 10), Err(FellOff));
        assert!(read(&tail, 8, 10).is_ok());
    }

    #[test]
    fn a_hole_is_left_to_the_store() {
        let mut tail = Tail::new(0, 1 << 20);
        tail.append(segment(1..=2));
        tail.append(segment(5..=6));
        assert_eq!(tail.head(), 6);
        assert_eq!(read(&tail, 2, 10), Err(FellOff));
        assert_eq!(read(&tail, 4, 10), Ok(segment(5..=6).bytes.to_vec()));
    }

    #[test]
    fn a_page_that_ends_at_the_head_and_goes_further_back_takes_the_place_of_what_is_here() {
        let mut tail = Tail::new(6, 1 << 20);
        tail.offer(&segment(1..=5));
        assert_eq!(read(&tail, 5, 10), Err(FellOff), "it ends before the head");
        tail.offer(&segment(4..=6));
        tail.append(segment(7..=8));
        tail.offer(&segment(5..=8));
        assert_eq!(read(&tail, 3, 10), Ok(segment(4..=8).bytes.to_vec()), "what goes back less far is not taken");
        tail.offer(&segment(2..=8));
        assert_eq!((read(&tail, 1, 10), tail.bytes()), (Ok(segment(2..=8).bytes.to_vec()), segment(2..=8).size()));
    }

    #[test]
    fn a_reader_at_the_head_has_nothing_to_read_even_where_nothing_stands() {
        let mut tail = Tail::new(7, 1 << 20);
        assert_eq!(read(&tail, 7, 1), Ok(Vec::new()));
        assert_eq!(read(&tail, 6, 1), Err(FellOff));
        tail.advance(9);
        assert_eq!(read(&tail, 7, 1), Err(FellOff));
    }
}
