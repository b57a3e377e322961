// SPDX-License-Identifier: Apache-2.0
// The words that are known, as a trie over labels.
//
// Nodes are numbered level by level, and so the children of a node lie side by side, in order of
// their labels. A 64-bit mask of these labels finds a child without a search.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

namespace ds2 {

class Lexicon {
 public:
  struct Word {
    std::vector<int32_t> labels;
    uint32_t id = 0;     // in the language model
    bool known = false;  // in the vocabulary, and not only a hot word
    double weight = 0;   // of a hot word
  };

  static constexpr int32_t kRoot = 0;
  static constexpr int32_t kNone = -1;

  Lexicon() : Lexicon({}, 0, [](const Word&) { return 0.0; }) {}

  // `score(word)` is what a word adds to a score, apart from its context. The same word may come
  // twice: from the vocabulary, and as a hot word.
  template <class Score>
  Lexicon(std::vector<Word> words, int32_t num_labels, Score score)
      : words_(std::move(words)), exact_(num_labels <= 64) {
    std::stable_sort(words_.begin(), words_.end(),
                     [](const Word& a, const Word& b) { return a.labels < b.labels; });
    Merge();
    struct Range {
      size_t first, end, depth;
    };
    std::vector<Range> ranges = {{0, words_.size(), 0}};
    nodes_.resize(1);
    labels_.resize(1);
    std::vector<int32_t> parents = {kNone};
    for (size_t node = 0; node < nodes_.size(); ++node) {
      auto [first, end, depth] = ranges[node];
      if (first < end && words_[first].labels.size() == depth)
        nodes_[node].word = static_cast<int32_t>(first++);
      nodes_[node].first_child = static_cast<int32_t>(nodes_.size());
      while (first < end) {
        const int32_t label = words_[first].labels[depth];
        const size_t start = first;
        while (first < end && words_[first].labels[depth] == label) ++first;
        nodes_[node].mask |= Bit(label);
        ++nodes_[node].num_children;
        nodes_.emplace_back();
        labels_.push_back(label);
        ranges.push_back({start, first, depth + 1});
        parents.push_back(static_cast<int32_t>(node));
      }
    }
    ahead_.assign(nodes_.size(), -std::numeric_limits<double>::infinity());
    for (size_t node = nodes_.size(); node-- > 0;) {
      if (nodes_[node].word != kNone)
        ahead_[node] = std::max(ahead_[node], score(words_[nodes_[node].word]));
      if (node) ahead_[parents[node]] = std::max(ahead_[parents[node]], ahead_[node]);
    }
  }

  int32_t Child(int32_t node, int32_t label) const {
    const Node& parent = nodes_[node];
    const uint64_t bit = Bit(label);
    if (!(parent.mask & bit)) return kNone;
    // With more labels than bits, several share one.
    if (exact_) return parent.first_child + __builtin_popcountll(parent.mask & (bit - 1));
    const auto begin = labels_.begin() + parent.first_child;
    const auto found = std::lower_bound(begin, begin + parent.num_children, label);
    if (found == begin + parent.num_children || *found != label) return kNone;
    return static_cast<int32_t>(found - labels_.begin());
  }

  // The word that ends at a node, or null.
  const Word* At(int32_t node) const {
    return nodes_[node].word == kNone ? nullptr : &words_[nodes_[node].word];
  }

  // The most that a word which begins like this adds to a score, apart from its context.
  double Ahead(int32_t node) const { return ahead_[node]; }

  bool empty() const { return words_.empty(); }

 private:
  struct Node {
    uint64_t mask = 0;
    int32_t first_child = 0;
    int32_t num_children = 0;
    int32_t word = kNone;
  };

  static uint64_t Bit(int32_t label) { return uint64_t{1} << (label & 63); }

  void Merge() {
    size_t kept = 0;
    for (size_t i = 0; i < words_.size(); ++i) {
      if (kept && words_[kept - 1].labels == words_[i].labels) {
        Word& word = words_[kept - 1];
        word.id = std::max(word.id, words_[i].id);
        word.known |= words_[i].known;
        word.weight += words_[i].weight;
      } else {
        if (kept != i) words_[kept] = std::move(words_[i]);
        ++kept;
      }
    }
    words_.resize(kept);
  }

  std::vector<Word> words_;
  std::vector<Node> nodes_;
  std::vector<int32_t> labels_;  // by which a node is reached
  std::vector<double> ahead_;    // apart from the nodes: those of siblings are read together
  bool exact_;
};

}  // namespace ds2
