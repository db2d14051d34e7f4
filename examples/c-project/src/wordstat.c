#include "wordstat.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

typedef struct node {
    struct node *next;
    size_t count;
    char word[];
} node;

struct wordstat {
    node **buckets;
    size_t size;
    size_t distinct;
    size_t total;
};

static size_t hash(const char *word, size_t length) {
    size_t value = 14695981039346656037u;
    for (size_t at = 0; at < length; at++)
        value = (value ^ (unsigned char)word[at]) * 1099511628211u;
    return value;
}

wordstat *wordstat_new(void) {
    wordstat *stat = calloc(1, sizeof *stat);
    if (!stat)
        return NULL;
    stat->size = 1024;
    stat->buckets = calloc(stat->size, sizeof *stat->buckets);
    if (!stat->buckets) {
        free(stat);
        return NULL;
    }
    return stat;
}

void wordstat_free(wordstat *stat) {
    if (!stat)
        return;
    for (size_t at = 0; at < stat->size; at++)
        for (node *entry = stat->buckets[at]; entry;) {
            node *next = entry->next;
            free(entry);
            entry = next;
        }
    free(stat->buckets);
    free(stat);
}

static int grow(wordstat *stat) {
    size_t size = stat->size * 2;
    node **buckets = calloc(size, sizeof *buckets);
    if (!buckets)
        return -1;
    for (size_t at = 0; at < stat->size; at++)
        for (node *entry = stat->buckets[at]; entry;) {
            node *next = entry->next;
            size_t place = hash(entry->word, strlen(entry->word)) % size;
            entry->next = buckets[place];
            buckets[place] = entry;
            entry = next;
        }
    free(stat->buckets);
    stat->buckets = buckets;
    stat->size = size;
    return 0;
}

static int count(wordstat *stat, const char *word, size_t length) {
    if (stat->distinct > stat->size && grow(stat) != 0)
        return -1;
    size_t place = hash(word, length) % stat->size;
    for (node *entry = stat->buckets[place]; entry; entry = entry->next)
        if (strlen(entry->word) == length && memcmp(entry->word, word, length) == 0) {
            entry->count++;
            stat->total++;
            return 0;
        }
    node *entry = malloc(sizeof *entry + length + 1);
    if (!entry)
        return -1;
    memcpy(entry->word, word, length);
    entry->word[length] = '\0';
    entry->count = 1;
    entry->next = stat->buckets[place];
    stat->buckets[place] = entry;
    stat->distinct++;
    stat->total++;
    return 0;
}

static int in_word(unsigned char byte) { return isalnum(byte) || byte == '\'' || byte > 127; }

int wordstat_add(wordstat *stat, const char *text, size_t length) {
    char *lower = malloc(length + 1);
    if (!lower)
        return -1;
    for (size_t at = 0; at < length; at++)
        lower[at] = (char)((unsigned char)text[at] > 127 ? text[at] : tolower((unsigned char)text[at]));
    int result = 0;
    for (size_t at = 0; at < length && result == 0;) {
        size_t start = at;
        while (at < length && in_word((unsigned char)lower[at]))
            at++;
        if (at > start)
            result = count(stat, lower + start, at - start);
        else
            at++;
    }
    free(lower);
    return result;
}

int wordstat_add_file(wordstat *stat, FILE *file) {
    char *line = NULL;
    size_t room = 0, length = 0;
    int byte, result = 0;
    while (result == 0 && (byte = getc(file)) != EOF) {
        if (length == room) {
            room = room ? room * 2 : 256;
            char *larger = realloc(line, room);
            if (!larger) {
                result = -1;
                break;
            }
            line = larger;
        }
        line[length++] = (char)byte;
        if (byte == '\n') {
            result = wordstat_add(stat, line, length);
            length = 0;
        }
    }
    if (result == 0)
        result = ferror(file) ? -1 : wordstat_add(stat, line ? line : "", length);
    free(line);
    return result;
}

size_t wordstat_total(const wordstat *stat) { return stat->total; }

size_t wordstat_distinct(const wordstat *stat) { return stat->distinct; }

static int by_count_then_word(const void *left, const void *right) {
    const wordstat_entry *a = left, *b = right;
    if (a->count != b->count)
        return a->count < b->count ? 1 : -1;
    return strcmp(a->word, b->word);
}

size_t wordstat_top(const wordstat *stat, wordstat_entry *entries, size_t limit) {
    wordstat_entry *all = calloc(stat->distinct ? stat->distinct : 1, sizeof *all);
    if (!all)
        return 0;
    size_t found = 0;
    for (size_t at = 0; at < stat->size; at++)
        for (node *entry = stat->buckets[at]; entry; entry = entry->next)
            all[found++] = (wordstat_entry){entry->word, entry->count};
    qsort(all, found, sizeof *all, by_count_then_word);
    size_t taken = found < limit ? found : limit;
    memcpy(entries, all, taken * sizeof *all);
    free(all);
    return taken;
}
