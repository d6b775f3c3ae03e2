//! What there is to submit: evals and models, as text for 80 columns or as JSON.

use evalcore::evals::EVALS;
use evalcore::models::{Listing, Registry};
use evalcore::task::Api;
use serde_json::{Value, json};

/// Models that no file lists.
const OTHERS: [(&str, &str); 4] = [
    ("mock/p0 … mock/p100", "built in: right on about that percentage of the samples"),
    ("mock/grader", "built in: judges by comparing with the right answer"),
    ("NAME+search", "any of these with web search, over Responses"),
    ("any other name", "goes to the server as it is, over Chat Completions"),
];

pub(crate) fn evals(as_json: bool) -> String {
    if as_json {
        let evals: Vec<_> = EVALS
            .iter()
            .map(|eval| {
                json!({"name": eval.name, "about": eval.about, "dataset": eval.dataset.url,
                    "rows": eval.dataset.rows})
            })
            .collect();
        return format!("{:#}\n", json!(evals));
    }
    let lines = EVALS.iter().map(|eval| {
        let rows = eval.dataset.rows.map_or("?".to_owned(), |rows| rows.to_string());
        format!("{:12}  {rows:>6} samples  {}\n", eval.name, eval.about)
    });
    lines.collect()
}

pub(crate) fn models(registry: &Registry, as_json: bool) -> String {
    let listings = registry.list();
    if as_json {
        let others = OTHERS.map(|(name, about)| json!({"name": name, "about": about}));
        let models: Vec<Value> =
            listings.iter().map(|listing| json!(listing)).chain(others).collect();
        return format!("{:#}\n", json!(models));
    }
    let mut text = row("NAME", "API", "IN", "OUT", "LAST DAY", "ASKED AS");
    text.extend(listings.iter().map(listing_row));
    text += "prices in dollars per million tokens, standard tier; ? if not known\n";
    if let Some(path) = registry.path() {
        text += &format!("* as {} has it\n", path.display());
    }
    text.push('\n');
    text.extend(OTHERS.map(|(name, about)| format!("{name:20}  {about}\n")));
    text
}

fn listing_row(listing: &Listing) -> String {
    let name = match listing.is_own {
        true => format!("{}*", listing.name),
        false => listing.name.clone(),
    };
    let api = match listing.api {
        Api::Chat => "chat",
        Api::Responses => "responses",
        Api::Messages => "messages",
    };
    let price = |price: Option<f64>| price.map_or("?".to_owned(), |price| price.to_string());
    let prices = listing.prices.as_ref();
    let model = match listing.model == listing.name {
        true => "",
        false => &listing.model,
    };
    row(
        &name,
        api,
        &price(prices.map(|prices| prices.input)),
        &price(prices.map(|prices| prices.output)),
        listing.shutdown.as_deref().unwrap_or_default(),
        model,
    )
}

fn row(name: &str, api: &str, input: &str, output: &str, last_day: &str, model: &str) -> String {
    let name = shortened(name, 28);
    let model = shortened(model, 16);
    let row = format!("{name:28} {api:9} {input:>5} {output:>5}  {last_day:10}  {model}");
    format!("{}\n", row.trim_end())
}

/// `text` in at most `width` characters, without its middle if need be.
fn shortened(text: &str, width: usize) -> String {
    let n_chars = text.chars().count();
    if n_chars <= width {
        return text.to_owned();
    }
    let n_end = width / 2;
    let start: String = text.chars().take(width - 1 - n_end).collect();
    let end: String = text.chars().skip(n_chars - n_end).collect();
    format!("{start}…{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_models_fits_a_terminal() {
        let text = models(&Registry::embedded(), false);
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }

    #[test]
    fn a_row_shows_price_and_last_day_and_another_name() {
        let text = models(&Registry::embedded(), false);
        let row = "o3_high                      responses     2     8  2026-12-11  o3-2025-04-16";
        assert!(text.lines().any(|line| line == row), "{text}");
    }

    #[test]
    fn json_has_every_price_and_what_no_file_lists() {
        let text = models(&Registry::embedded(), true);
        let list: Vec<Value> = serde_json::from_str(&text).expect("JSON");
        let sol = list.iter().find(|model| model["name"] == "gpt-6-sol");
        assert_eq!(sol.expect("listed")["prices"]["long_output"], 15.0);
        assert!(list.iter().any(|model| model["name"] == "mock/grader"));
    }

    #[test]
    fn long_names_lose_their_middle() {
        assert_eq!(shortened("abcdefgh", 8), "abcdefgh");
        assert_eq!(shortened("abcdefghi", 8), "abc…fghi");
    }
}
