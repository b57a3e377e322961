// SPDX-License-Identifier: Apache-2.0
// Prefix beam search for CTC with an n-gram language model.
//
// A prefix keeps the probability of all alignments that read as it, apart for those that end in a
// blank and those that end in its last label, so that every text is one prefix. White space is
// folded: spaces at the start, and after another, change nothing. The score of a prefix is
//   log p_ctc + alpha ln p_lm + beta units + weights of hot words + penalties of unknown words
// over its finished units: words, or characters with a character model. An unfinished word counts,
// for the choice of prefixes alone, as the best that begins like it would without its context.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <numeric>
#include <vector>

#include "lattice.h"
#include "lexicon.h"
#include "ngram_model.h"

namespace ds2 {

constexpr double kNever = -std::numeric_limits<double>::infinity();

inline double LogAdd(double a, double b) {
  if (a < b) std::swap(a, b);
  // Below the precision of a double; written so that it also holds where both are -inf.
  if (!(b > a - 37)) return a;
  return a + std::log1p(std::exp(b - a));
}

enum class Units : int32_t { kWords = 0, kCharacters = 1 };

struct Options {
  double alpha;
  double beta;
  double unknown_score;   // added for each word outside the vocabulary
  double beam_threshold;  // prefixes this much worse than the best are dropped
  double cumulative;      // of the probability of a frame's labels that are followed
  int32_t beam_size;
  int32_t max_labels;     // most labels that are followed in a frame
  int32_t closed;         // only words of the vocabulary
  Units units;
};

// What is the same for all utterances; immutable while streams use it.
struct Search {
  Options options;
  std::shared_ptr<const NgramModel> model;  // may be missing
  std::vector<WordId> characters;           // of the labels, with a character model
  Lexicon lexicon;
  bool has_vocabulary = false;
  double highest_weight = 0;
  double unknown_ahead = 0;  // what an unknown word adds to a score, apart from its context
  int32_t num_labels = 0;
  int32_t space = -1;
};

// The part of a score that does not come from the network.
struct TextScore {
  double lm = 0;      // natural log
  double extra = 0;   // hot words and unknown words
  int32_t units = 0;
  int32_t unknown = 0;
  Context context;

  double Bonus(const Options& options) const {
    return options.alpha * lm + options.beta * units + extra;
  }
};

struct Hypothesis {
  std::vector<int32_t> labels;
  double log_p_ctc = 0;
  double log_p_lm = 0;
  double extra = 0;
  double total = 0;
  int32_t units = 0;
  int32_t unknown = 0;
};

class Stream {
 public:
  explicit Stream(const Search& search) : search_(search) {
    Node root;
    root.label = search.space;
    root.blank = 0;
    root.in_beam = true;
    root.lexicon = Lexicon::kRoot;
    if (search.model) root.text.context = search.model->BeginOfSentence();
    nodes_.push_back(root);
    active_.push_back(0);
    RankActive();
  }

  void Push(const float* log_probs, int64_t num_frames) {
    frames_.insert(frames_.end(), log_probs, log_probs + num_frames * search_.num_labels);
    for (int64_t t = 0; t < num_frames; ++t) {
      const float* frame = log_probs + t * search_.num_labels;
      ChooseLabels(frame, search_.options.cumulative, search_.options.max_labels);
      if (Step(frame)) continue;
      // Nothing that may be read went on with the likeliest labels.
      ChooseLabels(frame, 2.0, search_.num_labels);
      Step(frame);
    }
  }

  // Labels that all prefixes of the beam share: these can no longer change.
  std::vector<int32_t> Stable() const {
    std::vector<int32_t> labels;
    int32_t node = 0;
    while (!nodes_[node].in_beam && nodes_[node].first_child >= 0 &&
           nodes_[nodes_[node].first_child].sibling < 0) {
      node = nodes_[node].first_child;
      labels.push_back(nodes_[node].label);
    }
    return labels;
  }

  // Labels of the best prefix.
  std::vector<int32_t> Best() const {
    return Labels(*std::max_element(active_.begin(), active_.end(), [&](int32_t a, int32_t b) {
      return nodes_[a].score < nodes_[b].score;
    }));
  }

  // The best texts, whose scores are computed again over all their alignments, best first.
  std::vector<Hypothesis> Finish(int32_t num_best) const {
    std::vector<Candidate> candidates = Complete(false);
    if (candidates.empty()) candidates = Complete(true);
    const size_t keep = std::min<size_t>(candidates.size(), num_best);
    std::partial_sort(candidates.begin(), candidates.begin() + keep, candidates.end(),
                      [](const Candidate& a, const Candidate& b) { return a.total > b.total; });
    std::vector<Hypothesis> result;
    for (size_t i = 0; i < keep; ++i) {
      Hypothesis hypothesis;
      hypothesis.labels = Labels(candidates[i].node);
      hypothesis.log_p_ctc = Lattice(hypothesis.labels, search_.space).LogProbability(frames());
      hypothesis.log_p_lm = candidates[i].text.lm;
      hypothesis.extra = candidates[i].text.extra;
      hypothesis.units = candidates[i].text.units;
      hypothesis.unknown = candidates[i].text.unknown;
      hypothesis.total = hypothesis.log_p_ctc + candidates[i].text.Bonus(search_.options);
      result.push_back(std::move(hypothesis));
    }
    std::stable_sort(result.begin(), result.end(), [](const Hypothesis& a, const Hypothesis& b) {
      return a.total > b.total;
    });
    return result;
  }

  std::vector<std::pair<int64_t, int64_t>> Align(const std::vector<int32_t>& labels) const {
    return Lattice(labels, search_.space).Align(frames());
  }

 private:
  struct Node {
    int32_t parent = -1;
    int32_t first_child = -1;
    int32_t sibling = -1;
    int32_t label = -1;
    int32_t lexicon = Lexicon::kNone;  // of the unfinished word
    bool in_beam = false;
    bool is_free = false;
    int64_t touched = -1;  // the last frame that led here
    double blank = kNever, last = kNever;
    double next_blank = kNever, next_last = kNever;
    double bonus = 0;
    double score = kNever;
    TextScore text;

    double Total() const { return LogAdd(blank, last); }
  };

  struct Candidate {
    int32_t node;
    double log_p;
    double total;
    TextScore text;
  };

  Frames frames() const {
    const int64_t k = search_.num_labels;
    return {frames_.data(), static_cast<int64_t>(frames_.size()) / k, k};
  }

  // The fewest labels whose probabilities add up to `cumulative`, the likeliest first.
  void ChooseLabels(const float* frame, double cumulative, int32_t most) {
    chosen_.resize(search_.num_labels);
    std::iota(chosen_.begin(), chosen_.end(), 0);
    const auto likelier = [&](int32_t a, int32_t b) {
      return frame[a] > frame[b] || (frame[a] == frame[b] && a < b);
    };
    const size_t limit = std::min<size_t>(most, chosen_.size());
    std::partial_sort(chosen_.begin(), chosen_.begin() + limit, chosen_.end(), likelier);
    double sum = 0;
    size_t count = 0;
    while (count < limit && sum < cumulative) sum += std::exp(double{frame[chosen_[count++]]});
    chosen_.resize(count);
  }

  // Goes on by one frame with the chosen labels; false, and no change, where no prefix can.
  bool Step(const float* frame) {
    const Options& options = search_.options;
    touched_.clear();
    ++time_;
    // Each prefix of a full beam survives with at least this much, if a blank may follow.
    double cutoff = kNever;
    if (static_cast<int32_t>(active_.size()) >= options.beam_size) {
      const bool blank = std::find(chosen_.begin(), chosen_.end(), 0) != chosen_.end();
      if (blank) cutoff = lowest_ + frame[0];
    }
    cutoff -= std::max(0.0, options.beta) + std::max(0.0, options.unknown_score) +
              search_.highest_weight;
    for (const int32_t from : active_) {
      const double total = nodes_[from].Total();
      for (const int32_t label : chosen_) {
        const double log_p = frame[label];
        if (label == 0) {
          Touch(from);
          Node& node = nodes_[from];
          node.next_blank = LogAdd(node.next_blank, total + log_p);
        } else if (label == nodes_[from].label && label == search_.space) {
          Touch(from);
          Node& node = nodes_[from];
          node.next_last = LogAdd(node.next_last, total + log_p);
        } else if (label == nodes_[from].label) {
          if (nodes_[from].last > kNever) {
            Touch(from);
            Node& node = nodes_[from];
            node.next_last = LogAdd(node.next_last, node.last + log_p);
          }
          Extend(from, label, nodes_[from].blank + log_p, cutoff);
        } else {
          Extend(from, label, total + log_p, cutoff);
        }
      }
    }
    double best = kNever;
    for (const int32_t index : touched_) {
      Node& node = nodes_[index];
      node.score = LogAdd(node.next_blank, node.next_last) + node.bonus;
      best = std::max(best, node.score);
    }
    if (best == kNever) {
      for (const int32_t index : touched_) Free(index);
      return false;
    }
    Select(best);
    return true;
  }

  void Touch(int32_t index) {
    Node& node = nodes_[index];
    if (node.touched == time_) return;
    node.touched = time_;
    node.next_blank = node.next_last = kNever;
    touched_.push_back(index);
  }

  void Extend(int32_t from, int32_t label, double log_p, double cutoff) {
    if (log_p == kNever) return;
    int32_t to = nodes_[from].first_child;
    while (to >= 0 && nodes_[to].label != label) to = nodes_[to].sibling;
    if (to < 0) {
      // The end of a word replaces what was expected of it by what it is, which may be better.
      const double most =
          label == search_.space ? nodes_[from].text.Bonus(search_.options) : nodes_[from].bonus;
      if (log_p + most < cutoff) return;
      to = NewChild(from, label);
      if (to < 0) return;
    }
    Touch(to);
    nodes_[to].next_last = LogAdd(nodes_[to].next_last, log_p);
  }

  // A new node after `from`, or -1 where the vocabulary does not allow it.
  int32_t NewChild(int32_t from, int32_t label) {
    const bool words = search_.options.units == Units::kWords;
    Node child;
    child.parent = from;
    child.label = label;
    child.text = nodes_[from].text;
    if (words && label == search_.space) {
      if (!EndWord(nodes_[from], child.text)) return -1;
      child.lexicon = Lexicon::kRoot;
    } else if (words) {
      const int32_t before = nodes_[from].lexicon;
      child.lexicon = before == Lexicon::kNone ? before : search_.lexicon.Child(before, label);
      if (child.lexicon == Lexicon::kNone && search_.options.closed) return -1;
    } else {
      AddUnit(child.text, search_.model ? search_.characters[label] : 0);
    }
    child.bonus = child.text.Bonus(search_.options) + Ahead(child);
    int32_t index;
    if (free_.empty()) {
      index = static_cast<int32_t>(nodes_.size());
      nodes_.emplace_back();
    } else {
      index = free_.back();
      free_.pop_back();
    }
    child.sibling = nodes_[from].first_child;
    nodes_[from].first_child = index;
    nodes_[index] = child;
    return index;
  }

  double Ahead(const Node& node) const {
    if (search_.options.units != Units::kWords || node.label == search_.space) return 0;
    if (search_.lexicon.empty() || !search_.has_vocabulary) return 0;
    const double unknown = search_.options.closed ? kNever : search_.unknown_ahead;
    if (node.lexicon == Lexicon::kNone) return unknown;
    return std::max(unknown, search_.lexicon[node.lexicon].ahead);
  }

  // Adds the word that ends at a node; false where it may not end there.
  bool EndWord(const Node& node, TextScore& text) const {
    const Lexicon::Entry* entry =
        node.lexicon == Lexicon::kNone ? nullptr : &search_.lexicon[node.lexicon];
    const bool is_word = entry && entry->is_word;
    if (search_.options.closed && !is_word) return false;
    if (is_word) text.extra += entry->weight;
    if (search_.has_vocabulary && !(is_word && entry->known)) {
      text.extra += search_.options.unknown_score;
      ++text.unknown;
    }
    AddUnit(text, is_word ? entry->word : kUnknownWord);
    return true;
  }

  void AddUnit(TextScore& text, WordId unit) const {
    ++text.units;
    if (search_.model) text.lm += search_.model->Score(text.context, unit);
  }

  // Keeps the best prefixes of those that the frame led to.
  void Select(double best) {
    const size_t beam = search_.options.beam_size;
    if (touched_.size() > beam) {
      // Every tie is broken alike, whatever the chunks in which the frames came.
      std::nth_element(touched_.begin(), touched_.begin() + beam, touched_.end(),
                       [&](int32_t a, int32_t b) {
                         return nodes_[a].score > nodes_[b].score ||
                                (nodes_[a].score == nodes_[b].score && a < b);
                       });
    }
    const double worst = best - search_.options.beam_threshold;
    for (const int32_t index : active_) nodes_[index].in_beam = false;
    dropped_.clear();
    dropped_.swap(active_);
    for (size_t i = 0; i < touched_.size(); ++i) {
      Node& node = nodes_[touched_[i]];
      if (i < beam && node.score >= worst && node.score > kNever) {
        node.blank = node.next_blank;
        node.last = node.next_last;
        node.in_beam = true;
        active_.push_back(touched_[i]);
      } else {
        dropped_.push_back(touched_[i]);
      }
    }
    for (const int32_t index : dropped_) Free(index);
    RankActive();
  }

  void RankActive() {
    lowest_ = std::numeric_limits<double>::infinity();
    for (const int32_t index : active_) lowest_ = std::min(lowest_, nodes_[index].score);
  }

  // Frees a node that nothing needs, and then those before it.
  void Free(int32_t index) {
    while (index > 0) {
      Node& node = nodes_[index];
      if (node.is_free || node.in_beam) return;
      node.blank = node.last = kNever;
      if (node.first_child >= 0) return;
      int32_t* link = &nodes_[node.parent].first_child;
      while (*link != index) link = &nodes_[*link].sibling;
      *link = node.sibling;
      node.is_free = true;
      free_.push_back(index);
      index = node.parent;
    }
    if (!nodes_[0].in_beam) nodes_[0].blank = nodes_[0].last = kNever;
  }

  // The texts of the beam; with `cut`, an unfinished word that may not end is left out.
  std::vector<Candidate> Complete(bool cut) const {
    std::vector<Candidate> candidates;
    std::vector<int32_t> place(nodes_.size(), -1);
    for (const int32_t index : active_) {
      int32_t at = index;
      TextScore text;
      while (true) {
        // A space at the end does not belong to the text.
        if (at && nodes_[at].label == search_.space) at = nodes_[at].parent;
        text = nodes_[at].text;
        if (at == 0 || search_.options.units != Units::kWords || EndWord(nodes_[at], text)) break;
        if (!cut) {
          at = -1;
          break;
        }
        while (at && nodes_[at].label != search_.space) at = nodes_[at].parent;
      }
      if (at < 0) continue;
      if (place[at] < 0) {
        if (search_.model)
          text.lm += search_.model->Score(text.context, search_.model->end_of_sentence());
        place[at] = static_cast<int32_t>(candidates.size());
        candidates.push_back({at, kNever, 0, text});
      }
      double& log_p = candidates[place[at]].log_p;
      log_p = LogAdd(log_p, nodes_[index].Total());
    }
    for (Candidate& candidate : candidates)
      candidate.total = candidate.log_p + candidate.text.Bonus(search_.options);
    return candidates;
  }

  std::vector<int32_t> Labels(int32_t node) const {
    std::vector<int32_t> labels;
    for (; node > 0; node = nodes_[node].parent) labels.push_back(nodes_[node].label);
    std::reverse(labels.begin(), labels.end());
    return labels;
  }

  const Search& search_;
  std::vector<Node> nodes_;      // the first is the root, the empty prefix
  std::vector<int32_t> free_;    // nodes to use again
  std::vector<int32_t> active_;  // the beam
  std::vector<int32_t> touched_, dropped_, chosen_;
  std::vector<float> frames_;
  double lowest_ = kNever;
  int64_t time_ = -1;
};

}  // namespace ds2
