//! What a host does from the command line, beside a server that may be running. It knows no socket.

pub mod copy;
pub mod import;

use crate::chat::link;
use crate::error::Fatal;
use crate::store::{self, Committed, Watcher};

/// Leaves a link in the store that makes its visitor the owner, once and within a day; the answer is its path.
pub fn owner_link(options: &store::Options) -> Result<String, Fatal> {
    let (link, token) = link::owner_link().map_err(Fatal::OwnerLink)?;
    store::leave_link(options, &link)?;
    Ok(format!("/join#{}", token.as_str()))
}

/// Nobody listens to what is committed meanwhile.
struct Quiet;

impl Watcher for Quiet {
    fn committed(&self, batch: Committed) {
        for receipt in batch.receipts {
            receipt.done.tell(receipt.outcome);
        }
    }
}
