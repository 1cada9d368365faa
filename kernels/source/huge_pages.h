// Memory in pages of 2 MB, where the system gives them: with pages of 4 KB a tenth of a product's time goes into
// looking up addresses, because weights and scratch memory are more pages than a CPU remembers.
#pragma once
#include <cstddef>
#include <cstdint>

namespace edge_qa {

class HugePages {
 public:
  HugePages() = default;
  ~HugePages();
  HugePages(const HugePages&) = delete;
  HugePages& operator=(const HugePages&) = delete;

  // Memory of zeros in place of what was there; false where there is none. Small amounts are in small pages.
  bool resize(size_t bytes);
  uint8_t* data() const { return data_; }
  size_t size() const { return size_; }

  // Whether the system is set to give them to who asks.
  static bool are_given();

 private:
  uint8_t *data_ = nullptr, *mapped_ = nullptr;
  size_t size_ = 0, mapped_size_ = 0;
};

}  // namespace edge_qa
