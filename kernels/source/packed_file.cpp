#include "packed_file.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

#include "edge_qa_kernels.h"

namespace edge_qa {
namespace {

constexpr size_t kHeaderBytes = 64, kAlignment = 64, kSlack = 4096;
constexpr int64_t kMostWidth = 32768, kMostRows = 1 << 24, kMostTokens = 8192, kMostHeads = 256, kMostHeadSize = 1024;

uint64_t rounded(uint64_t value, uint64_t step) { return (value + step - 1) / step * step; }

class Reader {
 public:
  const bool sparse;        // whether blocks are wanted
  bool has_blocks = false;  // whether a matrix had any that were

  Reader(const uint8_t* data, size_t size, bool sparse) : sparse(sparse), data_(data), size_(size) {
    if (reinterpret_cast<uintptr_t>(data) % kAlignment) fail("not aligned to 64 bytes");
    if (size < kHeaderBytes + kSlack || std::memcmp(data, "EDGEQAPK", 8)) fail("not a packed model");
    uint32_t version, description;
    uint64_t bytes;
    std::memcpy(&version, data + 8, 4);
    std::memcpy(&description, data + 12, 4);
    std::memcpy(&bytes, data + 16, 8);
    if (version != EDGE_QA_PACKED_VERSION) fail("another version of the format");
    if (bytes != size) fail("cut off, or longer than it says");
    end_ = kHeaderBytes + description;
    if (description % 8 || end_ > size - kSlack) fail("its description does not fit");
    place_ = kHeaderBytes;
  }

  [[noreturn]] static void fail(const std::string& what) { throw BadFile(what); }

  int64_t whole(int64_t low, int64_t high, const char* what) {
    int64_t value;
    word(&value);
    if (value < low || value > high)
      fail(std::string(what) + ": got " + std::to_string(value) + ", wanted " + std::to_string(low) + ".." +
           std::to_string(high));
    return value;
  }
  int32_t size(int64_t low, int64_t high, const char* what) { return static_cast<int32_t>(whole(low, high, what)); }

  double real(const char* what) {
    double value;
    word(&value);
    if (!std::isfinite(value)) fail(std::string(what) + ": not a number");
    return value;
  }

  // An array of `count` values, padded to a multiple of `step` of them.
  template <class T>
  const T* array(uint64_t count, const char* what, uint64_t step = 16) {
    uint64_t offset;
    word(&offset);
    const uint64_t bytes = rounded(count, step) * sizeof(T);
    if (offset % kAlignment || offset < end_ || offset > size_ - kSlack || bytes > size_ - kSlack - offset)
      fail(std::string(what) + ": outside the file");
    return reinterpret_cast<const T*>(data_ + offset);
  }

  void finish() const {
    if (place_ != end_) fail("its description is longer than its model");
  }

 private:
  void word(void* to) {
    if (end_ - place_ < 8) fail("its description ends early");
    std::memcpy(to, data_ + place_, 8);
    place_ += 8;
  }

  const uint8_t* data_;
  size_t size_, end_ = 0, place_ = 0;
};

Matrix read_matrix(Reader& in, int64_t outputs, int64_t inputs) {
  Matrix m{};
  m.outputs = in.size(0, kMostWidth, "outputs");
  m.inputs = in.size(0, kMostWidth, "inputs");
  if ((outputs >= 0 && m.outputs != outputs) || (inputs >= 0 && m.inputs != inputs))
    Reader::fail("a matrix does not fit its neighbours");
  const int64_t flags = in.whole(0, 3, "flags of a matrix");
  const uint64_t panels = rounded(m.outputs, 16) / 16, groups = (m.inputs + 3) / 4;
  m.panels = in.array<int8_t>(panels * groups * 64, "panels");
  m.scale = in.array<float>(m.outputs, "scales");
  m.bias = in.array<float>(m.outputs, "bias");
  m.start = in.array<int32_t>(m.outputs, "starts");
  if (flags & 1) m.input_factor = in.array<float>(m.inputs, "input factors");
  if (flags & 2) {
    const uint64_t columns = in.whole(0, int64_t{1} << 31, "columns");
    if (columns % 4) Reader::fail("block columns do not come in fours");
    const uint64_t ends = (m.outputs + 3) / 4;
    m.block_ends = in.array<uint32_t>(ends, "block ends");
    m.block_columns = in.array<uint16_t>(columns, "block columns");
    m.block_values = in.array<int8_t>(columns * 4, "block values");
    uint32_t before = 0;
    for (uint64_t i = 0; i < ends; before = m.block_ends[i++])
      if (m.block_ends[i] < before || m.block_ends[i] % 4 || m.block_ends[i] > columns)
        Reader::fail("block ends are not in order");
    for (uint64_t i = 0; i < columns; i++)
      if (m.block_columns[i] >= m.inputs) Reader::fail("a block column is no input");
    if (in.sparse)
      in.has_blocks = true;
    else
      m.block_ends = nullptr, m.block_columns = nullptr, m.block_values = nullptr;
  }
  return m;
}

Norm read_norm(Reader& in, int64_t width) {
  Norm norm{};
  norm.width = in.size(width, width, "width of a norm");
  norm.centred = in.size(0, 1, "kind of a norm");
  norm.epsilon = static_cast<float>(in.real("epsilon"));
  if (!(norm.epsilon >= 0)) Reader::fail("epsilon: negative");
  norm.weight = in.array<float>(width, "norm weight");
  norm.bias = in.array<float>(width, "norm bias");
  return norm;
}

Table read_table(Reader& in, int64_t least_rows) {
  Table table{};
  table.rows = in.size(least_rows, kMostRows, "rows of a table");
  table.width = in.size(table.rows ? 1 : 0, kMostWidth, "width of a table");
  table.type = static_cast<uint32_t>(in.whole(kFloat32, kInt8, "type of a table"));
  const uint64_t count = static_cast<uint64_t>(table.rows) * table.width;
  if (table.type == kFloat32)
    table.values = in.array<float>(count, "table");
  else if (table.type == kFloat16)
    table.values = in.array<uint16_t>(count, "table");
  else
    table.values = in.array<int8_t>(count, "table");
  if (table.type == kInt8) table.scales = in.array<float>(table.rows, "table scales");
  return table;
}

Embeddings read_embeddings(Reader& in, int64_t hidden) {
  Embeddings parts{};
  parts.word = read_table(in, 1);
  parts.position = read_table(in, 1);
  parts.token_type = read_table(in, 0);
  parts.position_offset = in.size(0, parts.position.rows - 1, "position offset");
  parts.has_widen = in.size(0, 1, "widen");
  parts.has_projection = in.size(0, 1, "projection");
  const int64_t width = parts.position.width;
  if (parts.has_widen) {
    parts.widen = read_matrix(in, width, -1);
    if (parts.widen.inputs != parts.word.width && parts.widen.inputs != 3 * parts.word.width)
      Reader::fail("widen reads neither one word nor three");
  } else if (parts.word.width != width) {
    Reader::fail("words and positions differ in width");
  }
  if (parts.token_type.rows && parts.token_type.width != width) Reader::fail("token types differ in width");
  parts.norm = read_norm(in, width);
  if (parts.has_projection)
    parts.projection = read_matrix(in, hidden, width);
  else if (width != hidden)
    Reader::fail("embeddings are not as wide as the model");
  return parts;
}

std::unique_ptr<Layer> read_layer(Reader& in, int64_t hidden) {
  auto layer = std::make_unique<Layer>();
  *layer = Layer{};
  layer->narrow = in.size(0, 1, "bottleneck");
  const int64_t inside = layer->narrow ? in.whole(1, kMostWidth, "width of a bottleneck") : hidden;
  int64_t near = inside, far = inside;
  if (layer->narrow) {
    Bottleneck& middle = layer->bottleneck;
    middle.reads = in.size(kShared, kWhole, "what attention reads");
    middle.input = read_matrix(in, inside, hidden);
    middle.input_norm = read_norm(in, inside);
    if (middle.reads == kShared) {
      middle.shared = read_matrix(in, -1, hidden);
      middle.shared_norm = read_norm(in, middle.shared.outputs);
      near = middle.shared.outputs;
    }
    if (middle.reads == kWhole) near = hidden;
    if (middle.reads != kNarrow) far = hidden;
    middle.output = read_matrix(in, hidden, inside);
    middle.output_norm = read_norm(in, hidden);
  }
  Attention& attention = layer->attention;
  attention.heads = in.size(0, kMostHeads, "heads");
  if (attention.heads) {
    attention.key_size = in.size(1, kMostHeadSize, "size of a key");
    attention.value_size = in.size(1, kMostHeadSize, "size of a value");
    attention.scale = static_cast<float>(in.real("scale of scores"));
    const int64_t keys = int64_t{attention.heads} * attention.key_size;
    attention.query = read_matrix(in, keys, near);
    attention.key = read_matrix(in, keys, near);
    attention.value = read_matrix(in, int64_t{attention.heads} * attention.value_size, far);
  }
  attention.output = read_matrix(in, inside, int64_t{attention.heads} * attention.value_size);
  layer->attention_norm = read_norm(in, inside);
  layer->blocks = in.size(0, kMostBlocks, "feed-forward blocks");
  for (int i = 0; i < layer->blocks; i++) {
    FeedForward& block = layer->feed_forwards[i];
    block.up = read_matrix(in, -1, inside);
    block.down = read_matrix(in, inside, block.up.outputs);
    block.norm = read_norm(in, inside);
  }
  return layer;
}

void widen(int32_t& to, int64_t value) { to = std::max(to, static_cast<int32_t>(value)); }

void measure(Model& model) {
  const Embeddings& parts = model.embeddings;
  widen(model.widest_row, model.hidden);
  widen(model.widest_row, parts.position.width);
  widen(model.widest_row, parts.has_widen ? parts.widen.inputs : 0);
  for (int i = 0; i < model.layers; i++) {
    const Layer& layer = *model.layer[i];
    const Attention& attention = layer.attention;
    if (layer.narrow) {
      widen(model.widest_residual, layer.bottleneck.input.outputs);
      widen(model.widest_row, layer.bottleneck.input.outputs);
      widen(model.widest_row, layer.bottleneck.shared.outputs);
    }
    widen(model.widest_product, attention.query.outputs);
    widen(model.widest_product, attention.value.outputs);
    widen(model.widest_context, attention.value.outputs);
    widen(model.most_heads, attention.heads);
    widen(model.widest_key, attention.key_size);
    widen(model.widest_value, attention.value_size);
    for (int block = 0; block < layer.blocks; block++)
      widen(model.widest_neurons, layer.feed_forwards[block].up.outputs);
  }
}

// The arrays of all layers, in the order in which they are used.
class Arrays {
 public:
  void add(const Matrix& from) {
    Matrix& m = const_cast<Matrix&>(from);
    const size_t panel_bytes = rounded(m.outputs, 16) * ((m.inputs + 3) / 4) * 4;
    const size_t columns = m.block_ends && m.outputs ? m.block_ends[(m.outputs + 3) / 4 - 1] : 0;
    if (m.block_ends) {
      add(m.block_ends, rounded((m.outputs + 3) / 4, 16) * 4);
      add(m.block_columns, rounded(columns, 16) * 2);
      add(m.block_values, columns * 4);
    } else {
      add(m.panels, panel_bytes);
    }
    for (const float** vector : {&m.scale, &m.bias}) add(*vector, rounded(m.outputs, 16) * 4);
    add(m.start, rounded(m.outputs, 16) * 4);
    if (m.input_factor) add(m.input_factor, rounded(m.inputs, 16) * 4);
  }

  size_t bytes() const { return bytes_; }

  // `to` has kSlack more bytes, as a file has behind its last array.
  void move_to(uint8_t* to) {
    for (const Place& place : places_) {
      std::memcpy(to, *place.pointer, place.bytes);
      *place.pointer = to;
      to += rounded(place.bytes, kAlignment);
    }
  }

 private:
  struct Place {
    const void** pointer;
    size_t bytes;
  };

  template <class T>
  void add(const T*& pointer, size_t bytes) {
    places_.push_back({reinterpret_cast<const void**>(&pointer), bytes});
    bytes_ += rounded(bytes, kAlignment);
  }

  std::vector<Place> places_;
  size_t bytes_ = 0;
};

// Products run faster from huge pages, which a mapped file has none of.
void copy_weights(PackedModel& packed, size_t file_bytes) {
  if (!HugePages::are_given()) return;
  Arrays arrays;
  for (const auto& layer : packed.layers) {
    const Attention& attention = layer->attention;
    if (layer->narrow) {
      arrays.add(layer->bottleneck.input);
      if (layer->bottleneck.reads == kShared) arrays.add(layer->bottleneck.shared);
    }
    if (attention.heads)
      for (const Matrix* matrix : {&attention.query, &attention.key, &attention.value}) arrays.add(*matrix);
    arrays.add(attention.output);
    for (int block = 0; block < layer->blocks; block++) {
      arrays.add(layer->feed_forwards[block].up);
      arrays.add(layer->feed_forwards[block].down);
    }
    if (layer->narrow) arrays.add(layer->bottleneck.output);
  }
  // A damaged file may name one array many times; then it is read where it is.
  if (arrays.bytes() > file_bytes || !packed.weights.resize(arrays.bytes() + kSlack)) return;
  arrays.move_to(packed.weights.data());
}

}  // namespace

std::unique_ptr<PackedModel> read_packed(const uint8_t* data, size_t size, bool sparse) {
  Reader in(data, size, sparse);
  auto packed = std::make_unique<PackedModel>();
  Model& model = packed->model;
  model.hidden = in.size(1, kMostWidth, "hidden size");
  model.activation = in.size(kGelu, kSilu, "activation");
  model.embeddings = read_embeddings(in, model.hidden);
  model.longest_input = model.embeddings.position.rows - model.embeddings.position_offset;
  model.longest_input = static_cast<int32_t>(std::min<int64_t>(model.longest_input, kMostTokens));
  const int distinct = in.size(1, kMostLayers, "distinct layers");
  for (int i = 0; i < distinct; i++) packed->layers.push_back(read_layer(in, model.hidden));
  model.layers = in.size(1, kMostLayers, "layers");
  for (int i = 0; i < model.layers; i++)
    model.layer[i] = packed->layers[static_cast<size_t>(in.whole(0, distinct - 1, "number of a layer"))].get();
  model.head_weight = in.array<float>(2 * rounded(model.hidden, 16), "head");
  for (float& bias : model.head_bias) bias = static_cast<float>(in.real("bias of the head"));
  model.budgets = in.size(0, kMostBudgets, "budgets");
  for (int i = 0; i < model.budgets; i++) {
    packed->budgets.push_back(std::make_unique<Budget>());
    Budget& budget = *packed->budgets.back();
    budget = Budget{};
    budget.step = in.size(1, kMostTokens, "step of a budget");
    budget.by_probe = in.size(0, 1, "rule of a budget");
    double before = 1;
    for (int layer = 0; layer < model.layers; layer++) {
      const double share = budget.shares[layer] = in.real("share of a budget");
      if (!(share > 0 && share <= before)) Reader::fail("shares of a budget rise, or are not above 0");
      if (share < before && !model.layer[layer]->attention.heads) Reader::fail("a layer without heads drops tokens");
      if (share < before && budget.by_probe) budget.probes[layer] = in.array<float>(model.hidden, "probe");
      before = share;
    }
    model.budget[i] = &budget;
  }
  in.finish();
  model.has_blocks = in.has_blocks;
  measure(model);
  copy_weights(*packed, size);
  return packed;
}

}  // namespace edge_qa
