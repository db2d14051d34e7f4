#ifndef WORDSTAT_H
#define WORDSTAT_H

#include <stddef.h>
#include <stdio.h>

/* Counts words; letters of ASCII are taken in lower case, other bytes above 127 as letters of a word. */
typedef struct wordstat wordstat;

typedef struct {
    const char *word;
    size_t count;
} wordstat_entry;

/* NULL when memory is short. */
wordstat *wordstat_new(void);
void wordstat_free(wordstat *stat);

/* 0 when all went well, -1 when memory is short. Words do not continue from one call to the next. */
int wordstat_add(wordstat *stat, const char *text, size_t length);

/* 0 when all went well, -1 on a read error or when memory is short. */
int wordstat_add_file(wordstat *stat, FILE *file);

size_t wordstat_total(const wordstat *stat);
size_t wordstat_distinct(const wordstat *stat);

/* Fills at most `limit` entries, the most frequent first, equal ones by the alphabet; returns how many. */
size_t wordstat_top(const wordstat *stat, wordstat_entry *entries, size_t limit);

#endif
