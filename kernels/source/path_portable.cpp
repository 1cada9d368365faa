// Plain C++, for tests: every other path gives these bits.
#define EDGE_QA_PATH "portable"
#define EDGE_QA_PATH_SYMBOL edge_qa_path_portable
#define EDGE_QA_ITEM_ROWS 48
#include "encoder.h"
