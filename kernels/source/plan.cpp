#include "plan.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace edge_qa {
namespace {

int rounded(int value, int step) { return (value + step - 1) / step * step; }

// As converters/token_budgets counts: a share of the true length, rounded up to a step, at least one step.
int kept_tokens(double share, int length, int step) {
  return std::max(1, static_cast<int>(std::ceil(share * length / step - 1e-9))) * step;
}

// What 8 rows have in common with panels of 16 tokens and groups of 4: no two items write into one group.
constexpr int kItemStep = 8;

}  // namespace

Plan::Plan(const Model& model, const Budget* budget, const Path& path, const Inputs& inputs, int threads,
           Workspace& workspace) {
  call.model = &model;
  call.budget = budget;
  call.ids = inputs.ids;
  call.types = inputs.types;
  call.positions = inputs.positions;
  call.start = inputs.start;
  call.end = inputs.end;
  int row = 0, token = 0, longest = 0;
  for (int i = 0; i < inputs.examples; i++) {
    examples_.push_back({row, token, inputs.lengths[i]});
    row += rounded(inputs.lengths[i], 16);
    token += inputs.lengths[i];
    longest = std::max(longest, inputs.lengths[i]);
  }
  call.examples = examples_.data();
  call.example_count = inputs.examples;
  call.row_count = row;
  call.longest = longest;
  left_.resize(static_cast<size_t>(model.layers + 1) * inputs.examples);
  for (int layer = 0; layer <= model.layers; layer++)
    for (int i = 0; i < inputs.examples; i++)
      left_[static_cast<size_t>(layer) * inputs.examples + i] = inputs.lengths[i];
  if (budget) drop(*budget);
  call.left = left_.data();
  schedule(path, threads);
  call.phases = phases_.data();
  call.items = items_.data();
  call.phase_count = static_cast<int32_t>(phases_.size());
  scratch_.resize(threads);
  for (bool only_measure : {true, false}) {
    workspace.begin(only_measure);
    carve(path, threads, workspace);
  }
  call.scratch = scratch_.data();
}

void Plan::drop(const Budget& budget) {
  const int count = call.example_count;
  double before = 1;
  for (int layer = 0; layer < call.model->layers; layer++) {
    const double share = budget.shares[layer];
    for (int i = 0; i < count; i++) {
      const int left = left_[static_cast<size_t>(layer) * count + i];
      const int kept = share < before ? kept_tokens(share, examples_[i].tokens, budget.step) : left;
      left_[static_cast<size_t>(layer + 1) * count + i] = std::min(left, kept);
    }
    before = share;
  }
}

void Plan::schedule(const Path& path, int threads) {
  // Layer l reads set l % 2 and writes the other.
  items(kEmbed, -1, 1, 0, path, threads, 0);
  double before_share = 1;
  for (int layer = 0; layer < call.model->layers; layer++) {
    const int before = layer % 2, after = 1 - before;
    const double share = call.budget ? call.budget->shares[layer] : 1;
    const bool drops = share < before_share;
    before_share = share;
    if (!drops) {
      items(kWholeLayer, layer, before, after, path, threads, layer);
      continue;
    }
    if (!call.budget->by_probe) items(kAttentionOnly, layer, before, after, path, threads, layer);
    const int kind = call.budget->by_probe ? kSelectByProbe : kSelectByAttention;
    const int first = static_cast<int>(items_.size());
    for (int i = 0; i < call.example_count; i++) items_.push_back({i, 0, 0});
    phases_.push_back({kind, layer, first, call.example_count, before, after});
    items(call.budget->by_probe ? kWholeLayer : kRestOfLayer, layer, before, after, path, threads, layer + 1);
  }
}

// The items of a phase: runs of the rows that reach layer `count_layer`.
void Plan::items(int kind, int layer, int before, int after, const Path& path, int threads, int count_layer) {
  const int first = static_cast<int>(items_.size());
  const int target = path.target_rows;
  for (int i = 0; i < call.example_count; i++) {
    const int tokens = left_[static_cast<size_t>(count_layer) * call.example_count + i];
    // Few examples are cut so that every thread gets as many items as the others.
    const bool few = call.example_count < 2 * threads && tokens >= 16 * threads;
    if (call.model->has_blocks) {
      long_items(i, tokens, few ? threads : 1);
      continue;
    }
    int count = std::max((tokens + target / 2) / target, 1);
    if (few) count = rounded(count, threads);
    // Ends are moved to a multiple of kItemStep, the last item's beginning by up to half of one.
    constexpr int kMost = kItemRows - kItemStep / 2;
    count = std::max(count, (tokens + kMost - 1) / kMost);
    int begin = 0;
    for (int part = 1; part <= count; part++) {
      const int end =
          part == count ? tokens : std::min(tokens, (tokens * part / count + kItemStep / 2) / kItemStep * kItemStep);
      if (end > begin) items_.push_back({i, begin, end - begin});
      begin = std::max(begin, end);
    }
  }
  phases_.push_back({kind, layer, first, static_cast<int>(items_.size()) - first, before, after});
}

// Items for sparse products, which cost the less a row the more they take at once: runs as long as they may be of each
// thread's share.
void Plan::long_items(int example, int tokens, int shares) {
  for (int share = 0, begin = 0; share < shares; share++) {
    const int end =
        share + 1 == shares ? tokens : (tokens * (share + 1) / shares + kItemStep / 2) / kItemStep * kItemStep;
    for (; begin < end; begin += kItemRows) items_.push_back({example, begin, std::min(end - begin, kItemRows)});
    begin = end;
  }
}

void Plan::carve(const Path& path, int threads, Workspace& workspace) {
  const Model& model = *call.model;
  const int rows = call.row_count, heads = model.most_heads;
  call.x_stride = rounded(model.hidden, 16);
  call.residual_stride = rounded(model.widest_residual, 16);
  call.row_stride = rounded(model.widest_row, 16) + 16;
  call.neuron_stride = rounded(model.widest_neurons, 16);
  call.product_stride = rounded(model.widest_product, 16) + 16;
  call.context_stride = rounded(model.widest_context, 16) + 16;
  call.code_stride = rounded(std::max({model.widest_row, model.widest_neurons, model.widest_context, 1}), 64);
  call.key_stride = rounded(model.widest_key, path.key_step);
  call.value_stride = rounded(model.widest_value, 16);
  const size_t of_heads = static_cast<size_t>(heads) * rows;
  const size_t length = rounded(call.longest, 64);
  for (Rows& set : call.rows) {
    set.x = workspace.take<float>(static_cast<size_t>(rows) * call.x_stride);
    set.residual = workspace.take<float>(static_cast<size_t>(rows) * call.residual_stride);
    set.query_codes = workspace.take<uint8_t>(static_cast<size_t>(rows) * call.code_stride);
    set.query_scales = workspace.take<float>(rows);
    set.keys = workspace.take<int8_t>(of_heads * call.key_stride);
    set.key_starts = workspace.take<int32_t>(of_heads);
    set.key_scales = workspace.take<float>(of_heads);
    set.values = workspace.take<int8_t>(of_heads * call.value_stride);
    set.value_logs = workspace.take<float>(of_heads);
    set.value_inverses = workspace.take<float>(of_heads);
    set.origin = workspace.take<int32_t>(rows);
    set.source = workspace.take<int32_t>(rows);
  }
  const bool by_attention = call.budget && !call.budget->by_probe;
  call.probe_scores = workspace.take<float>(call.budget ? rows : 0);
  call.paid = workspace.take<int32_t>(by_attention ? rows : 0);
  call.contexts = workspace.take<float>(by_attention ? static_cast<size_t>(rows) * call.context_stride : 0);
  // At most 128 bytes an input: four tiles of 16 rows, half of whose registers of 32 bytes is used.
  const size_t turned_bytes = model.has_blocks ? static_cast<size_t>(call.code_stride) * 128 : 0;
  for (int i = 0; i < threads; i++) {
    Scratch& own = scratch_[i];
    own.values = workspace.take<float>(static_cast<size_t>(kItemRows) * call.product_stride);
    own.rows = workspace.take<float>(static_cast<size_t>(kItemRows) * call.row_stride);
    own.narrow = workspace.take<float>(static_cast<size_t>(kItemRows) * call.row_stride);
    own.neurons = workspace.take<float>(static_cast<size_t>(kItemRows) * call.neuron_stride);
    own.context = workspace.take<float>(static_cast<size_t>(kItemRows) * call.context_stride);
    own.largest = workspace.take<float>(kItemRows * 16);
    own.scores = workspace.take<float>(kAttentionRows * length);
    own.codes = workspace.take<uint8_t>(static_cast<size_t>(kItemRows) * call.code_stride);
    own.queries = workspace.take<uint8_t>(static_cast<size_t>(kItemRows) * heads * call.key_stride);
    own.chances = workspace.take<uint8_t>(kAttentionRows * length);
    own.widened =
        workspace.take<uint16_t>(std::max(static_cast<size_t>(kItemRows) * call.code_stride, kAttentionRows * length));
    own.turned = workspace.take<uint8_t>(turned_bytes);
    own.turned_inputs = workspace.take<uint8_t>(turned_bytes);
    own.code_scales = workspace.take<float>(kItemRows);
    own.query_scales = workspace.take<float>(static_cast<size_t>(kItemRows) * heads);
  }
  if (call.paid) std::memset(call.paid, 0, static_cast<size_t>(by_attention ? rows : 0) * sizeof(int32_t));
}

}  // namespace edge_qa
