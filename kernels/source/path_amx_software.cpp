// For tests: the AMX path with tiles in plain C++.
#define EDGE_QA_PRODUCT_AMX
#define EDGE_QA_SOFTWARE_TILES
#define EDGE_QA_PATH "amx_software"
#define EDGE_QA_PATH_SYMBOL edge_qa_path_amx_software
#define EDGE_QA_ITEM_ROWS 64
#include "encoder.h"
