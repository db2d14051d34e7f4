/* wordstat [N] < text: the N most frequent words (10 unless told) and their counts. */
#include "wordstat.h"

#include <stdlib.h>

int main(int argc, char **argv) {
    char *end = NULL;
    long limit = argc > 1 ? strtol(argv[1], &end, 10) : 10;
    if (argc > 2 || (end && *end) || limit < 1 || limit > 1000000) {
        fprintf(stderr, "usage: %s [N] < text\n", argv[0]);
        return 2;
    }
    wordstat *stat = wordstat_new();
    wordstat_entry *entries = calloc((size_t)limit, sizeof *entries);
    if (!stat || !entries || wordstat_add_file(stat, stdin) != 0) {
        fprintf(stderr, "%s: cannot read or out of memory\n", argv[0]);
        free(entries);
        wordstat_free(stat);
        return 1;
    }
    size_t found = wordstat_top(stat, entries, (size_t)limit);
    for (size_t at = 0; at < found; at++)
        printf("%8zu %s\n", entries[at].count, entries[at].word);
    printf("%8zu words, %zu different\n", wordstat_total(stat), wordstat_distinct(stat));
    free(entries);
    wordstat_free(stat);
    return 0;
}
