//! Tests that guard the shape of the hot path and not its time: what a delivery and a connection take from the heap,
//! and how often a socket is written to. A binary of its own, since a program has one allocator.

// A test that fails says where; what it unwraps says why.
#![allow(clippy::unwrap_used)]

mod heap;

/// The words of the plays, of which these need a few.
#[path = "../it"]
#[allow(dead_code, unused_imports)]
mod it {
    pub mod support;
}

mod rounds;
mod served;
