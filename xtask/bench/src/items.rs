//! The items that are written and read: sized as DynamoDB counts, of characters that don't
//! compress, the same in every run.

use serde_json::{Value, json};

/// What an item is called and holds, beside `pk` (2 bytes) and `data` (4 bytes).
const NAMES: usize = 6;

/// A sequence of numbers without pattern (xorshift64), the same for the same seed.
pub struct Numbers(u64);

impl Numbers {
    /// From a seed.
    pub fn new(seed: u64) -> Numbers {
        Numbers(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// The next number below a bound.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// So many letters and digits.
    pub fn text(&mut self, length: usize) -> String {
        const LETTERS: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        (0..length)
            .map(|_| char::from(LETTERS[(self.next() % 64) as usize]))
            .collect()
    }
}

/// An item of `size` bytes, names and values together.
pub fn item(key: &str, size: usize, numbers: &mut Numbers) -> Value {
    let data = numbers.text(size.saturating_sub(key.len() + NAMES));
    json!({"pk": {"S": key}, "data": {"S": data}})
}

/// The body of a `PutItem` of such an item.
pub fn put(table: &str, key: &str, size: usize, numbers: &mut Numbers) -> Vec<u8> {
    let item = item(key, size, numbers);
    json!({"TableName": table, "Item": item})
        .to_string()
        .into_bytes()
}

/// The body of a `GetItem`.
pub fn get(table: &str, key: &str) -> Vec<u8> {
    json!({"TableName": table, "Key": {"pk": {"S": key}}})
        .to_string()
        .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_has_the_size_asked_for() {
        let item = item("key-1", 1024, &mut Numbers::new(7));
        let length = |value: &Value| value["S"].as_str().unwrap().len();
        let size = "pk".len() + length(&item["pk"]) + "data".len() + length(&item["data"]);
        assert_eq!(size, 1024);
    }
}
