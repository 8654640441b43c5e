//! Proxies of HTTP side by side: the configurations of HAProxy and nginx, and ours as a process of
//! the bench: a balancer as `runtime` has it, with one target and nothing else beside it.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, bail};
use runtime::{
    Answer, Balance, BalanceListener, Balancer, BalancerLimits, BalancerOptions, Exchange, Failure,
    FlowEvent, FlowKey, HttpOptions, HttpTarget, ListenerKind, Next, Outcome, RefusedRequest,
    RequestHead, StreamTarget, TargetVersion, Tried,
};

use crate::flows::backend::{NGINX, NGINX_PACKAGES, nginx_head};
use crate::flows::program;
use crate::flows::proxies::Words;

/// The first argument that makes this program balance.
pub const SERVE: &str = "serve-balancer";

/// Sends every request to one target.
struct To(HttpTarget);

struct Way(Option<HttpTarget>);

impl Balance for To {
    fn route(&self, _: &RequestHead<'_>) -> Box<dyn Exchange> {
        Box::new(Way(Some(self.0)))
    }

    fn refused(&self, _: &RefusedRequest<'_>) {}

    fn steer(&self, _: &FlowKey, _: &Tried) -> Option<StreamTarget> {
        None
    }

    fn note(&self, _: u32, _: FlowEvent) {}
}

impl Exchange for Way {
    fn next(&mut self, _: Option<Failure>) -> Next {
        let target = self.0.take();
        target.map_or_else(|| Next::Answer(Answer::of(503)), Next::Forward)
    }

    fn ended(&mut self, _: &Outcome) {}
}

/// Balances until the process is ended. The words: where requests come to, and their target.
pub fn serve(words: impl Iterator<Item = String>) -> Result<()> {
    let words: Vec<String> = words.collect();
    let [address, target] = &words[..] else {
        bail!("balance what from where to where?");
    };
    let options = BalancerOptions {
        threads: 1,
        limits: BalancerLimits::USUAL,
    };
    let to = To(HttpTarget {
        address: target.parse()?,
        tls: false,
        version: TargetVersion::Http1,
    });
    let balancer = Balancer::start(options, Arc::new(to))?;
    let listener = BalanceListener {
        address: address.parse()?,
        kind: ListenerKind::Http(Arc::new(HttpOptions::USUAL)),
    };
    if let Some(error) = balancer.listen(&[listener]).pop() {
        return Err(error.into());
    }
    loop {
        std::thread::park();
    }
}

/// HAProxy in HTTP mode.
pub fn haproxy(folder: &Path, address: SocketAddr, backend: SocketAddr) -> Result<Words> {
    let program = program(&["/usr/sbin/haproxy", "/usr/local/sbin/haproxy"], "haproxy")?;
    let connections = (runtime::raise_open_files() / 2)
        .saturating_sub(600)
        .min(8500);
    let text = format!(
        "global\n  nbthread 1\n  maxconn {connections}\ndefaults\n  mode http\n  \
         option forwardfor\n  http-reuse always\n  timeout connect 5s\n  timeout client 1h\n  \
         timeout server 1h\nlisten requests\n  bind {address} backlog 4096\n  \
         http-request set-header X-Forwarded-Proto http\n  \
         http-request set-header X-Forwarded-Port %[dst_port]\n  server backend {backend}\n"
    );
    let file = folder.join("haproxy.cfg");
    fs::write(&file, text)?;
    let words = vec![
        "-db".to_owned(),
        "-f".to_owned(),
        file.display().to_string(),
    ];
    Ok((program.display().to_string(), words))
}

/// nginx as an HTTP proxy that keeps its connections.
pub fn nginx(folder: &Path, address: SocketAddr, backend: SocketAddr) -> Result<Words> {
    let program = program(&NGINX, NGINX_PACKAGES)?;
    let own = folder.display();
    let text = format!(
        "{head} http {{ access_log off; tcp_nodelay on; keepalive_requests 1000000000;\n\
         keepalive_timeout 1h; client_header_timeout 1h;\n\
         client_body_temp_path {own}/body; proxy_temp_path {own}/proxy;\n\
         fastcgi_temp_path {own}/fastcgi; uwsgi_temp_path {own}/uwsgi; scgi_temp_path {own}/scgi;\n\
         upstream target {{ server {backend}; keepalive 64; keepalive_requests 1000000000;\n\
         keepalive_timeout 1h; }}\n\
         server {{ listen {address} backlog=4096; location / {{ proxy_pass http://target;\n\
         proxy_http_version 1.1; proxy_set_header Connection \"\";\n\
         proxy_set_header Host $host; proxy_set_header X-Forwarded-Port $server_port;\n\
         proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n\
         proxy_set_header X-Forwarded-Proto $scheme; }} }} }}\n",
        head = nginx_head(folder),
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, text)?;
    let words = vec!["-c".to_owned(), file.display().to_string()];
    Ok((program.display().to_string(), words))
}
