// The product in plain C++: the statement of what the other paths compute.
#pragma once
#include "lanes.h"

namespace {

constexpr int kRowsAtOnce = 4, kPanelsAtOnce = 1, kKeyStep = 4;
constexpr bool kEvenBlocks = true;
constexpr bool kFetchAhead = false;

struct Operand {
  const uint8_t* codes;
  size_t stride;
};

inline Operand prepare(const uint8_t* codes, size_t stride, int, int, uint16_t*) { return {codes, stride}; }

inline void block_product(const Operand& operand, int first, int rows, const int8_t* panels, size_t, int, int groups,
                          const int32_t* start, int32_t* sums) {
  for (int row = 0; row < rows; row++) {
    uint32_t sum[16];  // unsigned, because a damaged file may overflow it
    for (int n = 0; n < 16; n++) sum[n] = start ? static_cast<uint32_t>(start[n]) : 0;
    const uint8_t* code = operand.codes + (first + row) * operand.stride;
    for (int group = 0; group < groups; group++)
      for (int n = 0; n < 16; n++)
        for (int k = 0; k < 4; k++)
          sum[n] += static_cast<uint32_t>(code[group * 4 + k] * panels[group * 64 + n * 4 + k]);
    for (int n = 0; n < 16; n++) sums[row * 16 + n] = static_cast<int32_t>(sum[n]);
  }
}

}  // namespace
