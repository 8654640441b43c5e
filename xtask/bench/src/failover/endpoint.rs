//! An endpoint as a process of the bench, which a lab runs as its application: answers every GET
//! by the name of its Region, on connections that it keeps.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use anyhow::{Context, Result};

/// The first argument that makes this program an endpoint.
pub const SERVE: &str = "serve-region";

/// Serves until the process is ended, at `HOST` and `PORT`, as `AWS_REGION`.
pub fn serve() -> Result<()> {
    let variable = |name: &str| std::env::var(name).with_context(|| format!("{name} is not set"));
    let (host, port) = (variable("HOST")?, variable("PORT")?);
    let region = variable("AWS_REGION")?;
    let address = SocketAddr::new(host.parse()?, port.parse()?);
    let listener = TcpListener::bind(address)?;
    for stream in listener.incoming() {
        let (Ok(stream), region) = (stream, region.clone()) else {
            continue;
        };
        // Whoever goes away in between is nobody's trouble.
        std::thread::spawn(move || answer(stream, &region).ok());
    }
    Ok(())
}

fn answer(mut stream: TcpStream, region: &str) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let length = region.len();
    let reply = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{region}");
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    while reader.read_line(&mut line)? > 0 {
        if line == "\r\n" {
            stream.write_all(reply.as_bytes())?;
        }
        line.clear();
    }
    Ok(())
}
