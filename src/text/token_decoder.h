#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "json/fields.h"
#include "json/value.h"

namespace weir::text {

// The decoder of a tokenizer.json, as a function of single tokens: all that exist but two treat
// every token on its own, or nearly (the first one of a text may lose its space). Those two, CTC
// and BPEDecoder, are refused.
//
// Threads: immutable.
class TokenDecoder {
  public:
    // Null: tokens are put side by side with a space between. Errors: Unsupported, DataCorrupt.
    static Result<TokenDecoder> read(const json::Value* value);

    enum class Place { First, Behind };
    // The bytes that a token adds to a text.
    std::string bytes_of(std::string_view token, Place place) const;

    // How many spaces the first token of a text loses (0 or 1). Where it is 0, and only there, both
    // places are the same for every token.
    size_t leading_spaces() const { return leading_spaces_; }

  private:
    enum class Kind { ByteLevel, ByteFallback, Metaspace, Replace, Strip, WordPiece, Join };
    struct Step {
        Kind kind;
        std::string from;  // Replace, Metaspace, WordPiece: the sign
        std::string to;
        size_t start = 0;          // Strip
        size_t stop = 0;           // Strip
        bool drops_first = false;  // Metaspace: the signs of the first token vanish
        bool cleanup = false;      // WordPiece
    };
    Result<void> read_step(const json::Value& value, int depth);
    Result<void> read_strip(Step step);
    Result<void> read_metaspace(json::Fields& fields);
    Result<void> read_replace(json::Fields& fields);
    Result<void> add_for_tokens(Step step, std::string_view type);
    static void apply(const Step& step, Place place, std::string& text);

    std::vector<Step> steps_;
    bool fused_ = false;        // the steps that come now get the whole text
    bool strips_text_ = false;  // of one leading space, when all tokens are put together
    size_t leading_spaces_ = 0;
    double growth_ = 1;  // how many bytes a byte of a token may become, at most
};

}  // namespace weir::text
