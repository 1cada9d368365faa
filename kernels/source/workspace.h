// One growing block of memory, carved anew for every call.
#pragma once
#include <cstddef>
#include <cstdint>
#include <new>

#include "huge_pages.h"

namespace edge_qa {

class Workspace {
 public:
  Workspace() = default;
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  // Carving happens twice: `measure` true only adds up, then the block is made as large as that, and carved.
  void begin(bool measure) {
    measure_ = measure;
    if (!measure && used_ > block_.size() && !block_.resize(used_)) throw std::bad_alloc();
    used_ = 0;
  }

  template <class T>
  T* take(size_t count) {
    T* place = measure_ ? nullptr : reinterpret_cast<T*>(block_.data() + used_);
    // Room behind each array: vectors and tiles are loaded whole.
    used_ += (count * sizeof(T) + kSlack + kAlignment - 1) / kAlignment * kAlignment;
    return place;
  }

 private:
  // Not whole pages: rows of two arrays would lie in the same few places of the level-1 cache.
  static constexpr size_t kAlignment = 64, kSlack = 1024;
  HugePages block_;
  size_t used_ = 0;
  bool measure_ = false;
};

}  // namespace edge_qa
