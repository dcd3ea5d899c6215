//! Counters behind enum labels, found without hashing.

use std::marker::PhantomData;
use std::sync::OnceLock;

use prometheus::IntCounter;
use prometheus::IntCounterVec;

use super::label::Label;

/// One counter for each combination of up to three labels; finding it costs one array access.
///
/// With one or two labels every counter is on the metrics page from the start, so that the first event is seen as
/// a rise. With three they would be a thousand, most of them impossible: there one comes into being with its
/// first use.
#[derive(Debug)]
pub struct Grid<A, B = One, C = One> {
    family: IntCounterVec,
    cells: Box<[OnceLock<IntCounter>]>,
    labels: PhantomData<fn(A, B, C)>,
}

/// The only value of a label that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct One;

impl Label for One {
    const ALL: &'static [Self] = &[Self];

    fn index(self) -> usize {
        0
    }

    fn name(self) -> &'static str {
        ""
    }
}

impl<A: Label, B: Label, C: Label> Grid<A, B, C> {
    /// A grid over a family that has as many labels as the grid has real ones.
    pub(super) fn new(family: IntCounterVec) -> Self {
        let size = A::ALL.len() * B::ALL.len() * C::ALL.len();
        let grid = Self {
            family,
            cells: (0..size).map(|_| OnceLock::new()).collect(),
            labels: PhantomData,
        };
        if C::ALL.len() == One::ALL.len() {
            grid.make_all();
        }
        grid
    }

    fn make_all(&self) {
        for &a in A::ALL {
            for &b in B::ALL {
                let names = [a.name(), b.name()];
                let count = if B::ALL.len() == One::ALL.len() { 1 } else { 2 };
                for &c in C::ALL {
                    self.cell(a, b, c, &names[..count]);
                }
            }
        }
    }

    fn cell(&self, a: A, b: B, c: C, names: &[&str]) -> &IntCounter {
        let place = (a.index() * B::ALL.len() + b.index()) * C::ALL.len() + c.index();
        self.cells[place].get_or_init(|| self.family.with_label_values(names))
    }

    /// The sum over all counters that exist and for which `wanted` holds.
    pub fn sum(&self, wanted: impl Fn(A, B, C) -> bool) -> u64 {
        let mut total = 0;
        self.each(|a, b, c, count| {
            if wanted(a, b, c) {
                total += count;
            }
        });
        total
    }

    /// Every counter that exists, and what it counted.
    pub fn each(&self, mut see: impl FnMut(A, B, C, u64)) {
        let mut cells = self.cells.iter();
        for &a in A::ALL {
            for &b in B::ALL {
                for &c in C::ALL {
                    if let Some(counter) = cells.next().and_then(OnceLock::get) {
                        see(a, b, c, counter.get());
                    }
                }
            }
        }
    }
}

impl<A: Label> Grid<A> {
    /// The counter of this label value.
    pub fn at(&self, a: A) -> &IntCounter {
        self.cell(a, One, One, &[a.name()])
    }
}

impl<A: Label, B: Label> Grid<A, B> {
    /// The counter of these label values.
    pub fn at2(&self, a: A, b: B) -> &IntCounter {
        self.cell(a, b, One, &[a.name(), b.name()])
    }
}

impl<A: Label, B: Label, C: Label> Grid<A, B, C> {
    /// The counter of these label values.
    pub fn at3(&self, a: A, b: B, c: C) -> &IntCounter {
        self.cell(a, b, c, &[a.name(), b.name(), c.name()])
    }
}
