#ifndef VARINT_H
#define VARINT_H

#include <stddef.h>
#include <stdint.h>

/* Numbers in as few bytes as they need, seven bits a byte, the lowest first (LEB128). */
#define VARINT_MAX_BYTES 10

/* Writes `value` and returns how many bytes it took. */
size_t varint_encode(uint64_t value, uint8_t bytes[VARINT_MAX_BYTES]);

/* Reads one number and returns how many bytes it took; 0 when `bytes` ends too early or the number is too large. */
size_t varint_decode(const uint8_t *bytes, size_t length, uint64_t *value);

#endif
