// Client and small server CPUs with AVX-VNNI: Alder Lake (2021) and on, Zen 5.
#define EDGE_QA_LANES_256
#define EDGE_QA_PRODUCT_VNNI256
#define EDGE_QA_PATH "avx_vnni"
#define EDGE_QA_PATH_SYMBOL edge_qa_path_avx_vnni
#define EDGE_QA_ITEM_ROWS 48
#include "encoder.h"
