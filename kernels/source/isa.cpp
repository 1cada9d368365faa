#include "isa.h"

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <iterator>

// A build may leave paths out (EDGE_QA_PATHS); theirs are null.
#define EDGE_QA_MAYBE __attribute__((weak))
extern EDGE_QA_MAYBE const edge_qa::Path edge_qa_path_portable;
extern EDGE_QA_MAYBE const edge_qa::Path edge_qa_path_avx2;
extern EDGE_QA_MAYBE const edge_qa::Path edge_qa_path_avx_vnni;
extern EDGE_QA_MAYBE const edge_qa::Path edge_qa_path_avx_vnni_evex;
extern EDGE_QA_MAYBE const edge_qa::Path edge_qa_path_avx512_vnni;
extern EDGE_QA_MAYBE const edge_qa::Path edge_qa_path_amx;
extern EDGE_QA_MAYBE const edge_qa::Path edge_qa_path_amx_software;

namespace edge_qa {
namespace {

struct Features {
  bool avx2, avx_vnni, avx512_vnni, amx;
};

uint64_t enabled_state() {
  uint32_t low, high;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return static_cast<uint64_t>(high) << 32 | low;
}

// Linux gives the 8 KB of tile registers only to processes that ask (ARCH_REQ_XCOMP_PERM, XTILEDATA); a sandbox may
// refuse.
bool tiles_permitted() { return syscall(SYS_arch_prctl, 0x1023, 18) == 0; }

Features detect() {
  Features found{};
  uint32_t a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return found;
  const bool fma = c >> 12 & 1, osxsave = c >> 27 & 1, half = c >> 29 & 1;
  if (!osxsave || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return found;
  const uint64_t state = enabled_state();
  const bool ymm = (state & 0x6) == 0x6, zmm = (state & 0xe6) == 0xe6, tiles = (state & 0x60000) == 0x60000;
  const bool avx512 = (b >> 16 & 1) && (b >> 17 & 1) && (b >> 30 & 1) && (b >> 31 & 1) && (c >> 11 & 1);
  const bool amx = (d >> 24 & 1) && (d >> 25 & 1);
  found.avx2 = ymm && fma && half && (b >> 5 & 1);
  found.avx512_vnni = found.avx2 && zmm && avx512;
  found.amx = found.avx512_vnni && tiles && amx && tiles_permitted();
  if (a >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d)) found.avx_vnni = found.avx2 && (a >> 4 & 1);
  return found;
}

const Features& features() {
  static const Features found = detect();
  return found;
}

struct Entry {
  const Path* path;
  bool (*runs)(const Features&);
  bool for_tests;
};

// Best first. The two forms of 256-bit VNNI are one: where only the EVEX one is there, zmm is, too.
const Entry kEntries[] = {
    {&edge_qa_path_amx, [](const Features& f) { return f.amx; }, false},
    {&edge_qa_path_avx512_vnni, [](const Features& f) { return f.avx512_vnni; }, false},
    {&edge_qa_path_avx_vnni, [](const Features& f) { return f.avx_vnni; }, false},
    {&edge_qa_path_avx2, [](const Features& f) { return f.avx2; }, false},
    {&edge_qa_path_avx_vnni_evex, [](const Features& f) { return f.avx512_vnni; }, true},
    {&edge_qa_path_amx_software, [](const Features&) { return true; }, true},
    {&edge_qa_path_portable, [](const Features&) { return true; }, true},
};

const Entry* entry_named(const char* name) {
  for (const Entry& entry : kEntries)
    if (name && entry.path && !std::strcmp(entry.path->name, name)) return &entry;
  return nullptr;
}

}  // namespace

const Path* path_named(const char* name) {
  const Entry* entry = entry_named(name);
  return entry ? entry->path : nullptr;
}

bool path_runs(const char* name) {
  const Entry* entry = entry_named(name);
  return entry && entry->runs(features());
}

const Path* best_path(const char* cap) {
  const Entry* first = kEntries;
  if (cap && *cap) {
    first = entry_named(cap);
    if (!first) return nullptr;
    if (first->for_tests) return first->runs(features()) ? first->path : nullptr;
  }
  for (const Entry* entry = first; entry != std::end(kEntries) && !entry->for_tests; entry++)
    if (entry->path && entry->runs(features())) return entry->path;
  return nullptr;
}

}  // namespace edge_qa
