// SPDX-License-Identifier: Apache-2.0
// All alignments of one text: their total probability, and the best of them.
//
// White space is folded as in references: an alignment that reads "  a  b " is one of "a b". The
// states are, for each position of " text ", its label and the blank after it. In each frame only
// the positions are followed that are not hopelessly behind the best, so that the cost does not
// grow with the square of the length.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

namespace ds2 {

constexpr double kNever = -std::numeric_limits<double>::infinity();

inline double LogAdd(double a, double b) {
  if (a < b) std::swap(a, b);
  // Below the precision of a double; written so that it also holds where both are -inf.
  if (!(b > a - 37)) return a;
  return a + std::log1p(std::exp(b - a));
}

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
    const double scaled = Scaled(frames);
    // Nothing is left where a needed label is less likely than a double can say, or where all
    // that led to the end was far behind: then slowly, with logarithms and all positions.
    if (scaled > kNever) return scaled;
    const size_t n = labels_.size();
    std::vector<double> label(n, kNever), blank(n, kNever);
    blank[0] = 0;
    for (int64_t t = 0; t < frames.num_frames; ++t) {
      for (size_t i = n; i-- > 0;) {
        double sum = label[i];
        if (labels_[i] == space_) sum = LogAdd(sum, blank[i]);
        if (i) sum = LogAdd(sum, blank[i - 1]);
        if (i && labels_[i] != labels_[i - 1]) sum = LogAdd(sum, label[i - 1]);
        blank[i] = LogAdd(label[i], blank[i]) + frames.At(t, 0);
        label[i] = labels_[i] < 0 ? kNever : sum + frames.At(t, labels_[i]);
      }
    }
    double sum = kNever;
    for (size_t i = last_; i < n; ++i) sum = LogAdd(sum, LogAdd(label[i], blank[i]));
    return sum;
  }

  // First frame, and the one after the last, of every label of the text in the best alignment.
  std::vector<std::pair<int64_t, int64_t>> Align(const Frames& frames) const {
    std::vector<std::pair<int64_t, int64_t>> spans(labels_.size(), {-1, -1});
    if (!BestAlignment(frames, kFarBehind, spans))
      BestAlignment(frames, std::numeric_limits<double>::infinity(), spans);
    return {spans.begin() + 1, spans.begin() + 1 + last_};
  }

 private:
  // How far, in natural log, a position may be behind the best.
  static constexpr double kFarBehind = 150;

  // The total over the positions that are not far behind, with probabilities that are scaled by
  // the best of each frame, which spares logarithms.
  double Scaled(const Frames& frames) const {
    const double negligible = std::exp(-kFarBehind);
    const size_t n = labels_.size();
    std::vector<double> label(n, 0), blank(n, 0);
    std::vector<double> probability(frames.num_labels);
    std::vector<int64_t> computed(frames.num_labels, -1);
    blank[0] = 1;
    double log_scale = 0;
    size_t low = 0, high = 1;  // positions that are followed
    for (int64_t t = 0; t < frames.num_frames; ++t) {
      const double p_blank = std::exp(frames.At(t, 0));
      double best = 0;
      high = std::min(high + 1, n);
      // From the end, so that the values of the frame before can be written over.
      for (size_t i = high; i-- > low;) {
        double sum = label[i];
        if (labels_[i] == space_) sum += blank[i];
        if (i > low) sum += blank[i - 1] + (labels_[i] != labels_[i - 1] ? label[i - 1] : 0);
        blank[i] = p_blank * (label[i] + blank[i]);
        label[i] = sum > 0 && labels_[i] >= 0 ? sum * Exp(frames, t, i, probability, computed) : 0;
        best = std::max({best, label[i], blank[i]});
      }
      if (best < 1e-290) return kNever;
      const double scale = 1 / best;
      for (size_t i = low; i < high; ++i) {
        label[i] *= scale;
        blank[i] *= scale;
      }
      const auto far_behind = [&](size_t i) {
        if (label[i] >= negligible || blank[i] >= negligible) return false;
        label[i] = blank[i] = 0;
        return true;
      };
      while (far_behind(low)) ++low;
      while (far_behind(high - 1)) --high;
      log_scale += std::log(best);
    }
    double sum = 0;
    for (size_t i = std::max(low, last_); i < high; ++i) sum += label[i] + blank[i];
    return log_scale + std::log(sum);
  }

  double Exp(const Frames& frames, int64_t t, size_t position, std::vector<double>& probability,
             std::vector<int64_t>& computed) const {
    const int32_t label = labels_[position];
    if (computed[label] != t) {
      computed[label] = t;
      probability[label] = std::exp(frames.At(t, label));
    }
    return probability[label];
  }

  // False where no alignment is left, which can only be if positions were not followed.
  bool BestAlignment(const Frames& frames, double far_behind,
                     std::vector<std::pair<int64_t, int64_t>>& spans) const {
    enum : uint8_t { kStay, kOwnBlank, kBlankBefore, kLabelBefore, kFromLabel = 8 };
    const size_t n = labels_.size();
    std::vector<double> label(n, kNever), blank(n, kNever);
    blank[0] = 0;
    // Where the label and the blank of each position that is followed came from, frame by frame.
    std::vector<uint8_t> origins;
    std::vector<std::pair<size_t, size_t>> rows;  // the first position, and where its origin is
    rows.reserve(frames.num_frames);
    size_t low = 0, high = 1;
    for (int64_t t = 0; t < frames.num_frames; ++t) {
      high = std::min(high + 1, n);
      rows.push_back({low, origins.size()});
      origins.resize(origins.size() + high - low);
      double leader = kNever;
      for (size_t i = high; i-- > low;) {
        double best = label[i];
        uint8_t from = kStay;
        const auto consider = [&](double score, uint8_t origin) {
          if (score > best) best = score, from = origin;
        };
        if (labels_[i] == space_) consider(blank[i], kOwnBlank);
        if (i > low) consider(blank[i - 1], kBlankBefore);
        if (i > low && labels_[i] != labels_[i - 1]) consider(label[i - 1], kLabelBefore);
        if (label[i] > blank[i]) from |= kFromLabel;
        origins[rows[t].second + i - low] = from;
        blank[i] = std::max(label[i], blank[i]) + frames.At(t, 0);
        label[i] = labels_[i] < 0 ? kNever : best + frames.At(t, labels_[i]);
        leader = std::max({leader, label[i], blank[i]});
      }
      const auto is_behind = [&](size_t i) {
        if (std::max(label[i], blank[i]) >= leader - far_behind) return false;
        label[i] = blank[i] = kNever;
        return true;
      };
      while (low + 1 < high && is_behind(low)) ++low;
      while (low + 1 < high && is_behind(high - 1)) --high;
    }
    size_t state = last_;
    for (size_t i = last_; i < n; ++i)
      if (std::max(label[i], blank[i]) > std::max(label[state], blank[state])) state = i;
    if (std::max(label[state], blank[state]) == kNever) return far_behind == -kNever;
    bool in_label = label[state] > blank[state];
    for (int64_t t = frames.num_frames - 1; t >= 0; --t) {
      const uint8_t origin = origins[rows[t].second + state - rows[t].first];
      if (!in_label) {
        in_label = origin & kFromLabel;
        continue;
      }
      if (spans[state].second < 0) spans[state].second = t + 1;
      spans[state].first = t;
      const uint8_t from = origin & ~kFromLabel;
      in_label = from == kStay || from == kLabelBefore;
      if (from == kBlankBefore || from == kLabelBefore) --state;
    }
    return true;
  }

  int32_t space_;
  std::vector<int32_t> labels_;  // of " text ", or of " text" with -1 for a missing space
  size_t last_;                  // position of the last label of the text
};

}  // namespace ds2
