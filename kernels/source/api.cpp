#include <algorithm>
#include <cstdio>
#include <cstring>
#include <new>

#include "edge_qa_kernels.h"
#include "isa.h"
#include "packed_file.h"
#include "plan.h"
#include "pool.h"

using namespace edge_qa;

struct edge_qa_model {
  std::unique_ptr<PackedModel> packed;
  const Path* path;
};

struct edge_qa_pool {
  explicit edge_qa_pool(int threads) : pool(threads) {}
  Pool pool;
};

namespace {

constexpr int kMostThreads = 256;
// Examples beyond this many rows take turns, so that memory does not grow with the batch.
constexpr int kRowsAtOnce = 2048;

int32_t say(int32_t code, const char* text, char* error, size_t error_size) {
  if (error && error_size) std::snprintf(error, error_size, "%s", text);
  return code;
}

// No exception may cross the C interface.
template <class F>
int32_t guarded(char* error, size_t error_size, F&& body) {
  try {
    return body();
  } catch (const BadFile& problem) {
    return say(EDGE_QA_BAD_FILE, problem.what(), error, error_size);
  } catch (const std::bad_alloc&) {
    return say(EDGE_QA_NO_MEMORY, "not enough memory", error, error_size);
  } catch (const std::exception& problem) {
    return say(EDGE_QA_NO_MEMORY, problem.what(), error, error_size);
  }
}

bool in_range(const int64_t* values, int64_t count, int64_t limit) {
  for (int64_t i = 0; i < count; i++)
    if (values[i] < 0 || values[i] >= limit) return false;
  return true;
}

const char* problem_of(const Model& model, int32_t budget, const Inputs& inputs) {
  if (budget < -1 || budget >= model.budgets) return "no such budget";
  if (inputs.examples < 0) return "a negative number of examples";
  int64_t tokens = 0;
  for (int32_t i = 0; i < inputs.examples; i++) {
    if (inputs.lengths[i] < 1 || inputs.lengths[i] > model.longest_input)
      return "an input is empty, or longer than the model takes";
    tokens += inputs.lengths[i];
  }
  if (tokens > INT32_MAX) return "too many tokens";
  if (!in_range(inputs.ids, tokens, model.embeddings.word.rows)) return "an id is outside the vocabulary";
  if (model.embeddings.token_type.rows && !in_range(inputs.types, tokens, model.embeddings.token_type.rows))
    return "a token type is outside the table";
  if (!in_range(inputs.positions, tokens, model.longest_input)) return "a position is outside the table";
  return nullptr;
}

}  // namespace

int32_t edge_qa_kernels_version(void) { return EDGE_QA_KERNELS_VERSION; }

const char* edge_qa_best_path(const char* cap) {
  const Path* path = best_path(cap);
  return path ? path->name : "";
}

int32_t edge_qa_path_runs(const char* path) { return path_runs(path); }

int32_t edge_qa_model_open(const void* data, size_t size, const char* path, edge_qa_model** model, char* error,
                           size_t error_size) {
  *model = nullptr;
  return guarded(error, error_size, [&] {
    if (!path_runs(path)) return say(EDGE_QA_NO_PATH, "this CPU cannot run that path", error, error_size);
    auto opened = std::make_unique<edge_qa_model>();
    opened->path = path_named(path);
    opened->packed = read_packed(static_cast<const uint8_t*>(data), size, opened->path->sparse);
    *model = opened.release();
    return static_cast<int32_t>(EDGE_QA_OK);
  });
}

void edge_qa_model_close(edge_qa_model* model) { delete model; }

void edge_qa_model_describe(const edge_qa_model* model, edge_qa_description* description) {
  const Model& m = model->packed->model;
  *description = {m.hidden, m.layers, m.embeddings.word.rows, m.embeddings.token_type.rows, m.longest_input, m.budgets};
}

int32_t edge_qa_pool_open(int32_t threads, edge_qa_pool** pool, char* error, size_t error_size) {
  *pool = nullptr;
  return guarded(error, error_size, [&] {
    if (threads < 1 || threads > kMostThreads)
      return say(EDGE_QA_BAD_INPUT, "a pool has 1 to 256 threads", error, error_size);
    *pool = new edge_qa_pool(threads);
    return static_cast<int32_t>(EDGE_QA_OK);
  });
}

void edge_qa_pool_close(edge_qa_pool* pool) { delete pool; }

int32_t edge_qa_run(edge_qa_model* model, edge_qa_pool* pool, int32_t budget, int32_t examples, const int32_t* lengths,
                    const int64_t* ids, const int64_t* types, const int64_t* positions, float* start, float* end,
                    char* error, size_t error_size) {
  return guarded(error, error_size, [&] {
    const Model& m = model->packed->model;
    Inputs inputs{examples, lengths, ids, types, positions, start, end};
    if (const char* problem = problem_of(m, budget, inputs)) return say(EDGE_QA_BAD_INPUT, problem, error, error_size);
    const Budget* chosen = budget < 0 ? nullptr : m.budget[budget];
    const auto turn = pool->pool.turn();
    for (int32_t first = 0; first < examples;) {
      int32_t last = first, rows = 0, tokens = 0;
      do {
        tokens += lengths[last];
        rows += (lengths[last++] + 15) / 16 * 16;
      } while (last < examples && rows + (lengths[last] + 15) / 16 * 16 <= kRowsAtOnce);
      inputs.examples = last - first;
      inputs.lengths = lengths + first;
      Plan plan(m, chosen, *model->path, inputs, pool->pool.threads(), pool->pool.workspace);
      plan.call.cycles = pool->pool.cycles.empty() ? nullptr : pool->pool.cycles.data();
      pool->pool.run(*model->path, plan.call);
      inputs.ids += tokens;
      inputs.types += tokens;
      inputs.positions += tokens;
      inputs.start += tokens;
      inputs.end += tokens;
      first = last;
    }
    return static_cast<int32_t>(EDGE_QA_OK);
  });
}

void edge_qa_pool_profile(edge_qa_pool* pool, int32_t on, uint64_t* cycles) {
  const auto turn = pool->pool.turn();
  auto& counted = pool->pool.cycles;
  if (cycles) {
    std::fill(cycles, cycles + kStages, 0);
    for (size_t i = 0; i < counted.size(); i++) cycles[i % kStages] += counted[i];
  }
  counted.assign(on ? static_cast<size_t>(pool->pool.threads()) * kStages : 0, 0);
}

int32_t edge_qa_test_product(const char* path, int32_t outputs, int32_t inputs, const int8_t* panels,
                             const int32_t* start, const uint8_t* codes, int32_t rows, int32_t* sums) {
  return guarded(nullptr, 0, [&] {
    if (!path_runs(path)) return static_cast<int32_t>(EDGE_QA_NO_PATH);
    if (outputs < 1 || inputs < 1 || rows < 1 || rows > kItemRows) return static_cast<int32_t>(EDGE_QA_BAD_INPUT);
    Matrix matrix{};
    matrix.outputs = outputs;
    matrix.inputs = inputs;
    matrix.panels = panels;
    matrix.start = start;
    const int stride = (inputs + 63) / 64 * 64;
    std::vector<uint16_t> widened(static_cast<size_t>(kItemRows) * stride);
    std::vector<uint8_t> padded(static_cast<size_t>(kItemRows) * stride);  // tiles read 16 rows at once
    std::copy(codes, codes + static_cast<size_t>(rows) * stride, padded.begin());
    path_named(path)->product(&matrix, padded.data(), stride, rows, widened.data(), sums);
    return static_cast<int32_t>(EDGE_QA_OK);
  });
}
