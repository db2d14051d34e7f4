#include "varint.h"

size_t varint_encode(uint64_t value, uint8_t bytes[VARINT_MAX_BYTES]) {
    size_t length = 0;
    while (value > 0x7f) {
        bytes[length++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    bytes[length++] = (uint8_t)value;
    return length;
}

size_t varint_decode(const uint8_t *bytes, size_t length, uint64_t *value) {
    uint64_t result = 0;
    for (size_t at = 0; at < length && at < VARINT_MAX_BYTES; at++) {
        uint64_t part = bytes[at] & 0x7f;
        if (at == VARINT_MAX_BYTES - 1 && bytes[at] > 1)
            return 0;
        result |= part << (7 * at);
        if (!(bytes[at] & 0x80)) {
            *value = result;
            return at + 1;
        }
    }
    return 0;
}
