package checkdigit;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import org.junit.Test;

public class LuhnTest {
    @Test
    public void theDigitCompletesTheNumber() {
        assertEquals(3, Luhn.of("7992739871"));
        assertEquals(0, Luhn.of(""));
    }

    @Test
    public void aNumberHoldsWithItsDigitOnly() {
        assertTrue(Luhn.holds("79927398713"));
        assertFalse(Luhn.holds("79927398710"));
    }

    @Test
    public void everySingleWrongDigitIsFound() {
        for (char digit = '0'; digit <= '9'; digit++) {
            assertEquals(digit == '9', Luhn.holds("7" + digit + "927398713"));
        }
    }

    @Test
    public void anythingButDigitsIsRefused() {
        assertThrows(IllegalArgumentException.class, () -> Luhn.of("12a"));
    }
}
