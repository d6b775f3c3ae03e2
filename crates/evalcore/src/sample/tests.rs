use super::*;
use crate::evals;
use crate::prompts::Prompts;

const GRADE_1: Slot = Slot::Grade { ask: 1 };

fn protocol() -> Protocol {
    let eval = evals::find("browsecomp").unwrap();
    let prompts = Prompts::load(eval.templates, None).unwrap().compile(eval.templates).unwrap();
    let system_message = Some("Be brief.".to_owned());
    Protocol { eval, prompts, system_message, grader_system_message: None }
}

fn next(trail: &Trail) -> Step {
    let sample = Sample { id: "7".into(), input: "Why?".into(), target: "Because".into() };
    let mut steps = next_steps(&protocol(), &sample, trail).unwrap();
    assert_eq!(steps.len(), 1);
    steps.remove(0)
}

fn text(text: &str) -> Completion {
    Completion { text: text.into(), ..Completion::default() }
}

/// A trail of an answer and these grades.
fn graded(grades: &[&str]) -> Trail {
    let mut trail = Trail::default();
    trail.reply(Slot::Answer, text("Exact Answer: Because\nConfidence: 70%"));
    for (ask, grade) in (1..).zip(grades) {
        trail.reply(Slot::Grade { ask }, text(grade));
    }
    trail
}

#[track_caller]
fn check_ask(trail: &Trail, expected: Slot, roles: &[&str], part: &str) {
    let Step::Ask { slot, messages } = next(trail) else { panic!("does not ask") };
    assert_eq!(slot, expected);
    assert_eq!(messages.iter().map(|message| message.role).collect::<Vec<_>>(), roles);
    assert!(messages.iter().any(|message| message.content.contains(part)));
}

#[track_caller]
fn check_failed(trail: &Trail, slot: Slot, part: &str) {
    let Step::Done(Outcome::Failed(failure)) = next(trail) else { panic!("has not failed") };
    assert_eq!(failure.slot, slot);
    assert!(failure.error.contains(part), "{}", failure.error);
}

#[test]
fn a_fresh_sample_is_asked_with_the_tasks_system_message() {
    check_ask(&Trail::default(), Slot::Answer, &["system", "user"], "Why?");
}

#[test]
fn an_answer_is_graded_with_the_right_answer_at_hand() {
    check_ask(&graded(&[]), GRADE_1, &["user"], "Because");
}

#[test]
fn a_verdict_ends_the_sample_with_its_score() {
    let Step::Done(Outcome::Scored(score)) = next(&graded(&["correct: yes"])) else {
        panic!("is not scored")
    };
    assert_eq!((score.verdict, score.confidence), (Verdict::Correct, Some(70.0)));
    assert_eq!(score.answer.as_deref(), Some("Because"));
}

#[test]
fn a_grade_without_a_verdict_is_asked_for_again_but_not_for_ever() {
    check_ask(&graded(&["?"]), Slot::Grade { ask: 2 }, &["user"], "Because");
    check_failed(&graded(&["?", "?", "?"]), Slot::Grade { ask: 3 }, "no verdict");
}

#[test]
fn another_try_asks_the_grader_afresh_and_keeps_the_answer() {
    let mut trail = graded(&["?", "?", "?"]);
    trail.retry();
    check_ask(&trail, Slot::Grade { ask: 4 }, &["user"], "Because");
}

#[test]
fn refusals_and_cut_answers_end_a_sample_without_a_grade() {
    let check = |completion: Completion, outcome: Outcome| {
        let mut trail = Trail::default();
        trail.reply(Slot::Answer, completion);
        assert_eq!(next(&trail), Step::Done(outcome));
    };
    check(Completion { refusal: Some("no".into()), ..text("") }, Outcome::Refused);
    let ended = |reason: &str| Completion { finish_reason: Some(reason.into()), ..text("x") };
    check(ended("content_filter"), Outcome::Refused);
    check(ended("length"), Outcome::Truncated);
}

#[test]
fn an_empty_answer_is_an_error_and_asked_for_by_the_next_run() {
    let mut trail = Trail::default();
    trail.reply(Slot::Answer, Completion { finish_reason: Some("stop".into()), ..text(" ") });
    check_failed(&trail, Slot::Answer, "the answer is empty, `finish_reason` is `stop`");
    trail.retry();
    check_ask(&trail, Slot::Answer, &["system", "user"], "Why?");
}

#[test]
fn a_grade_that_was_cut_off_has_no_verdict() {
    let mut trail = graded(&[]);
    let cut = Completion { finish_reason: Some("length".into()), ..text("correct: yes") };
    trail.reply(GRADE_1, cut);
    check_ask(&trail, Slot::Grade { ask: 2 }, &["user"], "Because");
}

#[test]
fn what_the_provider_works_on_is_fetched_and_not_asked_again() {
    let mut trail = Trail::default();
    trail.sent(Slot::Answer, "resp_1".into());
    let fetch = Step::Fetch { slot: Slot::Answer, id: "resp_1".into() };
    assert_eq!(next(&trail), fetch);
    trail.retry();
    assert_eq!(next(&trail), fetch, "also by the next run");
}

#[test]
fn a_lost_response_is_asked_for_anew_but_not_for_ever() {
    let mut trail = Trail::default();
    for _ in 0..MAX_LOST {
        check_ask(&trail, Slot::Answer, &["system", "user"], "Why?");
        trail.sent(Slot::Answer, "resp_1".into());
        trail.lost();
    }
    check_failed(&trail, Slot::Answer, "lost 3 background responses");
}

#[test]
fn slots_are_written_as_words_and_read_back() {
    for (slot, word) in [(Slot::Answer, "answer"), (Slot::Grade { ask: 12 }, "grade.12")] {
        assert_eq!((slot.to_string().as_str(), word.parse()), (word, Ok(slot)));
    }
    for word in ["", "grade", "grade.0", "grade.x", "answer.1"] {
        assert!(word.parse::<Slot>().is_err(), "{word}");
    }
}
