// The packed file: where everything of a model lies in memory, ready to run.
//
//   0   8  "EDGEQAPK"
//   8   4  version, EDGE_QA_PACKED_VERSION
//  12   4  bytes of the description
//  16   8  bytes of the file
//  24   8  zeros
//  32  32  sha256 of all other bytes
//  64      the description: 64-bit words, integers or doubles, in the order that packed_file.cpp reads them
//          arrays, each at a multiple of 64 bytes, at the offsets that the description gives
//          4096 zeros, so that whole vectors and tiles may be loaded at the end of any array
//
// All little-endian. The file knows nothing of instruction sets: one layout suits them all.
#pragma once
#include <memory>
#include <stdexcept>
#include <vector>

#include "huge_pages.h"
#include "model.h"

namespace edge_qa {

struct BadFile : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct PackedModel {
  Model model{};
  std::vector<std::unique_ptr<Layer>> layers;
  std::vector<std::unique_ptr<Budget>> budgets;
  HugePages weights;  // copies of what the layers read, where there are huge pages
};

// Read a description and check every number in it. Pointers go into `data`, those of the layers into a copy where that
// makes products faster. sparse: whether the path has a product for blocks; if not, they are checked and left out.
// Throws BadFile.
std::unique_ptr<PackedModel> read_packed(const uint8_t* data, size_t size, bool sparse);

}  // namespace edge_qa
