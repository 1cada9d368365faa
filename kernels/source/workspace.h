// One growing block of memory, carved anew for every call.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

namespace edge_qa {

class Workspace {
 public:
  Workspace() = default;
  ~Workspace() { std::free(block_); }
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  // Carving happens twice: `measure` true only adds up, then the block is made as large as that, and carved.
  void begin(bool measure) {
    measure_ = measure;
    if (!measure && used_ > size_) {
      std::free(block_);
      block_ = nullptr;
      size_ = 0;
      block_ = static_cast<uint8_t*>(std::aligned_alloc(kAlignment, used_));
      if (!block_) throw std::bad_alloc();
      size_ = used_;
    }
    used_ = 0;
  }

  template <class T>
  T* take(size_t count) {
    T* place = measure_ ? nullptr : reinterpret_cast<T*>(block_ + used_);
    // Room behind each array: vectors and tiles are loaded whole.
    used_ += (count * sizeof(T) + kSlack + kAlignment - 1) / kAlignment * kAlignment;
    return place;
  }

 private:
  static constexpr size_t kAlignment = 4096, kSlack = 1024;
  uint8_t* block_ = nullptr;
  size_t size_ = 0, used_ = 0;
  bool measure_ = false;
};

}  // namespace edge_qa
