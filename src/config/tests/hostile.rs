//! Whatever stands in a file or a variable, the answer is a configuration or its faults.

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::file;
use super::{Files, Origin, with_environment};
use crate::config::{keys, variable};

/// Lines that look like a configuration and are wrong in many ways.
fn almost_toml() -> impl Strategy<Value = String> {
    let names: Vec<&str> = keys().map(|key| key.path).collect();
    let odd = [
        "x = \"",
        "x = '''",
        "\"\"\"",
        "x = { a = [",
        "x = 0x",
        "x = 1979-05-27",
        "x = [1, \"a\"",
        "node = 3",
        "[node",
        "[[log]]",
        "log.level.x = 1",
        "é = 'é'",
        "= 1",
        "a = 1 b = 2",
        "\r",
    ];
    let line = prop_oneof![
        (proptest::sample::select(names), "[ -~é\t]{0,20}").prop_map(|(k, v)| format!("{k} = {v}")),
        proptest::sample::select(odd.to_vec()).prop_map(str::to_owned),
        "[\\[\\]a-z.\"= ]{0,12}",
    ];
    vec(line, 0..12).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #[test]
    fn any_bytes_in_a_file_are_answered(bytes in vec(any::<u8>(), 0..400)) {
        let layer = file::layer("/c.toml".as_ref(), &bytes);
        prop_assert!(layer.problems.iter().all(|problem| !problem.text.is_empty()));
    }

    #[test]
    fn any_lines_in_a_file_are_answered_with_places_inside_it(text in almost_toml()) {
        let layer = file::layer("/c.toml".as_ref(), text.as_bytes());
        let last = text.split('\n').count();
        for problem in &layer.problems {
            let Origin::File { line, column, .. } = problem.origin else { unreachable!() };
            prop_assert!((1..=last).contains(&line) && column >= 1, "{problem} in {text:?}");
        }
    }

    #[test]
    fn any_value_of_any_variable_is_answered(
        key in proptest::sample::select(keys().collect::<Vec<_>>()),
        value in "\\PC{0,40}",
    ) {
        let name = variable(key);
        if let Err(problems) = with_environment(&[(&name, &value)]) {
            prop_assert!(!problems.0.is_empty());
        }
    }
}

#[test]
fn nesting_without_end_is_a_fault_and_not_a_crash() {
    for (open, close) in [("[", "]"), ("{a=", "}"), ("[{a=", "}]")] {
        let text = format!(
            "log.level = {}1{}\n",
            open.repeat(50_000),
            close.repeat(50_000)
        );
        assert!(!Files::new(&text).problems().is_empty());
    }
}
