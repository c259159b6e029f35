use crate::exactly;
use ns_core::ErrorKind::{Conflict, Invalid};
use ns_core::rules::{check_name, check_new_name};

#[test]
fn open_06_what_a_name_may_hold() {
    for name in [
        "a",
        "Web-1_prod#2.b",
        "결제-웹",
        "ㄱㅏㆎ",
        &"x".repeat(255),
        &"가".repeat(255),
    ] {
        assert_eq!(check_name("name", name).unwrap(), name);
    }
    // Each edge of the Hangul blocks, and its outer neighbour.
    for (edge, ok) in [
        ('\u{ac00}', true),
        ('\u{d7a3}', true),
        ('\u{d7a4}', false),
        ('\u{abff}', false),
        ('\u{3131}', true),
        ('\u{318e}', true),
        ('\u{3130}', false),
        ('\u{318f}', false),
    ] {
        assert_eq!(check_name("name", &edge.to_string()).is_ok(), ok, "{edge:?}");
    }
    for wrong in [
        " ",
        "my group",
        "tab\t",
        "a:b",
        "a/b",
        "a\u{0}",
        "é",
        "日本",
        "\u{1100}",
        "a\n",
        "Ａ",
        "emoji🙂",
    ] {
        exactly(
            &[check_name("plan.name", wrong).unwrap_err()],
            &[(Invalid, "name.characters", "plan.name")],
        );
    }
    for wrong in [String::new(), "x".repeat(256), "가".repeat(256)] {
        exactly(
            &[check_name("name", &wrong).unwrap_err()],
            &[(Invalid, "name.length", "name")],
        );
    }
}

#[test]
fn open_06_one_name_typed_on_two_systems_is_one() {
    // Decomposed, as some file systems and keyboards give it: three jamo, one syllable.
    let decomposed = "\u{1100}\u{1161}\u{11a8}";
    assert_eq!(check_name("name", decomposed).unwrap(), "각");
    assert!(
        check_name("name", &decomposed.repeat(255)).is_ok(),
        "counted after normalisation"
    );
    let taken = check_new_name("name", "각", [decomposed]).unwrap_err();
    exactly(&[taken], &[(Conflict, "name.taken", "name")]);
    assert!(check_new_name("name", "각", ["나", "web"]).is_ok());
}
