fn main() {
    for word in std::env::args().skip(1) {
        println!("{}", roman::answer(&word).unwrap_or_else(|| format!("{word} is neither a numeral nor 1 to 3999")));
    }
}
