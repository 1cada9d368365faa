// One call of the encoder: its inputs, its plan and its memory. Plain data, as model.h.
#pragma once
#include "model.h"

namespace edge_qa {

// Rows of activations of one example begin at a multiple of 16, where a panel of keys begins.
struct Example {
  int32_t first_row;    // in the buffers below
  int32_t first_token;  // in the inputs and outputs
  int32_t tokens;
};

// A run of rows of one example: what a thread takes at once.
struct Item {
  int32_t example, row, rows;
};

enum PhaseKind : int32_t {
  kEmbed,              // embeddings, then what the first layer's attention reads
  kSelectByProbe,      // which tokens a layer leaves, from their probe
  kSelectByAttention,  // the same from the attention they were paid
  kWholeLayer,         // a layer from its attention to its end, then what the next layer's attention reads
  kAttentionOnly,      // a layer that drops by attention: up to the context
  kRestOfLayer,        // what follows the context, for the tokens that are left
};

// Items of one phase may run at once, in any order; a phase begins when the one before has ended.
struct Phase {
  int32_t kind, layer, first_item, items;
  int32_t before, after;  // which of the two sets of buffers is read, and written
};

// Memory of one thread.
struct Scratch {
  float* values;           // [kItemRows][widest_product]
  float* rows;             // [kItemRows][widest_row]
  float* narrow;           // [kItemRows][widest_row]
  float* neurons;          // [kItemRows][widest_neurons]
  float* context;          // [kItemRows][widest_context]
  float* largest;          // [kItemRows][16]
  float* scores;           // [kAttentionRows][longest]
  uint8_t* codes;          // [kItemRows][widest_codes], quantized rows
  uint8_t* queries;        // [kItemRows][most_heads * key_step]
  uint8_t* chances;        // [kAttentionRows][longest], probabilities
  uint16_t* widened;       // [kItemRows][widest_codes], codes of 16 bits
  uint8_t* turned;         // turned tiles of the inputs of the product at hand (sparse_product.h)
  uint8_t* turned_inputs;  // and of the inputs of neurons, which are turned themselves
  float* code_scales;      // [kItemRows]
  float* query_scales;     // [kItemRows][most_heads]
};

constexpr int kItemRows = 64;
constexpr int kAttentionRows = 16;

// Memory of a row of every example, and of a row's keys and values.
struct Rows {
  float* x;               // [rows][x_stride], what a layer reads
  float* residual;        // [rows][residual_stride], what its attention is added to (x itself without a bottleneck)
  uint8_t* query_codes;   // [rows][code_stride], what its queries read, quantized
  float* query_scales;    // [rows]
  int8_t* keys;           // [heads][rows/16][key_size/4][16][4]
  int32_t* key_starts;    // [heads][rows], -128 * sum of a key's codes
  float* key_scales;      // [heads][rows]
  int8_t* values;         // [heads][value_size/16][rows/4][16][4]
  float* value_logs;      // [heads][rows], log2 of a value's scale
  float* value_inverses;  // [heads][rows], 1 / scale
  int32_t* origin;        // [rows], which token of its example a row is
  int32_t* source;        // [rows], which row of the other set it was, after a drop
};

struct Call {
  const Model* model;
  const Budget* budget;  // null: every token is kept
  const int64_t *ids, *types, *positions;
  float *start, *end;
  const Example* examples;
  const Phase* phases;
  const Item* items;
  const int32_t* left;  // [layers + 1][examples], tokens of each example that reach a layer
  int32_t example_count, phase_count, row_count;
  int32_t x_stride, residual_stride, code_stride, key_stride, value_stride;  // the last two: bytes a row and head
  int32_t product_stride, row_stride, neuron_stride, context_stride, longest;
  Rows rows[2];
  float* probe_scores;  // [rows]
  int32_t* paid;        // [rows], attention paid to a token in units of 2^-16
  float* contexts;      // [rows][context_stride], of layers that drop by attention
  Scratch* scratch;     // one a thread
  uint64_t* cycles;     // [threads][kStages], or null
};

enum Stage {
  kStageEmbed,
  kStageProject,
  kStageAttend,
  kStageOutput,
  kStageNorm,
  kStageUp,
  kStageDown,
  kStageHead,
  kStages
};

// An encoder built for one instruction set.
struct Path {
  const char* name;
  int32_t key_step;     // what the size of a head is rounded up to
  int32_t target_rows;  // of an item
  int32_t sparse;       // whether there is a product for blocks
  void (*enter)();      // before a thread's first item of a call, and after its last
  void (*leave)();
  void (*run)(const Call*, int thread, int phase, int item);
  // For tests: out[rows][outputs] = product of codes (stored as code + 128) with a matrix, before any float.
  void (*product)(const Matrix*, const uint8_t* codes, int code_stride, int rows, uint16_t* widened, int32_t* out);
};

// Kept tokens of each layer that drops, by the scores of the rows it read; one example.
void select_rows(const Call* call, const Phase* phase, int example);

}  // namespace edge_qa
