// AMX-INT8: a block of 32 rows x 2 panels in four tiles of 16 x 16 sums, 64 inputs a step.
//
// A row of codes is followed by zeros up to a multiple of 64, so the last step may read past the end of a panel: what
// it finds there is multiplied by zero. Keys and queries are padded likewise (kKeyStep).
//
// The tiles are behind five functions, with a software form of each (EDGE_QA_SOFTWARE_TILES), so that the arithmetic
// is tested on CPUs without AMX. GCC 12's intrinsics do not tell the compiler which memory they read; these do.
#pragma once
#include "lanes.h"

namespace {

constexpr int kRowsAtOnce = 32, kPanelsAtOnce = 2, kKeyStep = 64;
constexpr bool kEvenBlocks = false;  // whole tiles, but for the last
constexpr bool kFetchAhead = false;

struct Operand {
  const uint8_t* codes;
  size_t stride;
};

inline Operand prepare(const uint8_t* codes, size_t stride, int, int, uint16_t*) { return {codes, stride}; }

#if defined(EDGE_QA_SOFTWARE_TILES)

struct Tile {
  uint8_t bytes[16][64];
};
thread_local Tile tiles[8];

template <int kTile>
inline void load_tile(const void* from, size_t stride) {
  for (int row = 0; row < 16; row++)
    __builtin_memcpy(tiles[kTile].bytes[row], static_cast<const uint8_t*>(from) + row * stride, 64);
}
template <int kTile>
inline void clear_tile() {
  __builtin_memset(&tiles[kTile], 0, sizeof(Tile));
}
template <int kTile>
inline void store_tile(void* to, size_t stride) {
  for (int row = 0; row < 16; row++)
    __builtin_memcpy(static_cast<uint8_t*>(to) + row * stride, tiles[kTile].bytes[row], 64);
}
// sums += codes (unsigned) x weights (signed)
template <int kSums, int kCodes, int kWeights>
inline void dot_tiles() {
  for (int row = 0; row < 16; row++) {
    uint32_t sums[16];
    __builtin_memcpy(sums, tiles[kSums].bytes[row], 64);
    for (int group = 0; group < 16; group++)
      for (int n = 0; n < 16; n++)
        for (int k = 0; k < 4; k++)
          sums[n] += static_cast<uint32_t>(tiles[kCodes].bytes[row][group * 4 + k] *
                                           static_cast<int8_t>(tiles[kWeights].bytes[group][n * 4 + k]));
    __builtin_memcpy(tiles[kSums].bytes[row], sums, 64);
  }
}
inline void enter_tiles() {}
inline void leave_tiles() {}

#else

template <int kTile>
EDGE_QA_INLINE void load_tile(const void* from, size_t stride) {
  asm volatile("tileloadd (%1,%2,1), %%tmm%c0" ::"i"(kTile), "r"(from), "r"(stride) : "memory");
}
template <int kTile>
EDGE_QA_INLINE void clear_tile() {
  asm volatile("tilezero %%tmm%c0" ::"i"(kTile));
}
template <int kTile>
EDGE_QA_INLINE void store_tile(void* to, size_t stride) {
  asm volatile("tilestored %%tmm%c0, (%1,%2,1)" ::"i"(kTile), "r"(to), "r"(stride) : "memory");
}
template <int kSums, int kCodes, int kWeights>
EDGE_QA_INLINE void dot_tiles() {
  asm volatile("tdpbusd %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(kSums), "i"(kCodes), "i"(kWeights));
}
inline void enter_tiles() {
  // Palette 1: eight tiles of 16 rows of 64 bytes.
  alignas(64) uint8_t layout[64] = {};
  layout[0] = 1;
  for (int tile = 0; tile < 8; tile++) {
    layout[16 + tile * 2] = 64;
    layout[48 + tile] = 16;
  }
  asm volatile("ldtilecfg %0" ::"m"(layout) : "memory");
}
inline void leave_tiles() { asm volatile("tilerelease" ::: "memory"); }

#endif

// Sums of a panel begin with its start in every row: a tile loaded with stride 0.
template <int kTile>
EDGE_QA_INLINE void begin_tile(const int32_t* start) {
  if (start)
    load_tile<kTile>(start, 0);
  else
    clear_tile<kTile>();
}

inline void block_product(const Operand& operand, int first, int rows, const int8_t* panels, size_t panel_bytes,
                          int count, int groups, const int32_t* start, int32_t* sums) {
  const uint8_t* upper = operand.codes + first * operand.stride;
  const uint8_t* lower = upper + 16 * operand.stride;
  // With one panel left its neighbour is computed from the same weights and thrown away: rare, and no third form.
  const int8_t* second = count == 2 ? panels + panel_bytes : panels;
  const int32_t* second_start = start ? (count == 2 ? start + 16 : start) : nullptr;
  constexpr size_t kSumStride = kPanelsAtOnce * 16 * 4;
  const bool tall = rows > 16;
  begin_tile<0>(start);
  begin_tile<1>(second_start);
  if (tall) {
    begin_tile<2>(start);
    begin_tile<3>(second_start);
  }
  for (int group = 0; group < groups; group += 16) {
    load_tile<6>(panels + group * 64, 64);
    load_tile<4>(upper + group * 4, operand.stride);
    load_tile<7>(second + group * 64, 64);
    dot_tiles<0, 4, 6>();
    dot_tiles<1, 4, 7>();
    if (tall) {
      load_tile<5>(lower + group * 4, operand.stride);
      dot_tiles<2, 5, 6>();
      dot_tiles<3, 5, 7>();
    }
  }
  store_tile<0>(sums, kSumStride);
  store_tile<1>(sums + 16, kSumStride);
  if (tall) {
    store_tile<2>(sums + 16 * 32, kSumStride);
    store_tile<3>(sums + 16 * 32 + 16, kSumStride);
  }
}

}  // namespace
