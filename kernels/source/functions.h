// The functions of one float that an encoder needs, over sixteen lanes.
#pragma once
#include "lanes.h"

namespace {

// 1.5 * 2^23: added to a float of moderate size it leaves the nearest integer in the low bits.
constexpr float kRounder = 12582912.f;
constexpr float kLeastExponent = -125.f;  // results stay normal numbers
constexpr float kLog2E = 1.44269504f;

// x as a whole number and what is left, between -1/2 and 1/2.
struct Parts {
  Floats whole, part;
};

#if defined(EDGE_QA_POWERS)
EDGE_QA_INLINE Parts parts_of(Floats x) {
  const Floats part = fraction_of(x);
  return {subtract(x, part), part};
}
EDGE_QA_INLINE Floats times_power(Floats a, Parts x) { return scale_by_power(a, x.whole); }
#else
EDGE_QA_INLINE Parts parts_of(Floats x) {
  const Floats whole = add(x, every(kRounder));
  return {whole, subtract(x, subtract(whole, every(kRounder)))};
}
EDGE_QA_INLINE Floats times_power(Floats a, Parts x) { return add_exponent(a, x.whole); }
#endif

// 2^x for x <= 120, to a relative error of 7.5e-5: for values that are rounded to 8 bits next.
EDGE_QA_INLINE Floats exp2_coarse(Floats x) {
  x = larger(x, every(kLeastExponent));
  const Parts parts = parts_of(x);
  const Floats part = parts.part;
  Floats p = multiply_add(every(0.05517134070396423f), part, every(0.24261116981506348f));
  p = multiply_add(p, part, every(0.6932610273361206f));
  return times_power(multiply_add(p, part, every(0.9999280571937561f)), parts);
}

// 2^x for x <= 120, to a relative error of 2e-7.
EDGE_QA_INLINE Floats exp2_fine(Floats x) {
  x = larger(x, every(kLeastExponent));
  const Parts parts = parts_of(x);
  const Floats part = parts.part;
  Floats p = multiply_add(every(0.0013276408426463604f), part, every(0.009675540961325169f));
  p = multiply_add(p, part, every(0.05550713464617729f));
  p = multiply_add(p, part, every(0.24022120237350464f));
  p = multiply_add(p, part, every(0.6931469440460205f));
  return times_power(multiply_add(p, part, every(1.0000001192092896f)), parts);
}

// log2 of one positive normal number, to 4e-7. Not the C library's: two of those may differ in the last bit.
inline float log2_of(float x) {
  uint32_t bits;
  __builtin_memcpy(&bits, &x, 4);
  // Exponent and fraction, the fraction between sqrt(1/2) and sqrt(2).
  const uint32_t shifted = bits + (0x3f800000u - 0x3f3504f3u);
  const float exponent = static_cast<float>(static_cast<int32_t>(shifted >> 23) - 127);
  const uint32_t fraction = (shifted & 0x007fffffu) + 0x3f3504f3u;
  float u;
  __builtin_memcpy(&u, &fraction, 4);
  u -= 1.f;
  float p = -0.14574523270130157f;
  p = p * u + 0.23689180612564087f;
  p = p * u + -0.25006937980651855f;
  p = p * u + 0.2867072820663452f;
  p = p * u + -0.36008718609809875f;
  p = p * u + 0.48093944787979126f;
  p = p * u + -0.7213571667671204f;
  p = p * u + 1.4426947832107544f;
  return exponent + p * u;
}

// GELU, x * Phi(x), to 1.9e-4: Phi(x) - 1/2 is odd, a polynomial of it is cut where it reaches 1/2. One step of
// the 8-bit code that follows is some 2e-2.
EDGE_QA_INLINE Floats gelu(Floats x) {
  const Floats c = clamp(x, 3.9f), z = multiply(c, c);
  Floats p = multiply_add(every(2.8236948779181148e-08f), z, every(-1.8748779666566406e-06f));
  p = multiply_add(p, z, every(5.340211282600649e-05f));
  p = multiply_add(p, z, every(-0.000866491929627955f));
  p = multiply_add(p, z, every(0.009024975821375847f));
  p = multiply_add(p, z, every(-0.06511624157428741f));
  p = multiply_add(p, z, every(0.3982347548007965f));
  return multiply(x, multiply_add(p, c, every(0.5f)));
}

// GELU's form with tanh, to 9.2e-5.
EDGE_QA_INLINE Floats gelu_tanh(Floats x) {
  const Floats c = clamp(x, 3.95f), z = multiply(c, c);
  Floats p = multiply_add(every(-1.4687563387738578e-09f), z, every(1.1573626323979624e-07f));
  p = multiply_add(p, z, every(-3.982206180808134e-06f));
  p = multiply_add(p, z, every(7.962819654494524e-05f));
  p = multiply_add(p, z, every(-0.0010446581291034818f));
  p = multiply_add(p, z, every(0.009658738039433956f));
  p = multiply_add(p, z, every(-0.06610453873872757f));
  p = multiply_add(p, z, every(0.39861905574798584f));
  return multiply(x, multiply_add(p, c, every(0.5f)));
}

EDGE_QA_INLINE Floats relu(Floats x) { return larger(x, every(0.f)); }

EDGE_QA_INLINE Floats silu(Floats x) {
  // Beyond 80 the factor is below every float beside x.
  const Floats power = smaller(multiply(x, every(-kLog2E)), every(115.f));
  return divide(x, add(every(1.f), exp2_fine(power)));
}

}  // namespace
