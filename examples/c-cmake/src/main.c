/* varint-tool NUMBER...: the bytes of each number, in hexadecimal. */
#include "varint.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "usage: %s NUMBER...\n", argv[0]);
        return 2;
    }
    for (int at = 1; at < argc; at++) {
        char *end;
        uint64_t value = strtoull(argv[at], &end, 10);
        if (*end || argv[at][0] == '-') {
            fprintf(stderr, "%s is no number\n", argv[at]);
            return 1;
        }
        uint8_t bytes[VARINT_MAX_BYTES];
        size_t length = varint_encode(value, bytes);
        for (size_t byte = 0; byte < length; byte++)
            printf("%s%02x", byte ? " " : "", bytes[byte]);
        printf("\n");
    }
    return 0;
}
