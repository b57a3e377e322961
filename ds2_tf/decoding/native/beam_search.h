// SPDX-License-Identifier: Apache-2.0
// Prefix beam search for CTC with an n-gram language model.
//
// A prefix keeps the probability of all alignments that read as it, apart for those that end in a
// blank and those that end in its last label, so that every text is one prefix. White space is
// folded: spaces at the start, and after another, change nothing. The score of a prefix is
//   log p_ctc + alpha ln p_lm + beta units + weights of hot words + penalties of unknown words
// over its finished units: words, or characters with a character model. An unfinished word counts,
// for the choice of prefixes alone, as the best that begins like it would without its context.
//
// In each frame every prefix of the beam first takes what its parent gives it, and only then is
// asked for longer ones, which get a node of the tree of prefixes only if they enter the beam.
// Those that cannot, because so many others are better, are mostly left out before they are scored.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "lattice.h"
#include "lexicon.h"
#include "ngram_cache.h"
#include "ngram_model.h"

namespace ds2 {

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
  double unknown_ahead = kNever;  // what an unknown word adds to a score, apart from its context
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
  explicit Stream(const Search& search) : search_(search), model_(search.model.get()) {
    nodes_.emplace_back();
    nodes_[kRoot].label = search.space;
    nodes_[kRoot].lexicon = Lexicon::kRoot;
    nodes_[kRoot].in_beam = 0;
    if (search.model) nodes_[kRoot].text.context = search.model->BeginOfSentence();
    Entry root = NewEntry(kRoot);
    root.blank = root.total = 0;
    active_.push_back(root);
    // One more, never allowed: the label of the root where there is no space.
    allowed_.assign(search.num_labels + 1, kNever);
  }

  void Push(const float* log_probs, int64_t num_frames) {
    frames_.insert(frames_.end(), log_probs, log_probs + num_frames * search_.num_labels);
    for (int64_t t = 0; t < num_frames; ++t) {
      const float* frame = log_probs + t * search_.num_labels;
      ChooseLabels(frame, search_.options.cumulative, search_.options.max_labels);
      if (Step()) continue;
      // Nothing that may be read went on with the likeliest labels.
      ChooseLabels(frame, 2.0, search_.num_labels);
      Step();
    }
    Settle();
  }

  // Labels that all prefixes of the beam share, up to a space where there are spaces: whatever
  // comes, these stay.
  const std::vector<int32_t>& Settled() const { return settled_; }

  // Labels of the best prefix, without those that are settled.
  std::vector<int32_t> BestUnsettled() const {
    const auto worse = [](const Entry& a, const Entry& b) { return a.Score() < b.Score(); };
    return Unsettled(std::max_element(active_.begin(), active_.end(), worse)->node);
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
      const TextScore& text = candidates[i].text;
      Hypothesis hypothesis;
      hypothesis.labels = settled_;
      const std::vector<int32_t> rest = Unsettled(candidates[i].node);
      hypothesis.labels.insert(hypothesis.labels.end(), rest.begin(), rest.end());
      // The space after the last settled word.
      if (!hypothesis.labels.empty() && hypothesis.labels.back() == search_.space)
        hypothesis.labels.pop_back();
      hypothesis.log_p_ctc = Lattice(hypothesis.labels, search_.space).LogProbability(frames());
      hypothesis.log_p_lm = text.lm;
      hypothesis.extra = text.extra;
      hypothesis.units = text.units;
      hypothesis.unknown = text.unknown;
      hypothesis.total = hypothesis.log_p_ctc + text.Bonus(search_.options);
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
  static constexpr int32_t kRoot = 0;
  static constexpr int32_t kNone = -1;

  // A prefix in the tree of prefixes, which holds those of the beam and those before them.
  struct Node {
    int32_t parent = kNone;
    int32_t first_child = kNone;
    int32_t sibling = kNone;
    int32_t label = kNone;
    int32_t lexicon = Lexicon::kNone;  // of the unfinished word
    int32_t scored = kRoot;  // the node, itself or one before it, whose text is that of this one
    int32_t in_beam = kNone;  // its place there
    bool is_free = false;
    TextScore text;           // of the finished units; only where `scored` is the node itself
  };

  // A prefix of the beam.
  struct Entry {
    int32_t node;
    int32_t label;
    int32_t lexicon;
    int32_t scored;
    int32_t parent = kNone;  // the place of the parent in the beam
    uint64_t children = 0;   // labels of children in the beam, as bits; several may share one
    double blank = kNever, last = kNever, total = kNever;
    double next_blank = kNever, next_last = kNever, next_total = kNever;
    double finished = 0;   // what the finished units add to the score
    double bonus = 0;      // the same with what is expected of the unfinished word
    double word_end = kNever;      // the most `finished` may be when the word ends here
    double longest_bonus = kNever;  // the most that the bonus of a longer prefix may be

    double Score() const { return total + bonus; }
  };

  // What may be in the next beam: an entry as it is, or with one more label.
  struct Proposal {
    double score;
    double log_p;
    double bonus;
    int32_t entry;
    int32_t label;  // kNone for the entry as it is
    int32_t lexicon;

    // Every tie is broken alike, whatever the chunks in which the frames came.
    bool operator<(const Proposal& other) const {
      if (score != other.score) return score > other.score;
      return entry != other.entry ? entry < other.entry : label < other.label;
    }
  };

  // A text that the utterance may end with.
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

  static uint64_t Bit(int32_t label) { return uint64_t{1} << (label & 63); }

  // The fewest labels whose probabilities add up to `cumulative`, the likeliest first.
  void ChooseLabels(const float* frame, double cumulative, int32_t most) {
    for (const int32_t label : chosen_) allowed_[label] = kNever;
    chosen_.clear();
    // Labels that are less likely than this cannot be needed, even all together.
    const double least =
        cumulative < 1 ? std::log((1 - cumulative) / search_.num_labels) : kNever;
    for (int32_t label = 0; label < search_.num_labels; ++label)
      if (frame[label] >= least) chosen_.push_back(label);
    const auto likelier = [&](int32_t a, int32_t b) {
      return frame[a] > frame[b] || (frame[a] == frame[b] && a < b);
    };
    const size_t limit = std::min<size_t>(most, chosen_.size());
    std::partial_sort(chosen_.begin(), chosen_.begin() + limit, chosen_.end(), likelier);
    double sum = 0;
    size_t count = 0;
    while (count < limit && sum < cumulative) {
      const int32_t label = chosen_[count++];
      allowed_[label] = frame[label];
      if (cumulative <= 1) sum += std::exp(double{frame[label]});
    }
    chosen_.resize(count);
  }

  // Goes on by one frame with the chosen labels; false, and no change, where no prefix can.
  bool Step() {
    if (chosen_.size() == 1 && chosen_[0] == 0 && allowed_[0] > kNever) {
      // All change alike.
      for (Entry& entry : active_) {
        entry.blank = entry.total += allowed_[0];
        entry.last = kNever;
      }
      return true;
    }
    proposals_.clear();
    best_ = kNever;
    Stay();
    cutoff_ = best_ - search_.options.beam_threshold;
    const size_t beam = search_.options.beam_size;
    if (proposals_.size() >= beam) KeepBest();
    for (size_t i = 0; i < active_.size(); ++i) {
      Extend(static_cast<int32_t>(i));
      if (proposals_.size() >= 2 * beam) KeepBest();
    }
    if (best_ == kNever) return false;
    if (proposals_.size() > beam) KeepBest();
    Select();
    return true;
  }

  // Proposes each prefix as it is.
  void Stay() {
    for (size_t i = 0; i < active_.size(); ++i) {
      Entry& entry = active_[i];
      entry.next_blank = entry.total + allowed_[0];
      entry.next_last = kNever;
      const double log_p = allowed_[entry.label];
      if (log_p > kNever) {
        entry.next_last = (entry.label == search_.space ? entry.total : entry.last) + log_p;
        if (entry.parent != kNone) {
          const Entry& parent = active_[entry.parent];
          const double before = parent.label == entry.label ? parent.blank : parent.total;
          entry.next_last = LogAdd(entry.next_last, before + log_p);
        }
      }
      entry.next_total = LogAdd(entry.next_blank, entry.next_last);
      const double score = entry.next_total + entry.bonus;
      if (score == kNever) continue;
      proposals_.push_back({score, 0, 0, static_cast<int32_t>(i), kNone, 0});
      best_ = std::max(best_, score);
    }
  }

  // Proposes a prefix with each label that may follow.
  void Extend(int32_t index) {
    const Entry& entry = active_[index];
    for (const int32_t label : chosen_) {
      if (entry.total + allowed_[label] + entry.longest_bonus < cutoff_) break;
      if (label == 0 || (label == search_.space && entry.label == label)) continue;
      const double log_p = (label == entry.label ? entry.blank : entry.total) + allowed_[label];
      if (log_p == kNever || (entry.children & Bit(label) && HasChildInBeam(entry.node, label)))
        continue;
      int32_t lexicon = Lexicon::kNone;
      const double bonus = BonusOf(entry, label, log_p, &lexicon);
      const double score = log_p + bonus;
      if (score == kNever || score < cutoff_) continue;
      proposals_.push_back({score, log_p, bonus, index, label, lexicon});
      if (score > best_) {
        best_ = score;
        cutoff_ = std::max(cutoff_, best_ - search_.options.beam_threshold);
      }
    }
  }

  // The bonus of a prefix with one more label; -inf where it must not follow or cannot survive.
  double BonusOf(const Entry& entry, int32_t label, double log_p, int32_t* lexicon) const {
    const Options& options = search_.options;
    const TextScore& text = nodes_[entry.scored].text;
    if (options.units == Units::kCharacters) {
      const double most = entry.finished + options.beta;
      if (log_p + most < cutoff_) return kNever;
      return most + options.alpha * LanguageModel(text.context, Character(label));
    }
    if (label == search_.space) {
      if (log_p + entry.word_end < cutoff_) return kNever;
      *lexicon = Lexicon::kRoot;
      return entry.word_end + options.alpha * LanguageModel(text.context, WordAt(entry.lexicon));
    }
    if (entry.lexicon != Lexicon::kNone) *lexicon = search_.lexicon.Child(entry.lexicon, label);
    if (*lexicon == Lexicon::kNone && options.closed) return kNever;
    return entry.finished + Ahead(*lexicon);
  }

  // What is expected of an unfinished word.
  double Ahead(int32_t lexicon) const {
    if (!search_.has_vocabulary) return 0;
    const double unknown = search_.options.closed ? kNever : search_.unknown_ahead;
    if (lexicon == Lexicon::kNone) return unknown;
    return std::max(unknown, search_.lexicon.Ahead(lexicon));
  }

  double LanguageModel(const Context& context, WordId unit) const {
    return search_.model ? model_.LogProbability(context, unit) : 0;
  }

  WordId Character(int32_t label) const { return search_.model ? search_.characters[label] : 0; }

  WordId WordAt(int32_t lexicon) const {
    const Lexicon::Word* word = lexicon == Lexicon::kNone ? nullptr : search_.lexicon.At(lexicon);
    return word ? word->id : kUnknownWord;
  }

  // What the end of a word adds besides the language model and beta; -inf where it may not end.
  double ExtraAtEnd(int32_t lexicon, bool* is_unknown) const {
    const Lexicon::Word* word = lexicon == Lexicon::kNone ? nullptr : search_.lexicon.At(lexicon);
    if (search_.options.closed && !word) return kNever;
    *is_unknown = search_.has_vocabulary && !(word && word->known);
    return (word ? word->weight : 0) + (*is_unknown ? search_.options.unknown_score : 0);
  }

  // Adds the word that ends at a node to a text; false where it may not end there.
  bool EndWord(int32_t lexicon, TextScore& text) const {
    bool is_unknown;
    const double extra = ExtraAtEnd(lexicon, &is_unknown);
    if (extra == kNever) return false;
    text.extra += extra;
    text.unknown += is_unknown;
    AddUnit(text, WordAt(lexicon));
    return true;
  }

  void AddUnit(TextScore& text, WordId unit) const {
    ++text.units;
    if (!search_.model) return;
    text.lm += LanguageModel(text.context, unit);
    search_.model->Extend(text.context, unit);
  }

  bool HasChildInBeam(int32_t node, int32_t label) const {
    const int32_t child = FindChild(node, label);
    return child != kNone && nodes_[child].in_beam != kNone;
  }

  int32_t FindChild(int32_t node, int32_t label) const {
    int32_t child = nodes_[node].first_child;
    while (child != kNone && nodes_[child].label != label) child = nodes_[child].sibling;
    return child;
  }

  // Keeps as many of the proposals as the beam holds; from then on no worse ones are of use.
  void KeepBest() {
    const size_t beam = search_.options.beam_size;
    std::nth_element(proposals_.begin(), proposals_.begin() + beam - 1, proposals_.end());
    proposals_.resize(beam);
    cutoff_ = std::max(cutoff_, proposals_.back().score);
  }

  // Makes the proposals the beam.
  void Select() {
    const double worst = best_ - search_.options.beam_threshold;
    for (const Entry& entry : active_) nodes_[entry.node].in_beam = kNone;
    next_.clear();
    for (const Proposal& proposal : proposals_) {
      if (proposal.score < worst) continue;
      const Entry& from = active_[proposal.entry];
      if (proposal.label == kNone) {
        next_.push_back(from);
        Entry& entry = next_.back();
        entry.blank = from.next_blank;
        entry.last = from.next_last;
        entry.total = from.next_total;
      } else {
        next_.push_back(NewEntry(Child(from, proposal.label, proposal.lexicon)));
        next_.back().last = next_.back().total = proposal.log_p;
      }
      nodes_[next_.back().node].in_beam = static_cast<int32_t>(next_.size()) - 1;
    }
    for (const Entry& entry : active_) Release(entry.node);
    active_.swap(next_);
    for (Entry& entry : active_) entry.children = 0;
    for (Entry& entry : active_) {
      const int32_t parent = nodes_[entry.node].parent;
      entry.parent = parent == kNone ? kNone : nodes_[parent].in_beam;
      if (entry.parent != kNone) active_[entry.parent].children |= Bit(entry.label);
    }
  }

  // The node after that of an entry.
  int32_t Child(const Entry& entry, int32_t label, int32_t lexicon) {
    const int32_t found = FindChild(entry.node, label);
    if (found != kNone) return found;
    int32_t index;
    if (free_.empty()) {
      index = static_cast<int32_t>(nodes_.size());
      nodes_.emplace_back();
    } else {
      index = free_.back();
      free_.pop_back();
    }
    Node& node = nodes_[index];
    node.is_free = false;
    node.parent = entry.node;
    node.first_child = node.in_beam = kNone;
    node.sibling = nodes_[entry.node].first_child;
    node.label = label;
    node.lexicon = lexicon;
    node.scored = entry.scored;
    nodes_[entry.node].first_child = index;
    const bool by_character = search_.options.units == Units::kCharacters;
    if (by_character || label == search_.space) {
      node.scored = index;
      node.text = nodes_[entry.scored].text;
      if (by_character) {
        AddUnit(node.text, Character(label));
      } else {
        EndWord(entry.lexicon, node.text);
      }
    }
    return index;
  }

  Entry NewEntry(int32_t index) const {
    const Options& options = search_.options;
    const Node& node = nodes_[index];
    Entry entry;
    entry.node = index;
    entry.label = node.label >= 0 ? node.label : search_.num_labels;
    entry.lexicon = node.lexicon;
    entry.scored = node.scored;
    entry.finished = entry.bonus = nodes_[node.scored].text.Bonus(options);
    if (options.units == Units::kCharacters) {
      entry.longest_bonus = entry.finished + std::max(0.0, options.beta);
      return entry;
    }
    entry.longest_bonus = entry.finished + Ahead(node.lexicon);
    if (node.label == search_.space) return entry;
    entry.bonus = entry.longest_bonus;
    bool is_unknown;
    entry.word_end = entry.finished + options.beta + ExtraAtEnd(node.lexicon, &is_unknown);
    entry.longest_bonus = std::max(entry.longest_bonus, entry.word_end);
    return entry;
  }

  // Frees a node that nothing needs, and then those before it.
  void Release(int32_t index) {
    while (index != kRoot && nodes_[index].in_beam == kNone &&
           nodes_[index].first_child == kNone && !nodes_[index].is_free) {
      Unlink(index);
      Free(index);
      index = nodes_[index].parent;
    }
  }

  void Free(int32_t index) {
    nodes_[index].is_free = true;
    free_.push_back(index);
  }

  void Unlink(int32_t index) {
    int32_t* link = &nodes_[nodes_[index].parent].first_child;
    while (*link != index) link = &nodes_[*link].sibling;
    *link = nodes_[index].sibling;
  }

  // Moves the root to the last space that all prefixes of the beam share, or to the last label
  // where there are no spaces.
  void Settle() {
    // A closed vocabulary without spaces has one word a text, and a word is never begun with.
    if (search_.space < 0 && search_.options.closed) return;
    std::vector<int32_t> path;
    size_t shared = 0;
    for (int32_t node = kRoot; nodes_[node].in_beam == kNone;) {
      node = nodes_[node].first_child;
      if (node == kNone || nodes_[node].sibling != kNone) break;
      path.push_back(node);
      if (search_.space < 0 || nodes_[node].label == search_.space) shared = path.size();
    }
    if (!shared) return;
    for (size_t i = 0; i < shared; ++i) settled_.push_back(nodes_[path[i]].label);
    ReplaceRoot(path[shared - 1]);
    for (size_t i = 0; i < shared; ++i) Free(path[i]);
  }

  void ReplaceRoot(int32_t index) {
    Node& root = nodes_[kRoot];
    root = nodes_[index];
    root.parent = root.sibling = kNone;
    root.scored = kRoot;
    if (nodes_[index].scored != index) root.text = nodes_[nodes_[index].scored].text;
    Redirect(index);
    if (root.in_beam != kNone) active_[root.in_beam].node = active_[root.in_beam].scored = kRoot;
  }

  // All that pointed to a node points to the root.
  void Redirect(int32_t index) {
    std::vector<int32_t> waiting;
    for (int32_t child = nodes_[kRoot].first_child; child != kNone;
         child = nodes_[child].sibling) {
      nodes_[child].parent = kRoot;
      waiting.push_back(child);
    }
    while (!waiting.empty()) {
      Node& node = nodes_[waiting.back()];
      waiting.pop_back();
      if (node.scored != index) continue;
      node.scored = kRoot;
      if (node.in_beam != kNone) active_[node.in_beam].scored = kRoot;
      for (int32_t child = node.first_child; child != kNone; child = nodes_[child].sibling)
        waiting.push_back(child);
    }
  }

  // The texts of the beam; with `cut`, an unfinished word that may not end is left out.
  std::vector<Candidate> Complete(bool cut) const {
    std::vector<Candidate> candidates;
    std::vector<int32_t> place(nodes_.size(), kNone);
    for (const Entry& entry : active_) {
      int32_t at = entry.node;
      TextScore text;
      while (true) {
        // A space at the end does not belong to the text.
        if (at != kRoot && nodes_[at].label == search_.space) at = nodes_[at].parent;
        text = nodes_[nodes_[at].scored].text;
        if (nodes_[at].label == search_.space || search_.options.units == Units::kCharacters ||
            EndWord(nodes_[at].lexicon, text))
          break;
        if (!cut) {
          at = kNone;
          break;
        }
        while (at != kRoot && nodes_[at].label != search_.space) at = nodes_[at].parent;
      }
      if (at == kNone) continue;
      if (place[at] == kNone) {
        if (search_.model)
          text.lm += LanguageModel(text.context, search_.model->end_of_sentence());
        place[at] = static_cast<int32_t>(candidates.size());
        candidates.push_back({at, kNever, 0, text});
      }
      double& log_p = candidates[place[at]].log_p;
      log_p = LogAdd(log_p, entry.total);
    }
    for (Candidate& candidate : candidates)
      candidate.total = candidate.log_p + candidate.text.Bonus(search_.options);
    return candidates;
  }

  // Labels from the root to a node.
  std::vector<int32_t> Unsettled(int32_t node) const {
    std::vector<int32_t> labels;
    for (; node != kRoot; node = nodes_[node].parent) labels.push_back(nodes_[node].label);
    std::reverse(labels.begin(), labels.end());
    return labels;
  }

  const Search& search_;
  NgramCache model_;
  std::vector<Node> nodes_;    // the first is the root: the empty prefix, or what is settled
  std::vector<int32_t> free_;  // nodes to use again
  std::vector<int32_t> settled_;
  std::vector<Entry> active_, next_;  // the beam
  std::vector<Proposal> proposals_;
  std::vector<double> allowed_;  // log probabilities of the chosen labels, -inf for others
  std::vector<int32_t> chosen_;
  std::vector<float> frames_;
  double best_ = kNever;
  double cutoff_ = kNever;
};

}  // namespace ds2
