// Any x86-64 CPU since Haswell (2013) and Zen.
#define EDGE_QA_LANES_256
#define EDGE_QA_PRODUCT_AVX2
#define EDGE_QA_PATH "avx2"
#define EDGE_QA_PATH_SYMBOL edge_qa_path_avx2
#define EDGE_QA_ITEM_ROWS 48
#include "encoder.h"
