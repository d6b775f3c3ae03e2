//! What replies took, in words: tokens, searches and dollars.

use super::status::CostView;
use super::words::{amount, flow, plural};
use crate::task::{TaskUsage, Usage};
use crate::text;

/// Below this many dollars two digits after the point say too little.
const SMALL: f64 = 0.1;

/// Puts tokens and searches of model and grader on one line, or where that is too narrow, on lines of
/// their own; nothing when nothing was used.
pub(super) fn tokens(screen: &mut String, usage: &TaskUsage, width: usize) {
    let parties = [took("tokens", &usage.model), took("grader", &usage.grader)];
    let whole: Vec<String> = parties.iter().map(|parts| parts.join(", ")).collect();
    if whole.iter().all(|party| text::columns(party) + 2 <= width) {
        flow(screen, 2, &whole, "; ", width);
        return;
    }
    for parts in &parties {
        flow(screen, 2, parts, ", ", width);
    }
}

/// Empty when nothing was used.
fn took(name: &str, usage: &Usage) -> Vec<String> {
    let (input, output) = (usage.input_tokens, usage.output_tokens);
    if usage.replies == 0 && input == 0 && output == 0 {
        return Vec::new();
    }
    let mut parts = if usage.replies > 0 && usage.replies_without_usage >= usage.replies {
        vec![format!("{name}: not reported")]
    } else {
        let at_least = match usage.replies_without_usage {
            0 => "",
            _ => "at least ",
        };
        vec![format!("{name}: {at_least}{} in", amount(input)), format!("{} out", amount(output))]
    };
    if usage.searches > 0 {
        let searches = plural("search", usage.searches);
        parts.push(format!("{} {searches}", amount(usage.searches)));
    }
    parts
}

/// What `cost` is, as parts that are put together with spaces; none for what is free. `n_replies` is
/// the number of replies that it is the cost of.
pub(super) fn cost(name: &str, cost: &CostView, n_replies: u64) -> Vec<String> {
    let n_unknown = cost.replies_of_unknown_cost;
    if cost.is_zero() {
        return Vec::new();
    }
    if n_unknown >= n_replies && cost.dollars == 0.0 {
        return vec![format!("{name}: unknown")];
    }
    let mut parts = vec![format!("{name}: {}", dollars(cost.dollars))];
    if n_unknown > 0 {
        let replies = plural("reply", n_unknown);
        parts.push(format!("and {n_unknown} {replies} of unknown cost"));
    } else if cost.grader_dollars > 0.0 {
        let (model, grader) = (dollars(cost.model_dollars), dollars(cost.grader_dollars));
        parts.push(format!("(model {model}, grader {grader})"));
    }
    parts
}

/// `$1.23`, with more digits where the sum is small.
fn dollars(dollars: f64) -> String {
    match dollars {
        0.0 | SMALL.. => format!("${dollars:.2}"),
        0.00005.. => format!("${dollars:.4}"),
        _ => "less than $0.0001".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(usage: Usage, expected: &str) {
        assert_eq!(took("tokens", &usage).join(", "), expected);
    }

    #[test]
    fn tokens_that_no_reply_reported_are_not_zero() {
        check(Usage::default(), "");
        let usage = Usage { replies: 2, replies_without_usage: 2, ..Usage::default() };
        check(usage, "tokens: not reported");
        let usage = Usage { replies: 3, input_tokens: 10, ..usage };
        check(usage, "tokens: at least 10 in, 0 out");
        let usage = Usage { replies_without_usage: 0, searches: 1, ..usage };
        check(usage, "tokens: 10 in, 0 out, 1 search");
    }

    #[track_caller]
    fn check_cost(model: f64, grader: f64, n_unknown: u64, expected: &str) {
        let view = CostView {
            model_dollars: model,
            grader_dollars: grader,
            dollars: model + grader,
            replies_of_unknown_cost: n_unknown,
        };
        assert_eq!(cost("cost", &view, 12).join(" "), expected);
    }

    #[test]
    fn a_cost_says_what_is_not_in_it() {
        check_cost(0.0, 0.0, 0, "");
        check_cost(1.0, 0.0, 0, "cost: $1.00");
        check_cost(1.0, 0.23, 0, "cost: $1.23 (model $1.00, grader $0.23)");
        check_cost(0.0, 0.23, 0, "cost: $0.23 (model $0.00, grader $0.23)");
        check_cost(1.0, 0.23, 1, "cost: $1.23 and 1 reply of unknown cost");
        check_cost(0.0, 0.0, 11, "cost: $0.00 and 11 replies of unknown cost");
        check_cost(0.0, 0.0, 12, "cost: unknown");
    }

    #[test]
    fn small_sums_have_more_digits() {
        let table = [
            (1234.5, "$1234.50"),
            (0.0421, "$0.0421"),
            (0.00006, "$0.0001"),
            (0.00001, "less than $0.0001"),
        ];
        for (sum, words) in table {
            assert_eq!(dollars(sum), words);
        }
    }
}
