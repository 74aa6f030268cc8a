#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* CRC-32C (Castagnoli), as in RFC 3720. Each takes the CRC of what came before, 0 at first, and returns the
   CRC of both. */

/* The fastest way this processor has, chosen at the first call. */
uint32_t sluice_crc32c(uint32_t crc, const uint8_t *bytes, size_t count);

/* Always the tables. */
uint32_t sluice_crc32c_portable(uint32_t crc, const uint8_t *bytes, size_t count);

/* Whether the processor has the instruction. */
bool sluice_crc32c_is_accelerated(void);
