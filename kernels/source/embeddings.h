// Embedding tables, read in place in the type they are stored in.
#pragma once
#include "rows.h"

namespace {

// y = row `index` of the table, or y + it.
template <bool kAdd>
inline void read_row(const Table& table, int64_t index, float* y) {
  const size_t first = static_cast<size_t>(index) * table.width;
  const Floats scale = every(table.type == kInt8 ? table.scales[index] : 1.f);
  for (int i = 0; i < table.width; i += kLanes) {
    Floats v;
    if (table.type == kFloat16)
      v = load_half(static_cast<const uint16_t*>(table.values) + first + i);
    else if (table.type == kInt8)
      v = multiply(load_bytes(static_cast<const int8_t*>(table.values) + first + i), scale);
    else
      v = load(static_cast<const float*>(table.values) + first + i);
    store(y + i, kAdd ? add(load(y + i), v) : v);
  }
}

// What the first layer reads, for rows `row` .. of one example; x: [rows][stride], beside each row room for 16 floats.
inline void embed(const Call& call, Scratch& scratch, const Example& example, int row, int rows, float* x,
                  size_t stride) {
  const Embeddings& parts = call.model->embeddings;
  const int64_t *ids = call.ids + example.first_token, *types = call.types + example.first_token,
                *positions = call.positions + example.first_token;
  const size_t wide = call.row_stride;
  float* sum = parts.has_projection ? scratch.rows : x;
  const size_t sum_stride = parts.has_projection ? wide : stride;
  if (parts.has_widen) {
    // Of three words a row reads the next one, its own and the previous one; zeros where there is none.
    const int width = parts.word.width, reads = parts.widen.inputs / width;
    for (int r = 0; r < rows; r++) {
      float* y = scratch.narrow + r * wide;
      const int token = row + r;
      for (int i = 0; i < reads; i++) {
        const int other = reads == 3 ? token + 1 - i : token;
        const bool there = other >= 0 && other < example.tokens &&
                           positions[other] - positions[token] == static_cast<int64_t>(other) - token;
        if (there)
          read_row<false>(parts.word, ids[other], y + i * width);
        else
          __builtin_memset(y + i * width, 0, width * sizeof(float));
      }
    }
    quantize_rows(scratch.narrow, wide, rows, parts.widen.inputs, parts.widen.input_factor, scratch.codes,
                  call.code_stride, scratch.code_scales);
    linear_into(parts.widen, scratch.codes, call.code_stride, scratch.code_scales, rows, scratch, sum, sum_stride);
  } else {
    for (int r = 0; r < rows; r++) read_row<false>(parts.word, ids[row + r], sum + r * sum_stride);
  }
  for (int r = 0; r < rows; r++) {
    float* y = sum + r * sum_stride;
    read_row<true>(parts.position, positions[row + r] + parts.position_offset, y);
    if (parts.token_type.rows) read_row<true>(parts.token_type, types[row + r], y);
    normalise(y, parts.norm, y);
  }
  if (parts.has_projection) {
    quantize_rows(sum, sum_stride, rows, parts.projection.inputs, parts.projection.input_factor, scratch.codes,
                  call.code_stride, scratch.code_scales);
    linear_into(parts.projection, scratch.codes, call.code_stride, scratch.code_scales, rows, scratch, x, stride);
  }
}

}  // namespace
