// The layers of an encoder, for a run of rows at a time.
//
// Only keys and values are read by other rows' threads, so a layer is one phase: attention to its end, then the next
// layer's keys and values, into the other set of buffers. What a layer's rows need of each other stays in the scratch
// memory of one thread, which fits its level-2 cache.
#pragma once
#include "attention.h"
#include "embeddings.h"

namespace {

class Clock {
 public:
  Clock(const Call& call, int thread) : cycles_(call.cycles ? call.cycles + thread * kStages : nullptr) {
    if (cycles_) last_ = __builtin_ia32_rdtsc();
  }
  void stage(Stage stage) {
    if (!cycles_) return;
    const uint64_t now = __builtin_ia32_rdtsc();
    cycles_[stage] += now - last_;
    last_ = now;
  }

 private:
  uint64_t* cycles_;
  uint64_t last_ = 0;
};

struct Worker {
  const Call& call;
  Scratch& scratch;
  const Example& example;
  Clock clock;

  const Model& model() const { return *call.model; }

  void quantize(const float* x, size_t stride, int rows, const Matrix& matrix, uint8_t* codes, float* scales) {
    quantize_rows(x, stride, rows, matrix.inputs, matrix.input_factor, codes, call.code_stride, scales);
  }

  void quantize(const float* x, size_t stride, int rows, const Matrix& matrix) {
    quantize(x, stride, rows, matrix, scratch.codes, scratch.code_scales);
  }

  // Logits of rows of x, kept for the tokens that the layer to come drops.
  void head(const float* x, const Rows& set, int row, int rows) {
    const Model& m = model();
    const size_t width = round_up(m.hidden, 16);
    for (int r = 0; r < rows; r++) {
      const int token = example.first_token + set.origin[example.first_row + row + r];
      const float* from = x + static_cast<size_t>(r) * call.x_stride;
      call.start[token] = dot_row(from, m.head_weight, m.hidden) + m.head_bias[0];
      call.end[token] = dot_row(from, m.head_weight + width, m.hidden) + m.head_bias[1];
    }
    clock.stage(kStageHead);
  }

  // What layer `index` reads of rows whose x is in `set`: residual, codes for the queries, keys and values.
  void project(int index, const Rows& set, int row, int rows, int tokens) {
    const Layer& layer = *model().layer[index];
    const Attention& attention = layer.attention;
    const int first = example.first_row + row;
    const float* x = set.x + static_cast<size_t>(first) * call.x_stride;
    uint8_t* query_codes = set.query_codes + static_cast<size_t>(first) * call.code_stride;
    float* query_scales = set.query_scales + first;
    if (call.budget) {
      head(x, set, row, rows);
      if (const float* probe = call.budget->probes[index])
        for (int r = 0; r < rows; r++)
          call.probe_scores[first + r] = dot_row(x + static_cast<size_t>(r) * call.x_stride, probe, model().hidden);
    }
    // Queries and keys read `near`, values `far`.
    const float *near = x, *far = x;
    size_t near_stride = call.x_stride, far_stride = call.x_stride;
    if (layer.narrow) {
      const Bottleneck& middle = layer.bottleneck;
      float* residual = set.residual + static_cast<size_t>(first) * call.residual_stride;
      quantize(x, call.x_stride, rows, middle.input);
      linear_into(middle.input, scratch.codes, call.code_stride, scratch.code_scales, rows, scratch, residual,
                  call.residual_stride);
      for (int r = 0; r < rows; r++) {
        float* y = residual + static_cast<size_t>(r) * call.residual_stride;
        normalise(y, middle.input_norm, y);
      }
      if (middle.reads == kNarrow) {
        near = far = residual;
        near_stride = far_stride = call.residual_stride;
      } else if (middle.reads == kShared) {
        quantize(x, call.x_stride, rows, middle.shared);
        linear_into(middle.shared, scratch.codes, call.code_stride, scratch.code_scales, rows, scratch, scratch.rows,
                    call.row_stride);
        for (int r = 0; r < rows; r++) {
          float* y = scratch.rows + static_cast<size_t>(r) * call.row_stride;
          normalise(y, middle.shared_norm, y);
        }
        near = scratch.rows;
        near_stride = call.row_stride;
      }
    }
    if (attention.heads) {
      quantize(near, near_stride, rows, attention.query, query_codes, query_scales);
      const uint8_t* codes = query_codes;
      const float* scales = query_scales;
      if (attention.key.input_factor != attention.query.input_factor) {
        quantize(near, near_stride, rows, attention.key);
        codes = scratch.codes;
        scales = scratch.code_scales;
      }
      make_keys(call, scratch, attention, codes, scales, set, first, rows);
      bool turned = kSparseProducts && attention.key.block_ends;
      if (far != near || attention.value.input_factor != attention.key.input_factor) {
        quantize(far, far_stride, rows, attention.value);
        codes = scratch.codes;
        scales = scratch.code_scales;
        turned = false;
      }
      make_values(call, scratch, attention, codes, scales, set, first, rows, turned);
      if (row + rows == tokens) pad_keys(call, attention, set, first + rows, example.first_row + round_up(tokens, 16));
    }
    clock.stage(kStageProject);
  }

  // Context of rows of layer `index`, [rows][context_stride]. sources: which rows of `from` the queries are of, or
  // null for `row` and on.
  void attention(int index, const Rows& from, const int32_t* sources, int row, int rows, int tokens, bool paid,
                 float* context) {
    const Attention& attention = model().layer[index]->attention;
    if (!attention.heads) return;
    const uint8_t* codes = from.query_codes + static_cast<size_t>(example.first_row + row) * call.code_stride;
    const float* scales = from.query_scales + example.first_row + row;
    if (sources) {
      for (int r = 0; r < rows; r++) {
        const size_t source = static_cast<size_t>(example.first_row) + sources[r];
        __builtin_memcpy(scratch.codes + static_cast<size_t>(r) * call.code_stride,
                         from.query_codes + source * call.code_stride, call.code_stride);
        scratch.code_scales[r] = from.query_scales[source];
      }
      codes = scratch.codes;
      scales = scratch.code_scales;
    }
    make_queries(call, scratch, attention, codes, scales, rows);
    if (paid)
      attend<true>(call, scratch, attention, example, from, tokens, rows, context);
    else
      attend<false>(call, scratch, attention, example, from, tokens, rows, context);
    clock.stage(kStageAttend);
  }

  // From the contexts of rows to the layer's output, into `to`.
  void rest(int index, const Rows& from, const Rows& to, const int32_t* sources, int row, int rows,
            const float* context) {
    const Layer& layer = *model().layer[index];
    const size_t wide = call.row_stride;
    float* x = scratch.rows;
    const float* residual = layer.narrow ? from.residual : from.x;
    const size_t residual_stride = layer.narrow ? call.residual_stride : call.x_stride;
    const float* beside[kItemRows];
    for (int r = 0; r < rows; r++)
      to.origin[example.first_row + row + r] = from.origin[example.first_row + (sources ? sources[r] : row + r)];
    for (int r = 0; r < rows; r++)
      beside[r] =
          residual + (static_cast<size_t>(example.first_row) + (sources ? sources[r] : row + r)) * residual_stride;
    const Matrix& output = layer.attention.output;
    if (output.inputs)
      quantize(context, call.context_stride, rows, output);
    else
      clear_scales(rows);
    linear(output, scratch.codes, call.code_stride, scratch.code_scales, rows, scratch,
           [&](int r, int n, Floats y) EDGE_QA_INLINE_LAMBDA { store(x + r * wide + n, add(y, load(beside[r] + n))); });
    clock.stage(kStageOutput);
    for (int r = 0; r < rows; r++) normalise(x + r * wide, layer.attention_norm, x + r * wide);
    for (int block = 0; block < layer.blocks; block++) {
      const FeedForward& part = layer.feed_forwards[block];
      const bool last = block + 1 == layer.blocks && !layer.narrow;
      bool turned = false;
      if (part.up.outputs) {
        quantize(x, wide, rows, part.up);
        clock.stage(kStageNorm);
        neurons(part, rows);
        turned = turns_neurons(part);
        clock.stage(kStageUp);
      } else {
        clear_scales(rows);
      }
      linear(
          part.down, scratch.codes, call.code_stride, scratch.code_scales, rows, scratch,
          [&](int r, int n, Floats y)
              EDGE_QA_INLINE_LAMBDA { store(x + r * wide + n, add(y, load(x + r * wide + n))); },
          turned);
      clock.stage(kStageDown);
      for (int r = 0; r < rows; r++) normalise(x + r * wide, part.norm, last ? output_row(to, row + r) : x + r * wide);
    }
    if (layer.narrow) {
      const Bottleneck& middle = layer.bottleneck;
      quantize(x, wide, rows, middle.output);
      for (int r = 0; r < rows; r++)
        beside[r] =
            from.x + (static_cast<size_t>(example.first_row) + (sources ? sources[r] : row + r)) * call.x_stride;
      linear(middle.output, scratch.codes, call.code_stride, scratch.code_scales, rows, scratch,
             [&](int r, int n, Floats y)
                 EDGE_QA_INLINE_LAMBDA { store(output_row(to, row + r) + n, add(y, load(beside[r] + n))); });
      for (int r = 0; r < rows; r++) normalise(output_row(to, row + r), middle.output_norm, output_row(to, row + r));
    } else if (!layer.blocks) {
      for (int r = 0; r < rows; r++)
        __builtin_memcpy(output_row(to, row + r), x + r * wide, round_up(model().hidden, 16) * sizeof(float));
    }
    clock.stage(kStageNorm);
  }

  float* output_row(const Rows& to, int row) {
    return to.x + (static_cast<size_t>(example.first_row) + row) * call.x_stride;
  }

  // A matrix without inputs is its bias; its sums are zero and any scale will do.
  void clear_scales(int rows) {
    for (int r = 0; r < rows; r++) scratch.code_scales[r] = 0.f;
  }

  // Whether the neurons of a block stay turned: both of its matrices have blocks.
  static bool turns_neurons(const FeedForward& part) {
    return kSparseProducts && part.up.block_ends && part.down.block_ends;
  }

  // activation(up(x)) of the quantized rows, quantized in its turn into scratch.codes, or into scratch.turned.
  void neurons(const FeedForward& part, int rows) {
    switch (model().activation) {
      case kGelu:
        return neurons(part, rows, [](Floats y) EDGE_QA_INLINE_LAMBDA { return gelu(y); });
      case kGeluTanh:
        return neurons(part, rows, [](Floats y) EDGE_QA_INLINE_LAMBDA { return gelu_tanh(y); });
      case kRelu:
        return neurons(part, rows, [](Floats y) EDGE_QA_INLINE_LAMBDA { return relu(y); });
      default:
        return neurons(part, rows, [](Floats y) EDGE_QA_INLINE_LAMBDA { return silu(y); });
    }
  }

  template <class Active>
  EDGE_QA_APART void neurons(const FeedForward& part, int rows, Active&& active) {
    const size_t stride = call.neuron_stride;
    const float* factor = part.down.input_factor;
#if defined(EDGE_QA_SPARSE)
    if (turns_neurons(part)) {
      turn_rows(scratch.codes, call.code_stride, rows, part.up.inputs, scratch.turned_inputs);
      alignas(64) float scales[kItemRows];
      __builtin_memcpy(scales, scratch.code_scales, sizeof scales);
      uint8_t* out = scratch.turned;
      each_tile(scratch.turned_inputs, part.up.inputs, rows,
                [&](auto units, const uint8_t* tile, int first, int count) EDGE_QA_INLINE_LAMBDA {
                  constexpr int kUnits = decltype(units)::value;
                  float* to = scratch.code_scales + first;
                  turned_neurons<kUnits>(part, tile, scales + first, count, scratch.neurons, out, to, active);
                  out += turned_bytes(part.up.outputs);
                });
      return;
    }
#endif
    for (int r = 0; r < rows; r++) store(scratch.largest + r * 16, every(0.f));
    float *neurons = scratch.neurons, *largest = scratch.largest;
    auto begin = [&](int r) EDGE_QA_INLINE_LAMBDA { return load(largest + r * 16); };
    auto end = [&](Floats top, int r) EDGE_QA_INLINE_LAMBDA { store(largest + r * 16, top); };
    if (factor) {
      linear(
          part.up, scratch.codes, call.code_stride, scratch.code_scales, rows, scratch, false, begin,
          [&](Floats& top, int r, int n, Floats y) EDGE_QA_INLINE_LAMBDA {
            y = multiply(active(y), load(factor + n));
            store(neurons + r * stride + n, y);
            top = larger(top, magnitude(y));
          },
          end);
    } else {
      linear(
          part.up, scratch.codes, call.code_stride, scratch.code_scales, rows, scratch, false, begin,
          [&](Floats& top, int r, int n, Floats y) EDGE_QA_INLINE_LAMBDA {
            y = active(y);
            store(neurons + r * stride + n, y);
            top = larger(top, magnitude(y));
          },
          end);
    }
    for (int r = 0; r < rows; r++)
      scratch.code_scales[r] = quantize_row(scratch.neurons + r * stride, part.up.outputs, nullptr,
                                            largest_of(load(scratch.largest + r * 16)),
                                            scratch.codes + r * static_cast<size_t>(call.code_stride));
  }
};

inline void run_item(const Call* call, int thread, int phase_number, int item_number) {
  const Phase& phase = call->phases[phase_number];
  const Item& item = call->items[phase.first_item + item_number];
  const Example& example = call->examples[item.example];
  if (phase.kind == kSelectByProbe || phase.kind == kSelectByAttention) {
    select_rows(call, &phase, item.example);
    return;
  }
  Worker worker{*call, call->scratch[thread], example, Clock(*call, thread)};
  const Rows &from = call->rows[phase.before], &to = call->rows[phase.after];
  const int row = item.row, rows = item.rows, layer = phase.layer, next = layer + 1;
  if (phase.kind == kEmbed) {
    float* x = to.x + static_cast<size_t>(example.first_row + row) * call->x_stride;
    for (int r = 0; r < rows; r++) to.origin[example.first_row + row + r] = row + r;
    embed(*call, worker.scratch, example, row, rows, x, call->x_stride);
    worker.clock.stage(kStageEmbed);
    worker.project(0, to, row, rows, example.tokens);
    return;
  }
  const int before = call->left[static_cast<size_t>(layer) * call->example_count + item.example];
  const int after = call->left[static_cast<size_t>(next) * call->example_count + item.example];
  if (phase.kind == kAttentionOnly) {
    worker.attention(layer, from, nullptr, row, rows, before, true,
                     call->contexts + static_cast<size_t>(example.first_row + row) * call->context_stride);
    return;
  }
  // After a drop the rows of `to` come from scattered ones of `from`.
  const int32_t* sources = before != after ? to.source + example.first_row + row : nullptr;
  const float* context = worker.scratch.context;
  if (phase.kind == kWholeLayer) {
    worker.attention(layer, from, sources, row, rows, before, false, worker.scratch.context);
  } else if (sources) {
    for (int r = 0; r < rows; r++)
      __builtin_memcpy(worker.scratch.context + static_cast<size_t>(r) * call->context_stride,
                       call->contexts + static_cast<size_t>(example.first_row + sources[r]) * call->context_stride,
                       call->context_stride * sizeof(float));
  } else {
    context = call->contexts + static_cast<size_t>(example.first_row + row) * call->context_stride;
  }
  worker.rest(layer, from, to, sources, row, rows, context);
  if (next < call->model->layers)
    worker.project(next, to, row, rows, after);
  else
    worker.head(to.x + static_cast<size_t>(example.first_row + row) * call->x_stride, to, row, rows);
}

// For tests: sums[rows][outputs rounded up to 16].
inline void test_product(const Matrix* matrix, const uint8_t* codes, int code_stride, int rows, uint16_t* widened,
                         int32_t* sums) {
  const size_t stride = round_up(matrix->outputs, 16), panel_bytes = static_cast<size_t>((matrix->inputs + 3) / 4) * 64;
  each_product(matrix->panels, panel_bytes, matrix->outputs, matrix->inputs, matrix->start, codes, code_stride, rows,
               widened, [&](int row, int output, const int32_t* from, int panels) {
                 for (int i = 0; i < panels; i++)
                   store_ints(sums + row * stride + output + i * 16, load_ints(from + i * 16));
               });
}

}  // namespace

// EDGE_QA_PATH: the name of this path, EDGE_QA_PATH_SYMBOL: of its table.
extern const edge_qa::Path EDGE_QA_PATH_SYMBOL;
const edge_qa::Path EDGE_QA_PATH_SYMBOL = {
    EDGE_QA_PATH, kKeyStep,     EDGE_QA_ITEM_ROWS, kSparseProducts,
#if defined(EDGE_QA_PRODUCT_AMX)
    enter_tiles,  leave_tiles,
#else
    nullptr,      nullptr,
#endif
    run_item,     test_product,
};
