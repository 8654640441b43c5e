//! A small client of S3 for tests: signs whole bodies, one connection a request.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use aws::signature::{Payload, Rules, SigningOptions, Target, sign_with};
use identity::RootKey;
use types::Region;

use super::{Lab, now};

/// A client of one Region, through the lab's front door.
#[derive(Clone)]
pub struct S3 {
    region: Region,
    port: u16,
    key: RootKey,
}

/// An answer, whole.
#[derive(Debug)]
pub struct S3Answer {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl S3Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// The texts of all elements of that name.
    pub fn all(&self, name: &str) -> Vec<String> {
        let text = self.text();
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        let parts = text.split(&open).skip(1);
        parts
            .map(|part| part.split(&close).next().unwrap().to_owned())
            .collect()
    }
}

impl Lab {
    /// Waits until every Region can have the global configuration changed: names of buckets and
    /// roles are there.
    pub fn until_decided(&self) {
        super::eventually("every Region hears a majority and its leader", || {
            let status = self.json(&["status"]);
            let sites = status["sites"].as_array().unwrap().iter();
            let mut regions = sites.filter(|site| !site["api"].is_null());
            regions.all(|site| {
                let council = &site["detail"]["council"];
                council["majority"] == true && !council["leader"].is_null()
            })
        });
    }

    /// A client of S3 in that Region.
    pub fn s3(&self, region: &str) -> S3 {
        S3 {
            region: region.parse().unwrap(),
            port: self.port,
            key: self.key(),
        }
    }
}

impl S3 {
    /// Calls; an error means that no whole answer came.
    pub fn call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> std::io::Result<S3Answer> {
        let mut stream = self.send_head(method, path, headers, Some(body), body.len())?;
        stream.write_all(body)?;
        read_answer(&mut BufReader::new(stream), method == "HEAD")
    }

    /// Begins a request whose body of that length, unsigned, is to be written to what is returned.
    pub fn begin(&self, method: &str, path: &str, length: usize) -> std::io::Result<TcpStream> {
        self.send_head(method, path, &[], None, length)
    }

    fn send_head(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
        length: usize,
    ) -> std::io::Result<TcpStream> {
        let host = format!("127.0.0.1:{}", self.port);
        let mut request = http::Request::builder()
            .method(method)
            .uri(format!("http://{host}{path}"))
            .header("host", &host)
            .header("content-length", length)
            .header("connection", "close");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        let target = Target {
            service: "s3",
            region: self.region,
            rules: Rules::OBJECTS,
        };
        let payload = body.map_or(Payload::Unsigned, Payload::Body);
        let (form, credentials) = (SigningOptions::HEADER, self.key.credentials());
        sign_with(&mut parts, payload, &form, &credentials, &target, now()).unwrap();
        let mut head = format!("{method} {path} HTTP/1.1\r\n");
        for (name, value) in &parts.headers {
            head.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
        }
        head.push_str("\r\n");
        let mut stream = TcpStream::connect(&host)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        stream.write_all(head.as_bytes())?;
        Ok(stream)
    }

    /// Calls what must succeed.
    pub fn must(&self, method: &str, path: &str, body: &[u8]) -> S3Answer {
        let answer = self.call(method, path, &[], body).unwrap();
        let is_done = (200..300).contains(&answer.status);
        assert!(
            is_done,
            "{method} {path}: {} {}",
            answer.status,
            answer.text()
        );
        answer
    }

    /// A bucket whose versions are kept.
    pub fn create_versioned(&self, bucket: &str) {
        let constraint = match self.region.name() {
            "us-east-1" => String::new(),
            name => format!(
                "<CreateBucketConfiguration><LocationConstraint>{name}</LocationConstraint>\
                 </CreateBucketConfiguration>"
            ),
        };
        self.must("PUT", &format!("/{bucket}"), constraint.as_bytes());
        let versioned =
            "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
        self.must(
            "PUT",
            &format!("/{bucket}?versioning"),
            versioned.as_bytes(),
        );
    }

    /// Has all of a bucket replicated to another by that role.
    pub fn replicate(&self, bucket: &str, destination: &str, role: &str) {
        let rule = format!(
            "<ReplicationConfiguration><Role>{role}</Role><Rule><ID>all</ID><Priority>1</Priority>\
             <Status>Enabled</Status><Filter></Filter><DeleteMarkerReplication>\
             <Status>Enabled</Status></DeleteMarkerReplication><Destination>\
             <Bucket>arn:aws:s3:::{destination}</Bucket></Destination></Rule>\
             </ReplicationConfiguration>"
        );
        self.must("PUT", &format!("/{bucket}?replication"), rule.as_bytes());
    }

    /// Every version and delete marker of a bucket: key and version id, in the order listed.
    pub fn versions(&self, bucket: &str) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let mut marker = String::new();
        loop {
            let page = self.must("GET", &format!("/{bucket}?versions{marker}"), b"");
            let ids = page.all("VersionId");
            let keys = page.all("Key");
            assert_eq!(ids.len(), keys.len(), "{}", page.text());
            found.extend(keys.into_iter().zip(ids));
            if page.all("IsTruncated") != ["true"] {
                return found;
            }
            let (key, id) = (page.all("NextKeyMarker"), page.all("NextVersionIdMarker"));
            marker = format!("&key-marker={}&version-id-marker={}", key[0], id[0]);
        }
    }
}

fn read_answer(stream: &mut BufReader<TcpStream>, is_head: bool) -> std::io::Result<S3Answer> {
    let ended = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let status = line
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let status = status.ok_or_else(ended)?;
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let Some((name, value)) = line.trim().split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let mut body = Vec::new();
    let length = headers
        .get("content-length")
        .map(|text| text.parse().unwrap());
    match length {
        _ if is_head || status == 204 || status == 304 => {}
        Some(length) => {
            body = vec![0; length];
            stream.read_exact(&mut body)?;
        }
        None => read_chunks(stream, &mut body)?,
    }
    Ok(S3Answer {
        status,
        headers,
        body,
    })
}

fn read_chunks(stream: &mut BufReader<TcpStream>, body: &mut Vec<u8>) -> std::io::Result<()> {
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let size = usize::from_str_radix(line.trim(), 16).map_err(std::io::Error::other)?;
        let mut chunk = vec![0; size + 2];
        stream.read_exact(&mut chunk)?;
        if size == 0 {
            return Ok(());
        }
        body.extend_from_slice(&chunk[..size]);
    }
}
