package checkdigit;

/** The check digit of card numbers (ISO/IEC 7812-1, annex B). */
public final class Luhn {
    private Luhn() {}

    /**
     * The digit that completes a number.
     *
     * @throws IllegalArgumentException when there is anything but digits
     */
    public static int of(String digits) {
        int sum = 0;
        boolean doubled = true;
        for (int place = digits.length() - 1; place >= 0; place--) {
            int digit = Character.digit(digits.charAt(place), 10);
            if (digit < 0) {
                throw new IllegalArgumentException("not a digit: " + digits.charAt(place));
            }
            sum += doubled ? crossSum(2 * digit) : digit;
            doubled = !doubled;
        }
        return (10 - sum % 10) % 10;
    }

    /** Whether the last digit is the right one. */
    public static boolean holds(String number) {
        int last = number.length() - 1;
        return last > 0 && of(number.substring(0, last)) == Character.digit(number.charAt(last), 10);
    }

    private static int crossSum(int number) {
        return number / 10 + number % 10;
    }
}
