// SPDX-License-Identifier: Apache-2.0
// All alignments of one text: their total probability, and the best of them.
//
// White space is folded as in references: an alignment that reads "  a  b " is one of "a b". The
// states are, for each position of " text ", its label and the blank after it.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

namespace ds2 {

// Log probabilities of the labels, frame by frame; label 0 is the blank.
struct Frames {
  const float* values;
  int64_t num_frames;
  int64_t num_labels;

  double At(int64_t frame, int32_t label) const { return values[frame * num_labels + label]; }
};

class Lattice {
 public:
  // `space` is the label of white space, or -1 where the alphabet has none.
  Lattice(const std::vector<int32_t>& text, int32_t space) : space_(space) {
    labels_.push_back(space);
    labels_.insert(labels_.end(), text.begin(), text.end());
    last_ = labels_.size() - 1;
    if (space >= 0 && last_ > 0) labels_.push_back(space);
  }

  // Natural log of the total probability.
  double LogProbability(const Frames& frames) const {
    // The range of a long double spares taking logarithms; each frame is scaled by its best state.
    const size_t n = labels_.size();
    std::vector<long double> label(n, 0), blank(n, 0), next_label(n), next_blank(n);
    blank[0] = 1;
    double log_scale = 0;
    for (int64_t t = 0; t < frames.num_frames; ++t) {
      const long double p_blank = std::exp(static_cast<long double>(frames.At(t, 0)));
      long double best = 0;
      for (size_t i = 0; i < n; ++i) {
        long double sum = label[i];
        if (labels_[i] == space_) sum += blank[i];
        if (i) sum += blank[i - 1] + (labels_[i] != labels_[i - 1] ? label[i - 1] : 0);
        next_label[i] = labels_[i] < 0 || sum == 0
                            ? 0
                            : sum * std::exp(static_cast<long double>(frames.At(t, labels_[i])));
        next_blank[i] = p_blank * (label[i] + blank[i]);
        best = std::max({best, next_label[i], next_blank[i]});
      }
      if (best == 0) return -std::numeric_limits<double>::infinity();
      for (size_t i = 0; i < n; ++i) {
        label[i] = next_label[i] / best;
        blank[i] = next_blank[i] / best;
      }
      log_scale += static_cast<double>(std::log(best));
    }
    long double sum = 0;
    for (size_t i = last_; i < n; ++i) sum += label[i] + blank[i];
    return log_scale + static_cast<double>(std::log(sum));
  }

  // First frame, and the one after the last, of every label of the text in the best alignment.
  std::vector<std::pair<int64_t, int64_t>> Align(const Frames& frames) const {
    enum : uint8_t { kStay, kOwnBlank, kBlankBefore, kLabelBefore };
    constexpr double kNever = -std::numeric_limits<double>::infinity();
    const size_t n = labels_.size();
    std::vector<double> label(n, kNever), blank(n, kNever), next_label(n), next_blank(n);
    std::vector<uint8_t> from_label(frames.num_frames * n), blank_from_label(from_label.size());
    blank[0] = 0;
    for (int64_t t = 0; t < frames.num_frames; ++t) {
      for (size_t i = 0; i < n; ++i) {
        double best = label[i];
        uint8_t from = kStay;
        const auto consider = [&](double score, uint8_t origin) {
          if (score > best) best = score, from = origin;
        };
        if (labels_[i] == space_) consider(blank[i], kOwnBlank);
        if (i) consider(blank[i - 1], kBlankBefore);
        if (i && labels_[i] != labels_[i - 1]) consider(label[i - 1], kLabelBefore);
        next_label[i] = labels_[i] < 0 ? kNever : best + frames.At(t, labels_[i]);
        from_label[t * n + i] = from;
        blank_from_label[t * n + i] = label[i] > blank[i];
        next_blank[i] = std::max(label[i], blank[i]) + frames.At(t, 0);
      }
      label.swap(next_label);
      blank.swap(next_blank);
    }
    size_t state = last_;
    bool in_label = label[last_] > blank[last_];
    double best = std::max(label[last_], blank[last_]);
    if (n > last_ + 1 && std::max(label[last_ + 1], blank[last_ + 1]) > best) {
      state = last_ + 1;
      in_label = label[state] > blank[state];
    }
    std::vector<std::pair<int64_t, int64_t>> spans(n, {-1, -1});
    for (int64_t t = frames.num_frames - 1; t >= 0; --t) {
      if (!in_label) {
        in_label = blank_from_label[t * n + state];
        continue;
      }
      if (spans[state].second < 0) spans[state].second = t + 1;
      spans[state].first = t;
      const uint8_t from = from_label[t * n + state];
      in_label = from == kStay || from == kLabelBefore;
      if (from == kBlankBefore || from == kLabelBefore) --state;
    }
    return {spans.begin() + 1, spans.begin() + 1 + last_};
  }

 private:
  int32_t space_;
  std::vector<int32_t> labels_;  // of " text ", or of " text" with -1 for a missing space
  size_t last_;                  // position of the last label of the text
};

}  // namespace ds2
