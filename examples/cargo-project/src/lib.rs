//! Roman numerals, both ways.

const STEPS: [(u32, &str); 13] = [
    (1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"), (50, "L"), (40, "XL"), (10, "X"),
    (9, "IX"), (5, "V"), (4, "IV"), (1, "I"),
];

/// A number from 1 to 3999 as a Roman numeral, None outside of that.
///
/// ```
/// assert_eq!(roman::write(2024).as_deref(), Some("MMXXIV"));
/// ```
pub fn write(number: u32) -> Option<String> {
    if !(1..=3999).contains(&number) {
        return None;
    }
    let (mut rest, mut text) = (number, String::new());
    for (value, letters) in STEPS {
        while rest >= value {
            text.push_str(letters);
            rest -= value;
        }
    }
    Some(text)
}

/// The number that a Roman numeral stands for, None where it is written in no proper way.
pub fn read(numeral: &str) -> Option<u32> {
    let (mut rest, mut number) = (numeral, 0);
    for (value, letters) in STEPS {
        while let Some(after) = rest.strip_prefix(letters) {
            rest = after;
            number += value;
        }
    }
    (rest.is_empty() && write(number).as_deref() == Some(numeral)).then_some(number)
}

/// What the command line answers: a numeral for a number, a number for a numeral.
pub fn answer(word: &str) -> Option<String> {
    match word.parse() {
        Ok(number) => write(number),
        Err(_) => read(word).map(|number| itoa::Buffer::new().format(number).to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::{read, write};

    #[test]
    fn small_numbers_are_written() {
        assert_eq!(write(4).as_deref(), Some("IV"), "four");
        assert_eq!(write(9).as_deref(), Some("IX"), "nine");
    }

    #[test]
    fn what_is_written_can_be_read() {
        assert!((1..=3999).all(|number| write(number).and_then(|text| read(&text)) == Some(number)));
    }

    #[test]
    #[ignore = "takes a while"]
    fn nothing_else_can_be_read() {
        assert!((4000..4_000_000).all(|number| write(number).is_none()));
    }
}
