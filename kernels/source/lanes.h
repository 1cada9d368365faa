// Sixteen lanes, whatever the CPU has: one zmm register, two ymm registers, or a plain array.
//
// Everything that rounds is written over sixteen lanes and over these few operations, each of which IEEE 754
// defines to the last bit, so a score is the same on every path. Sums over lanes go in one fixed tree. Where an
// instruction set has a shortcut with another rounding (reciprocals, range reductions) it is not used.
//
// Included by the files path_*.cpp alone, each compiled with the flags of its own instruction set; the anonymous
// namespace keeps the linker from merging code of a larger set into what a smaller CPU runs.
#pragma once
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#if defined(EDGE_QA_LANES_512) || defined(EDGE_QA_LANES_256)
#  include <immintrin.h>
#endif

#define EDGE_QA_INLINE inline __attribute__((always_inline))
// Kept apart: inlined into a caller, a kernel's accumulators compete with what the caller holds in registers.
#define EDGE_QA_APART __attribute__((noinline))
#define EDGE_QA_INLINE_LAMBDA __attribute__((always_inline))

namespace {

constexpr int kLanes = 16;

template <class F, int... I>
EDGE_QA_INLINE void repeat_(F&& body, std::integer_sequence<int, I...>) {
  (body(std::integral_constant<int, I>{}), ...);
}

// body(0) .. body(N-1) with constant indices. Unrolled by the front end: under `#pragma GCC unroll` GCC 12 keeps
// arrays of accumulators on the stack, which costs 1.7 times the time.
template <int N, class F>
EDGE_QA_INLINE void repeat(F&& body) {
  repeat_(body, std::make_integer_sequence<int, N>{});
}

constexpr int round_up(int value, int step) { return (value + step - 1) / step * step; }
EDGE_QA_INLINE int at_most(int value, int limit) { return value < limit ? value : limit; }

#if defined(EDGE_QA_LANES_512)

struct Floats {
  __m512 v;
};
struct Ints {
  __m512i v;
};

EDGE_QA_INLINE Floats load(const float* p) { return {_mm512_loadu_ps(p)}; }
EDGE_QA_INLINE void store(float* p, Floats a) { _mm512_storeu_ps(p, a.v); }
EDGE_QA_INLINE Floats every(float a) { return {_mm512_set1_ps(a)}; }
EDGE_QA_INLINE Floats add(Floats a, Floats b) { return {_mm512_add_ps(a.v, b.v)}; }
EDGE_QA_INLINE Floats subtract(Floats a, Floats b) { return {_mm512_sub_ps(a.v, b.v)}; }
EDGE_QA_INLINE Floats multiply(Floats a, Floats b) { return {_mm512_mul_ps(a.v, b.v)}; }
EDGE_QA_INLINE Floats divide(Floats a, Floats b) { return {_mm512_div_ps(a.v, b.v)}; }
EDGE_QA_INLINE Floats multiply_add(Floats a, Floats b, Floats c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
EDGE_QA_INLINE Floats larger(Floats a, Floats b) { return {_mm512_max_ps(a.v, b.v)}; }
EDGE_QA_INLINE Floats smaller(Floats a, Floats b) { return {_mm512_min_ps(a.v, b.v)}; }
EDGE_QA_INLINE Floats magnitude(Floats a) { return {_mm512_abs_ps(a.v)}; }
// The nearest to a between -limit and limit.
EDGE_QA_INLINE Floats clamp(Floats a, float limit) { return {_mm512_range_ps(a.v, _mm512_set1_ps(limit), 2)}; }
EDGE_QA_INLINE Floats first_lanes(int n, Floats a) {
  return {_mm512_maskz_mov_ps(n >= kLanes ? 0xffff : static_cast<__mmask16>((1u << n) - 1), a.v)};
}
EDGE_QA_INLINE Ints load_ints(const int32_t* p) { return {_mm512_loadu_si512(p)}; }
EDGE_QA_INLINE void store_ints(int32_t* p, Ints a) { _mm512_storeu_si512(p, a.v); }
EDGE_QA_INLINE Floats to_floats(Ints a) { return {_mm512_cvtepi32_ps(a.v)}; }
EDGE_QA_INLINE Ints to_ints(Floats a) { return {_mm512_cvtps_epi32(a.v)}; }
// The bits of a plus the bits of b moved to where the exponent is: a * 2^n for b = kRounder + n.
EDGE_QA_INLINE Floats add_exponent(Floats a, Floats b) {
  return {
      _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(a.v), _mm512_slli_epi32(_mm512_castps_si512(b.v), 23)))};
}
// x less the integer nearest to it, and a * 2^whole: what exp2 does with add_exponent, in two instructions less.
#  define EDGE_QA_POWERS
EDGE_QA_INLINE Floats fraction_of(Floats x) { return {_mm512_reduce_ps(x.v, 8)}; }
EDGE_QA_INLINE Floats scale_by_power(Floats a, Floats whole) { return {_mm512_scalef_ps(a.v, whole.v)}; }
EDGE_QA_INLINE Floats load_half(const uint16_t* p) {
  return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}
EDGE_QA_INLINE Floats load_bytes(const int8_t* p) {
  return {_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))))};
}
EDGE_QA_INLINE void store_unsigned(uint8_t* p, Floats a) {
  const __m512i clipped = _mm512_max_epi32(_mm512_cvtps_epi32(a.v), _mm512_setzero_si512());
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtusepi32_epi8(clipped));
}
EDGE_QA_INLINE void store_signed(int8_t* p, Floats a) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(a.v)));
}
// Four at once take one shuffle a vector instead of two.
EDGE_QA_INLINE void store_unsigned4(uint8_t* p, Floats a, Floats b, Floats c, Floats d) {
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const __m512i ab = _mm512_packs_epi32(to_ints(a).v, to_ints(b).v),
                cd = _mm512_packs_epi32(to_ints(c).v, to_ints(d).v);
  _mm512_storeu_si512(p, _mm512_permutexvar_epi32(order, _mm512_packus_epi16(ab, cd)));
}
EDGE_QA_INLINE void store_offset4(uint8_t* p, Floats a, Floats b, Floats c, Floats d) {
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const __m512i ab = _mm512_packs_epi32(to_ints(a).v, to_ints(b).v),
                cd = _mm512_packs_epi32(to_ints(c).v, to_ints(d).v);
  const __m512i codes = _mm512_permutexvar_epi32(order, _mm512_packs_epi16(ab, cd));
  _mm512_storeu_si512(p, _mm512_xor_si512(codes, _mm512_set1_epi8(static_cast<char>(0x80))));
}
EDGE_QA_INLINE void store_offset(uint8_t* p, Floats a) {
  const __m128i codes = _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(a.v));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm_xor_si128(codes, _mm_set1_epi8(static_cast<char>(0x80))));
}
EDGE_QA_INLINE __m256 fold_sum(Floats a) {
  return _mm256_add_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
}
EDGE_QA_INLINE __m256 fold_largest(Floats a) {
  return _mm256_max_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
}

#elif defined(EDGE_QA_LANES_256)

struct Floats {
  __m256 v, w;
};
struct Ints {
  __m256i v, w;
};

EDGE_QA_INLINE Floats load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
EDGE_QA_INLINE void store(float* p, Floats a) {
  _mm256_storeu_ps(p, a.v);
  _mm256_storeu_ps(p + 8, a.w);
}
EDGE_QA_INLINE Floats every(float a) { return {_mm256_set1_ps(a), _mm256_set1_ps(a)}; }
EDGE_QA_INLINE Floats add(Floats a, Floats b) { return {_mm256_add_ps(a.v, b.v), _mm256_add_ps(a.w, b.w)}; }
EDGE_QA_INLINE Floats subtract(Floats a, Floats b) { return {_mm256_sub_ps(a.v, b.v), _mm256_sub_ps(a.w, b.w)}; }
EDGE_QA_INLINE Floats multiply(Floats a, Floats b) { return {_mm256_mul_ps(a.v, b.v), _mm256_mul_ps(a.w, b.w)}; }
EDGE_QA_INLINE Floats divide(Floats a, Floats b) { return {_mm256_div_ps(a.v, b.v), _mm256_div_ps(a.w, b.w)}; }
EDGE_QA_INLINE Floats multiply_add(Floats a, Floats b, Floats c) {
  return {_mm256_fmadd_ps(a.v, b.v, c.v), _mm256_fmadd_ps(a.w, b.w, c.w)};
}
EDGE_QA_INLINE Floats larger(Floats a, Floats b) { return {_mm256_max_ps(a.v, b.v), _mm256_max_ps(a.w, b.w)}; }
EDGE_QA_INLINE Floats smaller(Floats a, Floats b) { return {_mm256_min_ps(a.v, b.v), _mm256_min_ps(a.w, b.w)}; }
EDGE_QA_INLINE Floats magnitude(Floats a) {
  const __m256 sign = _mm256_set1_ps(-0.f);
  return {_mm256_andnot_ps(sign, a.v), _mm256_andnot_ps(sign, a.w)};
}
EDGE_QA_INLINE Floats clamp(Floats a, float limit) { return smaller(larger(a, every(-limit)), every(limit)); }
EDGE_QA_INLINE Floats first_lanes(int n, Floats a) {
  const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), count = _mm256_set1_epi32(n);
  const __m256i low = _mm256_cmpgt_epi32(count, lanes);
  const __m256i high = _mm256_cmpgt_epi32(count, _mm256_add_epi32(lanes, _mm256_set1_epi32(8)));
  return {_mm256_and_ps(a.v, _mm256_castsi256_ps(low)), _mm256_and_ps(a.w, _mm256_castsi256_ps(high))};
}
EDGE_QA_INLINE Ints load_ints(const int32_t* p) {
  return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)),
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 8))};
}
EDGE_QA_INLINE void store_ints(int32_t* p, Ints a) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), a.v);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p + 8), a.w);
}
EDGE_QA_INLINE Floats to_floats(Ints a) { return {_mm256_cvtepi32_ps(a.v), _mm256_cvtepi32_ps(a.w)}; }
EDGE_QA_INLINE Ints to_ints(Floats a) { return {_mm256_cvtps_epi32(a.v), _mm256_cvtps_epi32(a.w)}; }
EDGE_QA_INLINE __m256 add_exponent_half(__m256 a, __m256 b) {
  return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(a), _mm256_slli_epi32(_mm256_castps_si256(b), 23)));
}
EDGE_QA_INLINE Floats add_exponent(Floats a, Floats b) {
  return {add_exponent_half(a.v, b.v), add_exponent_half(a.w, b.w)};
}
EDGE_QA_INLINE Floats load_half(const uint16_t* p) {
  return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))),
          _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 8)))};
}
EDGE_QA_INLINE Floats load_bytes(const int8_t* p) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes)),
          _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_unpackhi_epi64(bytes, bytes)))};
}
// Sixteen 32-bit values, saturated to 16 bits, in order.
EDGE_QA_INLINE __m256i shorts(Floats a) {
  const Ints i = to_ints(a);
  return _mm256_permute4x64_epi64(_mm256_packs_epi32(i.v, i.w), 0xd8);
}
EDGE_QA_INLINE __m128i signed_bytes(Floats a) {
  const __m256i s = shorts(a);
  return _mm_packs_epi16(_mm256_castsi256_si128(s), _mm256_extracti128_si256(s, 1));
}
EDGE_QA_INLINE void store_unsigned(uint8_t* p, Floats a) {
  const __m256i s = shorts(a);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p),
                   _mm_packus_epi16(_mm256_castsi256_si128(s), _mm256_extracti128_si256(s, 1)));
}
EDGE_QA_INLINE void store_signed(int8_t* p, Floats a) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), signed_bytes(a));
}
EDGE_QA_INLINE void store_offset(uint8_t* p, Floats a) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p),
                   _mm_xor_si128(signed_bytes(a), _mm_set1_epi8(static_cast<char>(0x80))));
}
// Two sixteens: packing works within 128-bit halves, one shuffle of 32-bit groups at the end puts them in order.
EDGE_QA_INLINE __m256i byte_order() { return _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7); }
EDGE_QA_INLINE __m256i pack_words(Ints a) { return _mm256_packs_epi32(a.v, a.w); }
EDGE_QA_INLINE void store_unsigned4(uint8_t* p, Floats a, Floats b, Floats c, Floats d) {
  const __m256i ab = _mm256_packus_epi16(pack_words(to_ints(a)), pack_words(to_ints(b)));
  const __m256i cd = _mm256_packus_epi16(pack_words(to_ints(c)), pack_words(to_ints(d)));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_permutevar8x32_epi32(ab, byte_order()));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p + 32), _mm256_permutevar8x32_epi32(cd, byte_order()));
}
EDGE_QA_INLINE void store_offset4(uint8_t* p, Floats a, Floats b, Floats c, Floats d) {
  const __m256i flip = _mm256_set1_epi8(static_cast<char>(0x80));
  const __m256i ab = _mm256_packs_epi16(pack_words(to_ints(a)), pack_words(to_ints(b)));
  const __m256i cd = _mm256_packs_epi16(pack_words(to_ints(c)), pack_words(to_ints(d)));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                      _mm256_xor_si256(_mm256_permutevar8x32_epi32(ab, byte_order()), flip));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p + 32),
                      _mm256_xor_si256(_mm256_permutevar8x32_epi32(cd, byte_order()), flip));
}
EDGE_QA_INLINE __m256 fold_sum(Floats a) { return _mm256_add_ps(a.v, a.w); }
EDGE_QA_INLINE __m256 fold_largest(Floats a) { return _mm256_max_ps(a.v, a.w); }

#else  // The same in plain C++: what the other two are tested against, and all that is used on other CPUs.

struct Floats {
  float v[kLanes];
};
struct Ints {
  int32_t v[kLanes];
};

template <class F>
EDGE_QA_INLINE Floats each(F&& f) {
  Floats r;
  for (int i = 0; i < kLanes; i++) r.v[i] = f(i);
  return r;
}
EDGE_QA_INLINE uint32_t bits_of(float a) {
  uint32_t r;
  __builtin_memcpy(&r, &a, 4);
  return r;
}
EDGE_QA_INLINE float float_of(uint32_t a) {
  float r;
  __builtin_memcpy(&r, &a, 4);
  return r;
}
// As the instruction does: what no int holds becomes the most negative one.
EDGE_QA_INLINE int32_t rounded(float a) {
  return a >= -2147483648.f && a < 2147483648.f ? static_cast<int32_t>(__builtin_nearbyintf(a)) : INT32_MIN;
}
EDGE_QA_INLINE int32_t clipped(int32_t a, int32_t low, int32_t high) { return a < low ? low : a > high ? high : a; }

EDGE_QA_INLINE Floats load(const float* p) {
  return each([&](int i) { return p[i]; });
}
EDGE_QA_INLINE void store(float* p, Floats a) {
  for (int i = 0; i < kLanes; i++) p[i] = a.v[i];
}
EDGE_QA_INLINE Floats every(float a) {
  return each([&](int) { return a; });
}
EDGE_QA_INLINE Floats add(Floats a, Floats b) {
  return each([&](int i) { return a.v[i] + b.v[i]; });
}
EDGE_QA_INLINE Floats subtract(Floats a, Floats b) {
  return each([&](int i) { return a.v[i] - b.v[i]; });
}
EDGE_QA_INLINE Floats multiply(Floats a, Floats b) {
  return each([&](int i) { return a.v[i] * b.v[i]; });
}
EDGE_QA_INLINE Floats divide(Floats a, Floats b) {
  return each([&](int i) { return a.v[i] / b.v[i]; });
}
EDGE_QA_INLINE Floats multiply_add(Floats a, Floats b, Floats c) {
  return each([&](int i) { return __builtin_fmaf(a.v[i], b.v[i], c.v[i]); });
}
EDGE_QA_INLINE Floats larger(Floats a, Floats b) {
  return each([&](int i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; });
}
EDGE_QA_INLINE Floats smaller(Floats a, Floats b) {
  return each([&](int i) { return a.v[i] < b.v[i] ? a.v[i] : b.v[i]; });
}
EDGE_QA_INLINE Floats magnitude(Floats a) {
  return each([&](int i) { return float_of(bits_of(a.v[i]) & 0x7fffffffu); });
}
EDGE_QA_INLINE Floats clamp(Floats a, float limit) { return smaller(larger(a, every(-limit)), every(limit)); }
EDGE_QA_INLINE Floats first_lanes(int n, Floats a) {
  return each([&](int i) { return i < n ? a.v[i] : 0.f; });
}
EDGE_QA_INLINE Ints load_ints(const int32_t* p) {
  Ints r;
  for (int i = 0; i < kLanes; i++) r.v[i] = p[i];
  return r;
}
EDGE_QA_INLINE void store_ints(int32_t* p, Ints a) {
  for (int i = 0; i < kLanes; i++) p[i] = a.v[i];
}
EDGE_QA_INLINE Floats to_floats(Ints a) {
  return each([&](int i) { return static_cast<float>(a.v[i]); });
}
EDGE_QA_INLINE Ints to_ints(Floats a) {
  Ints r;
  for (int i = 0; i < kLanes; i++) r.v[i] = rounded(a.v[i]);
  return r;
}
EDGE_QA_INLINE Floats add_exponent(Floats a, Floats b) {
  return each([&](int i) { return float_of(bits_of(a.v[i]) + (bits_of(b.v[i]) << 23)); });
}
EDGE_QA_INLINE float half_to_float(uint16_t h) {
  const uint32_t sign = static_cast<uint32_t>(h & 0x8000) << 16, exponent = h >> 10 & 31, fraction = h & 1023;
  if (exponent == 31) return float_of(sign | 0x7f800000u | fraction << 13);
  if (exponent) return float_of(sign | (exponent + 112) << 23 | fraction << 13);
  const float tiny = static_cast<float>(fraction) * 5.9604644775390625e-8f;  // 2^-24
  return sign ? -tiny : tiny;
}
EDGE_QA_INLINE Floats load_half(const uint16_t* p) {
  return each([&](int i) { return half_to_float(p[i]); });
}
EDGE_QA_INLINE Floats load_bytes(const int8_t* p) {
  return each([&](int i) { return static_cast<float>(p[i]); });
}
EDGE_QA_INLINE void store_unsigned(uint8_t* p, Floats a) {
  for (int i = 0; i < kLanes; i++) p[i] = static_cast<uint8_t>(clipped(rounded(a.v[i]), 0, 255));
}
EDGE_QA_INLINE void store_signed(int8_t* p, Floats a) {
  for (int i = 0; i < kLanes; i++) p[i] = static_cast<int8_t>(clipped(rounded(a.v[i]), -128, 127));
}
EDGE_QA_INLINE void store_offset(uint8_t* p, Floats a) {
  for (int i = 0; i < kLanes; i++) p[i] = static_cast<uint8_t>(clipped(rounded(a.v[i]), -128, 127) + 128);
}
EDGE_QA_INLINE void store_unsigned4(uint8_t* p, Floats a, Floats b, Floats c, Floats d) {
  store_unsigned(p, a);
  store_unsigned(p + 16, b);
  store_unsigned(p + 32, c);
  store_unsigned(p + 48, d);
}
EDGE_QA_INLINE void store_offset4(uint8_t* p, Floats a, Floats b, Floats c, Floats d) {
  store_offset(p, a);
  store_offset(p + 16, b);
  store_offset(p + 32, c);
  store_offset(p + 48, d);
}

#endif

#if defined(EDGE_QA_LANES_512) || defined(EDGE_QA_LANES_256)
// Lane i joins lane i + 8, then i + 4, i + 2, i + 1.
EDGE_QA_INLINE float sum_of(Floats a) {
  const __m256 e = fold_sum(a);
  __m128 q = _mm_add_ps(_mm256_castps256_ps128(e), _mm256_extractf128_ps(e, 1));
  q = _mm_add_ps(q, _mm_movehl_ps(q, q));
  return _mm_cvtss_f32(_mm_add_ss(q, _mm_shuffle_ps(q, q, 1)));
}
// The sum of 16 unsigned bytes.
EDGE_QA_INLINE int32_t sum_of_bytes(const uint8_t* p) {
  const __m128i sums = _mm_sad_epu8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)), _mm_setzero_si128());
  return _mm_cvtsi128_si32(sums) + _mm_extract_epi16(sums, 4);
}
EDGE_QA_INLINE float largest_of(Floats a) {
  const __m256 e = fold_largest(a);
  __m128 q = _mm_max_ps(_mm256_castps256_ps128(e), _mm256_extractf128_ps(e, 1));
  q = _mm_max_ps(q, _mm_movehl_ps(q, q));
  return _mm_cvtss_f32(_mm_max_ss(q, _mm_shuffle_ps(q, q, 1)));
}
#else
EDGE_QA_INLINE float sum_of(Floats a) {
  for (int step = 8; step; step /= 2)
    for (int i = 0; i < step; i++) a.v[i] += a.v[i + step];
  return a.v[0];
}
EDGE_QA_INLINE int32_t sum_of_bytes(const uint8_t* p) {
  int32_t sum = 0;
  for (int i = 0; i < 16; i++) sum += p[i];
  return sum;
}
EDGE_QA_INLINE float largest_of(Floats a) {
  for (int step = 8; step; step /= 2)
    for (int i = 0; i < step; i++) a.v[i] = a.v[i] > a.v[i + step] ? a.v[i] : a.v[i + step];
  return a.v[0];
}
#endif

}  // namespace
