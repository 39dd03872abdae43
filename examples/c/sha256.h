/* SHA-256 (FIPS 180-4), so that nothing but libc is needed; libcrypto's does as well. */
#ifndef SHA256_H
#define SHA256_H

#include <stddef.h>
#include <stdint.h>

/* hex: 64 lower-case digits and a NUL. size is below 2^61. */
void sha256_hex(const uint8_t *data, size_t size, char hex[65]);

#endif
