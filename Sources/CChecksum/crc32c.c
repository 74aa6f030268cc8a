// CRC-32C: the processor's own instruction where it has one, tables of eight otherwise.
#include "checksum.h"

#include <pthread.h>
#include <string.h>

static uint32_t tables[8][256];
static pthread_once_t tables_once = PTHREAD_ONCE_INIT;

static void fill_tables(void) {
  for (uint32_t i = 0; i < 256; i++) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (crc & 1 ? 0x82f63b78u : 0);
    tables[0][i] = crc;
  }
  for (int k = 1; k < 8; k++)
    for (uint32_t i = 0; i < 256; i++)
      tables[k][i] = (tables[k - 1][i] >> 8) ^ tables[0][tables[k - 1][i] & 0xff];
}

uint32_t sluice_crc32c_portable(uint32_t crc, const uint8_t *bytes, size_t count) {
  pthread_once(&tables_once, fill_tables);
  crc = ~crc;
  for (; count >= 8; bytes += 8, count -= 8) {
    uint32_t low = crc ^ ((uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
                          (uint32_t)bytes[3] << 24);
    crc = tables[7][low & 0xff] ^ tables[6][(low >> 8) & 0xff] ^ tables[5][(low >> 16) & 0xff] ^
          tables[4][low >> 24] ^ tables[3][bytes[4]] ^ tables[2][bytes[5]] ^ tables[1][bytes[6]] ^
          tables[0][bytes[7]];
  }
  for (; count > 0; bytes++, count--) crc = (crc >> 8) ^ tables[0][(crc ^ *bytes) & 0xff];
  return ~crc;
}

#if defined(__x86_64__)
#include <nmmintrin.h>

bool sluice_crc32c_is_accelerated(void) { return __builtin_cpu_supports("sse4.2"); }

__attribute__((target("sse4.2"))) static uint32_t accelerated(uint32_t crc, const uint8_t *bytes,
                                                              size_t count) {
  uint64_t state = ~crc;
  for (; count >= 8; bytes += 8, count -= 8) {
    uint64_t word;
    memcpy(&word, bytes, 8);
    state = _mm_crc32_u64(state, word);
  }
  uint32_t tail = (uint32_t)state;
  for (; count > 0; bytes++, count--) tail = _mm_crc32_u8(tail, *bytes);
  return ~tail;
}
#elif defined(__aarch64__) && defined(__linux__)
#include <arm_acle.h>
#include <sys/auxv.h>
#ifndef HWCAP_CRC32
#define HWCAP_CRC32 (1 << 7)
#endif

bool sluice_crc32c_is_accelerated(void) { return (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0; }

__attribute__((target("crc"))) static uint32_t accelerated(uint32_t crc, const uint8_t *bytes,
                                                           size_t count) {
  uint32_t state = ~crc;
  for (; count >= 8; bytes += 8, count -= 8) {
    uint64_t word;
    memcpy(&word, bytes, 8);
    state = __crc32cd(state, word);
  }
  for (; count > 0; bytes++, count--) state = __crc32cb(state, *bytes);
  return ~state;
}
#else
bool sluice_crc32c_is_accelerated(void) { return false; }

static uint32_t accelerated(uint32_t crc, const uint8_t *bytes, size_t count) {
  return sluice_crc32c_portable(crc, bytes, count);
}
#endif

uint32_t sluice_crc32c(uint32_t crc, const uint8_t *bytes, size_t count) {
  static int is_accelerated = -1;  // every thread finds the same, so a race is harmless
  int known = __atomic_load_n(&is_accelerated, __ATOMIC_RELAXED);
  if (known < 0) {
    known = sluice_crc32c_is_accelerated();
    __atomic_store_n(&is_accelerated, known, __ATOMIC_RELAXED);
  }
  return known ? accelerated(crc, bytes, count) : sluice_crc32c_portable(crc, bytes, count);
}
