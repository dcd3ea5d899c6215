//! Virtual time: tasks that sleep are run in the order in which they wake. Nothing else makes a task
//! wait, so a run depends on nothing but its seed.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// When, in which order of asking, and who.
type Wake = Reverse<(u64, u64, usize)>;

/// The clock and the tasks that wait for it.
pub(crate) struct Clock {
    start: Instant,
    now: Cell<u64>,
    asked: Cell<u64>,
    current: Cell<usize>,
    queue: RefCell<BinaryHeap<Wake>>,
    born: RefCell<Vec<Task>>,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self {
            start: Instant::now(),
            now: Cell::new(0),
            asked: Cell::new(0),
            current: Cell::new(0),
            queue: RefCell::default(),
            born: RefCell::default(),
        }
    }

    /// The time as the code under test is given it.
    pub(crate) fn now(&self) -> Instant {
        self.start + Duration::from_micros(self.now.get())
    }

    /// The time since the start in microseconds.
    pub(crate) fn micros(&self) -> u64 {
        self.now.get()
    }

    /// Waits so many microseconds.
    pub(crate) fn sleep(&self, micros: u64) -> Sleep<'_> {
        Sleep {
            clock: self,
            micros,
            deadline: None,
        }
    }

    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.born.borrow_mut().push(Box::pin(task));
    }

    /// Runs the tasks until nobody waits or `go_on`, which is asked after every step, says no.
    pub(crate) fn run(&self, mut go_on: impl FnMut() -> bool) {
        let mut tasks: Vec<Option<Task>> = Vec::new();
        let mut context = Context::from_waker(Waker::noop());
        loop {
            for task in self.born.take() {
                self.wake(self.now.get(), tasks.len());
                tasks.push(Some(task));
            }
            let next = self.queue.borrow_mut().pop();
            let Some(Reverse((time, _, id))) = next else {
                return;
            };
            self.now.set(time);
            self.current.set(id);
            let Some(Some(task)) = tasks.get_mut(id) else {
                continue;
            };
            if task.as_mut().poll(&mut context).is_ready() {
                tasks[id] = None;
            }
            if !go_on() {
                return;
            }
        }
    }

    fn wake(&self, time: u64, task: usize) {
        self.asked.set(self.asked.get() + 1);
        let wake = Reverse((time, self.asked.get(), task));
        self.queue.borrow_mut().push(wake);
    }
}

/// A wait of the task that polls it.
pub(crate) struct Sleep<'c> {
    clock: &'c Clock,
    micros: u64,
    deadline: Option<u64>,
}

impl Future for Sleep<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        match self.deadline {
            Some(deadline) if self.clock.now.get() >= deadline => Poll::Ready(()),
            Some(_) => Poll::Pending,
            None => {
                let deadline = self.clock.now.get() + self.micros;
                self.deadline = Some(deadline);
                self.clock.wake(deadline, self.clock.current.get());
                Poll::Pending
            }
        }
    }
}

/// splitmix64: the whole of a run's chance.
pub(crate) struct Random(Cell<u64>);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Cell::new(seed))
    }

    fn next(&self) -> u64 {
        let state = self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.set(state);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from `low` to `high`, both included.
    pub(crate) fn range(&self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    pub(crate) fn below(&self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    pub(crate) fn percent(&self, percent: u64) -> bool {
        self.next() % 100 < percent
    }

    pub(crate) fn of<T: Copy>(&self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    /// A time in microseconds: mostly short, now and then long.
    pub(crate) fn delay(&self, short: u64, long: u64) -> u64 {
        if self.percent(15) {
            self.range(short, long)
        } else {
            self.range(0, short)
        }
    }
}
