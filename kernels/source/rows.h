// Rows of floats: quantizing them, norms, and linear layers on quantized rows.
#pragma once
#include "call.h"
#include "functions.h"
#include "product.h"
#include "sparse_product.h"

namespace {

using namespace edge_qa;

constexpr float kLeastRange = 1e-9f;  // a row of zeros has a scale, too

// The largest magnitude of x * factor; factor may be null. Four chains, because a maximum takes four cycles.
inline float range_of(const float* x, int width, const float* factor) {
  Floats largest[4] = {every(0.f), every(0.f), every(0.f), every(0.f)};
  const auto magnitude_at = [&](int i) EDGE_QA_INLINE_LAMBDA {
    Floats v = load(x + i);
    if (factor) v = multiply(v, load(factor + i));
    return magnitude(v);
  };
  int i = 0;
  for (; i + 4 * kLanes <= width; i += 4 * kLanes)
    repeat<4>([&](auto n) EDGE_QA_INLINE_LAMBDA { largest[n] = larger(largest[n], magnitude_at(i + n * kLanes)); });
  for (; i < width; i += kLanes) {
    const Floats v = magnitude_at(i);
    largest[0] = larger(largest[0], i + kLanes <= width ? v : first_lanes(width - i, v));
  }
  return largest_of(larger(larger(largest[0], largest[1]), larger(largest[2], largest[3])));
}

// codes = round(x * factor * 127 / range) + 128, zeros up to a multiple of 64; returns the scale, range / 127.
inline float quantize_row(const float* x, int width, const float* factor, float range, uint8_t* codes) {
  range = range > kLeastRange ? range : kLeastRange;
  const Floats inverse = every(127.f / range);
  int i = 0;
  for (; i + 4 * kLanes <= width; i += 4 * kLanes) {
    Floats v[4];
    repeat<4>([&](auto n) EDGE_QA_INLINE_LAMBDA {
      v[n] = load(x + i + n * kLanes);
      if (factor) v[n] = multiply(v[n], load(factor + i + n * kLanes));
      v[n] = multiply(v[n], inverse);
    });
    store_offset4(codes + i, v[0], v[1], v[2], v[3]);
  }
  const int end = round_up(width, 64);
  for (; i < width; i += kLanes) {
    Floats v = load(x + i);
    if (factor) v = multiply(v, load(factor + i));
    store_offset(codes + i, multiply(v, inverse));
  }
  if (width < end) __builtin_memset(codes + width, 0, end - width);
  return range / 127.f;
}

inline void quantize_rows(const float* x, size_t stride, int rows, int width, const float* factor, uint8_t* codes,
                          size_t code_stride, float* scales) {
  for (int row = 0; row < rows; row++) {
    const float* from = x + row * stride;
    scales[row] = quantize_row(from, width, factor, range_of(from, width, factor), codes + row * code_stride);
  }
}

// y = x @ weight.T + bias of quantized rows: begin(row) gives what a row carries from panel to panel, done(carried,
// row, output, y) is called for each 16 outputs, and end(carried, row) after some of them.
// turned: whether scratch.turned holds these rows already, from a product with the same codes.
template <class Begin, class Done, class End>
EDGE_QA_INLINE void linear(const Matrix& matrix, const uint8_t* codes, size_t code_stride, const float* scales,
                           int rows, Scratch& scratch, bool turned, Begin&& begin, Done&& done, End&& end) {
  const size_t panel_bytes = static_cast<size_t>((matrix.inputs + 3) / 4) * 64;
  const float *weight_scales = matrix.scale, *bias = matrix.bias;
  auto epilogue = [&](int row, int output, const int32_t* sums, int panels) EDGE_QA_INLINE_LAMBDA {
    const Floats row_scale = every(scales[row]);
    auto carried = begin(row);
    each_panel(panels, [&](int i) EDGE_QA_INLINE_LAMBDA {
      const int n = output + i * 16;
      const Floats scale = multiply(row_scale, load(weight_scales + n));
      done(carried, row, n, multiply_add(to_floats(load_ints(sums + i * 16)), scale, load(bias + n)));
    });
    end(carried, row);
  };
  if constexpr (kSparseProducts) {
    if (matrix.block_ends) {
      each_sparse_product(matrix, codes, code_stride, rows, scratch.turned, turned, epilogue);
      return;
    }
  }
  each_product(matrix.panels, panel_bytes, matrix.outputs, matrix.inputs, matrix.start, codes, code_stride, rows,
               scratch.widened, epilogue);
}

// done(row, output, y) for every row and each 16 outputs.
template <class Done>
EDGE_QA_INLINE void linear(const Matrix& matrix, const uint8_t* codes, size_t code_stride, const float* scales,
                           int rows, Scratch& scratch, Done&& done, bool turned = false) {
  linear(
      matrix, codes, code_stride, scales, rows, scratch, turned, [](int) EDGE_QA_INLINE_LAMBDA { return 0; },
      [&](int, int row, int n, Floats y) EDGE_QA_INLINE_LAMBDA { done(row, n, y); },
      [](int, int) EDGE_QA_INLINE_LAMBDA {});
}

// Most linear layers: y into rows of `stride` floats.
EDGE_QA_APART void linear_into(const Matrix& matrix, const uint8_t* codes, size_t code_stride, const float* scales,
                               int rows, Scratch& scratch, float* y, size_t stride, bool turned = false) {
  linear(
      matrix, codes, code_stride, scales, rows, scratch,
      [&](int row, int n, Floats v) EDGE_QA_INLINE_LAMBDA { store(y + row * stride + n, v); }, turned);
}

// Layer norm of one row, or no-norm; y may be x. Mean first, then the variance around it, because the difference of
// the mean square and the squared mean loses everything where the mean is large. Four chains of sums.
inline void normalise(const float* x, const Norm& norm, float* y) {
  const int width = norm.width;
  Floats scale = every(1.f), mean = every(0.f);
  if (norm.centred) {
    Floats sums[4] = {every(0.f), every(0.f), every(0.f), every(0.f)};
    for (int i = 0, chain = 0; i < width; i += kLanes, chain = (chain + 1) & 3) {
      const Floats v = load(x + i);
      sums[chain] = add(sums[chain], i + kLanes <= width ? v : first_lanes(width - i, v));
    }
    const float count = static_cast<float>(width);
    mean = every(sum_of(add(add(sums[0], sums[1]), add(sums[2], sums[3]))) / count);
    repeat<4>([&](auto n) EDGE_QA_INLINE_LAMBDA { sums[n] = every(0.f); });
    for (int i = 0, chain = 0; i < width; i += kLanes, chain = (chain + 1) & 3) {
      Floats v = subtract(load(x + i), mean);
      if (i + kLanes > width) v = first_lanes(width - i, v);
      sums[chain] = multiply_add(v, v, sums[chain]);
    }
    const float variance = sum_of(add(add(sums[0], sums[1]), add(sums[2], sums[3]))) / count;
    scale = every(1.f / __builtin_sqrtf(variance + norm.epsilon));
  }
  for (int i = 0; i < width; i += kLanes) {
    const Floats v = multiply(subtract(load(x + i), mean), scale);
    store(y + i, multiply_add(v, load(norm.weight + i), load(norm.bias + i)));
  }
}

// x @ weights of one output, in one chain.
inline float dot_row(const float* x, const float* weights, int width) {
  Floats sum = every(0.f);
  for (int i = 0; i < width; i += kLanes) {
    const Floats v = load(x + i);
    sum = multiply_add(i + kLanes <= width ? v : first_lanes(width - i, v), load(weights + i), sum);
  }
  return sum_of(sum);
}

}  // namespace
