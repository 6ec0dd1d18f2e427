#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/charsmap.h"
#include "text/pattern.h"

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
        Nfkc,
        Nfkd,
        Lowercase,
        Strip,            // white space at the two ends, as `left` and `right` say
        StripMarks,       // takes out \p{M}
        StripNonspacing,  // and \p{Mn}
        CleanText,        // BERT: takes out controls, white space becomes spaces
        SpaceIdeographs,  // BERT: spaces around every Chinese character
        Nmt,              // SentencePiece's nmt rules: some controls go, some become spaces
        CharsmapLongest,
        CharsmapGraphemes,
        ReplaceMatches,    // what `pattern` matches by `to`
        Prepend,           // `to` before a text that is not empty
        PrependIfMissing,  // the same, unless it stands there (or, first_only, the text goes on)
        Replace,           // every `from` by `to`
        SpellBytes,        // every byte as the character that GPT-2's alphabet has for it
        Squeeze,           // runs of spaces to one space, none at the two ends
        TrimEnd,           // takes `to` away from the end as often as it stands there
    };
    struct Step {
        Kind kind;
        std::string from;
        std::string to;
        bool first_only = false;
        bool left = false;
        bool right = false;
        std::shared_ptr<const Charsmap> charsmap = {};
        std::shared_ptr<const Pattern> pattern = {};
    };

    void add(Step step) { steps_.push_back(std::move(step)); }
    bool empty() const { return steps_.empty(); }
    size_t steps() const { return steps_.size(); }
    // How many bytes a byte of a text may become, at most; what single steps add is left out.
    double growth() const;

    // Where a piece of text stands; steps that prepend do so at the start of a stretch.
    enum class Place { TextStart, StretchStart, Inside };
    std::string apply(std::string_view text, Place place) const;

  private:
    std::vector<Step> steps_;
};

// What BERT does to a text before it cuts it.
struct BertNormalization {
    bool clean_text = true;
    bool space_ideographs = true;
    bool strip_accents = true;
    bool lowercase = true;
};
void add_bert_normalizer(const BertNormalization& wanted, Normalizer& out);

}  // namespace weir::text
