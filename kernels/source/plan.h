// The plan of a call: its phases, their items, and where its memory lies.
#pragma once
#include <vector>

#include "call.h"
#include "workspace.h"

namespace edge_qa {

struct Inputs {
  int32_t examples;
  const int32_t* lengths;
  const int64_t *ids, *types, *positions;
  float *start, *end;
};

class Plan {
 public:
  // Memory is carved from `workspace`. Throws std::bad_alloc.
  Plan(const Model& model, const Budget* budget, const Path& path, const Inputs& inputs, int threads,
       Workspace& workspace);

  Call call{};

 private:
  void drop(const Budget& budget);
  void schedule(const Path& path, int threads);
  void items(int kind, int layer, int before, int after, const Path& path, int threads, int count_layer);
  void long_items(int example, int tokens, int shares);
  void carve(const Path& path, int threads, Workspace& workspace);

  std::vector<Example> examples_;
  std::vector<Phase> phases_;
  std::vector<Item> items_;
  std::vector<int32_t> left_;
  std::vector<Scratch> scratch_;
};

}  // namespace edge_qa
