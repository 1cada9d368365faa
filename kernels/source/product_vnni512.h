// AVX512-VNNI: 8 rows x 3 panels, so 24 accumulators, 3 registers of weights and one of codes.
#pragma once
#include "lanes.h"

namespace {

constexpr int kRowsAtOnce = 8, kPanelsAtOnce = 3, kKeyStep = 4;
constexpr bool kEvenBlocks = true;
constexpr bool kFetchAhead = false;

struct Operand {
  const uint8_t* codes;
  size_t stride;
};

inline Operand prepare(const uint8_t* codes, size_t stride, int, int, uint16_t*) { return {codes, stride}; }

// The intrinsic makes GCC 12 copy the accumulator.
EDGE_QA_INLINE __m512i dot(__m512i sum, __m512i codes, __m512i weights) {
  asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(codes), "v"(weights));
  return sum;
}

template <int kRows, int kPanels>
EDGE_QA_APART void block(const uint8_t* codes, size_t stride, const int8_t* panels, size_t panel_bytes, int groups,
                         const int32_t* start, int32_t* sums) {
  __m512i sum[kRows * kPanels];
  repeat<kPanels>([&](auto n) EDGE_QA_INLINE_LAMBDA {
    const __m512i begin = start ? _mm512_loadu_si512(start + n * 16) : _mm512_setzero_si512();
    repeat<kRows>([&](auto m) EDGE_QA_INLINE_LAMBDA { sum[m * kPanels + n] = begin; });
  });
  for (int group = 0; group < groups; group++) {
    __m512i weights[kPanels];
    repeat<kPanels>(
        [&](auto n) EDGE_QA_INLINE_LAMBDA { weights[n] = _mm512_loadu_si512(panels + n * panel_bytes + group * 64); });
    repeat<kRows>([&](auto m) EDGE_QA_INLINE_LAMBDA {
      int32_t four;
      __builtin_memcpy(&four, codes + m * stride + group * 4, 4);
      const __m512i code = _mm512_set1_epi32(four);
      repeat<kPanels>(
          [&](auto n) EDGE_QA_INLINE_LAMBDA { sum[m * kPanels + n] = dot(sum[m * kPanels + n], code, weights[n]); });
    });
  }
  repeat<kRows * kPanels>([&](auto i) EDGE_QA_INLINE_LAMBDA {
    _mm512_store_si512(sums + (i / kPanels * kPanelsAtOnce + i % kPanels) * 16, sum[i]);
  });
}

template <int kPanels>
inline void block_of(int rows, const uint8_t* codes, size_t stride, const int8_t* panels, size_t panel_bytes,
                     int groups, const int32_t* start, int32_t* sums) {
  switch (rows) {
    case 8:
      return block<8, kPanels>(codes, stride, panels, panel_bytes, groups, start, sums);
    case 7:
      return block<7, kPanels>(codes, stride, panels, panel_bytes, groups, start, sums);
    case 6:
      return block<6, kPanels>(codes, stride, panels, panel_bytes, groups, start, sums);
    case 5:
      return block<5, kPanels>(codes, stride, panels, panel_bytes, groups, start, sums);
    case 4:
      return block<4, kPanels>(codes, stride, panels, panel_bytes, groups, start, sums);
    case 3:
      return block<3, kPanels>(codes, stride, panels, panel_bytes, groups, start, sums);
    case 2:
      return block<2, kPanels>(codes, stride, panels, panel_bytes, groups, start, sums);
    default:
      return block<1, kPanels>(codes, stride, panels, panel_bytes, groups, start, sums);
  }
}

inline void block_product(const Operand& operand, int first, int rows, const int8_t* panels, size_t panel_bytes,
                          int count, int groups, const int32_t* start, int32_t* sums) {
  const uint8_t* codes = operand.codes + first * operand.stride;
  if (count == 3) return block_of<3>(rows, codes, operand.stride, panels, panel_bytes, groups, start, sums);
  if (count == 2) return block_of<2>(rows, codes, operand.stride, panels, panel_bytes, groups, start, sums);
  block_of<1>(rows, codes, operand.stride, panels, panel_bytes, groups, start, sums);
}

}  // namespace
