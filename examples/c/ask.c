/* Logits from C, with nothing but the kernels: tokens in, the best span of tokens out.
 *
 *   edge-qa pack-native BUNDLE PACKED
 *   LIBRARY=$(python -c "import edge_qa_kernels as it; print(it.__path__[0])")    # pip install ./kernels put it there
 *   cc examples/c/ask.c -I kernels/include $LIBRARY/libedge_qa_kernels.so -Wl,-rpath,$LIBRARY -o ask
 *   python -c "import sys, tokenizers as t; print(*t.Tokenizer.from_file(sys.argv[1]).encode(*sys.argv[2:]).ids)" \
 *       PACKED/tokenizer.json "who wrote the notes?" "Ada Lovelace wrote the notes in 1843." > ids
 *   ./ask PACKED/model.native $(cat ids)
 *
 * The numbers are [CLS] question [SEP] context [SEP], as `Tokenizer.encode(question, context)` of the package tokenizers
 * makes them with the bundle's tokenizer.json; `pip install .` brings it. 102 is the [SEP] of BERT's vocabulary. The
 * program prints the first and last token of the best answer, counted from 0, and its score: the sum of the two logits.
 * `Tokenizer.decode(ids[first : last + 1])` is the answer as text. What is mapped must not change while it is used,
 * which is why a bundle is replaced and never rewritten.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "edge_qa_kernels.h"

#define SEPARATOR 102
#define MOST_TOKENS 512
#define LONGEST_ANSWER 30

static int fail(const char* what) {
  fprintf(stderr, "%s\n", what);
  return 1;
}

int main(int count, char** words) {
  if (count < 4 || count - 2 > MOST_TOKENS) return fail("usage: ask PACKED/model.native TOKEN...; the first lines of ask.c make the tokens of a question");
  int file = open(words[1], O_RDONLY);
  struct stat status;
  if (file < 0 || fstat(file, &status)) return fail("the packed model cannot be read");
  void* packed = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, file, 0);
  if (packed == MAP_FAILED) return fail("the packed model cannot be mapped");

  char error[256] = "";
  const char* path = edge_qa_best_path(getenv("EDGE_QA_ISA"));
  edge_qa_model* model;
  edge_qa_pool* pool;
  if (edge_qa_model_open(packed, (size_t)status.st_size, path, &model, error, sizeof error)) return fail(error);
  if (edge_qa_pool_open((int32_t)sysconf(_SC_NPROCESSORS_ONLN), &pool, error, sizeof error)) return fail(error);

  int32_t tokens = count - 2, context = tokens;
  int64_t ids[MOST_TOKENS], types[MOST_TOKENS], positions[MOST_TOKENS];
  float start[MOST_TOKENS], end[MOST_TOKENS];
  for (int32_t i = 0; i < tokens; i++) {
    ids[i] = strtoll(words[i + 2], NULL, 10);
    types[i] = i >= context;
    positions[i] = i;
    if (ids[i] == SEPARATOR && context == tokens) context = i + 1;
  }
  if (edge_qa_run(model, pool, -1, 1, &tokens, ids, types, positions, start, end, error, sizeof error))
    return fail(error);

  int32_t first = context, last = context;
  for (int32_t i = context; i < tokens - 1; i++)
    for (int32_t j = i; j < tokens - 1 && j < i + LONGEST_ANSWER; j++)
      if (start[i] + end[j] > start[first] + end[last]) first = i, last = j;
  printf("tokens %d to %d, score %.4f, on %s\n", first, last, start[first] + end[last], path);
  edge_qa_pool_close(pool);
  edge_qa_model_close(model);
  munmap(packed, (size_t)status.st_size);
  return close(file);
}
