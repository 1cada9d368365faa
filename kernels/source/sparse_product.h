// The product with weights that are zero in blocks of 4 outputs x 1 input, AVX512-VNNI.
//
// Here the lanes are tokens: 64 rows of codes are turned, so that an input's 64 codes lie side by side. Four inputs
// that any of a group of 4 outputs reads are interleaved to groups of four bytes, which 16 dot products with four bytes
// of weights each turn into sums of 4 outputs x 64 tokens. Inputs that no output of the group reads cost nothing.
//
// It beats the dense product where less than about half of the blocks are left; the packed file says for which
// matrices.
#pragma once
#include "product.h"

namespace {

#if defined(EDGE_QA_PRODUCT_VNNI512)
constexpr bool kSparseProducts = true;

// 16 x 16 bytes, rows become columns: four times each row meets the one eight further on.
EDGE_QA_INLINE void turn_bytes(__m128i* rows) {
  repeat<4>([&](auto) EDGE_QA_INLINE_LAMBDA {
    __m128i next[16];
    repeat<8>([&](auto i) EDGE_QA_INLINE_LAMBDA {
      next[2 * i] = _mm_unpacklo_epi8(rows[i], rows[i + 8]);
      next[2 * i + 1] = _mm_unpackhi_epi8(rows[i], rows[i + 8]);
    });
    repeat<16>([&](auto i) EDGE_QA_INLINE_LAMBDA { rows[i] = next[i]; });
  });
}

// codes [rows][stride] -> turned [inputs][64]; `inputs` is a multiple of 16, rows past the last are not looked at.
EDGE_QA_APART void turn_codes(const uint8_t* codes, size_t stride, int rows, int inputs, uint8_t* turned) {
  for (int row = 0; row < rows; row += 16)
    for (int k = 0; k < inputs; k += 16) {
      __m128i square[16];
      repeat<16>([&](auto i) EDGE_QA_INLINE_LAMBDA {
        square[i] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(codes + (row + i) * stride + k));
      });
      turn_bytes(square);
      repeat<16>([&](auto i) EDGE_QA_INLINE_LAMBDA {
        _mm_storeu_si128(reinterpret_cast<__m128i*>(turned + (k + i) * 64 + row), square[i]);
      });
    }
}

// 16 x 16 integers, rows become columns.
EDGE_QA_INLINE void turn_ints(__m512i* r) {
  __m512i t[16];
  repeat<8>([&](auto i) EDGE_QA_INLINE_LAMBDA {
    t[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
    t[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
  });
  repeat<4>([&](auto i) EDGE_QA_INLINE_LAMBDA {
    r[4 * i] = _mm512_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
    r[4 * i + 1] = _mm512_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
    r[4 * i + 2] = _mm512_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
    r[4 * i + 3] = _mm512_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
  });
  repeat<4>([&](auto i) EDGE_QA_INLINE_LAMBDA {
    t[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
    t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
    t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
    t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
  });
  repeat<4>([&](auto i) EDGE_QA_INLINE_LAMBDA {
    r[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
    r[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
    r[i + 4] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0x88);
    r[i + 12] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0xdd);
  });
}

EDGE_QA_INLINE __m512i dot_with_four(__m512i sum, __m512i codes, const int8_t* weights) {
  asm("vpdpbusd %2%{1to16%}, %1, %0" : "+v"(sum) : "v"(codes), "m"(*reinterpret_cast<const int32_t*>(weights)));
  return sum;
}

// Sums of 4 outputs x 64 tokens, [output][64]. columns, values: `quads` times four inputs, and [4 outputs][4 inputs].
EDGE_QA_APART void sparse_group(const uint8_t* turned, const uint16_t* columns, const int8_t* values, int quads,
                                const int32_t* start, int32_t* sums) {
  __m512i sum[16];
  repeat<16>([&](auto i) EDGE_QA_INLINE_LAMBDA { sum[i] = _mm512_set1_epi32(start[i / 4]); });
  for (int quad = 0; quad < quads; quad++, columns += 4, values += 16) {
    __m512i r[4];
    repeat<4>([&](auto i)
                  EDGE_QA_INLINE_LAMBDA { r[i] = _mm512_loadu_si512(turned + static_cast<size_t>(columns[i]) * 64); });
    const __m512i low01 = _mm512_unpacklo_epi8(r[0], r[1]), high01 = _mm512_unpackhi_epi8(r[0], r[1]);
    const __m512i low23 = _mm512_unpacklo_epi8(r[2], r[3]), high23 = _mm512_unpackhi_epi8(r[2], r[3]);
    // 128-bit part p of codes v holds tokens 16 p + 4 v .. + 3.
    const __m512i codes[4] = {_mm512_unpacklo_epi16(low01, low23), _mm512_unpackhi_epi16(low01, low23),
                              _mm512_unpacklo_epi16(high01, high23), _mm512_unpackhi_epi16(high01, high23)};
    repeat<4>([&](auto output) EDGE_QA_INLINE_LAMBDA {
      repeat<4>([&](auto v) EDGE_QA_INLINE_LAMBDA {
        sum[output * 4 + v] = dot_with_four(sum[output * 4 + v], codes[v], values + output * 4);
      });
    });
  }
  repeat<4>([&](auto output) EDGE_QA_INLINE_LAMBDA {
    const __m512i* s = sum + output * 4;
    // Part p of every s goes to vector p: a transposition of 4 x 4 parts.
    const __m512i a = _mm512_shuffle_i32x4(s[0], s[1], 0x44), b = _mm512_shuffle_i32x4(s[2], s[3], 0x44);
    const __m512i c = _mm512_shuffle_i32x4(s[0], s[1], 0xee), d = _mm512_shuffle_i32x4(s[2], s[3], 0xee);
    int32_t* to = sums + output * 64;
    _mm512_store_si512(to, _mm512_shuffle_i32x4(a, b, 0x88));
    _mm512_store_si512(to + 16, _mm512_shuffle_i32x4(a, b, 0xdd));
    _mm512_store_si512(to + 32, _mm512_shuffle_i32x4(c, d, 0x88));
    _mm512_store_si512(to + 48, _mm512_shuffle_i32x4(c, d, 0xdd));
  });
}

// As each_product, for a matrix with blocks; at most 64 rows. turned: [inputs rounded up to 16][64].
template <class Done>
EDGE_QA_INLINE void each_sparse_product(const edge_qa::Matrix& matrix, const uint8_t* codes, size_t code_stride,
                                        int rows, uint8_t* turned, Done&& done) {
  alignas(64) int32_t sums[16 * 64];
  alignas(64) int32_t row_sums[16 * 16];
  turn_codes(codes, code_stride, rows, round_up(matrix.inputs, 16), turned);
  const int groups = (matrix.outputs + 3) / 4;
  for (int group = 0; group < groups; group += 4) {
    for (int i = 0; i < 4; i++) {
      if (group + i >= groups) {
        __builtin_memset(sums + i * 256, 0, 256 * sizeof(int32_t));
        continue;
      }
      const uint32_t begin = group + i ? matrix.block_ends[group + i - 1] : 0, end = matrix.block_ends[group + i];
      sparse_group(turned, matrix.block_columns + begin, matrix.block_values + static_cast<size_t>(begin) * 4,
                   static_cast<int>((end - begin) / 4), matrix.start + (group + i) * 4, sums + i * 256);
    }
    for (int row = 0; row < rows; row += 16) {
      __m512i square[16];
      repeat<16>([&](auto i) EDGE_QA_INLINE_LAMBDA { square[i] = _mm512_load_si512(sums + i * 64 + row); });
      turn_ints(square);
      repeat<16>([&](auto i) EDGE_QA_INLINE_LAMBDA { _mm512_store_si512(row_sums + i * 16, square[i]); });
      const int last = at_most(16, rows - row);
      for (int i = 0; i < last; i++) done(row + i, group * 4, row_sums + i * 16, 1);
    }
  }
}

#else
constexpr bool kSparseProducts = false;
#endif

}  // namespace
