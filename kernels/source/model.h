// What a packed file holds, as pointers into it. Plain data: shared by files of every instruction set, so nothing
// here has a constructor or an inline function.
#pragma once
#include <cstddef>
#include <cstdint>

namespace edge_qa {

// y = x @ weight.T + bias with 8-bit weights, one scale an output. `inputs` 0: y = bias.
struct Matrix {
  int32_t outputs, inputs;
  // Panels of 16 outputs, [ceil(outputs/16)][ceil(inputs/4)][16 outputs][4 inputs], zeros where there is none.
  const int8_t* panels;
  const float* scale;         // [outputs], of the weights; zeros up to a multiple of 16, as all vectors here
  const float* bias;          // [outputs]
  const int32_t* start;       // [outputs] -128 * sum of an output's weights: inputs are stored as code + 128
  const float* input_factor;  // [inputs] what x is multiplied by before it is quantized (SmoothQuant), or null
  // Blocks of 4 outputs x 1 input, or null: see sparse_product.h.
  const uint32_t* block_ends;     // [ceil(outputs/4)] where the columns of each group of outputs end
  const uint16_t* block_columns;  // inputs, four at a time
  const int8_t* block_values;     // [columns / 4][4 outputs][4 inputs]
};

struct Norm {
  int32_t width;
  int32_t centred;  // 0: MobileBERT's no-norm, x * weight + bias
  float epsilon;
  const float* weight;
  const float* bias;
};

enum TableType : uint32_t { kFloat32 = 0, kFloat16 = 1, kInt8 = 2 };

struct Table {
  int32_t rows, width;
  uint32_t type;
  const void* values;   // [rows][width]
  const float* scales;  // [rows], of kInt8
};

struct Embeddings {
  Table word, position, token_type;  // token_type.rows 0 where there is none
  int32_t position_offset;
  int32_t has_widen, has_projection;
  Matrix widen, projection;
  Norm norm;
};

struct Attention {
  int32_t heads, key_size, value_size;
  float scale;  // of the scores, before the softmax
  Matrix query, key, value, output;
};

struct FeedForward {
  Matrix up, down;  // up.outputs 0: only down.bias is left
  Norm norm;
};

enum AttentionInput : int32_t { kShared = 0, kNarrow = 1, kWhole = 2 };

struct Bottleneck {
  Matrix input, shared, output;
  Norm input_norm, shared_norm, output_norm;
  int32_t reads;  // AttentionInput
};

constexpr int kMostBlocks = 8;

struct Layer {
  Attention attention;
  Norm attention_norm;
  int32_t blocks;
  FeedForward feed_forwards[kMostBlocks];
  int32_t narrow;  // whether there is a bottleneck
  Bottleneck bottleneck;
};

enum Activation : uint32_t { kGelu = 0, kGeluTanh = 1, kRelu = 2, kSilu = 3 };

constexpr int kMostLayers = 80;

// Which share of an input's tokens each layer leaves for the rest; by probes, or by what attention pays a token.
struct Budget {
  int32_t step;
  int32_t by_probe;
  double shares[kMostLayers];
  const float* probes[kMostLayers];  // [hidden] of each layer that drops
};

constexpr int kMostBudgets = 32;

struct Model {
  int32_t hidden, layers, activation, budgets;
  int32_t has_blocks;  // whether any matrix has, on a path that has a product for them
  Embeddings embeddings;
  Layer* layer[kMostLayers];  // shared ones are there more than once
  const float* head_weight;   // [2][hidden rounded up to 16]
  float head_bias[2];
  Budget* budget[kMostBudgets];
  // The largest of each over the model, for the memory of a run.
  int32_t longest_input, widest_row, widest_residual, widest_neurons, widest_product, widest_context, most_heads,
      widest_key, widest_value;
};

}  // namespace edge_qa
