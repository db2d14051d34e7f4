#[test]
fn numbers_and_numerals_are_answered() {
    assert_eq!(roman::answer("1999").as_deref(), Some("MCMXCIX"));
    assert_eq!(roman::answer("MCMXCIX").as_deref(), Some("1999"));
}

#[test]
fn nonsense_has_no_answer() {
    assert_eq!(roman::answer("IIX"), None);
    assert_eq!(roman::answer("0"), None);
}
