//! Where in MLflow's list a walk has come to, and how the same place is found again after others wrote to the list.
//!
//! MLflow's own position is a count of rows (`utils/search_utils.py` `create_page_token`), which is another place as soon as
//! a row before it comes or goes. So a place remembers the last rows that were passed: those that the caller was shown, and
//! those that were passed at all.

use std::collections::VecDeque;

/// How many rows of each kind are remembered.
pub const MARKS: usize = 8;

/// How near the beginning of a list a place is that can be found by looking at everything again.
const BEGINNING: u64 = 64;

/// The bytes of a place.
pub const LENGTH: usize = 8 + 2 * 8 * MARKS;

/// A place between two rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// How many of MLflow's rows lie before it.
    pub offset: u64,
    /// The last rows that were shown. Nobody who hides rows can move these.
    shown: VecDeque<u64>,
    /// The last rows that were passed.
    passed: VecDeque<u64>,
}

impl Place {
    /// Passes the next row.
    pub fn consume(&mut self, mark: u64, shown: bool) {
        self.offset = self.offset.saturating_add(1);
        push(&mut self.passed, mark);
        if shown {
            push(&mut self.shown, mark);
        }
    }

    /// Whether the row is one of those that were passed last.
    #[must_use]
    pub fn has_passed(&self, mark: u64) -> bool {
        self.passed.contains(&mark) || self.shown.contains(&mark)
    }

    /// Whether there is anything to find the place again by.
    #[must_use]
    pub fn is_marked(&self) -> bool {
        !self.passed.is_empty()
    }

    /// How many rows before the place a fetch should begin, so that it can be found again.
    #[must_use]
    pub fn overlap(&self) -> u64 {
        let all = self.offset.min(BEGINNING);
        if self.begins_anew(all) { all } else { (self.passed.len() as u64).min(self.offset) }
    }

    /// Whether every row that was shown is known and the fetch began with the list: then all rows may be looked at again.
    fn begins_anew(&self, overlap: u64) -> bool {
        self.shown.len() < MARKS && overlap == self.offset
    }

    /// The place among these rows, the first of which lies at `from`, as a count of those before it; nothing if it cannot
    /// be told.
    ///
    /// After a shown row only hidden ones were passed, so any shown row is as good as the last: those after it are known,
    /// and are not shown again. Of those, one that was itself moved by a write meanwhile stands out of the order.
    #[must_use]
    pub fn find(&self, rows: &[u64], from: u64) -> Option<usize> {
        if from == 0 && self.begins_anew(self.offset.min(BEGINNING)) {
            return Some(0);
        }
        let known = |marks: &VecDeque<u64>| -> Vec<usize> {
            marks.iter().filter_map(|mark| rows.iter().position(|row| row == mark)).collect()
        };
        let in_the_middle = in_order(&known(&self.shown)).or_else(|| {
            let passed: Vec<(usize, usize)> = (self.passed.iter().enumerate())
                .filter_map(|(nth, mark)| Some((nth, rows.iter().position(|row| row == mark)?)))
                .collect();
            together(&passed)
        });
        in_the_middle.map(|at| at + 1)
    }

    /// The place as bytes, always as many.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; LENGTH] {
        let mut out = [0; LENGTH];
        let padded = |marks: &VecDeque<u64>| {
            let mut padded = [0_u64; MARKS];
            padded.iter_mut().zip(marks).for_each(|(slot, mark)| *slot = *mark);
            padded
        };
        let numbers = [self.offset].into_iter().chain(padded(&self.shown)).chain(padded(&self.passed));
        out.chunks_exact_mut(8)
            .zip(numbers)
            .for_each(|(slot, number)| slot.copy_from_slice(&number.to_be_bytes()));
        out
    }

    /// The place that these bytes are.
    #[must_use]
    pub fn of_bytes(bytes: &[u8; LENGTH]) -> Self {
        let mut numbers = bytes.as_chunks::<8>().0.iter().map(|chunk| u64::from_be_bytes(*chunk));
        let offset = numbers.next().unwrap_or_default();
        let mut marks = || numbers.by_ref().take(MARKS).filter(|mark| *mark != 0).collect();
        Self { offset, shown: marks(), passed: marks() }
    }
}

fn push(marks: &mut VecDeque<u64>, mark: u64) {
    if marks.len() == MARKS {
        marks.pop_front();
    }
    marks.push_back(mark);
}

/// The position that stands in order with most others; of several, the one in the middle, because what was moved by a write
/// lies at an end.
fn in_order(positions: &[usize]) -> Option<usize> {
    let agreeing = |nth: usize, at: usize| {
        let before = positions.iter().take(nth).filter(|other| **other < at).count();
        before + positions.iter().skip(nth + 1).filter(|other| **other > at).count()
    };
    let agreed: Vec<(usize, usize)> =
        positions.iter().enumerate().map(|(nth, at)| (agreeing(nth, *at), *at)).collect();
    let most = agreed.iter().map(|(count, _)| *count).max()?;
    let best: Vec<usize> = agreed.iter().filter(|(count, _)| *count == most).map(|(_, at)| *at).collect();
    best.get(best.len() / 2).copied()
}

/// The last position of the largest group that still lies together; of two, the older. One row alone proves nothing: it may
/// be the one that was moved.
fn together(found: &[(usize, usize)]) -> Option<usize> {
    let shift = |(nth, at): &(usize, usize)| (*at).wrapping_sub(*nth);
    let size = |one: &(usize, usize)| found.iter().filter(|other| shift(other) == shift(one)).count();
    let largest = found.iter().map(size).max().filter(|largest| *largest > 1)?;
    let first = found.iter().find(|one| size(one) == largest)?;
    found.iter().filter(|other| shift(other) == shift(first)).map(|(_, at)| *at).next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A place after `passed`, of which the even ones were shown.
    fn after(passed: impl IntoIterator<Item = u64>) -> Place {
        let mut place = Place::default();
        passed.into_iter().for_each(|row| place.consume(row, row % 2 == 0));
        place
    }

    #[track_caller]
    fn check(passed: impl IntoIterator<Item = u64>, rows: &[u64], next: &[u64]) {
        let place = after(passed);
        let left = match place.find(rows, 500) {
            Some(start) => {
                rows[start..].iter().copied().filter(|row| !place.has_passed(*row) && row % 2 == 0).collect()
            }
            None => vec![0],
        };
        assert_eq!(left, next, "{rows:?}");
    }

    #[test]
    fn a_place_is_found_again_whatever_was_written_around_it() {
        check(10..20, &[15, 16, 17, 18, 19, 20, 21, 22], &[20, 22]);
        check(10..20, &[3, 5, 15, 16, 17, 18, 19, 20, 22], &[20, 22]);
        check(10..20, &[18, 20, 22, 24], &[20, 22, 24]);
        check(10..20, &[16, 18, 20, 22, 24, 17, 19], &[20, 22, 24]);
        check(10..20, &[17, 19, 16, 101, 103, 18, 20, 22], &[20, 22]);
        check(10..20, &[20, 22, 24], &[0]);
    }

    #[test]
    fn a_shown_row_that_was_moved_does_not_hide_the_others() {
        check(10..30, &[22, 24, 26, 30, 32, 34, 28], &[30, 32, 34]);
        check(10..30, &[28, 18, 20, 22, 24, 26, 30, 32], &[30, 32]);
    }

    #[test]
    fn among_hidden_rows_alone_the_greater_part_counts() {
        let odd = (0..20).map(|row| row * 2 + 1);
        check(odd.clone(), &[33, 35, 37, 40, 42, 39], &[40, 42]);
        check(odd.clone(), &[39, 25, 27, 29, 31, 40], &[40]);
        check(odd.clone(), &[25, 27, 29, 31, 100, 33, 35, 37, 39, 40], &[100, 40]);
        check(odd, &[39, 40], &[0]);
    }

    #[test]
    fn near_the_beginning_everything_is_looked_at_again() {
        let place = after([1, 2, 3]);
        assert_eq!((place.overlap(), place.find(&[4, 2, 6, 3], 0)), (3, Some(0)));
        let later = after((0..100).map(|row| row * 2));
        assert_eq!((later.overlap(), later.find(&[4, 2], 0)), (MARKS as u64, None));
        let long_hidden = after((0..100).map(|row| row * 2 + 1));
        assert_eq!((long_hidden.overlap(), long_hidden.find(&[1, 3], 0)), (MARKS as u64, None));
    }

    #[test]
    fn bytes_keep_a_place() {
        for place in [Place::default(), after(1..4), after(1..100)] {
            assert_eq!(Place::of_bytes(&place.to_bytes()), place);
        }
    }
}
