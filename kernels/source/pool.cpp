#include "pool.h"

#include <immintrin.h>

#include <csignal>

namespace edge_qa {
namespace {

// Some 50 to 100 microseconds: longer than between two phases, shorter than between two questions.
constexpr int kSpins = 2000;
constexpr int kSpinsBeforeYield = 400;
// Rounding to nearest, nothing flushed to zero: what a program sets for itself must not change scores.
constexpr unsigned kRounding = 0x1f80;

}  // namespace

Pool::Pool(int threads) : threads_(threads) {
  // Signals are for the threads of the program.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    for (int thread = 1; thread < threads_; thread++) workers_.emplace_back([this, thread] { work(thread); });
  } catch (...) {
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    {
      std::lock_guard<std::mutex> lock(sleep_);
      stop_ = true;
    }
    wake_.notify_all();
    for (std::thread& worker : workers_) worker.join();
    throw;
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

Pool::~Pool() {
  {
    std::lock_guard<std::mutex> lock(sleep_);
    stop_ = true;
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

// Claim one item and do it; false when nothing is left to claim. entered: the path whose state the thread has set up.
bool Pool::step(int thread, uint64_t generation, const Path*& entered) {
  for (int spins = 0;;) {
    uint64_t ticket = ticket_.load(std::memory_order_acquire);
    const uint32_t index = static_cast<uint32_t>(index_of(ticket));
    if (generation_of(ticket) != generation || index >= total_of(ticket)) return false;
    int phase = 0;
    while (first_of_phase_[phase + 1].load(std::memory_order_relaxed) <= index && phase < kMostPhases - 1) phase++;
    const uint32_t first = first_of_phase_[phase].load(std::memory_order_relaxed);
    if (done_.load(std::memory_order_acquire) < first) {
      // What comes before is not finished. Only threads that hold no item wait.
      _mm_pause();
      if (++spins == kSpinsBeforeYield) {
        std::this_thread::yield();
        spins = 0;
      }
      continue;
    }
    if (ticket_.compare_exchange_weak(ticket, ticket + 1, std::memory_order_acq_rel)) {
      // Path and call may be read by who holds an item only: the next call writes them when all items are done.
      if (!entered) {
        entered = path_;
        if (entered->enter) entered->enter();
      }
      entered->run(call_, thread, phase, static_cast<int>(index - first));
      done_.fetch_add(1, std::memory_order_acq_rel);
      return true;
    }
  }
}

void Pool::work(int thread) {
  _mm_setcsr(kRounding);
  int spins = 0;
  while (!stop_.load(std::memory_order_acquire)) {
    const uint64_t ticket = ticket_.load(std::memory_order_acquire);
    if (index_of(ticket) < total_of(ticket)) {
      const Path* entered = nullptr;
      while (step(thread, generation_of(ticket), entered)) {
      }
      if (entered && entered->leave) entered->leave();
      spins = 0;
      continue;
    }
    _mm_pause();
    if (++spins < kSpins) continue;
    std::unique_lock<std::mutex> lock(sleep_);
    asleep_++;
    wake_.wait(lock, [this] {
      const uint64_t now = ticket_.load();
      return stop_ || index_of(now) < total_of(now);
    });
    asleep_--;
    spins = 0;
  }
}

void Pool::run(const Path& path, const Call& call) {
  const unsigned before = _mm_getcsr();
  _mm_setcsr(kRounding);
  path_ = &path;
  call_ = &call;
  uint32_t total = 0;
  for (int phase = 0; phase < call.phase_count; phase++) {
    first_of_phase_[phase].store(total, std::memory_order_relaxed);
    total += call.phases[phase].items;
  }
  for (int phase = call.phase_count; phase <= kMostPhases; phase++)
    first_of_phase_[phase].store(UINT32_MAX, std::memory_order_relaxed);
  first_of_phase_[call.phase_count].store(total, std::memory_order_relaxed);
  const uint64_t generation = (generation_of(ticket_.load()) + 1) & 0xffffff;
  done_.store(0, std::memory_order_relaxed);
  {
    std::lock_guard<std::mutex> lock(sleep_);
    ticket_.store(generation << 2 * kIndexBits | static_cast<uint64_t>(total) << kIndexBits, std::memory_order_release);
  }
  if (asleep_.load()) wake_.notify_all();
  const Path* entered = nullptr;
  while (step(0, generation, entered)) {
  }
  if (entered && entered->leave) entered->leave();
  for (int spins = 0; done_.load(std::memory_order_acquire) < total;) {
    _mm_pause();
    if (++spins == kSpinsBeforeYield) {
      std::this_thread::yield();
      spins = 0;
    }
  }
  _mm_setcsr(before);
}

}  // namespace edge_qa
