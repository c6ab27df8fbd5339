//! An allocator that counts, by thread and over all threads: a test can tell what it took itself from what the server
//! took beside it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ops::Sub;
use std::sync::atomic::{AtomicI64, Ordering};

/// What was taken from the heap so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heap {
    /// How often something was allocated, or moved to another size.
    pub allocations: i64,
    /// Bytes allocated and not freed. Below zero for a thread that frees what another allocated.
    pub live: i64,
}

/// By this thread.
pub fn here() -> Heap {
    Heap { allocations: OWN_ALLOCATIONS.get(), live: OWN_LIVE.get() }
}

/// By all other threads.
pub fn elsewhere() -> Heap {
    let all = Heap { allocations: ALLOCATIONS.load(Ordering::SeqCst), live: LIVE.load(Ordering::SeqCst) };
    all - here()
}

impl Sub for Heap {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self { allocations: self.allocations - earlier.allocations, live: self.live - earlier.live }
    }
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static ALLOCATIONS: AtomicI64 = AtomicI64::new(0);
static LIVE: AtomicI64 = AtomicI64::new(0);

thread_local! {
    // Made at compile time and without a destructor, so that touching them allocates nothing.
    static OWN_ALLOCATIONS: Cell<i64> = const { Cell::new(0) };
    static OWN_LIVE: Cell<i64> = const { Cell::new(0) };
}

fn count(allocations: i64, live: i64) {
    ALLOCATIONS.fetch_add(allocations, Ordering::SeqCst);
    LIVE.fetch_add(live, Ordering::SeqCst);
    OWN_ALLOCATIONS.set(OWN_ALLOCATIONS.get() + allocations);
    OWN_LIVE.set(OWN_LIVE.get() + live);
}

/// A layout is never larger than `isize::MAX`.
fn signed(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

#[expect(unsafe_code, reason = "an allocator can be counted in no other way; each call goes to the system's as it is")]
// SAFETY: every method hands its arguments to `System` unchanged and returns what that returns.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, signed(layout.size()));
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(1, signed(layout.size()));
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(0, -signed(layout.size()));
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(1, signed(size) - signed(layout.size()));
        unsafe { System.realloc(block, layout, size) }
    }
}
