//! `todo-frontend healthcheck`: asks `GET /api/health` of the server on this
//! machine, so that the image needs no curl.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

/// Exits 0 when the server answers 200 within two seconds.
pub fn run() -> ExitCode {
    let port = std::env::var("PORT")
        .ok()
        .and_then(|port| port.parse().ok());
    match ask(port.unwrap_or(crate::config::DEFAULT_PORT)) {
        Ok(line) if line.contains(" 200 ") => ExitCode::SUCCESS,
        Ok(line) => {
            crate::say(&format!("unhealthy: {line}\n"));
            ExitCode::FAILURE
        }
        Err(error) => {
            crate::say(&format!("unhealthy: {error}\n"));
            ExitCode::FAILURE
        }
    }
}

fn ask(port: u16) -> std::io::Result<String> {
    let limit = Duration::from_secs(2);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, limit)?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    stream
        .write_all(b"GET /api/health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut head = [0u8; 64];
    let length = stream.read(&mut head)?;
    let text = String::from_utf8_lossy(&head[..length]).into_owned();
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
