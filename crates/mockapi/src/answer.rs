//! A request and its answer in the terms all APIs share.

use std::borrow::Cow;

use crate::{
    behaviour::{Reply, Stop},
    usage::Usage,
};

/// What a request asks; borrows from its body.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    /// The model's name.
    pub(crate) model: Cow<'a, str>,
    /// The last user message.
    pub(crate) question: Cow<'a, str>,
    /// Bytes of text in all messages.
    pub(crate) prompt_len: usize,
    /// The most output tokens wanted.
    pub(crate) max_tokens: Option<u64>,
    /// How many answers are wanted.
    pub(crate) n: u64,
    /// The model may search the web.
    pub(crate) web_search: bool,
    /// The client will come back for the answer.
    pub(crate) background: bool,
}

impl Asked<'_> {
    /// Tokens that count against a rate limit: the prompt's, and the most that may be answered.
    pub(crate) fn tokens_requested(&self) -> u64 {
        let answers = self.max_tokens.unwrap_or(0).saturating_mul(self.n);
        n_tokens(self.prompt_len).saturating_add(answers)
    }
}

/// An answer that has been produced.
#[derive(Debug, PartialEq)]
pub(crate) struct Answer {
    /// The request's number, of which ids are made.
    pub(crate) number: u64,
    /// Unix seconds.
    pub(crate) created: u64,
    /// The model's name.
    pub(crate) model: String,
    /// What the model says.
    pub(crate) reply: Reply,
    /// What is billed.
    pub(crate) usage: Usage,
    /// How often the reply is given.
    pub(crate) n: u64,
    /// The client comes back for it.
    pub(crate) background: bool,
}

impl Answer {
    /// Cuts `reply` to the limit of output tokens and counts what is billed.
    pub(crate) fn new(asked: &Asked<'_>, mut reply: Reply, number: u64, created: u64) -> Answer {
        cut(&mut reply, asked.max_tokens);
        search(&mut reply, asked.web_search);
        let text_len = |text: &Option<String>| text.as_deref().map_or(0, str::len);
        let counted = Usage {
            input_tokens: n_tokens(asked.prompt_len),
            output_tokens: n_tokens(text_len(&reply.text) + text_len(&reply.refusal)) * asked.n,
            searches: reply.queries.len() as u64,
            ..Usage::default()
        };
        let usage = reply.usage.unwrap_or(counted);
        Answer {
            number,
            created,
            model: asked.model.clone().into_owned(),
            reply,
            usage,
            n: asked.n,
            background: asked.background,
        }
    }
}

/// The mock's idea of a token: four bytes, or what is left.
pub(crate) fn n_tokens(n_bytes: usize) -> u64 {
    n_bytes.div_ceil(4) as u64
}

/// A model that may search does so, at least once; one that may not does not.
fn search(reply: &mut Reply, allowed: bool) {
    if !allowed {
        reply.queries.clear();
        reply.opened.clear();
    } else if reply.queries.is_empty() && reply.opened.is_empty() {
        reply.queries.push("rehearsal".to_owned());
        reply.opened.push("https://example.com/rehearsal".to_owned());
    }
}

/// Ends a text that is longer than `max_tokens` there.
fn cut(reply: &mut Reply, max_tokens: Option<u64>) {
    let (Some(text), Some(max_tokens)) = (&mut reply.text, max_tokens) else {
        return;
    };
    if n_tokens(text.len()) > max_tokens {
        let limit = usize::try_from(max_tokens).expect("less than a length in memory") * 4;
        let end = (0..=limit).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        reply.stop = Stop::Length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(max_tokens: Option<u64>, n: u64) -> Asked<'static> {
        Asked {
            model: "m".into(),
            question: "2+2?".into(),
            prompt_len: 9,
            max_tokens,
            n,
            web_search: false,
            background: false,
        }
    }

    fn answer(text: &str, max_tokens: Option<u64>, n: u64) -> Answer {
        Answer::new(&asked(max_tokens, n), Reply::text(text), 1, 0)
    }

    #[test]
    fn four_bytes_are_a_token() {
        let usage = answer("abcde", None, 3).usage;
        assert_eq!((usage.input_tokens, usage.output_tokens), (3, 6));
    }

    #[test]
    fn text_ends_at_the_token_limit_and_says_so() {
        let reply = answer("abcé and more", Some(1), 1).reply;
        assert_eq!(reply, Reply::cut_off("abc", Stop::Length));
        assert_eq!(answer("abcd", Some(1), 1).reply, Reply::text("abcd"));
    }

    #[test]
    fn usage_of_a_reply_is_taken_as_it_is() {
        let usage = Usage { input_tokens: 100, cached_tokens: 90, ..Usage::default() };
        let reply = Reply { usage: Some(usage), ..Reply::text("abc") };
        assert_eq!(Answer::new(&asked(None, 1), reply, 1, 0).usage, usage);
    }

    #[test]
    fn only_who_may_search_searches() {
        let reply = Reply { queries: vec!["a".into(), "b".into()], ..Reply::text("4") };
        assert_eq!(Answer::new(&asked(None, 1), reply.clone(), 1, 0).usage.searches, 0);
        let searching = Asked { web_search: true, ..asked(None, 1) };
        assert_eq!(Answer::new(&searching, reply, 1, 0).usage.searches, 2);
        assert_eq!(Answer::new(&searching, Reply::text("4"), 1, 0).usage.searches, 1);
    }
}
