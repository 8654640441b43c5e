//! Decimal numbers as the service has them: up to 38 significant digits, magnitude between
//! 1E-130 and 9.99…E+125, exact addition and subtraction, one canonical text, and one binary
//! form whose byte order is the numeric order.
//!
//! It never rounds and never goes through binary floating point.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// Significant digits that a number can have (API reference, "Naming Rules and Data Types").
pub const MAX_DIGITS: u32 = 38;
/// The greatest power of ten of a number's first digit.
pub const MAX_MAGNITUDE: i32 = 125;
/// The least power of ten of a number's first digit.
pub const MIN_MAGNITUDE: i32 = -130;

/// A number: `coefficient × 10^exponent`, negated or not. Canonical: no trailing zeros in the
/// coefficient, and zero is always the same value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Number {
    negative: bool,
    coefficient: u128,
    exponent: i16,
}

/// Why a text or a result isn't a number. `Display` is the service's text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// The text is empty.
    #[error("The parameter cannot be converted to a numeric value")]
    Empty,
    /// The text is no number.
    #[error("The parameter cannot be converted to a numeric value: {0}")]
    NotNumeric(String),
    /// The magnitude is beyond 9.99…E+125.
    #[error(
        "Number overflow. Attempting to store a number with magnitude larger than supported range"
    )]
    Overflow,
    /// The magnitude is below 1E-130.
    #[error(
        "Number underflow. Attempting to store a number with magnitude smaller than supported range"
    )]
    Underflow,
    /// More than 38 significant digits.
    #[error("Attempting to store more than 38 significant digits in a Number")]
    Precision,
}

/// The bytes are not a number's binary form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the binary form of a number")]
pub struct NotANumber;

/// First byte of the binary form.
const NEGATIVE: u8 = 0x01;
const ZERO: u8 = 0x02;
const POSITIVE: u8 = 0x03;

/// Greater than every coefficient of 38 digits, and small enough that a sum with one fits.
const TWICE_LIMIT: u128 = 2 * 10u128.pow(MAX_DIGITS);

impl Number {
    /// Zero.
    pub const ZERO: Number = Number {
        negative: false,
        coefficient: 0,
        exponent: 0,
    };

    /// The sum, exactly.
    ///
    /// # Errors
    /// `Overflow` where the exact sum has a magnitude or more digits than a number can have: the
    /// service says overflow for both.
    pub fn checked_add(self, other: Number) -> Result<Number, NumberError> {
        let (high, low) = if self.exponent >= other.exponent {
            (self, other)
        } else {
            (other, self)
        };
        if high.is_zero() {
            return Ok(low);
        }
        if low.is_zero() {
            return Ok(high);
        }
        let shift = u32::from(high.exponent.abs_diff(low.exponent));
        // The last digit of `low` is not zero and stays the last digit of the sum, so a `high`
        // that is this much longer can't lead to 38 digits, not even by cancellation.
        let aligned = 10u128
            .checked_pow(shift)
            .and_then(|factor| high.coefficient.checked_mul(factor))
            .filter(|aligned| *aligned < TWICE_LIMIT)
            .ok_or(NumberError::Overflow)?;
        let (negative, coefficient) = if high.negative == low.negative {
            (high.negative, aligned + low.coefficient)
        } else if aligned >= low.coefficient {
            (high.negative, aligned - low.coefficient)
        } else {
            (low.negative, low.coefficient - aligned)
        };
        Number::from_parts(negative, coefficient, i64::from(low.exponent)).map_err(|error| {
            match error {
                NumberError::Precision => NumberError::Overflow,
                other => other,
            }
        })
    }

    /// The difference, exactly.
    ///
    /// # Errors
    /// As [`Number::checked_add`].
    pub fn checked_sub(self, other: Number) -> Result<Number, NumberError> {
        self.checked_add(other.negated())
    }

    /// Is it zero?
    pub const fn is_zero(self) -> bool {
        self.coefficient == 0
    }

    /// What it counts for in an item's size, in bytes: one, and one for each pair of digits (the
    /// pairs stand at even powers of ten), and one for a minus sign. The documentation says
    /// "approximately"; this is the rule that measurements of others confirm.
    pub fn stored_size(self) -> usize {
        if self.is_zero() {
            return 1;
        }
        let first = self.magnitude().div_euclid(2);
        let last = i32::from(self.exponent).div_euclid(2);
        let pairs =
            usize::try_from(first - last + 1).expect("the first digit is not after the last");
        1 + pairs + usize::from(self.negative)
    }

    /// Appends the binary form: self-delimiting, and byte order is numeric order.
    ///
    /// A sign byte; for other than zero the magnitude plus 130, then two digits a byte plus one,
    /// then a zero byte. All but the sign byte is inverted where the number is negative.
    pub fn encode(self, out: &mut Vec<u8>) {
        if self.is_zero() {
            out.push(ZERO);
            return;
        }
        out.push(if self.negative { NEGATIVE } else { POSITIVE });
        let start = out.len();
        out.push(
            u8::try_from(self.magnitude() - MIN_MAGNITUDE).expect("the magnitude is in its range"),
        );
        let digits = self.digits();
        let mut rest = self.coefficient;
        if digits % 2 == 1 {
            rest *= 10;
        }
        let first = out.len();
        while rest > 0 {
            out.push((rest % 100) as u8 + 1);
            rest /= 100;
        }
        out[first..].reverse();
        out.push(0);
        if self.negative {
            for byte in &mut out[start..] {
                *byte = !*byte;
            }
        }
    }

    /// Reads a binary form from the front of `bytes`; gives the number and what follows it.
    ///
    /// # Errors
    /// When the bytes are not what [`Number::encode`] writes.
    pub fn decode(bytes: &[u8]) -> Result<(Number, &[u8]), NotANumber> {
        let (sign, mut rest) = bytes.split_first().ok_or(NotANumber)?;
        let mask = match *sign {
            ZERO => return Ok((Number::ZERO, rest)),
            POSITIVE => 0,
            NEGATIVE => 0xff,
            _ => return Err(NotANumber),
        };
        let mut next = || {
            let (byte, after) = rest.split_first().ok_or(NotANumber)?;
            rest = after;
            Ok(byte ^ mask)
        };
        let magnitude = i32::from(next()?) + MIN_MAGNITUDE;
        let mut coefficient = 0u128;
        let mut digits = 0;
        loop {
            match next()? {
                0 => break,
                pair @ 1..=100 if digits < MAX_DIGITS && (digits > 0 || pair > 10) => {
                    coefficient = coefficient * 100 + u128::from(pair - 1);
                    digits += 2;
                }
                _ => return Err(NotANumber),
            }
        }
        if coefficient == 0 || coefficient.is_multiple_of(100) {
            return Err(NotANumber);
        }
        let exponent = i64::from(magnitude) - i64::from(digits) + 1;
        let number =
            Number::from_parts(mask != 0, coefficient, exponent).map_err(|_| NotANumber)?;
        Ok((number, rest))
    }

    const fn negated(self) -> Number {
        Number {
            negative: !self.negative && self.coefficient != 0,
            ..self
        }
    }

    /// How many digits the coefficient has; it is not zero.
    fn digits(self) -> u32 {
        self.coefficient.ilog10() + 1
    }

    /// The power of ten of the first digit; the number is not zero.
    fn magnitude(self) -> i32 {
        i32::from(self.exponent) + self.coefficient.ilog10() as i32
    }

    /// The canonical number of that value.
    fn from_parts(
        negative: bool,
        mut coefficient: u128,
        mut exponent: i64,
    ) -> Result<Number, NumberError> {
        if coefficient == 0 {
            return Ok(Number::ZERO);
        }
        while coefficient.is_multiple_of(10) {
            coefficient /= 10;
            exponent += 1;
        }
        let digits = coefficient.ilog10() + 1;
        check_range(
            exponent.saturating_add(i64::from(digits) - 1),
            u64::from(digits),
        )?;
        Ok(Number {
            negative,
            coefficient,
            exponent: i16::try_from(exponent).expect("bounded by the magnitude and 38 digits"),
        })
    }
}

/// Are a magnitude and a count of significant digits allowed?
fn check_range(magnitude: i64, digits: u64) -> Result<(), NumberError> {
    if magnitude > i64::from(MAX_MAGNITUDE) {
        Err(NumberError::Overflow)
    } else if magnitude < i64::from(MIN_MAGNITUDE) {
        Err(NumberError::Underflow)
    } else if digits > u64::from(MAX_DIGITS) {
        Err(NumberError::Precision)
    } else {
        Ok(())
    }
}

/// The digits of a text, read left to right.
#[derive(Default)]
struct Digits {
    coefficient: u128,
    /// From the first digit that isn't zero to the last one.
    significant: u64,
    /// Zeros since.
    pending: u64,
    /// Digits after the point.
    fraction: i64,
    any: bool,
}

impl Digits {
    fn push(&mut self, digit: u8, after_point: bool) {
        self.any = true;
        self.fraction += i64::from(after_point);
        if digit == 0 {
            self.pending += u64::from(self.significant > 0);
            return;
        }
        let places = self.pending + 1;
        self.significant += places;
        self.pending = 0;
        // Beyond 38 digits the coefficient no longer matters: the number is refused.
        if self.significant <= u64::from(MAX_DIGITS) {
            let places = u32::try_from(places).expect("at most 38");
            self.coefficient = self.coefficient * 10u128.pow(places) + u128::from(digit);
        }
    }
}

impl FromStr for Number {
    type Err = NumberError;

    fn from_str(text: &str) -> Result<Number, NumberError> {
        if text.is_empty() {
            return Err(NumberError::Empty);
        }
        let refused = || NumberError::NotNumeric(text.to_owned());
        let (negative, unsigned) = strip_sign(text.as_bytes());
        let mut digits = Digits::default();
        let mut after_point = false;
        let mut exponent = 0;
        for (index, byte) in unsigned.iter().enumerate() {
            match byte {
                b'0'..=b'9' => digits.push(byte - b'0', after_point),
                b'.' if !after_point => after_point = true,
                b'e' | b'E' => {
                    exponent = parse_exponent(&unsigned[index + 1..]).ok_or_else(refused)?;
                    break;
                }
                _ => return Err(refused()),
            }
        }
        if !digits.any {
            return Err(refused());
        }
        if digits.significant == 0 {
            return Ok(Number::ZERO);
        }
        let pending = i64::try_from(digits.pending).map_err(|_| refused())?;
        let last = exponent - digits.fraction + pending;
        let span = i64::try_from(digits.significant - 1).map_err(|_| refused())?;
        check_range(last.saturating_add(span), digits.significant)?;
        Number::from_parts(negative, digits.coefficient, last)
    }
}

fn strip_sign(text: &[u8]) -> (bool, &[u8]) {
    match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    }
}

/// The value of an exponent, held within a trillion either way: far beyond the range, and safe
/// to add to.
fn parse_exponent(text: &[u8]) -> Option<i64> {
    const FAR: i64 = 1_000_000_000_000;
    let (negative, digits) = strip_sign(text);
    if digits.is_empty() {
        return None;
    }
    let mut value = 0i64;
    for byte in digits {
        if !byte.is_ascii_digit() {
            return None;
        }
        value = (value * 10 + i64::from(byte - b'0')).min(FAR);
    }
    Some(if negative { -value } else { value })
}

impl fmt::Display for Number {
    /// The canonical text: plain digits, no exponent, as the service prints numbers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_zero() {
            return f.write_str("0");
        }
        if self.negative {
            f.write_str("-")?;
        }
        let digits = self.coefficient.to_string();
        let point = digits.len() as i64 + i64::from(self.exponent);
        if self.exponent >= 0 {
            write!(f, "{digits}{:0<1$}", "", self.exponent as usize)
        } else if point > 0 {
            let (whole, fraction) = digits.split_at(point as usize);
            write!(f, "{whole}.{fraction}")
        } else {
            write!(f, "0.{:0<1$}{digits}", "", point.unsigned_abs() as usize)
        }
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Number) -> Ordering {
        let sign = |number: &Number| match (number.is_zero(), number.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        };
        let (left, right) = (sign(self), sign(other));
        if left != right || left == 0 {
            return left.cmp(&right);
        }
        let full = |number: &Number| number.coefficient * 10u128.pow(MAX_DIGITS - number.digits());
        let absolute = self
            .magnitude()
            .cmp(&other.magnitude())
            .then_with(|| full(self).cmp(&full(other)));
        if left < 0 {
            absolute.reverse()
        } else {
            absolute
        }
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Number) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl From<u64> for Number {
    fn from(value: u64) -> Number {
        Number::from_parts(false, u128::from(value), 0).expect("20 digits are in range")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(text: &str) -> Number {
        text.parse().unwrap()
    }

    #[test]
    fn prints_the_canonical_text() {
        for (input, output) in [
            ("0", "0"),
            ("-0", "0"),
            ("0e1000", "0"),
            ("+3", "3"),
            ("-7.1234", "-7.1234"),
            (".123", "0.123"),
            ("1.", "1"),
            ("0001.23", "1.23"),
            ("1e+5", "100000"),
            ("-17.4E37", "-174000000000000000000000000000000000000"),
            ("100.00", "100"),
            ("1e-3", "0.001"),
            ("12.50e1", "125"),
            ("1e-130", &format!("0.{}1", "0".repeat(129))),
            ("9.9e125", &format!("99{}", "0".repeat(124))),
            (
                "3.1415926535897932384626433832795028841",
                "3.1415926535897932384626433832795028841",
            ),
        ] {
            assert_eq!(number(input).to_string(), output, "{input}");
        }
    }

    #[test]
    fn refuses_what_is_no_number_with_the_services_texts() {
        assert_eq!("".parse::<Number>(), Err(NumberError::Empty));
        for text in [
            "NaN",
            "Infinity",
            "-Infinity",
            "dog",
            "-dog",
            " 1",
            "1 ",
            "-",
            "+",
            ".",
            "e5",
            "1e",
            "1e+",
            "1e5.",
            "1.2.3",
            "--1",
            "0x10",
            "1_000",
            "١",
        ] {
            assert_eq!(
                text.parse::<Number>(),
                Err(NumberError::NotNumeric(text.to_owned()))
            );
        }
        for text in [
            "1e126",
            "11e125",
            "-1e126",
            "1.0e100000000",
            "1e99999999999999999999",
        ] {
            assert_eq!(text.parse::<Number>(), Err(NumberError::Overflow), "{text}");
        }
        for text in ["1e-131", "0.9e-130", "-1e-131", "1e-99999999999999999999"] {
            assert_eq!(
                text.parse::<Number>(),
                Err(NumberError::Underflow),
                "{text}"
            );
        }
        for text in [
            "3.14159265358979323846264338327950288419",
            "314159265358979323846264338327950288419e30",
            "1.00000000000000000000000000000000000001",
        ] {
            assert_eq!(
                text.parse::<Number>(),
                Err(NumberError::Precision),
                "{text}"
            );
        }
        assert_eq!(number(&format!("{}e-5", "9".repeat(38))).digits(), 38);
        assert_eq!(number(&"9".repeat(38)).to_string(), "9".repeat(38));
    }

    #[test]
    fn adds_and_subtracts_exactly_or_says_overflow() {
        let sum = |a: &str, b: &str| number(a).checked_add(number(b)).map(|n| n.to_string());
        assert_eq!(
            sum("1", "10000000000000000000000").unwrap(),
            "10000000000000000000001"
        );
        assert_eq!(sum("0.1", "0.2").unwrap(), "0.3");
        assert_eq!(sum("5", "-5").unwrap(), "0");
        assert_eq!(sum("0", "1e125").unwrap(), number("1e125").to_string());
        assert_eq!(sum("1e38", "-1").unwrap(), "9".repeat(38));
        assert_eq!(sum("9e125", "9e125"), Err(NumberError::Overflow));
        assert_eq!(sum("1e50", "1"), Err(NumberError::Overflow));
        assert_eq!(sum("1e125", "1e-130"), Err(NumberError::Overflow));
        assert_eq!(
            number("9e125").checked_sub(number("-9e125")),
            Err(NumberError::Overflow)
        );
        // Cancelling 38 digits at the bottom of the range leaves nothing representable.
        assert_eq!(sum("1.1e-130", "-1e-130"), Err(NumberError::Underflow));
    }

    #[test]
    fn counts_pairs_of_digits_at_even_powers_of_ten() {
        for (text, size) in [
            ("0", 1),
            ("1", 2),
            ("10", 2),
            ("12", 2),
            ("123", 3),
            ("-1", 3),
            ("1.5", 3),
            ("100", 2),
            ("0.01", 2),
            (&"9".repeat(38), 20),
        ] {
            assert_eq!(number(text).stored_size(), size, "{text}");
        }
    }

    #[test]
    fn golden_bytes_of_the_binary_form() {
        for (text, bytes) in [
            ("0", vec![2]),
            ("1", vec![3, 130, 11, 0]),
            ("12", vec![3, 131, 13, 0]),
            ("1.25", vec![3, 130, 13, 51, 0]),
            ("-1", vec![1, !130, !11, !0]),
            ("1e-130", vec![3, 0, 11, 0]),
        ] {
            let mut out = Vec::new();
            number(text).encode(&mut out);
            assert_eq!(out, bytes, "{text}");
        }
    }

    fn any_number() -> impl Strategy<Value = Number> {
        (any::<bool>(), 0..10u128.pow(38), 0u32..38, -130i64..=125).prop_filter_map(
            "in range",
            |(negative, digits, cut, exponent)| {
                Number::from_parts(negative, digits / 10u128.pow(cut), exponent - 20).ok()
            },
        )
    }

    /// Schoolbook addition of digit strings at the exponent -130-38, as the reference.
    fn reference(number: Number) -> (bool, Vec<u8>) {
        let mut digits = vec![0u8; 320];
        let mut rest = number.coefficient;
        let mut place = (i64::from(number.exponent) + 170) as usize;
        while rest > 0 {
            digits[place] = (rest % 10) as u8;
            rest /= 10;
            place += 1;
        }
        (number.negative, digits)
    }

    fn reference_sum(a: Number, b: Number) -> (bool, Vec<u8>) {
        let ((mut a_negative, mut a), (mut b_negative, mut b)) = (reference(a), reference(b));
        if a_negative == b_negative {
            let mut carry = 0;
            for (x, y) in a.iter_mut().zip(&b) {
                let sum = *x + y + carry;
                *x = sum % 10;
                carry = sum / 10;
            }
            return (a_negative, a);
        }
        if a.iter().rev().lt(b.iter().rev()) {
            std::mem::swap(&mut a, &mut b);
            std::mem::swap(&mut a_negative, &mut b_negative);
        }
        let mut borrow = 0i8;
        for (x, y) in a.iter_mut().zip(&b) {
            let difference = *x as i8 - *y as i8 - borrow;
            borrow = i8::from(difference < 0);
            *x = difference.rem_euclid(10) as u8;
        }
        (a_negative, a)
    }

    proptest! {
        #[test]
        fn text_round_trips(number in any_number()) {
            prop_assert_eq!(number.to_string().parse::<Number>().unwrap(), number);
        }

        #[test]
        fn binary_form_round_trips_and_orders_as_the_numbers_do(a in any_number(), b in any_number()) {
            let (mut left, mut right) = (Vec::new(), Vec::new());
            a.encode(&mut left);
            b.encode(&mut right);
            prop_assert_eq!(left.cmp(&right), a.cmp(&b));
            left.extend_from_slice(b"rest");
            prop_assert_eq!(Number::decode(&left), Ok((a, &b"rest"[..])));
        }

        #[test]
        fn sums_agree_with_schoolbook_addition(a in any_number(), b in any_number(), near in -40i64..40) {
            let b = Number::from_parts(b.negative, b.coefficient, i64::from(a.exponent) + near)
                .unwrap_or(b);
            let (negative, digits) = reference_sum(a, b);
            let first = digits.iter().rposition(|digit| *digit != 0);
            let last = digits.iter().position(|digit| *digit != 0);
            match (a.checked_add(b), first, last) {
                (Ok(sum), None, None) => prop_assert!(sum.is_zero()),
                (Ok(sum), Some(_), Some(_)) => {
                    prop_assert_eq!(sum.negative, negative);
                    prop_assert_eq!(reference(sum).1, digits);
                }
                (Err(NumberError::Overflow), Some(first), Some(last)) => {
                    prop_assert!(first - last >= 38 || first as i64 - 170 > 125);
                }
                (Err(NumberError::Underflow), Some(first), _) => {
                    prop_assert!((first as i64) - 170 < -130);
                }
                other => prop_assert!(false, "{:?}", other),
            }
        }

        #[test]
        fn decoding_never_panics_and_accepts_only_what_is_written(bytes in prop::collection::vec(any::<u8>(), 0..30)) {
            if let Ok((number, rest)) = Number::decode(&bytes) {
                let mut again = Vec::new();
                number.encode(&mut again);
                again.extend_from_slice(rest);
                prop_assert_eq!(again, bytes);
            }
        }

        #[test]
        fn parsing_never_panics(text in ".{0,60}") {
            let _ = text.parse::<Number>();
        }
    }
}
