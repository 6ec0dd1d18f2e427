#pragma once

#include <array>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/added_tokens.h"
#include "text/bpe.h"
#include "text/byte_alphabet.h"
#include "text/normalizer.h"
#include "text/pretokenizer.h"
#include "text/token_model.h"
#include "text/tokenizer.h"

namespace weir::text {

// What a reader of some file format makes of it; Tokenizer puts the parts to work. Internal.
struct Tokenizer::Parts {
    struct Token {
        std::string bytes;  // what it adds in the middle of a text; a control token's name
        bool control = false;
    };

    std::vector<Token> tokens;     // by id
    AddedTokens added;             // searched for in the text as it is
    AddedTokens added_normalized;  // and in the text as normalised
    Normalizer normalizer;
    PreTokenizer pre_tokenizer;
    std::unique_ptr<const TokenModel> model;

    std::vector<TokenId> prefix;  // what add_special puts before a text
    std::vector<TokenId> suffix;  // and behind it
    std::optional<TokenId> bos;
    std::optional<TokenId> eos;
    std::optional<TokenId> eot;
    std::optional<TokenId> unknown;
    std::optional<TokenId> padding;
    std::vector<TokenId> end_of_generation;
    size_t leading_spaces = 0;  // of a decoded text, to be dropped
    // Where the first token of a text adds something else, which keeps its spaces.
    std::unordered_map<TokenId, std::string> openings;
    // Where a control token adds more than its name to a text.
    std::unordered_map<TokenId, std::string> control_bytes;
};

// Bounds for every reader: far above any tokenizer that exists.
inline constexpr size_t kVocabTokensMax = size_t{1} << 22;
inline constexpr size_t kTokenBytesMax = size_t{1} << 16;
inline constexpr size_t kMergesMax = size_t{1} << 23;

// ---- What the readers share ----

// The byte of "<0x41>": exactly two hexadecimal digits.
std::optional<uint8_t> byte_of_name(std::string_view token);

inline constexpr std::string_view kMetaspace = "\xE2\x96\x81";  // U+2581
std::string spaces_of_metaspace(std::string_view token);

// Tokens on their way into a model, looked up a few at a time: a vocabulary's table is larger than
// the caches, and one after the other they would wait for the memory most of the time.
class TokenList {
  public:
    explicit TokenList(Bpe& bpe) : bpe_(bpe) {}

    // As Bpe::add_token, which comes a little later. After the last one: finish.
    Result<void> add(std::string_view bytes, TokenId id);
    Result<void> finish();

  private:
    struct Waiting {
        std::string bytes;
        TextIndex::Key key;
        TokenId id = 0;
    };
    static constexpr size_t kAtOnce = 16;

    Bpe& bpe_;
    std::array<Waiting, kAtOnce> waiting_;
    size_t count_ = 0;
};

// The same for ranked merges.
class MergeList {
  public:
    // What the file calls its list of merges and its vocabulary, for errors.
    struct Names {
        std::string_view merges;
        std::string_view vocabulary;
    };
    MergeList(Bpe& bpe, Names names) : bpe_(bpe), names_(names) {}

    // The texts as the symbols spell them; ranks ascend. After the last one: finish.
    // Errors: DataCorrupt where a text, or both together, is no token.
    Result<void> add(std::string_view left, std::string_view right, size_t rank);
    Result<void> finish();

  private:
    struct Waiting {
        std::string joined;
        size_t left_bytes = 0;
        size_t rank = 0;
        TextIndex::Key keys[3];  // left, right, joined
        uint32_t symbols[3] = {};

        std::string_view text(size_t which) const {
            const std::string_view all = joined;
            return which == 0   ? all.substr(0, left_bytes)
                   : which == 1 ? all.substr(left_bytes)
                                : all;
        }
    };
    static constexpr size_t kAtOnce = 16;

    Bpe& bpe_;
    Names names_;
    std::array<Waiting, kAtOnce> waiting_;
    size_t count_ = 0;
};

// Whether a token that is a whole piece wins over merges: converters to GGUF leave this out of the
// file, it follows from the pre-tokenizer's name.
bool ignores_merges(std::string_view pre);

// Merges of a SentencePiece vocabulary: any two symbols whose texts together are a token merge to
// it, the better score first. Errors: TooLarge where the tokens are absurdly long.
Result<void> add_scored_merges(Bpe& bpe, std::span<const std::string_view> texts,
                               std::span<const float> scores, const std::vector<bool>& mergeable);

// The same error with the file's name: its faults are its own, not a request's.
Error as_corrupt(Error error, std::string_view file);

// Control tokens of well-known names that end a turn or a text, added to what the file itself
// says; sorts and removes duplicates.
void complete_end_of_generation(Tokenizer::Parts& parts);

}  // namespace weir::text
