// Attention in 8 bits: queries, keys and values are quantized for each token and head, probabilities for each query.
//
// A value's scale differs from token to token and cannot be taken out of the sum over tokens, so it is folded into
// the probability: exp2(score + log2(scale of the value)) is what is quantized, to 0..255 of its row's largest. The
// softmax's own sum is that over the exponentials times 1/scale. Scores are in units of log2.
#pragma once
#include "sparse_layers.h"

namespace {

constexpr float kLog2Of255 = 7.99435344f;

// Quantize a head's part of a row: codes between -127 and 127, plus `kOffset`; whole vectors are written, zeros (plus
// `kOffset`) after the last. Returns the scale.
template <int kOffset>
EDGE_QA_INLINE float quantize_head(const float* x, int size, uint8_t* codes) {
  Floats largest = every(0.f);
  int i = 0;
  for (; i + kLanes <= size; i += kLanes) largest = larger(largest, magnitude(load(x + i)));
  if (i < size) largest = larger(largest, magnitude(first_lanes(size - i, load(x + i))));
  float range = largest_of(largest);
  range = range > kLeastRange ? range : kLeastRange;
  const Floats inverse = every(127.f / range);
  for (i = 0; i < size; i += kLanes) {
    Floats v = multiply(load(x + i), inverse);
    if (i + kLanes > size) v = first_lanes(size - i, v);
    if (kOffset)
      store_offset(codes + i, v);
    else
      store_signed(reinterpret_cast<int8_t*>(codes + i), v);
  }
  return range / 127.f;
}

constexpr int kMostHeadSize = 1024;

// Queries of a run of rows: scratch.queries [row][head][key_stride] as code + 128, scratch.query_scales [row][head].
EDGE_QA_APART void make_queries(const Call& call, Scratch& scratch, const Attention& attention, const uint8_t* codes,
                                const float* scales, int rows) {
#if defined(EDGE_QA_SPARSE)
  if (turns_heads(attention.query, attention.key_size)) {
    turn_rows(codes, call.code_stride, rows, attention.query.inputs, scratch.turned);
    each_tile(scratch.turned, attention.query.inputs, rows,
              [&](auto units, const uint8_t* turned, int first, int count) EDGE_QA_INLINE_LAMBDA {
                turned_queries<decltype(units)::value>(call, scratch, attention, turned, scales + first, first, count);
              });
    return;
  }
#endif
  const size_t wide = call.product_stride;
  linear_into(attention.query, codes, call.code_stride, scales, rows, scratch, scratch.values, wide);
  const int size = attention.key_size, heads = attention.heads, padded = round_up(size, kKeyStep);
  const float unit = attention.scale * kLog2E;
  for (int r = 0; r < rows; r++)
    for (int head = 0; head < heads; head++) {
      // What is written past this head is written again with the next.
      uint8_t* to = scratch.queries + (static_cast<size_t>(r) * heads + head) * call.key_stride;
      const float scale = quantize_head<128>(scratch.values + r * wide + head * size, size, to);
      if (size < padded) __builtin_memset(to + size, 0, padded - size);
      scratch.query_scales[r * heads + head] = scale * unit;
    }
}

// Keys of rows of an example, into panels of 16 tokens; `rows` begins at a multiple of 4.
EDGE_QA_APART void make_keys(const Call& call, Scratch& scratch, const Attention& attention, const uint8_t* codes,
                             const float* scales, const Rows& to, int first_row, int rows) {
#if defined(EDGE_QA_SPARSE)
  if (turns_heads(attention.key, attention.key_size)) {
    turn_rows(codes, call.code_stride, rows, attention.key.inputs, scratch.turned);
    each_tile(scratch.turned, attention.key.inputs, rows,
              [&](auto units, const uint8_t* turned, int first, int count) EDGE_QA_INLINE_LAMBDA {
                turned_keys<decltype(units)::value>(call, scratch, attention, turned, scales + first, to,
                                                    first_row + first, count);
              });
    return;
  }
#endif
  const size_t wide = call.product_stride;
  linear_into(attention.key, codes, call.code_stride, scales, rows, scratch, scratch.values, wide);
  const int size = attention.key_size, padded = round_up(size, kKeyStep), heads = attention.heads;
  const size_t row_count = call.row_count, stride = call.key_stride;
  alignas(64) uint8_t four[4][kMostHeadSize + 64];
  // After a head's last channel the codes are zero.
  for (uint8_t* one : four) __builtin_memset(one + size, 0x80, padded + 16 - size);
  for (int head = 0; head < heads; head++)
    for (int r = 0; r < rows; r += 4) {
      const size_t row = first_row + r, place = head * row_count + row;
      for (int i = 0; i < 4; i++) {
        if (r + i >= rows) {  // rows that `pad_keys` says are none
          __builtin_memset(four[i], 0x80, padded);
          continue;
        }
        to.key_scales[place + i] = quantize_head<128>(scratch.values + (r + i) * wide + head * size, size, four[i]);
        int32_t sum = 0;
        for (int k = 0; k < size; k += 16) sum += sum_of_bytes(four[i] + k) - 16 * 128;
        to.key_starts[place + i] = -128 * sum;
      }
      // Four tokens of each four channels side by side.
      uint8_t* panel = reinterpret_cast<uint8_t*>(to.keys) + place / 16 * 16 * stride + row % 16 * 4;
      int k = 0;
#if defined(EDGE_QA_LANES_512) || defined(EDGE_QA_LANES_256)
      const __m128i flip = _mm_set1_epi8(static_cast<char>(0x80));
      for (; k + 16 <= padded; k += 16) {
        __m128i c[4];
        repeat<4>([&](auto i) EDGE_QA_INLINE_LAMBDA {
          c[i] = _mm_xor_si128(_mm_loadu_si128(reinterpret_cast<const __m128i*>(four[i] + k)), flip);
        });
        const __m128i low01 = _mm_unpacklo_epi32(c[0], c[1]), high01 = _mm_unpackhi_epi32(c[0], c[1]);
        const __m128i low23 = _mm_unpacklo_epi32(c[2], c[3]), high23 = _mm_unpackhi_epi32(c[2], c[3]);
        uint8_t* out = panel + k * 16;
        _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm_unpacklo_epi64(low01, low23));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 64), _mm_unpackhi_epi64(low01, low23));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 128), _mm_unpacklo_epi64(high01, high23));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 192), _mm_unpackhi_epi64(high01, high23));
      }
#endif
      for (; k < padded; k += 4)
        for (int i = 0; i < 4; i++) {
          uint32_t codes_of;
          __builtin_memcpy(&codes_of, four[i] + k, 4);
          codes_of ^= 0x80808080u;
          __builtin_memcpy(panel + k * 16 + i * 4, &codes_of, 4);
        }
    }
}

// Values of rows of an example, into panels of 16 channels; `rows` begins at a multiple of 4. turned: as `linear`.
EDGE_QA_APART void make_values(const Call& call, Scratch& scratch, const Attention& attention, const uint8_t* codes,
                               const float* scales, const Rows& to, int first_row, int rows, bool turned) {
  const bool done = turns_heads(attention.value, attention.value_size);
#if defined(EDGE_QA_SPARSE)
  if (done) {
    if (!turned) turn_rows(codes, call.code_stride, rows, attention.value.inputs, scratch.turned);
    each_tile(scratch.turned, attention.value.inputs, rows,
              [&](auto units, const uint8_t* tile, int first, int count) EDGE_QA_INLINE_LAMBDA {
                turned_values<decltype(units)::value>(call, scratch, attention, tile, scales + first, to,
                                                      first_row + first, count);
              });
  }
#endif
  const size_t wide = call.product_stride;
  if (!done) linear_into(attention.value, codes, call.code_stride, scales, rows, scratch, scratch.values, wide, turned);
  const int size = attention.value_size, padded = round_up(size, 16);
  const size_t panel_bytes = static_cast<size_t>(call.row_count) * 16;
  alignas(64) int8_t four[4][kMostHeadSize + 64];
  for (int head = 0; head < attention.heads; head++) {
    int8_t* panels = to.values + static_cast<size_t>(head) * call.row_count * call.value_stride;
    for (int r = done ? rows : 0; r < rows; r += 4) {
      const size_t row = first_row + r;
      for (int i = 0; i < 4; i++) {
        if (r + i >= rows) {
          __builtin_memset(four[i], 0, padded);
          continue;
        }
        const float scale =
            quantize_head<0>(scratch.values + (r + i) * wide + head * size, size, reinterpret_cast<uint8_t*>(four[i]));
        to.value_inverses[static_cast<size_t>(head) * call.row_count + row + i] = scale;
      }
      // Each channel's four tokens side by side.
      for (int i = 0; i < padded; i += 16) {
        int8_t* panel = panels + i / 16 * panel_bytes + row * 16;
#if defined(EDGE_QA_LANES_512) || defined(EDGE_QA_LANES_256)
        const __m128i a = _mm_loadu_si128(reinterpret_cast<const __m128i*>(four[0] + i));
        const __m128i b = _mm_loadu_si128(reinterpret_cast<const __m128i*>(four[1] + i));
        const __m128i c = _mm_loadu_si128(reinterpret_cast<const __m128i*>(four[2] + i));
        const __m128i d = _mm_loadu_si128(reinterpret_cast<const __m128i*>(four[3] + i));
        const __m128i low_ab = _mm_unpacklo_epi8(a, b), high_ab = _mm_unpackhi_epi8(a, b);
        const __m128i low_cd = _mm_unpacklo_epi8(c, d), high_cd = _mm_unpackhi_epi8(c, d);
        __m128i* out = reinterpret_cast<__m128i*>(panel);
        _mm_storeu_si128(out, _mm_unpacklo_epi16(low_ab, low_cd));
        _mm_storeu_si128(out + 1, _mm_unpackhi_epi16(low_ab, low_cd));
        _mm_storeu_si128(out + 2, _mm_unpacklo_epi16(high_ab, high_cd));
        _mm_storeu_si128(out + 3, _mm_unpackhi_epi16(high_ab, high_cd));
#else
        for (int channel = 0; channel < 16; channel++)
          for (int token = 0; token < 4; token++) panel[channel * 4 + token] = four[token][i + channel];
#endif
      }
    }
    // All at once, which the compiler makes vectors of.
    const size_t place = static_cast<size_t>(head) * call.row_count + first_row;
    float* __restrict logs = to.value_logs + place, * __restrict inverses = to.value_inverses + place;
    for (int r = 0; r < rows; r++) {
      const float scale = inverses[r];
      logs[r] = log2_of(scale);
      inverses[r] = 1.f / scale;
    }
  }
}

// Rows after an example's last, up to a multiple of 16: never attended to.
inline void pad_keys(const Call& call, const Attention& attention, const Rows& to, int from, int until) {
  for (int head = 0; head < attention.heads; head++)
    for (int row = from; row < until; row++) {
      const size_t place = static_cast<size_t>(head) * call.row_count + row;
      to.key_starts[place] = 0;
      to.key_scales[place] = 0.f;
      to.value_logs[place] = -1e30f;
      to.value_inverses[place] = 0.f;
    }
}

// exp2 of a row of scores as codes of 0..255 of the largest; returns 1 / (sum of the true exponentials), on the same
// scale. Scores become the exponentials where `kKeep`.
template <bool kKeep>
EDGE_QA_APART float softmax_codes(float* scores, int length, float largest, const float* inverses, uint8_t* codes) {
  const Floats shift = every(largest - kLog2Of255);
  Floats sum = every(0.f);
  int j = 0;
  for (; j + 4 * kLanes <= length; j += 4 * kLanes) {
    Floats e[4];
    repeat<4>([&](auto n) EDGE_QA_INLINE_LAMBDA {
      e[n] = exp2_coarse(subtract(load(scores + j + n * kLanes), shift));
      sum = multiply_add(e[n], load(inverses + j + n * kLanes), sum);
      if (kKeep) store(scores + j + n * kLanes, e[n]);
    });
    store_unsigned4(codes + j, e[0], e[1], e[2], e[3]);
  }
  for (; j < length; j += kLanes) {
    const Floats e = exp2_coarse(subtract(load(scores + j), shift));
    sum = multiply_add(e, load(inverses + j), sum);
    if (kKeep) store(scores + j, e);
    store_unsigned(codes + j, e);
  }
  return 1.f / sum_of(sum);
}

constexpr float kPaidUnit = 65536.f;

// The context of a run of queries: context [rows][context_stride], heads side by side. kPaid: also add up what the
// queries pay each token, as integers, whose sum does not depend on its order.
template <bool kPaid>
EDGE_QA_APART void attend(const Call& call, Scratch& scratch, const Attention& attention, const Example& example,
                          const Rows& from, int tokens, int rows, float* context) {
  const int heads = attention.heads, length = round_up(tokens, 16);
  const size_t score_stride = round_up(call.longest, 64), stride = call.context_stride;
  const size_t first = example.first_row, value_panel_bytes = static_cast<size_t>(call.row_count) * 16;
  for (int block = 0; block < rows; block += kAttentionRows) {
    const int count = at_most(kAttentionRows, rows - block);
    for (int head = 0; head < heads; head++) {
      const size_t place = static_cast<size_t>(head) * call.row_count + first;
      const float *key_scales = from.key_scales + place, *value_logs = from.value_logs + place,
                  *inverses = from.value_inverses + place;
      const float* query_scales = scratch.query_scales + block * heads + head;
      float *scores = scratch.scores, *largest = scratch.largest;
      for (int r = 0; r < count; r++) store(largest + r * 16, every(-1e30f));
      each_product(from.keys + place * call.key_stride, static_cast<size_t>(call.key_stride) * 16, length,
                   round_up(attention.key_size, 4), from.key_starts + place,
                   scratch.queries + (static_cast<size_t>(block) * heads + head) * call.key_stride,
                   static_cast<size_t>(heads) * call.key_stride, count, scratch.widened,
                   [&](int r, int first_key, const int32_t* sums, int panels) EDGE_QA_INLINE_LAMBDA {
                     const Floats query_scale = every(query_scales[r * heads]);
                     Floats top = load(largest + r * 16);
                     float* to = scores + r * score_stride + first_key;
                     const float *scale = key_scales + first_key, *log = value_logs + first_key;
                     each_panel(panels, [&](int i) EDGE_QA_INLINE_LAMBDA {
                       const Floats score =
                           multiply_add(to_floats(load_ints(sums + i * 16)),
                                        multiply(query_scale, load(scale + i * 16)), load(log + i * 16));
                       store(to + i * 16, score);
                       top = larger(top, score);
                     });
                     store(largest + r * 16, top);
                   });
      alignas(64) float inverse_sums[kAttentionRows];
      for (int r = 0; r < count; r++) {
        float* own = scores + r * score_stride;
        uint8_t* codes = scratch.chances + r * score_stride;
        inverse_sums[r] = softmax_codes<kPaid>(own, length, largest_of(load(largest + r * 16)), inverses, codes);
        const int end = round_up(length, 64);
        if (length < end) __builtin_memset(codes + length, 0, end - length);
        if (kPaid) {
          const Floats unit = every(inverse_sums[r] * kPaidUnit);
          alignas(64) int32_t paid[kLanes];
          for (int j = 0; j < length; j += kLanes) {
            store_ints(paid, to_ints(multiply(multiply(load(own + j), load(inverses + j)), unit)));
            for (int i = 0; i < kLanes; i++) __atomic_fetch_add(call.paid + first + j + i, paid[i], __ATOMIC_RELAXED);
          }
        }
      }
      float* to = context + block * stride + head * attention.value_size;
      each_product(from.values + static_cast<size_t>(head) * call.row_count * call.value_stride + first * 16,
                   value_panel_bytes, attention.value_size, length, nullptr, scratch.chances, score_stride, count,
                   scratch.widened, [&](int r, int n, const int32_t* sums, int panels) EDGE_QA_INLINE_LAMBDA {
                     // Channels past the last are zeros; the next head writes over them.
                     const Floats scale = every(inverse_sums[r]);
                     each_panel(panels, [&](int i) EDGE_QA_INLINE_LAMBDA {
                       store(to + r * stride + n + i * 16, multiply(to_floats(load_ints(sums + i * 16)), scale));
                     });
                   });
    }
  }
}

}  // namespace
