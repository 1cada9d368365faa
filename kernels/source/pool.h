// Threads that work on one call at a time.
#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

#include "call.h"
#include "workspace.h"

namespace edge_qa {

// The phases of a call are cut into items, which threads claim; they are not dealt out. A thread that the system does
// not schedule holds at most the one item that it is working on, and the caller could do all of the work alone. Halves
// that were assigned to threads, with barriers between, stalled badly beside other busy programs.
class Pool {
 public:
  explicit Pool(int threads);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  int threads() const { return threads_; }

  // The turn to run: one call at a time has the threads and the memory.
  std::unique_lock<std::mutex> turn() { return std::unique_lock<std::mutex>(turn_); }
  // Run all phases of a call on a path; the caller holds the turn.
  void run(const Path& path, const Call& call);

  Workspace workspace;
  std::vector<uint64_t> cycles;  // [threads][kStages], empty where nobody counts

 private:
  static constexpr int kMostPhases = 3 * kMostLayers + 2;
  static constexpr uint64_t kIndexBits = 20, kIndexMask = (1u << kIndexBits) - 1;

  void work(int thread);
  bool step(int thread, uint64_t generation, const Path*& entered);
  static uint64_t index_of(uint64_t ticket) { return ticket & kIndexMask; }
  static uint64_t total_of(uint64_t ticket) { return ticket >> kIndexBits & kIndexMask; }
  static uint64_t generation_of(uint64_t ticket) { return ticket >> 2 * kIndexBits; }

  const int threads_;
  std::mutex turn_;
  const Path* path_ = nullptr;
  const Call* call_ = nullptr;
  // Generation (24 bits), number of items, next item: whoever moves it on has the item.
  alignas(64) std::atomic<uint64_t> ticket_{0};
  alignas(64) std::atomic<uint32_t> done_{0};
  alignas(64) std::atomic<uint32_t> first_of_phase_[kMostPhases + 1] = {};
  alignas(64) std::atomic<int> asleep_{0};
  std::mutex sleep_;
  std::condition_variable wake_;
  std::atomic<bool> stop_{false};
  std::vector<std::thread> workers_;
};

}  // namespace edge_qa
