package intervals;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/** A span of whole numbers, both ends included. */
public final class Interval {
    public final int from;
    public final int to;

    public Interval(int from, int to) {
        if (from > to) {
            throw new IllegalArgumentException(from + " is above " + to);
        }
        this.from = from;
        this.to = to;
    }

    /** The fewest intervals that hold the same numbers, in order. */
    public static List<Interval> merge(List<Interval> intervals) {
        List<Interval> sorted = new ArrayList<>(intervals);
        sorted.sort(Comparator.comparingInt(interval -> interval.from));
        List<Interval> merged = new ArrayList<>();
        for (Interval next : sorted) {
            Interval last = merged.isEmpty() ? null : merged.get(merged.size() - 1);
            if (last != null && next.from <= last.to + 1) {
                merged.set(merged.size() - 1, new Interval(last.from, Math.max(last.to, next.to)));
            } else {
                merged.add(next);
            }
        }
        return merged;
    }

    @Override
    public String toString() {
        return from + "-" + to;
    }
}
