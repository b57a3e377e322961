// SPDX-License-Identifier: Apache-2.0
// Remembers what an n-gram model said: prefixes of a beam ask for the same words after the same
// contexts again and again, and each answer costs several reads from all over a large file.
#pragma once

#include <cstdlib>
#include <memory>

#include "ngram_model.h"

namespace ds2 {

class NgramCache {
 public:
  explicit NgramCache(const NgramModel* model) : model_(model) {
    // Zeros that the system hands out only where they are touched.
    if (model) slots_.reset(static_cast<Slot*>(std::calloc(uint64_t{1} << kBits, sizeof(Slot))));
  }

  double LogProbability(const Context& context, WordId word) const {
    // Like the model itself, takes words of the same 64-bit hash for the same.
    const uint64_t key = NgramModel::Key(context, word) + 1;
    if (!slots_ || key == 0) return model_->LogProbability(context, word);
    Slot& slot = slots_.get()[key * 0x9e3779b97f4a7c15ULL >> (64 - kBits)];
    if (slot.key != key) slot = {key, model_->LogProbability(context, word)};
    return slot.log_p;
  }

 private:
  static constexpr int kBits = 15;

  struct Slot {
    uint64_t key;
    double log_p;
  };

  struct Free {
    void operator()(Slot* slots) const { std::free(slots); }
  };

  const NgramModel* model_;
  std::unique_ptr<Slot, Free> slots_;
};

}  // namespace ds2
