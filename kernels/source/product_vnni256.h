// VNNI in 256-bit registers: 6 rows x 1 panel of two registers, so 12 accumulators, 2 of weights and one of codes.
//
// AVX-VNNI (VEX, small and client CPUs) and AVX512-VNNI with VL (EVEX) encode the same instruction; the second form
// lets a server CPU test what the first computes.
#pragma once
#include "lanes.h"

namespace {

constexpr int kRowsAtOnce = 6, kPanelsAtOnce = 1, kKeyStep = 4;
constexpr bool kEvenBlocks = true;
constexpr bool kFetchAhead = true;

struct Operand {
  const uint8_t* codes;
  size_t stride;
};

inline Operand prepare(const uint8_t* codes, size_t stride, int, int, uint16_t*) { return {codes, stride}; }

EDGE_QA_INLINE __m256i dot(__m256i sum, __m256i codes, __m256i weights) {
#if defined(__AVX512VNNI__)
  asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(codes), "v"(weights));
#else
  asm("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(codes), "x"(weights));
#endif
  return sum;
}

template <int kRows>
EDGE_QA_APART void block(const uint8_t* codes, size_t stride, const int8_t* panels, int groups, const int32_t* start,
                         int32_t* sums) {
  __m256i sum[kRows * 2];
  repeat<2>([&](auto n) EDGE_QA_INLINE_LAMBDA {
    const __m256i begin =
        start ? _mm256_loadu_si256(reinterpret_cast<const __m256i*>(start + n * 8)) : _mm256_setzero_si256();
    repeat<kRows>([&](auto m) EDGE_QA_INLINE_LAMBDA { sum[m * 2 + n] = begin; });
  });
  for (int group = 0; group < groups; group++) {
    const __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(panels + group * 64));
    const __m256i high = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(panels + group * 64 + 32));
    repeat<kRows>([&](auto m) EDGE_QA_INLINE_LAMBDA {
      int32_t four;
      __builtin_memcpy(&four, codes + m * stride + group * 4, 4);
      const __m256i code = _mm256_set1_epi32(four);
      sum[m * 2] = dot(sum[m * 2], code, low);
      sum[m * 2 + 1] = dot(sum[m * 2 + 1], code, high);
    });
  }
  repeat<kRows * 2>([&](auto i) EDGE_QA_INLINE_LAMBDA {
    _mm256_store_si256(reinterpret_cast<__m256i*>(sums + i / 2 * 16 + i % 2 * 8), sum[i]);
  });
}

inline void block_product(const Operand& operand, int first, int rows, const int8_t* panels, size_t, int, int groups,
                          const int32_t* start, int32_t* sums) {
  const uint8_t* codes = operand.codes + first * operand.stride;
  switch (rows) {
    case 6:
      return block<6>(codes, operand.stride, panels, groups, start, sums);
    case 5:
      return block<5>(codes, operand.stride, panels, groups, start, sums);
    case 4:
      return block<4>(codes, operand.stride, panels, groups, start, sums);
    case 3:
      return block<3>(codes, operand.stride, panels, groups, start, sums);
    case 2:
      return block<2>(codes, operand.stride, panels, groups, start, sums);
    default:
      return block<1>(codes, operand.stride, panels, groups, start, sums);
  }
}

}  // namespace
