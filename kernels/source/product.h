// The integer product that everything else is built around: codes (unsigned bytes) times panels (signed bytes),
// summed in 32 bits. All sums are exact, so every path computes the same integers.
//
// A panel holds 16 outputs, [inputs/4][16 outputs][4 inputs]: 64 bytes are one zmm register, two ymm registers, or one
// row of an AMX tile. Weights, keys (a token is an output) and values (a channel is an output) are all stored so.
#pragma once
#include "lanes.h"

#if defined(EDGE_QA_PRODUCT_AMX)
#  include "product_amx.h"
#elif defined(EDGE_QA_PRODUCT_VNNI512)
#  include "product_vnni512.h"
#elif defined(EDGE_QA_PRODUCT_VNNI256)
#  include "product_vnni256.h"
#elif defined(EDGE_QA_PRODUCT_AVX2)
#  include "product_avx2.h"
#else
#  include "product_portable.h"
#endif

namespace {

// done(row, output, sums, panels) for every row: the sums of `panels` times 16 outputs from `output` on.
// panel_bytes: from one panel to the next. start: what the sums of each output begin with, or null for 0.
// codes: [rows][code_stride]; whatever follows a row's `inputs` up to a multiple of 64 is zero.
// widened: memory for the codes in 16 bits, used by the path without an 8-bit dot product.
template <class Done>
EDGE_QA_INLINE void each_product(const int8_t* panels, size_t panel_bytes, int outputs, int inputs,
                                 const int32_t* start, const uint8_t* codes, size_t code_stride, int rows,
                                 uint16_t* widened, Done&& done) {
  alignas(64) int32_t sums[kRowsAtOnce * kPanelsAtOnce * 16];
  const int groups = (inputs + 3) / 4, count = (outputs + 15) / 16;
  const Operand operand = prepare(codes, code_stride, rows, groups, widened);
  // Rows are dealt out evenly, so that no block is left with one or two.
  const int blocks = (rows + kRowsAtOnce - 1) / kRowsAtOnce;
  for (int panel = 0; panel < count; panel += kPanelsAtOnce) {
    const int wide = at_most(kPanelsAtOnce, count - panel);
    const int8_t* next = panels + (panel + wide) * panel_bytes;
    const size_t ahead = kFetchAhead && panel + wide < count ? panel_bytes : 0;
    for (int block = 0; block < blocks; block++) {
      // Weights of the next panel, a part with each block of rows: on paths of one narrow panel they come too late
      // otherwise (+20 % on one product); where panels are wider it only costs.
      for (size_t i = ahead * block / blocks; i < ahead * (block + 1) / blocks; i += 64) __builtin_prefetch(next + i);
      const int first = kEvenBlocks ? rows * block / blocks : block * kRowsAtOnce;
      const int last = kEvenBlocks ? rows * (block + 1) / blocks : at_most(first + kRowsAtOnce, rows);
      block_product(operand, first, last - first, panels + panel * panel_bytes, panel_bytes, wide, groups,
                    start ? start + panel * 16 : nullptr, sums);
      for (int row = first; row < last; row++) done(row, panel * 16, sums + (row - first) * kPanelsAtOnce * 16, wide);
    }
  }
}

// body(i) for i below `panels`, unrolled where that is the usual number.
template <class F>
EDGE_QA_INLINE void each_panel(int panels, F&& body) {
  if (panels == kPanelsAtOnce)
    repeat<kPanelsAtOnce>([&](auto i) EDGE_QA_INLINE_LAMBDA { body(static_cast<int>(i)); });
  else
    for (int i = 0; i < panels; i++) body(i);
}

}  // namespace
