//! HTTP/1.1 for one caller who waits for each answer: a connection that is kept, bodies of a known length. It knows no
//! route and no scenario.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use anyhow::{Context, Result, bail};

use crate::swarm::PATIENCE;

const READ_BYTES: usize = 64 * 1024;

pub struct Http {
    socket: BufReader<TcpStream>,
    server: SocketAddr,
    line: String,
    body: Vec<u8>,
}

impl Http {
    pub fn connect(server: SocketAddr) -> Result<Self> {
        let socket = TcpStream::connect(server)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { socket: BufReader::with_capacity(READ_BYTES, socket), server, line: String::new(), body: Vec::new() })
    }

    /// The body of a good answer.
    pub fn get(&mut self, target: &str) -> Result<&[u8]> {
        self.ask("GET", target, "")
    }

    pub fn post(&mut self, target: &str, json: &str) -> Result<&[u8]> {
        self.ask(
            "POST",
            target,
            &format!("Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{json}", json.len()),
        )
    }

    fn ask(&mut self, method: &str, target: &str, rest: &str) -> Result<&[u8]> {
        let end = if rest.is_empty() { "\r\n" } else { rest };
        let request = format!("{method} {target} HTTP/1.1\r\nHost: {}\r\n{end}", self.server);
        self.socket.get_mut().write_all(request.as_bytes())?;
        let status = self.read_line()?.to_owned();
        let mut length = None;
        while let Some((name, value)) = self.read_line()?.split_once(':') {
            if name.eq_ignore_ascii_case("content-length") {
                length = Some(value.trim().parse()?);
            }
        }
        self.body.resize(length.with_context(|| format!("{target} answered without a length: {status}"))?, 0);
        self.socket.read_exact(&mut self.body)?;
        if !status.starts_with("HTTP/1.1 20") {
            bail!("{target} answered {status}: {:.300}", String::from_utf8_lossy(&self.body));
        }
        Ok(&self.body)
    }

    fn read_line(&mut self) -> Result<&str> {
        self.line.clear();
        if self.socket.read_line(&mut self.line)? == 0 {
            bail!("the server hung up");
        }
        Ok(self.line.trim_end())
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn answers_are_read_one_after_another() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut http = Http::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        let answer = |status, body: &str| format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let answers = answer("200 OK", "one") + &answer("201 Created", "") + &answer("404 Not Found", "three");
        server.write_all(answers.as_bytes()).unwrap();
        assert_eq!(http.get("/1").unwrap(), b"one");
        assert_eq!(http.post("/2", "{}").unwrap(), b"");
        assert!(http.get("/3").unwrap_err().to_string().ends_with("404 Not Found: three"));
        let mut asked = String::new();
        drop(http);
        server.read_to_string(&mut asked).unwrap();
        assert!(
            asked.contains("\r\n\r\nPOST /2 HTTP/1.1\r\n") && asked.contains("Length: 2\r\n\r\n{}GET /3"),
            "{asked}"
        );
    }
}
