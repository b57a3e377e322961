// SPDX-License-Identifier: Apache-2.0
// The functions that ds2_tf/decoding/native_library.py calls. Whatever is not plain data is an
// opaque pointer. None of them touches Python, and so all run without its lock.

#include <cstring>
#include <memory>
#include <string>

#include "beam_search.h"

namespace {

// Bytes of the UTF-8 character that starts with `lead`.
size_t Utf8Length(unsigned char lead) {
  if (lead < 0x80) return 1;
  if (lead >= 0xf0) return 4;
  return lead >= 0xe0 ? 3 : 2;
}

// Labels of a word, cut into bigrams where those are labels, as Alphabet.encode does it; false where
// a character is not in the alphabet.
bool Encode(std::string_view text, const std::unordered_map<std::string_view, int32_t>& alphabet,
            std::vector<int32_t>& labels) {
  labels.clear();
  for (size_t at = 0; at < text.size();) {
    size_t length = Utf8Length(text[at]);
    auto found = alphabet.end();
    if (at + length < text.size()) {
      const size_t pair = length + Utf8Length(text[at + length]);
      found = alphabet.find(text.substr(at, pair));
      if (found != alphabet.end()) length = pair;
    }
    if (found == alphabet.end()) found = alphabet.find(text.substr(at, length));
    if (found == alphabet.end()) return false;
    labels.push_back(found->second);
    at += length;
  }
  return true;
}

// Calls `function` with each line; every line ends in a line break.
template <class Function>
void ForEachLine(std::string_view text, Function function) {
  while (!text.empty()) {
    const size_t end = text.find('\n');
    function(text.substr(0, end));
    text.remove_prefix(end + 1);
  }
}

using Model = std::shared_ptr<const ds2::NgramModel>;

struct Result {
  std::vector<ds2::Hypothesis> hypotheses;
};

void WriteSpans(const std::vector<std::pair<int64_t, int64_t>>& from, int64_t* spans) {
  for (const auto& [first, end] : from) {
    *spans++ = first;
    *spans++ = end;
  }
}

struct HypothesisData {
  const int32_t* labels;
  int64_t num_labels;
  double log_p_ctc, log_p_lm, extra, total;
  int32_t units, unknown;
};

}  // namespace

extern "C" {

Model* ds2_model_open(const uint8_t* data, uint64_t size, char* error, size_t error_size) {
  try {
    return new Model(std::make_shared<const ds2::NgramModel>(data, size));
  } catch (const std::exception& problem) {
    std::strncpy(error, problem.what(), error_size - 1);
    return nullptr;
  }
}

void ds2_model_close(Model* model) { delete model; }

int32_t ds2_model_order(const Model* model) { return (*model)->order(); }

uint64_t ds2_model_count(const Model* model, int32_t order) {
  return (*model)->counts()[order - 1];
}

const char* ds2_model_words(const Model* model, uint64_t* size) {
  *size = (*model)->words().size();
  return (*model)->words().data();
}

// Natural log probability of a sentence of words, each of which ends in a line break; the number
// of its unknown words and what they contribute.
double ds2_model_score(const Model* model, const char* words, uint64_t size, int32_t* unknown,
                       double* unknown_score) {
  const ds2::NgramModel& ngrams = **model;
  ds2::Context context = ngrams.BeginOfSentence();
  double total = 0;
  *unknown = 0;
  *unknown_score = 0;
  ForEachLine({words, size}, [&](std::string_view word) {
    const ds2::WordId id = ngrams.Find(word);
    const double score = ngrams.Score(context, id);
    total += score;
    if (id == ds2::kUnknownWord) {
      ++*unknown;
      *unknown_score += score;
    }
  });
  return total + ngrams.Score(context, ngrams.end_of_sentence());
}

// `alphabet`: the labels after the blank, `vocabulary` and `hot_words`: words, all a line each.
// `model` may be null; then the vocabulary alone counts.
ds2::Search* ds2_search_new(const ds2::Options* options, const Model* model, const char* alphabet,
                            uint64_t alphabet_size, const char* vocabulary,
                            uint64_t vocabulary_size, const char* hot_words,
                            uint64_t hot_words_size, const double* weights) {
  auto search = std::make_unique<ds2::Search>();
  search->options = *options;
  if (model) search->model = *model;
  std::unordered_map<std::string_view, int32_t> labels_of;
  const bool characters = options->units == ds2::Units::kCharacters;
  if (characters) search->characters.push_back(ds2::kUnknownWord);
  ForEachLine({alphabet, alphabet_size}, [&](std::string_view character) {
    labels_of.emplace(character, ++search->num_labels);
    if (character == " ") search->space = search->num_labels;
    if (characters && model)
      search->characters.push_back(search->model->Find(character == " " ? "<space>" : character));
  });
  ++search->num_labels;
  std::vector<ds2::Lexicon::Word> words;
  ForEachLine({vocabulary, vocabulary_size}, [&](std::string_view text) {
    ds2::Lexicon::Word word;
    if (text.empty() || !Encode(text, labels_of, word.labels)) return;
    word.known = search->has_vocabulary = true;
    if (search->model) word.id = search->model->Find(text);
    words.push_back(std::move(word));
  });
  ForEachLine({hot_words, hot_words_size}, [&](std::string_view text) {
    ds2::Lexicon::Word word;
    word.weight = *weights++;
    if (!Encode(text, labels_of, word.labels)) return;
    if (search->model) word.id = search->model->Find(text);
    words.push_back(std::move(word));
  });
  const auto ahead = [&](const ds2::Lexicon::Word& word) {
    const ds2::Context none{};
    const double lm = search->model ? search->model->LogProbability(none, word.id) : 0;
    return options->beta + options->alpha * lm + word.weight +
           (word.known ? 0 : options->unknown_score);
  };
  search->unknown_ahead = ahead({});
  search->lexicon = ds2::Lexicon(std::move(words), search->num_labels, ahead);
  return search.release();
}

void ds2_search_delete(ds2::Search* search) { delete search; }

ds2::Stream* ds2_stream_new(const ds2::Search* search) { return new ds2::Stream(*search); }

void ds2_stream_delete(ds2::Stream* stream) { delete stream; }

void ds2_stream_push(ds2::Stream* stream, const float* log_probs, int64_t num_frames) {
  stream->Push(log_probs, num_frames);
}

// Writes the labels of the best prefix from the label `from` on; returns their number, which may
// exceed `capacity`. `num_settled` gets the number of labels, from the start, that stay whatever
// comes; `from` must not be greater than what it was before.
int64_t ds2_stream_partial(const ds2::Stream* stream, int64_t from, int32_t* labels,
                           int64_t capacity, int64_t* num_settled) {
  const std::vector<int32_t>& settled = stream->Settled();
  const std::vector<int32_t> rest = stream->BestUnsettled();
  *num_settled = settled.size();
  const int64_t size = settled.size() - from + rest.size();
  if (size <= capacity) {
    labels = std::copy(settled.begin() + from, settled.end(), labels);
    std::copy(rest.begin(), rest.end(), labels);
  }
  return size;
}

Result* ds2_stream_finish(const ds2::Stream* stream, int32_t num_best) {
  return new Result{stream->Finish(num_best)};
}

void ds2_result_delete(Result* result) { delete result; }

int64_t ds2_result_size(const Result* result) { return result->hypotheses.size(); }

void ds2_result_get(const Result* result, int64_t index, HypothesisData* data) {
  const ds2::Hypothesis& from = result->hypotheses[index];
  *data = {from.labels.data(), static_cast<int64_t>(from.labels.size()), from.log_p_ctc,
           from.log_p_lm, from.extra, from.total, from.units, from.unknown};
}

// First frame, and the one after the last, of each label of a text: `spans` is [num_labels, 2].
void ds2_stream_align(const ds2::Stream* stream, const int32_t* labels, int64_t num_labels,
                      int64_t* spans) {
  WriteSpans(stream->Align({labels, labels + num_labels}), spans);
}

// The same for [num_frames, alphabet_size] log probabilities; -1 where no alignment is possible.
// `space` is the label of white space, or -1 where the alphabet has none.
void ds2_align(const float* log_probs, int64_t num_frames, int64_t alphabet_size, int32_t space,
               const int32_t* labels, int64_t num_labels, int64_t* spans) {
  const ds2::Lattice lattice({labels, labels + num_labels}, space);
  WriteSpans(lattice.Align({log_probs, num_frames, alphabet_size}), spans);
}

}  // extern "C"
