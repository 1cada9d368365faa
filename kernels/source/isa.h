// Which of the paths this CPU can run.
#pragma once
#include "call.h"

namespace edge_qa {

// The table of a path by name, or null.
const Path* path_named(const char* name);

// Whether the CPU has the path's instructions and the system saves its registers.
bool path_runs(const char* name);

// The best path at or below `cap` (null or "" for none), or null.
const Path* best_path(const char* cap);

}  // namespace edge_qa
