// SPDX-License-Identifier: Apache-2.0
// Reads KenLM's binary n-gram models of type "probing" from memory, such as a mapped file.
//
// The layout: a header (magic, test values, order, load factor, type, counts), a hash table of the
// vocabulary, unigrams by word id, one hash table for each middle order and one for the longest,
// and then the words in order of id, each ended by a zero byte. An n-gram is found by a hash over
// its words from the last to the first. Probabilities and back-offs are log10; a probability's sign
// bit is a flag.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace ds2 {

constexpr int kMaxOrder = 7;
constexpr double kLn10 = 2.302585092994045684;

using WordId = uint32_t;
constexpr WordId kUnknownWord = 0;

// The words before the next one, the latest first.
struct Context {
  WordId words[kMaxOrder - 1];
  int length = 0;
};

class NgramModel {
 public:
  // Throws std::runtime_error, whose text says what is wrong with the file.
  NgramModel(const uint8_t* data, uint64_t size) : data_(data), size_(size) {
    static constexpr char kMagic[] = "mmap lm http://kheafield.com/code format version 5\n";
    static constexpr char kAnyVersion[] = "mmap lm http://kheafield.com/code";
    if (size < kCountsOffset + 16 || std::memcmp(data, kMagic, sizeof(kMagic) - 1) != 0) {
      if (size > 6 && std::memcmp(data, "\\data\\", 6) == 0)
        throw std::runtime_error("is an ARPA text, not a KenLM binary: run build_binary on it");
      if (size > sizeof(kAnyVersion) && !std::memcmp(data, kAnyVersion, sizeof(kAnyVersion) - 1))
        throw std::runtime_error("is a KenLM binary of another version, or was never finished");
      throw std::runtime_error("is not a KenLM binary");
    }
    if (Read<float>(56) != 0.0f || Read<float>(60) != 1.0f || Read<uint64_t>(80) != 1)
      throw std::runtime_error("is a KenLM binary of a machine with another byte order");
    order_ = data[kParametersOffset];
    const float multiplier = Read<float>(kParametersOffset + 4);
    const int32_t type = Read<int32_t>(kParametersOffset + 8);
    const bool has_words = data[kParametersOffset + 12] != 0;
    if (order_ < 2 || order_ > kMaxOrder)
      throw std::runtime_error("has order " + std::to_string(order_) + ", supported are 2 to " +
                               std::to_string(kMaxOrder));
    if (type != 0)
      throw std::runtime_error(
          "is a KenLM binary of another type than probing: run `build_binary probing`");
    if (!has_words) throw std::runtime_error("lacks its words: run build_binary without -i");
    if (!(multiplier >= 1.0f && multiplier < 100.0f)) throw std::runtime_error("is damaged");
    uint64_t offset = (kCountsOffset + 8 * order_ + 7) / 8 * 8;
    if (offset > size) throw std::runtime_error("is cut short");
    for (int n = 0; n < order_; ++n) {
      counts_.push_back(Read<uint64_t>(kCountsOffset + 8 * n));
      if (counts_[n] > size) throw std::runtime_error("is cut short");
    }
    offset += 8 + 12 * Buckets(counts_[0], multiplier);
    unigrams_ = offset;
    offset += 8 * (counts_[0] + 1);
    for (int n = 1; n < order_; ++n) {
      const uint64_t buckets = Buckets(counts_[n], multiplier);
      tables_.push_back({offset, buckets});
      offset += (n + 1 < order_ ? 16 : 12) * buckets;
    }
    if (offset >= size) throw std::runtime_error("is cut short");
    ReadWords(offset);
    begin_ = Find("<s>");
    end_ = Find("</s>");
    if (begin_ == kUnknownWord || end_ == kUnknownWord)
      throw std::runtime_error("has no <s> or no </s>: it was not made of sentences");
  }

  int order() const { return order_; }
  const std::vector<uint64_t>& counts() const { return counts_; }
  WordId end_of_sentence() const { return end_; }
  // All words in order of id, each ended by a zero byte.
  std::string_view words() const { return words_; }

  WordId Find(std::string_view word) const {
    const auto found = ids_.find(word);
    return found == ids_.end() ? kUnknownWord : found->second;
  }

  Context BeginOfSentence() const {
    Context context;
    context.words[0] = begin_;
    context.length = 1;
    return context;
  }

  // Natural log probability of a word after a context.
  double LogProbability(const Context& context, WordId word) const {
    double log10 = -std::fabs(Read<float>(unigrams_ + 8 * uint64_t{word}));
    int matched = 0;  // words of the context in the longest n-gram found
    uint64_t node = word;
    while (matched < context.length) {
      node = Combine(node, context.words[matched]);
      const uint8_t* entry = Lookup(matched, node);
      if (!entry) break;
      log10 = -std::fabs(Load<float>(entry));
      ++matched;
    }
    // Back-offs of the contexts that the n-gram did not reach.
    if (matched < context.length) {
      node = context.words[0];
      for (int length = 1; length <= context.length; ++length) {
        const uint8_t* weight;
        if (length == 1) {
          weight = data_ + unigrams_ + 8 * node + 4;
        } else {
          node = Combine(node, context.words[length - 1]);
          const uint8_t* entry = Lookup(length - 2, node);
          if (!entry) break;
          weight = entry + 4;
        }
        if (length > matched) log10 += Load<float>(weight);
      }
    }
    return log10 * kLn10;
  }

  // Appends a word to a context, from which the words that no n-gram reaches are dropped.
  void Extend(Context& context, WordId word) const {
    context.length = std::min(context.length + 1, order_ - 1);
    for (int i = context.length - 1; i > 0; --i) context.words[i] = context.words[i - 1];
    context.words[0] = word;
  }

  // Both at once.
  double Score(Context& context, WordId word) const {
    const double log_p = LogProbability(context, word);
    Extend(context, word);
    return log_p;
  }

  // Identifies a word after a context.
  static uint64_t Key(const Context& context, WordId word) {
    uint64_t key = word;
    for (int i = 0; i < context.length; ++i) key = Combine(key, context.words[i]);
    return key;
  }

 private:
  struct Table {
    uint64_t offset;
    uint64_t buckets;
  };

  static constexpr uint64_t kParametersOffset = 88;
  static constexpr uint64_t kCountsOffset = 108;

  template <class T>
  static T Load(const uint8_t* at) {
    T value;  // the file may lie anywhere in memory
    std::memcpy(&value, at, sizeof(T));
    return value;
  }

  template <class T>
  T Read(uint64_t offset) const {
    return Load<T>(data_ + offset);
  }

  static uint64_t Buckets(uint64_t entries, float multiplier) {
    return std::max(entries + 1,
                    static_cast<uint64_t>(multiplier * static_cast<float>(entries)));
  }

  static uint64_t Combine(uint64_t node, WordId word) {
    return (node * 8978948897894561157ULL) ^ ((uint64_t{1} + word) * 17894857484156487943ULL);
  }

  // The value of an n-gram of order `index` + 2, or null.
  const uint8_t* Lookup(int index, uint64_t key) const {
    const Table& table = tables_[index];
    const uint64_t width = index + 2 < order_ ? 16 : 12;
    uint64_t bucket = key % table.buckets;
    for (uint64_t tries = 0; tries < table.buckets; ++tries) {
      const uint8_t* entry = data_ + table.offset + width * bucket;
      const uint64_t found = Load<uint64_t>(entry);
      if (found == key) return entry + 8;
      if (found == 0) return nullptr;
      if (++bucket == table.buckets) bucket = 0;
    }
    return nullptr;
  }

  void ReadWords(uint64_t offset) {
    words_ = {reinterpret_cast<const char*>(data_ + offset), size_ - offset};
    if (words_.substr(0, 6) != std::string_view("<unk>\0", 6) || words_.back() != '\0')
      throw std::runtime_error("is damaged: its words are not where they should be");
    size_t start = 0;
    while (start < words_.size()) {
      const size_t length = words_.find('\0', start) - start;
      ids_.emplace(words_.substr(start, length), static_cast<WordId>(ids_.size()));
      start += length + 1;
    }
    if (ids_.size() != counts_[0])
      throw std::runtime_error("is damaged: it has " + std::to_string(ids_.size()) +
                               " words and should have " + std::to_string(counts_[0]));
  }

  const uint8_t* data_;
  uint64_t size_;
  int order_;
  std::vector<uint64_t> counts_;
  uint64_t unigrams_;
  std::vector<Table> tables_;
  std::string_view words_;
  std::unordered_map<std::string_view, WordId> ids_;
  WordId begin_;
  WordId end_;
};

}  // namespace ds2
