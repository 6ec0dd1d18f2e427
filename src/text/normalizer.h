#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace weir::text {

// What tokenizers do to a text before they cut it: a few steps, applied in order to every stretch
// between added tokens.
//
// Threads: immutable.
class Normalizer {
  public:
    enum class Kind {
        Nfc,
        Nfd,
        Lowercase,
        Prepend,           // `to` before a text that is not empty
        PrependIfMissing,  // the same, unless it stands there (or, first_only, the text goes on)
        Replace,           // every `from` by `to`
        Squeeze,           // runs of spaces to one space, none at the two ends
    };
    struct Step {
        Kind kind;
        std::string from;
        std::string to;
        bool first_only = false;
    };

    void add(Step step) { steps_.push_back(std::move(step)); }
    bool empty() const { return steps_.empty(); }
    // True if the texts that `pattern` is in have it no more afterwards.
    bool replaces(std::string_view pattern) const;

    // Where a piece of text stands; steps that prepend do so at the start of a stretch.
    enum class Place { TextStart, StretchStart, Inside };
    std::string apply(std::string_view text, Place place) const;

  private:
    std::vector<Step> steps_;
};

}  // namespace weir::text
