//! Decides how many steps a source's intervals of one day add up to. Overlapping intervals never count twice: of the
//! sets of intervals that do not overlap, the one with the most steps counts. Where none overlap, that is the plain
//! sum.

use std::mem::size_of;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use datafusion::arrow::datatypes::{DataType, Field, Int64Type};
use datafusion::common::ScalarValue;
use datafusion::common::utils::SingleRowListArrayBuilder;
use datafusion::error::Result;
use datafusion::logical_expr::{Accumulator, AggregateUDF, Volatility, create_udaf};

/// `apart_steps(start, end, steps)`: NULL where there is no interval.
pub(super) fn apart_steps() -> AggregateUDF {
    let state = DataType::List(Arc::new(Field::new_list_field(DataType::Int64, true)));
    create_udaf(
        "apart_steps",
        vec![DataType::Int64; 3],
        Arc::new(DataType::Int64),
        Volatility::Immutable,
        Arc::new(|_| Ok(Box::new(Intervals::default()))),
        Arc::new(vec![state]),
    )
}

#[derive(Clone, Copy, Debug)]
struct Interval {
    start: i64,
    end: i64,
    steps: i64,
}

#[derive(Debug, Default)]
struct Intervals(Vec<Interval>);

impl Accumulator for Intervals {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let [starts, ends, steps] = [0, 1, 2].map(|column| values[column].as_primitive::<Int64Type>());
        for row in 0..starts.len() {
            if starts.is_valid(row) && ends.is_valid(row) && steps.is_valid(row) {
                self.0.push(Interval { start: starts.value(row), end: ends.value(row), steps: steps.value(row) });
            }
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Int64(most_steps_apart(&mut self.0)))
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.0.capacity() * size_of::<Interval>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let flat: Vec<i64> = self.0.iter().flat_map(|i| [i.start, i.end, i.steps]).collect();
        Ok(vec![SingleRowListArrayBuilder::new(Arc::new(Int64Array::from(flat))).build_list_scalar()])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for list in states[0].as_list::<i32>().iter().flatten() {
            let flat = list.as_primitive::<Int64Type>();
            let (threes, _) = flat.values().as_chunks::<3>();
            self.0.extend(threes.iter().map(|&[start, end, steps]| Interval { start, end, steps }));
        }
        Ok(())
    }
}

/// Weighted interval scheduling: with intervals by their end, the best of the first `n` either leaves the last one out,
/// or takes it and the best of those that end before it starts.
fn most_steps_apart(intervals: &mut [Interval]) -> Option<i64> {
    if intervals.is_empty() {
        return None;
    }
    intervals.sort_unstable_by_key(|interval| (interval.end, interval.start));
    if intervals.windows(2).all(|pair| pair[0].end <= pair[1].start) {
        return Some(intervals.iter().map(|interval| interval.steps).sum());
    }
    let mut best = vec![0; intervals.len() + 1];
    for (taken, interval) in intervals.iter().enumerate() {
        let before = intervals[..taken].partition_point(|other| other.end <= interval.start);
        best[taken + 1] = best[taken].max(best[before] + interval.steps);
    }
    best.last().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn most(intervals: &[(i64, i64, i64)]) -> Option<i64> {
        let mut all: Vec<_> = intervals.iter().map(|&(start, end, steps)| Interval { start, end, steps }).collect();
        most_steps_apart(&mut all)
    }

    #[test]
    fn overlaps_never_count_twice() {
        assert_eq!(most(&[]), None);
        assert_eq!(most(&[(10, 20, 5), (0, 10, 7)]), Some(12));
        assert_eq!(most(&[(0, 20, 5), (0, 10, 7)]), Some(7));
        assert_eq!(most(&[(0, 10, 7), (5, 15, 10), (10, 20, 7)]), Some(14));
        assert_eq!(most(&[(0, 10, 7), (5, 15, 15), (10, 20, 7), (20, 30, 1)]), Some(16));
        assert_eq!(most(&[(0, 10, 3), (0, 10, 4)]), Some(4));
    }
}
