#include "huge_pages.h"

#include <sys/mman.h>

#include <cstdio>
#include <cstring>

namespace edge_qa {
namespace {

constexpr size_t kHuge = size_t{2} << 20;
// Below it a whole page would mostly be empty.
constexpr size_t kWorthwhile = kHuge / 2;

bool read_setting() {
  std::FILE* file = std::fopen("/sys/kernel/mm/transparent_hugepage/enabled", "r");
  if (!file) return false;
  char text[128] = {};
  const size_t count = std::fread(text, 1, sizeof text - 1, file);
  std::fclose(file);
  return count && !std::strstr(text, "[never]");
}

}  // namespace

HugePages::~HugePages() {
  if (mapped_) munmap(mapped_, mapped_size_);
}

bool HugePages::resize(size_t bytes) {
  if (mapped_) munmap(mapped_, mapped_size_);
  data_ = mapped_ = nullptr;
  size_ = mapped_size_ = 0;
  const bool huge = bytes >= kWorthwhile && are_given();
  const size_t size = huge ? (bytes + kHuge - 1) / kHuge * kHuge : bytes, whole = huge ? size + kHuge : size;
  void* memory = mmap(nullptr, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return false;
  mapped_ = data_ = static_cast<uint8_t*>(memory);
  mapped_size_ = whole;
  size_ = bytes;
  if (huge) {
    data_ += -reinterpret_cast<uintptr_t>(data_) % kHuge;
    madvise(data_, size, MADV_HUGEPAGE);  // a wish: what is refused is slower, and right
  }
  return true;
}

bool HugePages::are_given() {
  static const bool given = read_setting();
  return given;
}

}  // namespace edge_qa
