/* The native engine of Edge QA: an encoder of the BERT family on x86-64 CPUs, in 8 bits.
 *
 * A model is a packed file (`edge-qa pack-native`), mapped or read into memory by the caller, who keeps it there,
 * unchanged, for as long as the model is open. Every offset, size and shape in it is checked before it is used. The
 * hash in its header is for the caller to check.
 *
 * Functions that can fail return 0 or a negative number, and write a line of text into `error`. A model may be run by
 * any number of threads at once; calls that share a pool take turns, each with all of the pool's threads. After a fork
 * the child must make itself a new pool; models stay usable.
 */
#ifndef EDGE_QA_KERNELS_H
#define EDGE_QA_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EDGE_QA_EXPORT __attribute__((visibility("default")))

/* Of this interface; a change that a caller could notice raises it. */
#define EDGE_QA_KERNELS_VERSION 1
/* Of packed files. */
#define EDGE_QA_PACKED_VERSION 1

typedef struct edge_qa_model edge_qa_model;
typedef struct edge_qa_pool edge_qa_pool;

typedef struct {
  int32_t hidden, layers, vocabulary, token_types, longest_input, budgets;
} edge_qa_description;

enum { EDGE_QA_OK = 0, EDGE_QA_BAD_FILE = -1, EDGE_QA_BAD_INPUT = -2, EDGE_QA_NO_PATH = -3, EDGE_QA_NO_MEMORY = -4 };

EDGE_QA_EXPORT int32_t edge_qa_kernels_version(void);

/* The path for this CPU: "amx", "avx512_vnni", "avx_vnni", "avx2", or "" where there is none.
 * cap: the largest that may be used, by the same names; NULL or "" for no cap. "portable", "avx_vnni_evex" and
 * "amx_software" are for tests and only used where the cap is exactly that. An unknown cap gives "".
 */
EDGE_QA_EXPORT const char* edge_qa_best_path(const char* cap);

/* Whether this CPU, and this process, can run a path. */
EDGE_QA_EXPORT int32_t edge_qa_path_runs(const char* path);

/* Open a packed model for a path. data: 64-byte aligned, `size` bytes. */
EDGE_QA_EXPORT int32_t edge_qa_model_open(const void* data, size_t size, const char* path, edge_qa_model** model,
                                          char* error, size_t error_size);
EDGE_QA_EXPORT void edge_qa_model_close(edge_qa_model* model);
EDGE_QA_EXPORT void edge_qa_model_describe(const edge_qa_model* model, edge_qa_description* description);

/* A pool of `threads` threads, the caller's own among them. */
EDGE_QA_EXPORT int32_t edge_qa_pool_open(int32_t threads, edge_qa_pool** pool, char* error, size_t error_size);
EDGE_QA_EXPORT void edge_qa_pool_close(edge_qa_pool* pool);

/* Start and end logits of `examples` inputs of different lengths, side by side without padding.
 * lengths: [examples] tokens of each. ids, types, positions, start, end: [sum of lengths].
 * budget: which token budget of the file, or -1 to keep every token.
 */
EDGE_QA_EXPORT int32_t edge_qa_run(edge_qa_model* model, edge_qa_pool* pool, int32_t budget, int32_t examples,
                                   const int32_t* lengths, const int64_t* ids, const int64_t* types,
                                   const int64_t* positions, float* start, float* end, char* error, size_t error_size);

/* Count the cycles of each stage from now on (1) or no longer (0), and read what was counted since, over all threads:
 * embeddings, projections, attention, its output, norms, up, down, logits. cycles: [8], or NULL.
 */
EDGE_QA_EXPORT void edge_qa_pool_profile(edge_qa_pool* pool, int32_t on, uint64_t* cycles);

/* For tests: the integer product of one path. panels: [ceil(outputs/16)][ceil(inputs/4)][16][4] followed by 4096 bytes,
 * start: [outputs rounded up to 16], codes: [rows][inputs rounded up to 64], zeros after the inputs; at most 64 rows.
 * sums: [rows][outputs rounded up to 16].
 */
EDGE_QA_EXPORT int32_t edge_qa_test_product(const char* path, int32_t outputs, int32_t inputs, const int8_t* panels,
                                            const int32_t* start, const uint8_t* codes, int32_t rows, int32_t* sums);

#ifdef __cplusplus
}
#endif
#endif
