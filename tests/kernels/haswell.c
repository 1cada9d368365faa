/* Print the best path of this CPU, then the bits of the logits that the AVX2 path gives for one input. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edge_qa_kernels.h"

int main(int count, char** arguments) {
  if (count != 2) return 2;
  FILE* file = fopen(arguments[1], "rb");
  if (!file) return 3;
  fseek(file, 0, SEEK_END);
  size_t size = (size_t)ftell(file);
  rewind(file);
  void* data = aligned_alloc(64, (size + 63) / 64 * 64);
  if (fread(data, 1, size, file) != size) return 4;
  char error[256] = "";
  edge_qa_model* model;
  edge_qa_pool* pool;
  puts(edge_qa_best_path(""));
  if (edge_qa_model_open(data, size, "avx2", &model, error, sizeof error) ||
      edge_qa_pool_open(2, &pool, error, sizeof error)) {
    fprintf(stderr, "%s\n", error);
    return 5;
  }
  enum { kTokens = 20 };
  int32_t length = kTokens;
  int64_t ids[kTokens], types[kTokens], positions[kTokens];
  float logits[2 * kTokens];
  for (int i = 0; i < kTokens; i++) ids[i] = i, types[i] = i > 6, positions[i] = i;
  if (edge_qa_run(model, pool, -1, 1, &length, ids, types, positions, logits, logits + kTokens, error, sizeof error)) {
    fprintf(stderr, "%s\n", error);
    return 6;
  }
  for (int i = 0; i < 2 * kTokens; i++) {
    uint32_t bits;
    memcpy(&bits, logits + i, 4);
    printf("%08x\n", bits);
  }
  edge_qa_pool_close(pool);
  edge_qa_model_close(model);
  free(data);
  return fclose(file);
}
