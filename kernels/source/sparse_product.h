// The product with weights that are zero in blocks of 4 outputs x 1 input, on the paths that have VNNI.
//
// Here the lanes are tokens. A tile of rows of codes is turned, so that an input's codes lie side by side. Four inputs
// that any of a group of 4 outputs reads are interleaved to groups of four bytes, which dot products with four bytes of
// weights each turn into sums of 4 outputs x the tile's tokens. Inputs that no output of the group reads cost nothing.
//
// It beats the dense product where less than about two thirds of the blocks are left; the packed file says for which
// matrices.
//
// Layout of a turned tile: [inputs][one register], each 128-bit part of a register with the same number of tokens, four
// for every sixteen of the tile: token t is byte t % each of part t / each, for `each` = tokens of the tile / parts.
// Interleaving works within parts, so a tile of fewer tokens takes fewer shuffles, and the sums of the four tokens that
// a part gives to one register come out as packing them to bytes again puts them back. What follows a part's last
// token is not looked at.
#pragma once
#include "product.h"

namespace {

#if defined(EDGE_QA_PRODUCT_VNNI512) || defined(EDGE_QA_PRODUCT_VNNI256)
#  define EDGE_QA_SPARSE
constexpr bool kSparseProducts = true;

#  if defined(EDGE_QA_PRODUCT_VNNI512)
using Vector = __m512i;
#    define EDGE_QA_VECTOR(name) _mm512_##name
EDGE_QA_INLINE Vector load_vector(const void* p) { return _mm512_loadu_si512(p); }
EDGE_QA_INLINE void store_vector(void* p, Vector a) { _mm512_storeu_si512(p, a); }
// 16 bytes of each of the rows 0, step, 2 step, 3 step.
EDGE_QA_INLINE Vector load_parts(const uint8_t* const* rows, int step, size_t place) {
  const auto part = [&](int i) EDGE_QA_INLINE_LAMBDA {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[i * step] + place));
  };
  const Vector first = _mm512_inserti32x4(_mm512_castsi128_si512(part(0)), part(1), 1);
  return _mm512_inserti32x4(_mm512_inserti32x4(first, part(2), 2), part(3), 3);
}
EDGE_QA_INLINE void store_parts(int32_t* to, size_t step, Vector a) {
  _mm_store_si128(reinterpret_cast<__m128i*>(to), _mm512_castsi512_si128(a));
  repeat<3>([&](auto i) EDGE_QA_INLINE_LAMBDA {
    _mm_store_si128(reinterpret_cast<__m128i*>(to + (i + 1) * step), _mm512_extracti32x4_epi32(a, i + 1));
  });
}
// sums += codes x weights of four outputs, `step` sums from one to the next. In one piece: GCC 12 copies accumulators
// around single instructions.
template <int kStep>
EDGE_QA_INLINE void dot_with_fours(Vector* sums, Vector codes, const int8_t* weights) {
  const int32_t* fours = reinterpret_cast<const int32_t*>(weights);
  asm("vpdpbusd %5%{1to16%}, %4, %0\n\t"
      "vpdpbusd %6%{1to16%}, %4, %1\n\t"
      "vpdpbusd %7%{1to16%}, %4, %2\n\t"
      "vpdpbusd %8%{1to16%}, %4, %3"
      : "+v"(sums[0]), "+v"(sums[kStep]), "+v"(sums[2 * kStep]), "+v"(sums[3 * kStep])
      : "v"(codes), "m"(fours[0]), "m"(fours[1]), "m"(fours[2]), "m"(fours[3]));
}
constexpr int kMostUnits = 4;  // sixteens of tokens in a tile
#  else
using Vector = __m256i;
#    define EDGE_QA_VECTOR(name) _mm256_##name
EDGE_QA_INLINE Vector load_vector(const void* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
EDGE_QA_INLINE void store_vector(void* p, Vector a) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), a); }
EDGE_QA_INLINE Vector load_parts(const uint8_t* const* rows, int step, size_t place) {
  const auto part = [&](int i) EDGE_QA_INLINE_LAMBDA {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[i * step] + place));
  };
  return _mm256_inserti128_si256(_mm256_castsi128_si256(part(0)), part(1), 1);
}
EDGE_QA_INLINE void store_parts(int32_t* to, size_t step, Vector a) {
  _mm_store_si128(reinterpret_cast<__m128i*>(to), _mm256_castsi256_si128(a));
  _mm_store_si128(reinterpret_cast<__m128i*>(to + step), _mm256_extracti128_si256(a, 1));
}
#    if defined(__AVX512VNNI__)
#      define EDGE_QA_DOT "vpdpbusd "
#    else
#      define EDGE_QA_DOT "%{vex%} vpdpbusd "
#    endif
// The same for both vectors of codes.
template <int kStep>
EDGE_QA_INLINE void dot_with_fours(Vector* sums, Vector low, Vector high, const int8_t* weights) {
  const int32_t* fours = reinterpret_cast<const int32_t*>(weights);
  Vector four;
  // clang-format off
  asm("vpbroadcastd %11, %8\n\t" EDGE_QA_DOT "%8, %9, %0\n\t" EDGE_QA_DOT "%8, %10, %4\n\t"
      "vpbroadcastd %12, %8\n\t" EDGE_QA_DOT "%8, %9, %1\n\t" EDGE_QA_DOT "%8, %10, %5\n\t"
      "vpbroadcastd %13, %8\n\t" EDGE_QA_DOT "%8, %9, %2\n\t" EDGE_QA_DOT "%8, %10, %6\n\t"
      "vpbroadcastd %14, %8\n\t" EDGE_QA_DOT "%8, %9, %3\n\t" EDGE_QA_DOT "%8, %10, %7"
      : "+x"(sums[0]), "+x"(sums[kStep]), "+x"(sums[2 * kStep]), "+x"(sums[3 * kStep]), "+x"(sums[1]),
        "+x"(sums[kStep + 1]), "+x"(sums[2 * kStep + 1]), "+x"(sums[3 * kStep + 1]), "=&x"(four)
      : "x"(low), "x"(high), "m"(fours[0]), "m"(fours[1]), "m"(fours[2]), "m"(fours[3]));
  // clang-format on
}
constexpr int kMostUnits = 1;
#  endif

constexpr int kTileRows = kMostUnits * 16, kVectorBytes = sizeof(Vector), kParts = kVectorBytes / 16;

// Which row a token of a tile of `rows` rows is. Past the last four come the last four again: whatever is written of
// them is written twice, and nothing is to rows that another thread may be at.
EDGE_QA_INLINE int row_of(int token, int rows) { return at_most(token / 4, (rows - 1) / 4) * 4 + token % 4; }

// A tile of kUnits sixteens of tokens.
template <int kUnits>
struct Tile {
  static constexpr int kTokens = kUnits * 16;
  static constexpr int kEach = kTokens / kParts;  // tokens of a part
  static constexpr int kVectors = kEach / 4;      // of sums of one output
  static constexpr int kSums = kTokens * 4;       // of a group of outputs
  // Sum i of an output is that of this token.
  static constexpr int token(int i) { return i % (kParts * 4) / 4 * kEach + i / (kParts * 4) * 4 + i % 4; }
};

// body(constant of units) for a tile of `rows` rows.
template <class F>
EDGE_QA_INLINE void with_units(int rows, F&& body) {
  if constexpr (kMostUnits == 1)
    body(std::integral_constant<int, 1>{});
  else if (rows > 48)
    body(std::integral_constant<int, 4>{});
  else if (rows > 32)
    body(std::integral_constant<int, 3>{});
  else if (rows > 16)
    body(std::integral_constant<int, 2>{});
  else
    body(std::integral_constant<int, 1>{});
}

// codes [rows][stride] -> a turned tile; `inputs` is a multiple of 16. Past the last row come the last four again.
template <int kUnits>
EDGE_QA_APART void turn_codes(const uint8_t* codes, size_t stride, int rows, int inputs, uint8_t* turned) {
  constexpr int kEach = Tile<kUnits>::kEach, kTogether = kEach == 12 ? 16 : kEach;
  const uint8_t* row[Tile<kUnits>::kTokens];
  for (int i = 0; i < Tile<kUnits>::kTokens; i++) row[i] = codes + at_most(row_of(i, rows), rows - 1) * stride;
  for (int k = 0; k < inputs; k += 16) {
    // Rows become columns: as often as it takes, each row meets the one half of all further on.
    Vector square[kTogether], next[kTogether];
    repeat<kTogether>([&](auto i)
                          EDGE_QA_INLINE_LAMBDA { square[i] = load_parts(row + (i < kEach ? i : 0), kEach, k); });
    repeat<(kTogether == 16  ? 4
            : kTogether == 8 ? 3
                             : 2)>([&](auto) EDGE_QA_INLINE_LAMBDA {
      repeat<kTogether / 2>([&](auto i) EDGE_QA_INLINE_LAMBDA {
        next[2 * i] = EDGE_QA_VECTOR(unpacklo_epi8)(square[i], square[i + kTogether / 2]);
        next[2 * i + 1] = EDGE_QA_VECTOR(unpackhi_epi8)(square[i], square[i + kTogether / 2]);
      });
      repeat<kTogether>([&](auto i) EDGE_QA_INLINE_LAMBDA { square[i] = next[i]; });
    });
    uint8_t* to = turned + static_cast<size_t>(k) * kVectorBytes;
    repeat<kTogether>([&](auto i) EDGE_QA_INLINE_LAMBDA {
      constexpr int kColumns = 16 / kTogether;
      store_vector(to + i * kColumns * kVectorBytes, square[i]);
      if constexpr (kColumns == 2)
        store_vector(to + (2 * i + 1) * kVectorBytes, EDGE_QA_VECTOR(unpackhi_epi64)(square[i], square[i]));
      if constexpr (kColumns == 4)
        repeat<3>([&](auto j) EDGE_QA_INLINE_LAMBDA {
          store_vector(to + (4 * i + j + 1) * kVectorBytes, EDGE_QA_VECTOR(bsrli_epi128)(square[i], 4 * (j + 1)));
        });
    });
  }
}

// Sums of 4 outputs x a tile's tokens, [output][tokens in the order of `Tile::token`]. columns, values: `quads` times
// four inputs, and [4 outputs][4 inputs].
template <int kUnits>
EDGE_QA_APART void sparse_group(const uint8_t* turned, const uint16_t* columns, const int8_t* values, int quads,
                                const int32_t* start, int32_t* sums) {
  constexpr int kVectors = Tile<kUnits>::kVectors;
  Vector sum[4 * kVectors];
  repeat<4 * kVectors>([&](auto i) EDGE_QA_INLINE_LAMBDA {
    sum[i] = EDGE_QA_VECTOR(set1_epi32)(start[i / kVectors]);
    asm("" : "+v"(sum[i]));  // equal ones in registers of their own, or GCC 12 copies them in the loop
  });
  for (int quad = 0; quad < quads; quad++, columns += 4, values += 16) {
    const auto input = [&](int i) EDGE_QA_INLINE_LAMBDA {
      return load_vector(turned + static_cast<size_t>(columns[i]) * kVectorBytes);
    };
    const Vector r0 = input(0), r1 = input(1), r2 = input(2), r3 = input(3);
    Vector codes[4];
    const Vector low01 = EDGE_QA_VECTOR(unpacklo_epi8)(r0, r1), low23 = EDGE_QA_VECTOR(unpacklo_epi8)(r2, r3);
    codes[0] = EDGE_QA_VECTOR(unpacklo_epi16)(low01, low23);
    if constexpr (kVectors > 1) codes[1] = EDGE_QA_VECTOR(unpackhi_epi16)(low01, low23);
    if constexpr (kVectors > 2) {
      const Vector high01 = EDGE_QA_VECTOR(unpackhi_epi8)(r0, r1), high23 = EDGE_QA_VECTOR(unpackhi_epi8)(r2, r3);
      codes[2] = EDGE_QA_VECTOR(unpacklo_epi16)(high01, high23);
      if constexpr (kVectors > 3) codes[3] = EDGE_QA_VECTOR(unpackhi_epi16)(high01, high23);
    }
#  if defined(EDGE_QA_PRODUCT_VNNI512)
    repeat<kVectors>([&](auto v) EDGE_QA_INLINE_LAMBDA { dot_with_fours<kVectors>(sum + v, codes[v], values); });
#  else
    dot_with_fours<kVectors>(sum, codes[0], codes[1], values);
#  endif
  }
  repeat<4 * kVectors>([&](auto i) EDGE_QA_INLINE_LAMBDA { store_vector(sums + i * (kVectorBytes / 4), sum[i]); });
}

template <int kUnits>
EDGE_QA_INLINE void sparse_group(const edge_qa::Matrix& matrix, const uint8_t* turned, int group, int32_t* sums) {
  const uint32_t begin = group ? matrix.block_ends[group - 1] : 0, end = matrix.block_ends[group];
  sparse_group<kUnits>(turned, matrix.block_columns + begin, matrix.block_values + static_cast<size_t>(begin) * 4,
                       static_cast<int>((end - begin) / 4), matrix.start + group * 4, sums);
}

constexpr int kSparsePanels = kPanelsAtOnce;  // what an epilogue is given at once

// Sums of a group, [4 outputs][tokens], to rows of `kSparsePanels` panels.
template <int kUnits>
EDGE_QA_INLINE void sums_to_rows(const int32_t* sums, int32_t* rows) {
  constexpr int kVectors = Tile<kUnits>::kVectors, kEach = Tile<kUnits>::kEach, kStride = kSparsePanels * 16;
  repeat<kVectors>([&](auto v) EDGE_QA_INLINE_LAMBDA {
    Vector s[4];
    repeat<4>([&](auto i)
                  EDGE_QA_INLINE_LAMBDA { s[i] = load_vector(sums + (i * kVectors + v) * (kVectorBytes / 4)); });
    const Vector low01 = EDGE_QA_VECTOR(unpacklo_epi32)(s[0], s[1]),
                 high01 = EDGE_QA_VECTOR(unpackhi_epi32)(s[0], s[1]);
    const Vector low23 = EDGE_QA_VECTOR(unpacklo_epi32)(s[2], s[3]),
                 high23 = EDGE_QA_VECTOR(unpackhi_epi32)(s[2], s[3]);
    int32_t* to = rows + v * 4 * kStride;
    store_parts(to, kEach * kStride, EDGE_QA_VECTOR(unpacklo_epi64)(low01, low23));
    store_parts(to + kStride, kEach * kStride, EDGE_QA_VECTOR(unpackhi_epi64)(low01, low23));
    store_parts(to + 2 * kStride, kEach * kStride, EDGE_QA_VECTOR(unpacklo_epi64)(high01, high23));
    store_parts(to + 3 * kStride, kEach * kStride, EDGE_QA_VECTOR(unpackhi_epi64)(high01, high23));
  });
}

constexpr size_t turned_bytes(int inputs) { return static_cast<size_t>(round_up(inputs, 16)) * kVectorBytes; }

// All tiles of a run of rows, [tile][inputs rounded up to 16][one register].
inline void turn_rows(const uint8_t* codes, size_t stride, int rows, int inputs, uint8_t* turned) {
  for (int first = 0; first < rows; first += kTileRows, turned += turned_bytes(inputs))
    with_units(rows - first, [&](auto units) EDGE_QA_INLINE_LAMBDA {
      turn_codes<decltype(units)::value>(codes + first * stride, stride, at_most(rows - first, kTileRows),
                                         round_up(inputs, 16), turned);
    });
}

// As each_product, for a matrix with blocks. ready: whether `turned` holds the rows already.
template <class Done>
EDGE_QA_INLINE void each_sparse_product(const edge_qa::Matrix& matrix, const uint8_t* codes, size_t code_stride,
                                        int rows, uint8_t* turned, bool ready, Done&& done) {
  if (!ready) turn_rows(codes, code_stride, rows, matrix.inputs, turned);
  alignas(64) int32_t sums[4 * kTileRows];
  alignas(64) int32_t row_sums[kTileRows * kSparsePanels * 16];
  const int groups = (matrix.outputs + 3) / 4;
  constexpr int kGroups = kSparsePanels * 4;
  for (int first = 0; first < rows; first += kTileRows, turned += turned_bytes(matrix.inputs))
    for (int group = 0; group < groups; group += kGroups) {
      const int last = at_most(group + kGroups, groups);
      with_units(rows - first, [&](auto units) EDGE_QA_INLINE_LAMBDA {
        constexpr int kUnits = decltype(units)::value;
        for (int one = group; one < last; one++) {
          sparse_group<kUnits>(matrix, turned, one, sums);
          sums_to_rows<kUnits>(sums, row_sums + (one - group) * 4);
        }
      });
      const int panels = (last - group + 3) / 4, tile = at_most(rows - first, kTileRows);
      // Outputs of the last panel that are none.
      for (int one = last; one < group + panels * 4; one++)
        for (int row = 0; row < tile; row++)
          __builtin_memset(row_sums + row * kSparsePanels * 16 + (one - group) * 4, 0, 16);
      for (int row = 0; row < tile; row++) done(first + row, group * 4, row_sums + row * kSparsePanels * 16, panels);
    }
}

#else
constexpr bool kSparseProducts = false;
#endif

}  // namespace
