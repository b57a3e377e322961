// SPDX-License-Identifier: Apache-2.0
// The words that are known, as a trie over labels.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

namespace ds2 {

class Lexicon {
 public:
  struct Entry {
    uint32_t word = 0;      // id in the language model
    bool known = false;     // in the vocabulary, and not only a hot word
    bool is_word = false;   // a word ends here
    double weight = 0;      // of a hot word
    // The most that a word which begins like this adds to a score, apart from its context.
    double ahead = -std::numeric_limits<double>::infinity();
  };

  static constexpr int32_t kRoot = 0;
  static constexpr int32_t kNone = -1;

  Lexicon() : entries_(1), slots_(64) {}

  // Adds a word where it is missing; the entry stays valid until the next word is added.
  Entry& Add(const std::vector<int32_t>& labels) {
    int32_t node = kRoot;
    for (int32_t label : labels) {
      int32_t next = Child(node, label);
      if (next == kNone) {
        next = static_cast<int32_t>(entries_.size());
        entries_.emplace_back();
        Insert(Key(node, label), next);
      }
      node = next;
    }
    entries_[node].is_word = true;
    return entries_[node];
  }

  int32_t Child(int32_t node, int32_t label) const {
    const uint64_t key = Key(node, label);
    for (uint64_t slot = Hash(key);; ++slot) {
      const Slot& candidate = slots_[slot & (slots_.size() - 1)];
      if (candidate.node == kNone) return kNone;
      if (candidate.key == key) return candidate.node;
    }
  }

  // Tells all beginnings of a word what the word adds to a score.
  void LookAhead(const std::vector<int32_t>& labels, double score) {
    int32_t node = kRoot;
    for (int32_t label : labels) {
      node = Child(node, label);
      entries_[node].ahead = std::max(entries_[node].ahead, score);
    }
  }

  const Entry& operator[](int32_t node) const { return entries_[node]; }
  bool empty() const { return entries_.size() == 1; }

 private:
  struct Slot {
    uint64_t key = 0;
    int32_t node = kNone;
  };

  static uint64_t Key(int32_t node, int32_t label) {
    return static_cast<uint64_t>(node) << 32 | static_cast<uint32_t>(label);
  }

  static uint64_t Hash(uint64_t key) {
    key *= 0x9e3779b97f4a7c15ULL;
    return key ^ key >> 32;
  }

  void Insert(uint64_t key, int32_t node) {
    if (2 * entries_.size() > slots_.size()) {
      std::vector<Slot> old(2 * slots_.size());
      old.swap(slots_);
      for (const Slot& slot : old)
        if (slot.node != kNone) Place(slot);
    }
    Place({key, node});
  }

  void Place(const Slot& slot) {
    uint64_t at = Hash(slot.key);
    while (slots_[at & (slots_.size() - 1)].node != kNone) ++at;
    slots_[at & (slots_.size() - 1)] = slot;
  }

  std::vector<Entry> entries_;
  std::vector<Slot> slots_;  // open addressing, a power of two
};

}  // namespace ds2
