//! Every function and expression of `expressions.txt`, and every refusal of
//! `refusals.txt`, against what the real helm says.

mod common;

use common::{folder, golden, oracle, probe_with, run_helm, template};
use coracle_helm::{Level, Values};

fn lines(name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(folder().join(name)).expect("the list exists");
    text.lines().map(str::to_owned).collect()
}

#[test]
fn expressions_print_what_helm_prints() {
    let mut source = String::new();
    for (at, expression) in lines("expressions.txt").iter().enumerate() {
        source.push_str(&format!(
            "e{at}: {{{{ ({expression}) | toString | quote }}}}\n"
        ));
    }
    let files = probe_with(&source);
    let ours = template(files.clone(), &Values::new(), Level::V4_2).unwrap_or_else(|text| text);
    // The chart of the golden file may be read beside the expressions.
    golden(&folder().join("expressions.golden"), &ours, || {
        Some(run_helm(&oracle()?, &files, &[]).unwrap_or_else(|text| text))
    });
}

#[test]
fn refusals_have_helms_words() {
    let mut ours = String::new();
    let cases = lines("refusals.txt");
    for case in &cases {
        let said =
            template(probe_with(case), &Values::new(), Level::V4_2).unwrap_or_else(|text| text);
        ours.push_str(&format!("### {case}\n{}\n", said.trim_end()));
    }
    golden(&folder().join("refusals.golden"), &ours, || {
        let oracle = oracle()?;
        let mut theirs = String::new();
        for case in &cases {
            let said = run_helm(&oracle, &probe_with(case), &[]).unwrap_or_else(|text| text);
            theirs.push_str(&format!("### {case}\n{}\n", said.trim_end()));
        }
        Some(theirs)
    });
}
