// For tests: the 256-bit path in the encoding that AVX512-VNNI CPUs have.
#define EDGE_QA_LANES_256
#define EDGE_QA_PRODUCT_VNNI256
#define EDGE_QA_PATH "avx_vnni_evex"
#define EDGE_QA_PATH_SYMBOL edge_qa_path_avx_vnni_evex
#define EDGE_QA_ITEM_ROWS 48
#include "encoder.h"
