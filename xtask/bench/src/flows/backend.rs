//! What stands behind the proxies: nginx with a small and a large file, on the processor of the
//! load.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::Path;

use anyhow::Result;

use super::{free_address, program};
use crate::dns::{pinned, processors};
use crate::lab::Folder;
use crate::process::Server;

/// Where distributions have nginx.
pub const NGINX: [&str; 2] = ["/usr/sbin/nginx", "/usr/local/sbin/nginx"];

/// Its package, and that of its part for streams.
pub const NGINX_PACKAGES: &str = "nginx-light libnginx-mod-stream";

/// The path of the small file, and its length in bytes.
pub const SMALL: (&str, usize) = ("/small", 128);

/// The path of the large file, and its length in bytes.
pub const LARGE: (&str, usize) = ("/large", 64 * 1024 * 1024);

/// A running backend.
pub struct Backend {
    /// Where it listens.
    pub address: SocketAddr,
    _server: Server,
    _folder: Folder,
}

impl Backend {
    /// Starts it.
    pub fn start() -> Result<Backend> {
        let folder = Folder::new("flows-backend")?;
        let files = folder.path().join("files");
        fs::create_dir(&files)?;
        fs::write(files.join("small"), [b'x'; SMALL.1])?;
        File::create(files.join("large"))?.set_len(LARGE.1 as u64)?;
        let address = free_address()?;
        let own = folder.path().display();
        let text = format!(
            "{head} http {{ access_log off; sendfile on; tcp_nopush on; tcp_nodelay on;\n\
             keepalive_requests 1000000000; keepalive_timeout 1h; client_header_timeout 1h;\n\
             client_body_temp_path {own}/body; proxy_temp_path {own}/proxy;\n\
             fastcgi_temp_path {own}/fastcgi; uwsgi_temp_path {own}/uwsgi;\n\
             scgi_temp_path {own}/scgi; default_type text/plain;\n\
             server {{ listen {address} backlog=4096; root {own}/files; }} }}\n",
            head = nginx_head(folder.path()),
        );
        let configuration = folder.path().join("nginx.conf");
        fs::write(&configuration, text)?;
        let program = program(&NGINX, NGINX_PACKAGES)?.display().to_string();
        let mut words = pinned(processors().map(|(_, load)| load), &program);
        words.extend(["-c".to_owned(), configuration.display().to_string()]);
        let rest: Vec<&str> = words[1..].iter().map(String::as_str).collect();
        let log = folder.path().join("log.txt");
        let mut server = Server::start(Path::new(&words[0]), &rest, &log)?;
        server.wait_until_listening(address)?;
        Ok(Backend {
            address,
            _server: server,
            _folder: folder,
        })
    }
}

/// What every configuration of nginx begins with here: one worker in the foreground, and as many
/// connections as there are descriptors.
pub fn nginx_head(folder: &Path) -> String {
    let user = match rustix::process::geteuid().is_root() {
        // So that it may read what root has written under a folder of root's.
        true => "user root;",
        false => "",
    };
    format!(
        "{user} daemon off; worker_processes 1; worker_rlimit_nofile {files};\n\
         pid {folder}/nginx.pid; error_log stderr;\n\
         events {{ worker_connections {files}; }}\n",
        files = runtime::raise_open_files().min(65_536),
        folder = folder.display(),
    )
}
