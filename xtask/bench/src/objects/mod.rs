//! Objects as a load sends and fetches them: keys and bytes that no store has seen, so that none
//! can keep two as one, over signed requests whose bodies aren't signed, as SDKs send them under
//! TLS.

pub mod peers;

use anyhow::{Result, bail};

use crate::client::Client;
use crate::connection::{Connection, Transfer};
use crate::items::Numbers;
use crate::load::Worker;

/// A stretch of bytes that is made to differ each time: a block of any store is at least as long.
const STRETCH: usize = 1024;

/// A bucket of a server.
#[derive(Clone)]
pub struct Bucket {
    /// Who calls the server.
    pub client: Client,
    /// The bucket's name.
    pub name: String,
}

/// Bytes without pattern that can be made others in no time.
pub struct Bytes {
    bytes: Vec<u8>,
    turn: u64,
}

impl Bytes {
    /// So many, by a seed.
    pub fn new(size: usize, seed: u64) -> Bytes {
        let mut numbers = Numbers::new(seed);
        let mut bytes = Vec::with_capacity(size + 8);
        while bytes.len() < size {
            bytes.extend_from_slice(&numbers.next().to_le_bytes());
        }
        bytes.truncate(size);
        let turn = seed << 40;
        Bytes { bytes, turn }
    }

    /// Other bytes than ever before: each stretch of them differs.
    pub fn next(&mut self) -> &[u8] {
        self.turn += 1;
        let turn = self.turn.to_le_bytes();
        for stretch in self.bytes.chunks_mut(STRETCH) {
            let length = stretch.len().min(turn.len());
            stretch[..length].copy_from_slice(&turn[..length]);
        }
        &self.bytes
    }
}

impl Bucket {
    /// The path of a key.
    fn path(&self, key: &str) -> String {
        format!("/{}/{key}", self.name)
    }

    /// The head of a request for a key of ours, which needs no encoding.
    pub fn head(&self, method: &str, key: &str, length: usize) -> Result<Vec<u8>> {
        self.client
            .object_head(method, &self.path(key), &[], length)
    }

    /// Makes the bucket.
    pub fn create(&self) -> Result<()> {
        let constraint = match self.client.region.name() {
            "us-east-1" => String::new(),
            region => format!(
                "<CreateBucketConfiguration><LocationConstraint>{region}</LocationConstraint>\
                 </CreateBucketConfiguration>"
            ),
        };
        let path = format!("/{}", self.name);
        self.client
            .object_call("PUT", &path, constraint.as_bytes())?;
        Ok(())
    }

    /// Switches versioning on.
    pub fn version(&self) -> Result<()> {
        let body = "<VersioningConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
                    <Status>Enabled</Status></VersioningConfiguration>";
        let path = format!("/{}?versioning", self.name);
        self.client.object_call("PUT", &path, body.as_bytes())?;
        Ok(())
    }

    /// Replicates everything to another, which is versioned, too.
    pub fn replicate(&self, to: &Bucket, role: &str) -> Result<()> {
        let body = format!(
            "<ReplicationConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
             <Role>{role}</Role><Rule><ID>bench</ID><Priority>1</Priority><Filter></Filter>\
             <Status>Enabled</Status><DeleteMarkerReplication><Status>Disabled</Status>\
             </DeleteMarkerReplication><Destination><Bucket>arn:aws:s3:::{}</Bucket></Destination>\
             </Rule></ReplicationConfiguration>",
            to.name
        );
        let path = format!("/{}?replication", self.name);
        self.client.object_call("PUT", &path, body.as_bytes())?;
        Ok(())
    }

    /// Puts an object.
    pub fn put(&self, connection: &mut Connection, key: &str, body: &[u8]) -> Result<()> {
        let mut head = self.head("PUT", key, body.len())?;
        // One segment for what fits one.
        if body.len() <= 64 * 1024 {
            head.extend_from_slice(body);
            return expect(&connection.transfer(&head, &[])?);
        }
        expect(&connection.transfer(&head, body)?)
    }

    /// Workers that each put new objects of that size, under keys of their own: `keys` of them,
    /// then the first again.
    pub fn putters(
        &self,
        count: usize,
        size: usize,
        keys: u64,
        round: u64,
    ) -> Vec<Worker<'static>> {
        let workers = 0..count;
        workers
            .map(|number| {
                let bucket = self.clone();
                let mut connection = Connection::new(bucket.client.address);
                let mut bytes = Bytes::new(size, 1 + (round << 8 | number as u64));
                let mut turn = 0;
                Box::new(move || {
                    let key = format!("put-{round}-{number}-{}", turn % keys);
                    turn += 1;
                    bucket.put(&mut connection, &key, bytes.next())
                }) as Worker<'static>
            })
            .collect()
    }

    /// Workers that each fetch objects of those that `fill` put, in no order.
    pub fn getters(&self, count: usize, size: usize, filled: u64) -> Result<Vec<Worker<'static>>> {
        let workers = 0..count as u64;
        let made = workers.map(|number| {
            let mut numbers = Numbers::new(1 + number);
            // Signed before the clock starts.
            let heads: Result<Vec<Vec<u8>>> = (0..256)
                .map(|_| self.head("GET", &filled_key(numbers.below(filled)), 0))
                .collect();
            let heads = heads?;
            let mut connection = Connection::new(self.client.address);
            let mut turn = 0;
            let worker: Worker<'static> = Box::new(move || {
                turn += 1;
                let transfer = connection.transfer(&heads[turn % heads.len()], &[])?;
                expect(&transfer)?;
                match transfer.length == size as u64 {
                    true => Ok(()),
                    false => bail!("{} bytes in place of {size}", transfer.length),
                }
            });
            Ok(worker)
        });
        made.collect()
    }

    /// Puts so many objects of that size for `getters`, over so many connections.
    pub fn fill(&self, connections: usize, size: usize, count: u64) -> Result<()> {
        self.put_all(connections, count, &|number| {
            (filled_key(number), Bytes::new(size, number).next().to_vec())
        })
    }

    /// Puts so many objects, which `make` makes by their number, over so many connections.
    pub fn put_all(
        &self,
        connections: usize,
        count: u64,
        make: &(dyn Fn(u64) -> (String, Vec<u8>) + Sync),
    ) -> Result<()> {
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..connections as u64)
                .map(|first| {
                    scope.spawn(move || -> Result<()> {
                        let mut connection = Connection::new(self.client.address);
                        for number in (first..count).step_by(connections) {
                            let (key, body) = make(number);
                            self.put(&mut connection, &key, &body)?;
                        }
                        Ok(())
                    })
                })
                .collect();
            threads
                .into_iter()
                .try_for_each(|thread| thread.join().expect("putting returns its errors"))
        })
    }
}

/// The key of a filled object.
pub fn filled_key(number: u64) -> String {
    format!("filled-{number}")
}

/// An error that quotes the server unless the status is one of success.
pub fn expect(transfer: &Transfer) -> Result<()> {
    match transfer.status {
        200..=299 => Ok(()),
        status => bail!("the server answered {status}: {}", transfer.beginning),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_stretch_of_bytes_comes_twice() {
        let mut bytes = Bytes::new(3 * STRETCH + 5, 7);
        let first = bytes.next().to_vec();
        let second = bytes.next().to_vec();
        assert_eq!(first.len(), second.len());
        let pairs = first.chunks(STRETCH).zip(second.chunks(STRETCH));
        assert!(pairs.into_iter().all(|(first, second)| first != second));
    }
}
