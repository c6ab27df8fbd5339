//! Makes sessions over Chinwag's HTTP interface, some at a time, since each waits until it is durable.

use std::net::SocketAddr;

use anyhow::{Context, Result, anyhow};
use serde_json::{Value, json};

use crate::http::Http;

const AT_ONCE: usize = 32;

/// The tokens of so many new guests.
pub fn make(server: SocketAddr, sessions: usize) -> Result<Vec<String>> {
    std::thread::scope(|scope| {
        let maker = |first| {
            scope.spawn(move || {
                let mut http = Http::connect(server)?;
                (first..sessions).step_by(AT_ONCE).map(|number| make_one(&mut http, number)).collect::<Result<Vec<_>>>()
            })
        };
        let makers: Vec<_> = (0..AT_ONCE).map(maker).collect();
        let mut tokens = Vec::with_capacity(sessions);
        for maker in makers {
            tokens.extend(maker.join().map_err(|_| anyhow!("a thread panicked"))??);
        }
        Ok(tokens)
    })
}

fn make_one(http: &mut Http, number: usize) -> Result<String> {
    let name = json!({"name": format!("bench-{number}")});
    let session: Value = serde_json::from_slice(http.post("/api/session", &name.to_string())?)?;
    Ok(session["token"].as_str().context("a session without a token")?.to_owned())
}
