//! Writes small MMDB files (MaxMind DB file format 2.0): records of 24 bits, strings and
//! doubles, maps and an array.

use std::collections::BTreeMap;
use std::net::IpAddr;

enum Value {
    Text(String),
    Number(f64),
    Short(u16),
    Count(u32),
    Time(u64),
    Map(BTreeMap<String, Value>),
    List(Vec<Value>),
}

impl Value {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Value::Text(text) => {
                out.push(2 << 5 | text.len() as u8);
                out.extend(text.as_bytes());
            }
            Value::Number(number) => {
                out.push(3 << 5 | 8);
                out.extend(number.to_be_bytes());
            }
            Value::Short(short) => {
                out.push(5 << 5 | 2);
                out.extend(short.to_be_bytes());
            }
            Value::Count(count) => {
                out.push(6 << 5 | 4);
                out.extend(count.to_be_bytes());
            }
            Value::Time(time) => {
                out.extend([8, 9 - 7]);
                out.extend(time.to_be_bytes());
            }
            Value::Map(entries) => {
                out.push(7 << 5 | entries.len() as u8);
                for (key, value) in entries {
                    Value::Text(key.clone()).write(out);
                    value.write(out);
                }
            }
            Value::List(values) => {
                out.extend([values.len() as u8, 11 - 7]);
                values.iter().for_each(|value| value.write(out));
            }
        }
    }

    /// Puts a value at a path: a field `0` is the only member of a list.
    fn put(&mut self, path: &[&str], value: &str) {
        let Some((field, rest)) = path.split_first() else {
            *self = match value.parse() {
                Ok(number) if value.contains('.') => Value::Number(number),
                _ => Value::Text(value.to_owned()),
            };
            return;
        };
        if *field == "0" {
            let mut member = Value::Map(BTreeMap::new());
            member.put(rest, value);
            *self = Value::List(vec![member]);
        } else if let Value::Map(entries) = self {
            let entry = entries.entry((*field).to_owned());
            entry
                .or_insert(Value::Map(BTreeMap::new()))
                .put(rest, value);
        }
    }
}

fn bits(network: &str) -> Vec<bool> {
    let (address, length) = network.split_once('/').unwrap();
    let octets = match address.parse().unwrap() {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let bits = octets
        .iter()
        .flat_map(|octet| (0..8).rev().map(move |bit| octet >> bit & 1 == 1));
    bits.take(length.parse().unwrap()).collect()
}

/// A file for addresses of that version; networks, none within another, with their fields.
pub fn mmdb(version: u16, networks: &[(&str, &[(&str, &str)])]) -> Vec<u8> {
    // A record: 0 nothing, n > 0 the node n, n < 0 the data at -n - 1.
    let mut nodes: Vec<[i64; 2]> = vec![[0, 0]];
    let mut data = Vec::new();
    for (network, fields) in networks {
        let mut value = Value::Map(BTreeMap::new());
        for (path, field) in *fields {
            let path: Vec<&str> = path.split('.').collect();
            value.put(&path, field);
        }
        let at = data.len() as i64;
        value.write(&mut data);
        let bits = bits(network);
        let (last, before) = bits.split_last().unwrap();
        let mut node = 0;
        for bit in before {
            if nodes[node][usize::from(*bit)] == 0 {
                nodes.push([0, 0]);
                nodes[node][usize::from(*bit)] = nodes.len() as i64 - 1;
            }
            node = nodes[node][usize::from(*bit)] as usize;
        }
        nodes[node][usize::from(*last)] = -at - 1;
    }
    let count = nodes.len() as i64;
    let mut out = Vec::new();
    for record in nodes.iter().flatten() {
        let number = match *record {
            0 => count,
            node if node > 0 => node,
            data => count + 16 + (-data - 1),
        };
        out.extend(&(number as u32).to_be_bytes()[1..]);
    }
    out.extend([0; 16]);
    out.extend(data);
    out.extend(b"\xab\xcd\xefMaxMind.com");
    let text = |text: &str| Value::Text(text.to_owned());
    let metadata = [
        ("binary_format_major_version", Value::Short(2)),
        ("binary_format_minor_version", Value::Short(0)),
        ("build_epoch", Value::Time(0)),
        ("database_type", text("Test")),
        ("description", Value::Map(BTreeMap::new())),
        ("ip_version", Value::Short(version)),
        ("languages", Value::List(Vec::new())),
        ("node_count", Value::Count(count as u32)),
        ("record_size", Value::Short(24)),
    ];
    let metadata = metadata.map(|(key, value)| (key.to_owned(), value));
    Value::Map(BTreeMap::from(metadata)).write(&mut out);
    out
}
