// Servers with AMX-INT8: Sapphire Rapids (2023) and on.
#define EDGE_QA_LANES_512
#define EDGE_QA_PRODUCT_AMX
#define EDGE_QA_PATH "amx"
#define EDGE_QA_PATH_SYMBOL edge_qa_path_amx
#define EDGE_QA_ITEM_ROWS 64
#include "encoder.h"
