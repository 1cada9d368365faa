// Several callers, several pools, one model: run under ThreadSanitizer. All logits must be the same.
// pool FILE PATH TOKENS
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#include "edge_qa_kernels.h"

int main(int count, char** arguments) {
  if (count != 4) return 2;
  std::FILE* file = std::fopen(arguments[1], "rb");
  std::fseek(file, 0, SEEK_END);
  const size_t size = static_cast<size_t>(std::ftell(file));
  std::rewind(file);
  void* data = std::aligned_alloc(64, (size + 63) / 64 * 64);
  if (std::fread(data, 1, size, file) != size) return 3;
  std::fclose(file);
  char error[256];
  edge_qa_model* model;
  if (edge_qa_model_open(data, size, arguments[2], &model, error, sizeof error)) return 4;
  edge_qa_pool* pools[2];
  for (int i = 0; i < 2; i++)
    if (edge_qa_pool_open(3 + i, &pools[i], error, sizeof error)) return 5;
  constexpr int kMostTokens = 512, kCallers = 4, kCalls = 12;
  const int tokens = std::atoi(arguments[3]);
  if (tokens < 1 || tokens > kMostTokens) return 2;
  int64_t ids[kMostTokens], types[kMostTokens], positions[kMostTokens];
  for (int i = 0; i < tokens; i++) ids[i] = i % 24, types[i] = i > 6, positions[i] = i;
  std::vector<std::vector<float>> logits(kCallers, std::vector<float>(2 * tokens));
  std::vector<std::thread> callers;
  for (int caller = 0; caller < kCallers; caller++)
    callers.emplace_back([&, caller] {
      char own[256];
      const int32_t length = tokens;
      for (int call = 0; call < kCalls; call++)
        if (edge_qa_run(model, pools[(caller + call) % 2], -1, 1, &length, ids, types, positions, logits[caller].data(),
                        logits[caller].data() + tokens, own, sizeof own))
          std::abort();
    });
  for (std::thread& caller : callers) caller.join();
  for (edge_qa_pool* pool : pools) edge_qa_pool_close(pool);
  edge_qa_model_close(model);
  std::free(data);
  for (const auto& one : logits)
    if (std::memcmp(one.data(), logits[0].data(), sizeof(float) * 2 * tokens)) return 6;
  return 0;
}
