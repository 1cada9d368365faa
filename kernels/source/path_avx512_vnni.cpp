// Servers since Cascade Lake (2019) and Zen 4.
#define EDGE_QA_LANES_512
#define EDGE_QA_PRODUCT_VNNI512
#define EDGE_QA_PATH "avx512_vnni"
#define EDGE_QA_PATH_SYMBOL edge_qa_path_avx512_vnni
#define EDGE_QA_ITEM_ROWS 48
#include "encoder.h"
