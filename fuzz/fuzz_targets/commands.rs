//! Whatever a text frame holds, it is understood or refused in words, and what is given back of it is short.
#![no_main]

use chinwag::protocol::{Command, Fault, Ref};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (reference, command) = Command::parse(text);
    if let Some(Ref::Text(reference)) = &reference {
        assert!(reference.len() <= 64);
    }
    match command {
        Ok(_) => assert!(text.trim().starts_with('{')),
        Err(Fault::Malformed) => assert_eq!(reference, None),
        Err(Fault::UnknownType(kind)) => assert!(kind.chars().count() <= 64),
        Err(Fault::Ref(why)) => {
            assert_eq!(reference, None);
            assert!(!why.is_empty());
        }
        Err(Fault::Invalid(why)) => assert!(!why.is_empty()),
    }
});
