//! Short messages: answers to a question, greetings, thanks.

use super::Intent;

/// Reads a message that is one of a few words as a whole.
pub(super) fn short_answer(lower: &str) -> Option<Intent> {
    let intent = match lower {
        "yes" | "y" | "yes do it" | "sure" | "ok" | "okay" | "confirm" | "do it"
        | "yes, delete them" | "haan" | "han" | "ji" | "ji haan" | "ہاں" | "جی" | "جی ہاں" => {
            Intent::Yes
        }
        "no" | "n" | "cancel" | "stop" | "never mind" | "nevermind" | "nahi" | "نہیں" => {
            Intent::No
        }
        "hi"
        | "hello"
        | "hey"
        | "salam"
        | "salaam"
        | "assalam o alaikum"
        | "سلام"
        | "السلام علیکم"
        | "good morning"
        | "good evening" => Intent::Greeting,
        "help" | "what can you do" | "madad" | "مدد" => Intent::Help,
        "thanks" | "thank you" | "thanks a lot" | "thank you very much" | "shukriya" | "شکریہ" => {
            Intent::Thanks
        }
        _ => return numbers_only(lower),
    };
    Some(intent)
}

/// "2", "#2", "2 and 5", "the task 2": an answer to a question.
fn numbers_only(lower: &str) -> Option<Intent> {
    let mut ids = Vec::new();
    for word in lower.split([' ', ',']).filter(|word| !word.is_empty()) {
        match word {
            "and" | "the" | "task" | "number" | "one" | "no" | "aur" | "اور" | "نمبر" | "کام" =>
                {}
            word => ids.push(word.trim_start_matches('#').parse().ok()?),
        }
    }
    (!ids.is_empty()).then_some(Intent::Choice(ids))
}

#[cfg(test)]
mod tests {
    use super::super::Intent;
    use super::super::fixture::check;

    #[test]
    fn answers_and_greetings() {
        check("2", Intent::Choice(vec![2]));
        check("2 and 5", Intent::Choice(vec![2, 5]));
        check("yes", Intent::Yes);
        check("No.", Intent::No);
        check("Thank you!", Intent::Thanks);
    }
}
