#include "wordstat.h"

#include <stdlib.h>
#include <string.h>

static int failed;

#define CHECK(truth)                                                          \
    do {                                                                      \
        if (!(truth)) {                                                       \
            printf("%s:%d: FAILED: %s\n", __FILE__, __LINE__, #truth);        \
            failed++;                                                         \
        }                                                                     \
    } while (0)

static wordstat *counted(const char *text) {
    wordstat *stat = wordstat_new();
    if (!stat || wordstat_add(stat, text, strlen(text)) != 0)
        abort();
    return stat;
}

static void words_are_counted_without_case(void) {
    wordstat *stat = counted("To be, or not to BE: that's it.");
    wordstat_entry top[3];
    CHECK(wordstat_total(stat) == 8);
    CHECK(wordstat_distinct(stat) == 6);
    CHECK(wordstat_top(stat, top, 3) == 3);
    CHECK(top[0].count == 2 && strcmp(top[0].word, "be") == 0);
    CHECK(top[1].count == 2 && strcmp(top[1].word, "to") == 0);
    CHECK(top[2].count == 1 && strcmp(top[2].word, "it") == 0);
    wordstat_free(stat);
}

static void an_empty_text_has_no_words(void) {
    wordstat *stat = counted(" \n\t...");
    wordstat_entry top[1];
    CHECK(wordstat_total(stat) == 0);
    CHECK(wordstat_top(stat, top, 1) == 0);
    wordstat_free(stat);
}

static void many_words_are_kept_apart(void) {
    wordstat *stat = wordstat_new();
    char word[32];
    for (int at = 0; at < 20000; at++) {
        int length = snprintf(word, sizeof word, "w%d ", at % 5000);
        CHECK(wordstat_add(stat, word, (size_t)length) == 0);
    }
    wordstat_entry top[1];
    CHECK(wordstat_distinct(stat) == 5000);
    CHECK(wordstat_total(stat) == 20000);
    CHECK(wordstat_top(stat, top, 1) == 1 && top[0].count == 4);
    wordstat_free(stat);
}

static void a_file_may_end_without_a_line_feed(void) {
    FILE *file = tmpfile();
    if (!file)
        abort();
    fputs("gr\xc3\xbc\xc3\x9f dich\ngr\xc3\xbc\xc3\x9f", file);
    rewind(file);
    wordstat *stat = wordstat_new();
    wordstat_entry top[1];
    CHECK(wordstat_add_file(stat, file) == 0);
    CHECK(wordstat_top(stat, top, 1) == 1 && top[0].count == 2);
    wordstat_free(stat);
    fclose(file);
}

int main(void) {
    words_are_counted_without_case();
    an_empty_text_has_no_words();
    many_words_are_kept_apart();
    a_file_may_end_without_a_line_feed();
    printf(failed ? "%d checks failed\n" : "all checks passed\n", failed);
    return failed ? 1 : 0;
}
