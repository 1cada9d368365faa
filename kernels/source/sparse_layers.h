// What follows a product with blocks and needs no other token: neurons and heads, with tokens in the lanes to the end.
//
// A maximum and operations on one value at a time give the same bits in any layout, so these are the ones of rows.h and
// attention.h, in the order of a turned tile (sparse_product.h): no transposition of sums, no largest of one register,
// and the divisions of sixteen tokens at once.
#pragma once
#include "rows.h"

namespace {

#if defined(EDGE_QA_SPARSE)

#  if defined(EDGE_QA_PRODUCT_VNNI512)
constexpr int kUnitVectors = 1;
EDGE_QA_INLINE Vector vector_of(Ints a, int) { return a.v; }
#  else
constexpr int kUnitVectors = 2;
EDGE_QA_INLINE Vector vector_of(Ints a, int i) { return i ? a.w : a.v; }
#  endif

// Floats of a tile's rows, in its order; for rows that are none, those of the last.
template <int kUnits>
EDGE_QA_INLINE void turn_floats(const float* from, int rows, Floats* turned) {
  alignas(64) float order[kUnits * 16];
  repeat<kUnits * 16>(
      [&](auto i) EDGE_QA_INLINE_LAMBDA { order[i] = from[at_most(row_of(Tile<kUnits>::token(i), rows), rows - 1)]; });
  repeat<kUnits>([&](auto u) EDGE_QA_INLINE_LAMBDA { turned[u] = load(order + u * 16); });
}

// And back; up to a multiple of four rows.
template <int kUnits>
EDGE_QA_INLINE void turn_back(const Floats* turned, int rows, float* to) {
  alignas(64) float order[kUnits * 16];
  repeat<kUnits>([&](auto u) EDGE_QA_INLINE_LAMBDA { store(order + u * 16, turned[u]); });
  repeat<kUnits * 4>([&](auto i) EDGE_QA_INLINE_LAMBDA {
    __builtin_memcpy(to + row_of(Tile<kUnits>::token(i * 4), rows), order + i * 4, 16);
  });
}

// Signed codes of one channel, of which kUnits vectors are whole numbers between -128 and 127 or beyond.
template <int kUnits>
EDGE_QA_INLINE Vector pack_channel(const Ints* codes) {
#  if defined(EDGE_QA_PRODUCT_VNNI512)
  const Vector low = _mm512_packs_epi32(codes[0].v, codes[kUnits > 1 ? 1 : 0].v);
  if constexpr (kUnits < 3)
    return _mm512_packs_epi16(low, low);
  else
    return _mm512_packs_epi16(low, _mm512_packs_epi32(codes[2].v, codes[kUnits > 3 ? 3 : 2].v));
#  else
  const Vector low = _mm256_packs_epi32(codes[0].v, codes[0].w);
  return _mm256_packs_epi16(low, low);
#  endif
}

// The codes of four channels side by side, for each token of a vector.
EDGE_QA_INLINE Vector pack_four(Vector a, Vector b, Vector c, Vector d) {
  const __m128i columns = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
#  if defined(EDGE_QA_PRODUCT_VNNI512)
  const Vector order = _mm512_broadcast_i32x4(columns);
#  else
  const Vector order = _mm256_broadcastsi128_si256(columns);
#  endif
  const Vector ab = EDGE_QA_VECTOR(packs_epi32)(a, b), cd = EDGE_QA_VECTOR(packs_epi32)(c, d);
  return EDGE_QA_VECTOR(shuffle_epi8)(EDGE_QA_VECTOR(packs_epi16)(ab, cd), order);
}

EDGE_QA_INLINE Vector flip_signs(Vector codes) {
#  if defined(EDGE_QA_PRODUCT_VNNI512)
  return _mm512_xor_si512(codes, _mm512_set1_epi8(static_cast<char>(0x80)));
#  else
  return _mm256_xor_si256(codes, _mm256_set1_epi8(static_cast<char>(0x80)));
#  endif
}

// Scale and bias of a group's sums: done(output of the group, unit, y).
template <int kUnits, class Done>
EDGE_QA_INLINE void each_of_group(const Matrix& matrix, int group, const int32_t* sums, const Floats* row_scales,
                                  Done&& done) {
  // Not unrolled: every activation is in here for every width of a tile.
  for (int o = 0; o < 4; o++) {
    const Floats scale = every(matrix.scale[group * 4 + o]), bias = every(matrix.bias[group * 4 + o]);
    repeat<kUnits>([&](auto u) EDGE_QA_INLINE_LAMBDA {
      const Floats sum = to_floats(load_ints(sums + (o * kUnits + u) * 16));
      done(o, u, multiply_add(sum, multiply(row_scales[u], scale), bias));
    });
  }
}

// What quantizing multiplies by, and the scale that it leaves, of the largest magnitudes of tokens.
template <int kUnits>
EDGE_QA_INLINE void scales_of(const Floats* largest, Floats* inverses, Floats* scales) {
  repeat<kUnits>([&](auto u) EDGE_QA_INLINE_LAMBDA {
    const Floats range = larger(largest[u], every(kLeastRange));
    inverses[u] = divide(every(127.f), range);
    scales[u] = divide(range, every(127.f));
  });
}

// activation(up(x)) of one tile, quantized: `out` is the turned tile that `down` reads. neurons: [outputs][tokens].
template <int kUnits, class Active>
EDGE_QA_APART void turned_neurons(const FeedForward& part, const uint8_t* turned, const float* scales, int rows,
                                  float* neurons, uint8_t* out, float* out_scales, Active&& active) {
  alignas(64) int32_t sums[Tile<kUnits>::kSums];
  Floats row_scales[kUnits], largest[kUnits];
  turn_floats<kUnits>(scales, rows, row_scales);
  repeat<kUnits>([&](auto u) EDGE_QA_INLINE_LAMBDA { largest[u] = every(0.f); });
  const int outputs = part.up.outputs, groups = (outputs + 3) / 4;
  const float* factor = part.down.input_factor;
  for (int group = 0; group < groups; group++) {
    sparse_group<kUnits>(part.up, turned, group, sums);
    float* to = neurons + static_cast<size_t>(group) * Tile<kUnits>::kSums;
    each_of_group<kUnits>(part.up, group, sums, row_scales, [&](int o, auto u, Floats y) EDGE_QA_INLINE_LAMBDA {
      y = active(y);
      if (factor) y = multiply(y, every(factor[group * 4 + o]));
      store(to + (o * kUnits + u) * 16, y);
      largest[u] = larger(largest[u], magnitude(y));
    });
  }
  Floats inverses[kUnits];
  scales_of<kUnits>(largest, inverses, row_scales);
  turn_back<kUnits>(row_scales, rows, out_scales);
  for (int n = 0; n < outputs; n++) {
    Ints codes[kUnits];
    repeat<kUnits>([&](auto u) EDGE_QA_INLINE_LAMBDA {
      codes[u] = to_ints(multiply(load(neurons + (n * kUnits + u) * 16), inverses[u]));
    });
    store_vector(out + static_cast<size_t>(n) * kVectorBytes, flip_signs(pack_channel<kUnits>(codes)));
  }
}

// The heads of one tile, quantized one by one: channel(head, k, codes, units) for each four channels, of which
// codes[i][unit] are whole numbers, and head_done(head, scales). size: a multiple of 4. channels: [size][tokens].
template <int kUnits, class Four, class Done>
EDGE_QA_INLINE void turned_heads(const Matrix& matrix, const uint8_t* turned, const float* scales, int rows, int heads,
                                 int size, float* channels, Four&& four, Done&& done) {
  alignas(64) int32_t sums[Tile<kUnits>::kSums];
  Floats row_scales[kUnits];
  turn_floats<kUnits>(scales, rows, row_scales);
  for (int head = 0; head < heads; head++) {
    Floats largest[kUnits], inverses[kUnits], head_scales[kUnits];
    repeat<kUnits>([&](auto u) EDGE_QA_INLINE_LAMBDA { largest[u] = every(0.f); });
    for (int k = 0; k < size; k += 4) {
      const int group = (head * size + k) / 4;
      sparse_group<kUnits>(matrix, turned, group, sums);
      float* to = channels + static_cast<size_t>(k) * kUnits * 16;
      each_of_group<kUnits>(matrix, group, sums, row_scales, [&](int o, auto u, Floats y) EDGE_QA_INLINE_LAMBDA {
        store(to + (o * kUnits + u) * 16, y);
        largest[u] = larger(largest[u], magnitude(y));
      });
    }
    scales_of<kUnits>(largest, inverses, head_scales);
    for (int k = 0; k < size; k += 4) {
      Ints codes[4][kUnits];
      const float* from = channels + static_cast<size_t>(k) * kUnits * 16;
      repeat<4>([&](auto o) EDGE_QA_INLINE_LAMBDA {
        repeat<kUnits>([&](auto u) EDGE_QA_INLINE_LAMBDA {
          codes[o][u] = to_ints(multiply(load(from + (o * kUnits + u) * 16), inverses[u]));
        });
      });
      four(head, k, codes);
    }
    done(head, head_scales);
  }
}

// A vector's 128-bit parts to places of their own.
EDGE_QA_INLINE void scatter_parts(uint8_t* to, const size_t* places, Vector a) {
  repeat<kParts>([&](auto p) EDGE_QA_INLINE_LAMBDA {
#  if defined(EDGE_QA_PRODUCT_VNNI512)
    const __m128i part = _mm512_extracti32x4_epi32(a, p);
#  else
    const __m128i part = _mm256_extracti128_si256(a, p);
#  endif
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to + places[p]), part);
  });
}

// Four vectors of four-byte values: first[part][i] of each go side by side to places[i][part].
template <int kCount>
EDGE_QA_INLINE void scatter_fours(uint8_t* to, const size_t (*places)[kParts], Vector a, Vector b, Vector c, Vector d) {
  const Vector low01 = EDGE_QA_VECTOR(unpacklo_epi32)(a, b), high01 = EDGE_QA_VECTOR(unpackhi_epi32)(a, b);
  const Vector low23 = EDGE_QA_VECTOR(unpacklo_epi32)(c, d), high23 = EDGE_QA_VECTOR(unpackhi_epi32)(c, d);
  scatter_parts(to, places[0], EDGE_QA_VECTOR(unpacklo_epi64)(low01, low23));
  if (kCount > 1) scatter_parts(to, places[1], EDGE_QA_VECTOR(unpackhi_epi64)(low01, low23));
  if (kCount > 2) scatter_parts(to, places[2], EDGE_QA_VECTOR(unpacklo_epi64)(high01, high23));
  if (kCount > 3) scatter_parts(to, places[3], EDGE_QA_VECTOR(unpackhi_epi64)(high01, high23));
}

// Queries of one tile, as make_queries.
template <int kUnits>
EDGE_QA_APART void turned_queries(const Call& call, Scratch& scratch, const Attention& attention, const uint8_t* turned,
                                  const float* scales, int first, int rows) {
  constexpr int kVectors = Tile<kUnits>::kVectors;
  const int heads = attention.heads, size = attention.key_size;
  const size_t stride = static_cast<size_t>(heads) * call.key_stride;
  size_t places[kVectors][4][kParts];
  repeat<kVectors * 4>([&](auto i) EDGE_QA_INLINE_LAMBDA {
    repeat<kParts>([&](auto p) EDGE_QA_INLINE_LAMBDA {
      places[i / 4][i % 4][p] = static_cast<size_t>(first + row_of(p * Tile<kUnits>::kEach + i, rows)) * stride;
    });
  });
  const Floats unit = every(attention.scale * kLog2E);
  Vector fours[3][kVectors];
  turned_heads<kUnits>(
      attention.query, turned, scales, rows, heads, size, scratch.values,
      [&](int head, int k, Ints(*codes)[kUnits]) EDGE_QA_INLINE_LAMBDA {
        repeat<kVectors>([&](auto v) EDGE_QA_INLINE_LAMBDA {
          constexpr int u = v / kUnitVectors, half = v % kUnitVectors;
          const Vector four = flip_signs(pack_four(vector_of(codes[0][u], half), vector_of(codes[1][u], half),
                                                   vector_of(codes[2][u], half), vector_of(codes[3][u], half)));
          if (k % 16 < 12)
            fours[k % 16 / 4][v] = four;
          else
            scatter_fours<4>(scratch.queries + static_cast<size_t>(head) * call.key_stride + k - 12, places[v],
                             fours[0][v], fours[1][v], fours[2][v], four);
        });
      },
      [&](int head, const Floats* own) EDGE_QA_INLINE_LAMBDA {
        alignas(64) float order[kUnits * 16];
        Floats scaled[kUnits];
        repeat<kUnits>([&](auto u) EDGE_QA_INLINE_LAMBDA { scaled[u] = multiply(own[u], unit); });
        turn_back<kUnits>(scaled, rows, order);
        for (int r = 0; r < rows; r++) scratch.query_scales[(first + r) * heads + head] = order[r];
      });
}

// Keys of one tile, as make_keys; `row` is its first of all rows.
template <int kUnits>
EDGE_QA_APART void turned_keys(const Call& call, Scratch& scratch, const Attention& attention, const uint8_t* turned,
                               const float* scales, const Rows& to, int row, int rows) {
  constexpr int kVectors = Tile<kUnits>::kVectors;
  const size_t stride = call.key_stride, row_count = call.row_count;
  size_t places[kVectors][kParts];
  repeat<kVectors * kParts>([&](auto i) EDGE_QA_INLINE_LAMBDA {
    const size_t at = row + row_of(i % kParts * Tile<kUnits>::kEach + i / kParts * 4, rows);
    places[i / kParts][i % kParts] = at / 16 * 16 * stride + at % 16 * 4;
  });
  Vector sums[kVectors];
  repeat<kVectors>([&](auto v) EDGE_QA_INLINE_LAMBDA { sums[v] = EDGE_QA_VECTOR(set1_epi32)(0); });
  turned_heads<kUnits>(
      attention.key, turned, scales, rows, attention.heads, attention.key_size, scratch.values,
      [&](int head, int k, Ints(*codes)[kUnits]) EDGE_QA_INLINE_LAMBDA {
        uint8_t* panels = reinterpret_cast<uint8_t*>(to.keys) + head * row_count * stride + k * 16;
        repeat<kVectors>([&](auto v) EDGE_QA_INLINE_LAMBDA {
          constexpr int u = v / kUnitVectors, half = v % kUnitVectors;
          const Vector four = pack_four(vector_of(codes[0][u], half), vector_of(codes[1][u], half),
                                        vector_of(codes[2][u], half), vector_of(codes[3][u], half));
          sums[v] = dot(sums[v], EDGE_QA_VECTOR(set1_epi8)(1), four);
          scatter_parts(panels, places[v], four);
        });
      },
      [&](int head, const Floats* own) EDGE_QA_INLINE_LAMBDA {
        turn_back<kUnits>(own, rows, to.key_scales + head * row_count + row);
        alignas(64) int32_t order[kUnits * 16];
        repeat<kVectors>([&](auto v) EDGE_QA_INLINE_LAMBDA {
          store_vector(order + v * (kVectorBytes / 4), EDGE_QA_VECTOR(slli_epi32)(sums[v], 7));
          sums[v] = EDGE_QA_VECTOR(set1_epi32)(0);
        });
        int32_t* starts = to.key_starts + head * row_count + row;
        repeat<kUnits * 4>([&](auto i) EDGE_QA_INLINE_LAMBDA {
          int32_t* four = starts + row_of(Tile<kUnits>::token(i * 4), rows);
          for (int n = 0; n < 4; n++) four[n] = -order[i * 4 + n];
        });
      });
}

// Values of one tile, as make_values; value_inverses are still the scales.
template <int kUnits>
EDGE_QA_APART void turned_values(const Call& call, Scratch& scratch, const Attention& attention, const uint8_t* turned,
                                 const float* scales, const Rows& to, int row, int rows) {
  constexpr int kFours = Tile<kUnits>::kEach / 4;  // runs of four tokens in a part
  const size_t row_count = call.row_count, panel_bytes = row_count * 16;
  size_t places[kFours][kParts];
  repeat<kFours * kParts>([&](auto i) EDGE_QA_INLINE_LAMBDA {
    places[i / kParts][i % kParts] =
        (row + row_of(i % kParts * Tile<kUnits>::kEach + i / kParts * 4, rows)) * size_t{16};
  });
  turned_heads<kUnits>(
      attention.value, turned, scales, rows, attention.heads, attention.value_size, scratch.values,
      [&](int head, int k, Ints(*codes)[kUnits]) EDGE_QA_INLINE_LAMBDA {
        uint8_t* panel = reinterpret_cast<uint8_t*>(to.values) + head * row_count * call.value_stride +
                         k / 16 * panel_bytes + k % 16 * 4;
        scatter_fours<kFours>(panel, places, pack_channel<kUnits>(codes[0]), pack_channel<kUnits>(codes[1]),
                              pack_channel<kUnits>(codes[2]), pack_channel<kUnits>(codes[3]));
      },
      [&](int head, const Floats* own)
          EDGE_QA_INLINE_LAMBDA { turn_back<kUnits>(own, rows, to.value_inverses + head * row_count + row); });
}

#endif

// Whether a matrix has blocks and heads that the functions above take.
EDGE_QA_INLINE bool turns_heads(const Matrix& matrix, int size) {
  return kSparseProducts && matrix.block_ends && size % 16 == 0;
}

// body(constant of units, turned tile, its first row, its rows) for each tile of turned rows.
template <class F>
EDGE_QA_INLINE void each_tile(const uint8_t* turned, int inputs, int rows, F&& body) {
#if defined(EDGE_QA_SPARSE)
  for (int first = 0; first < rows; first += kTileRows, turned += turned_bytes(inputs))
    with_units(rows - first,
               [&](auto units) EDGE_QA_INLINE_LAMBDA { body(units, turned, first, at_most(rows - first, kTileRows)); });
#endif
}

}  // namespace
