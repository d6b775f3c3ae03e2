//! Numbers, models and places as text.

use evalcore::estimate::Range;
use evalcore::models;
use evalcore::sample::Role;

/// `1,266`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `10 samples`, `1 sample`.
pub(crate) fn counted(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", grouped(number))
}

/// `10 to 11`, or one number where both ends are the same.
pub(crate) fn range(range: Range) -> String {
    match range.low == range.high {
        true => grouped(range.low),
        false => format!("{} to {}", grouped(range.low), grouped(range.high)),
    }
}

/// `$0.31 to $2.40`; `unknown` for what nobody can say.
pub(crate) fn dollars(dollars: Option<Range<f64>>) -> String {
    let Some(Range { low, high }) = dollars else {
        return "unknown".to_owned();
    };
    match (dollar(low), dollar(high)) {
        (low, high) if low == high => low,
        (low, high) => format!("{low} to {high}"),
    }
}

/// Cents, or two digits of what is less than ten of them; whole dollars from a hundred on.
fn dollar(dollars: f64) -> String {
    match dollars {
        0.0 => "$0".to_owned(),
        99.995.. => format!("${}", grouped(dollars.round() as u64)),
        0.1.. => format!("${dollars:.2}"),
        ..0.000_001 => "under $0.000001".to_owned(),
        _ => {
            let decimals = (1.0 - dollars.log10().floor()) as usize;
            format!("${dollars:.*}", decimals.clamp(2, 7))
        }
    }
}

/// `gpt-4o`, `o3_high (o3-2025-04-16)`, `grader gpt-4.1`.
pub(crate) fn party(role: Role, name: &str, model: &str) -> String {
    let role = match role {
        Role::Model => "",
        Role::Grader => "grader ",
    };
    match name == model {
        true => format!("{role}{name}"),
        false => format!("{role}{name} ({model})"),
    }
}

/// Where `model` is asked, as it stands behind its name.
pub(crate) fn place(model: &str, base_url: Option<&str>) -> String {
    match base_url {
        _ if models::is_mock(model) => ", built in".to_owned(),
        Some(url) => format!(" at {url}"),
        None => " at OpenAI (or $OPENAI_BASE_URL)".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_have_separators() {
        let table = [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (25_320, "25,320"),
            (1_234_567, "1,234,567"),
        ];
        for (number, text) in table {
            assert_eq!(grouped(number), text);
        }
        assert_eq!(counted(1, "sample"), "1 sample");
        assert_eq!(counted(2_000, "request"), "2,000 requests");
    }

    #[test]
    fn dollars_have_the_digits_that_matter() {
        let check = |low, high, text| {
            assert_eq!(dollars(Some(Range { low, high })), text);
        };
        check(0.3132, 2.4, "$0.31 to $2.40");
        check(0.0, 0.0, "$0");
        check(0.00431, 0.0999, "$0.0043 to $0.100");
        check(0.000_000_1, 0.000_012, "under $0.000001 to $0.000012");
        check(12.3456, 1234.5, "$12.35 to $1,235");
        check(0.5, 0.501, "$0.50");
        assert_eq!(dollars(None), "unknown");
    }

    #[test]
    fn a_place_is_named_even_if_it_is_the_default() {
        assert_eq!(place("m", Some("http://x/v1")), " at http://x/v1");
        assert_eq!(place("m", None), " at OpenAI (or $OPENAI_BASE_URL)");
        assert_eq!(place("mock/p80", None), ", built in");
        let named = party(Role::Grader, "o3_high", "o3-2025-04-16");
        assert_eq!(named, "grader o3_high (o3-2025-04-16)");
    }
}
