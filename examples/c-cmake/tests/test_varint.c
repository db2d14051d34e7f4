#include "varint.h"

#include <stdio.h>
#include <string.h>

#define CHECK(truth)                                                      \
    do {                                                                  \
        if (!(truth)) {                                                   \
            printf("%s:%d: FAILED: %s\n", __FILE__, __LINE__, #truth);    \
            return 1;                                                     \
        }                                                                 \
    } while (0)

static const uint64_t samples[] = {0, 1, 127, 128, 300, 16383, 16384, UINT32_MAX, UINT64_MAX / 3, UINT64_MAX};

static int round_trip(void) {
    for (size_t at = 0; at < sizeof samples / sizeof *samples; at++) {
        uint8_t bytes[VARINT_MAX_BYTES];
        uint64_t value = ~samples[at];
        size_t length = varint_encode(samples[at], bytes);
        CHECK(varint_decode(bytes, length, &value) == length);
        CHECK(value == samples[at]);
    }
    return 0;
}

static int lengths(void) {
    uint8_t bytes[VARINT_MAX_BYTES];
    CHECK(varint_encode(127, bytes) == 1);
    CHECK(varint_encode(128, bytes) == 2);
    CHECK(varint_encode(UINT64_MAX, bytes) == VARINT_MAX_BYTES);
    return 0;
}

static int truncated(void) {
    uint8_t bytes[VARINT_MAX_BYTES];
    uint64_t value;
    size_t length = varint_encode(UINT32_MAX, bytes);
    for (size_t cut = 0; cut < length; cut++)
        CHECK(varint_decode(bytes, cut, &value) == 0);
    return 0;
}

static int overlong(void) {
    uint64_t value;
    uint8_t bytes[VARINT_MAX_BYTES + 1];
    memset(bytes, 0xff, sizeof bytes);
    CHECK(varint_decode(bytes, sizeof bytes, &value) == 0);
    bytes[VARINT_MAX_BYTES - 1] = 2;
    CHECK(varint_decode(bytes, sizeof bytes, &value) == 0);
    return 0;
}

int main(int argc, char **argv) {
    const char *name = argc == 2 ? argv[1] : "";
    if (strcmp(name, "round_trip") == 0)
        return round_trip();
    if (strcmp(name, "lengths") == 0)
        return lengths();
    if (strcmp(name, "truncated") == 0)
        return truncated();
    if (strcmp(name, "overlong") == 0)
        return overlong();
    fprintf(stderr, "usage: %s round_trip|lengths|truncated|overlong\n", argv[0]);
    return 2;
}
