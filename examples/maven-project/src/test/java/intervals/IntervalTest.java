package intervals;

import static org.junit.Assert.assertEquals;

import java.util.List;
import org.junit.Ignore;
import org.junit.Test;

public class IntervalTest {
    @Test
    public void neighboursAreMerged() {
        List<Interval> intervals = List.of(new Interval(4, 6), new Interval(1, 3), new Interval(9, 9));
        assertEquals("[1-6, 9-9]", Interval.merge(intervals).toString());
    }

    @Test(expected = IllegalArgumentException.class)
    public void endsAreInOrder() {
        new Interval(2, 1);
    }

    @Test
    @Ignore("open intervals are not there yet")
    public void openIntervalsAreMerged() {}
}
