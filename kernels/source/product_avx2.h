// Plain AVX2 has no exact 8-bit dot product: VPMADDUBSW adds two products in 16 bits, which saturates. So codes and
// weights are widened to 16 bits and multiplied by VPMADDWD, which is exact and still twice as wide as float32.
//
// 6 rows x half a panel: two registers of 4 outputs each, where every output has two partial sums (inputs 0 + 1 and
// 2 + 3 of each four) until the end. Codes are widened once, weights as they are loaded.
#pragma once
#include "lanes.h"

namespace {

constexpr int kRowsAtOnce = 4, kPanelsAtOnce = 1, kKeyStep = 4;
constexpr bool kEvenBlocks = true;
constexpr bool kFetchAhead = true;

struct Operand {
  const uint16_t* codes;
  size_t stride;
};

inline Operand prepare(const uint8_t* codes, size_t stride, int rows, int groups, uint16_t* widened) {
  const int wide = round_up(groups * 4, 16);
  for (int row = 0; row < rows; row++)
    for (int k = 0; k < wide; k += 16) {
      const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(codes + row * stride + k));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(widened + static_cast<size_t>(row) * wide + k),
                          _mm256_cvtepu8_epi16(bytes));
    }
  return {widened, static_cast<size_t>(wide)};
}

// The two as one: left alone, GCC 12 does all products of a step before it adds any, and runs out of registers.
EDGE_QA_INLINE __m256i multiply_and_add(__m256i sum, __m256i codes, __m256i weights) {
  __m256i product;
  asm("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0" : "+x"(sum), "=&x"(product) : "x"(codes), "x"(weights));
  return sum;
}

template <int kRows>
EDGE_QA_APART void half_block(const uint16_t* codes, size_t stride, const int8_t* panel, int groups,
                              const int32_t* start, int32_t* sums) {
  __m256i sum[kRows * 2];
  repeat<kRows * 2>([&](auto i) EDGE_QA_INLINE_LAMBDA { sum[i] = _mm256_setzero_si256(); });
  for (int group = 0; group < groups; group++) {
    const __m256i low = _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(panel + group * 64)));
    const __m256i high =
        _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(panel + group * 64 + 16)));
    repeat<kRows>([&](auto m) EDGE_QA_INLINE_LAMBDA {
      int64_t four;
      __builtin_memcpy(&four, codes + m * stride + group * 4, 8);
      const __m256i code = _mm256_set1_epi64x(four);
      sum[m * 2] = multiply_and_add(sum[m * 2], code, low);
      sum[m * 2 + 1] = multiply_and_add(sum[m * 2 + 1], code, high);
    });
  }
  const __m256i begin = start ? _mm256_loadu_si256(reinterpret_cast<const __m256i*>(start)) : _mm256_setzero_si256();
  repeat<kRows>([&](auto m) EDGE_QA_INLINE_LAMBDA {
    // Outputs 0 1 4 5 | 2 3 6 7 after the addition of neighbours.
    const __m256i whole = _mm256_permute4x64_epi64(_mm256_hadd_epi32(sum[m * 2], sum[m * 2 + 1]), 0xd8);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums + m * 16), _mm256_add_epi32(begin, whole));
  });
}

inline void block_product(const Operand& operand, int first, int rows, const int8_t* panels, size_t, int, int groups,
                          const int32_t* start, int32_t* sums) {
  const uint16_t* codes = operand.codes + first * operand.stride;
  for (int half = 0; half < 2; half++) {
    const int8_t* panel = panels + half * 32;
    const int32_t* begin = start ? start + half * 8 : nullptr;
    int32_t* to = sums + half * 8;
    switch (rows) {
      case 6:
        half_block<6>(codes, operand.stride, panel, groups, begin, to);
        break;
      case 5:
        half_block<5>(codes, operand.stride, panel, groups, begin, to);
        break;
      case 4:
        half_block<4>(codes, operand.stride, panel, groups, begin, to);
        break;
      case 3:
        half_block<3>(codes, operand.stride, panel, groups, begin, to);
        break;
      case 2:
        half_block<2>(codes, operand.stride, panel, groups, begin, to);
        break;
      default:
        half_block<1>(codes, operand.stride, panel, groups, begin, to);
        break;
    }
  }
}

}  // namespace
